//! From an assignment to what the supervisor starts: placeholders replaced, environment complete, paths absolute.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use tunesmith_common::clock::Timestamp;
use tunesmith_common::metrics::Patterns;
use tunesmith_common::study::MetricSource;
use tunesmith_common::template::{Context, Template, TemplateError, env_name};
use tunesmith_common::worker::Assignment;

use super::folder::{Folder, daemon_lock};
use super::options::StoreOptions;
use super::records::{Launch, Source};
use crate::checkpoint::{Place, newest, step_folder};

/// Marks every process of an attempt: the path of the attempt's folder.
pub(crate) const MARKER: &str = "TUNESMITH_LEASE";
/// Variables with this prefix are ours: the worker's own, which may hold secrets, never reach a program.
const PREFIX: &str = "TUNESMITH_";

/// The environment of the supervisor and, with [`Launch::env`] added, of the program.
pub(crate) fn base_env(
    vars: impl Iterator<Item = (OsString, OsString)>,
) -> impl Iterator<Item = (OsString, OsString)> {
    vars.filter(|(name, _)| !name.as_encoded_bytes().starts_with(PREFIX.as_bytes()))
}

/// Makes the launch record, and fetches the checkpoint to go on from. The second value says why it cannot be launched, if so; the record then tells only what it is.
pub(crate) fn prepare(
    assignment: &Assignment,
    folder: &Folder,
    socket: PathBuf,
    options: &StoreOptions,
    place: &Place,
    given_up: &CancellationToken,
    now: Timestamp,
) -> (Launch, Option<String>) {
    let mut launch = Launch {
        lease: assignment.lease,
        launched_at: now,
        argv: Vec::new(),
        env: BTreeMap::new(),
        workdir: folder.trial().to_owned(),
        max_runtime: assignment.spec.max_runtime,
        grace: assignment.spec.grace,
        orphan_timeout: options.orphan_timeout,
        daemon_lock: daemon_lock(&options.state_dir),
        socket,
        source: Source::StdoutJson,
        metrics: assignment.metrics.clone(),
        objectives: assignment.objectives,
        step_name: Some(assignment.spec.steps.name.clone()).filter(|name| !name.is_empty()),
        gpus: assignment.gpus.clone(),
        promised: (&assignment.spec.resources).into(),
        keep_checkpoint: assignment.keep_checkpoint,
        resumed_at: None,
        warnings: Vec::new(),
    };
    let failure = resume(&mut launch, assignment, folder, place, given_up)
        .and_then(|resume_from| fill(&mut launch, assignment, folder, resume_from))
        .err();
    (launch, failure)
}

fn fill(
    launch: &mut Launch,
    assignment: &Assignment,
    folder: &Folder,
    resume_from: Option<PathBuf>,
) -> Result<(), String> {
    let text = |path: &Path| match path.to_str() {
        Some(text) => Ok(text.to_owned()),
        None => Err(format!(
            "the worker's state folder {} is not UTF-8: choose another one",
            path.display()
        )),
    };
    let until = assignment.until.or(assignment.spec.steps.max);
    let trial_dir = text(folder.trial())?;
    let checkpoint_dir = text(&folder.checkpoint())?;
    let params_file = text(&folder.params())?;
    let context = Context {
        params: &assignment.params,
        study: assignment.study.as_str(),
        trial: assignment.lease.trial.0,
        trial_dir: &trial_dir,
        checkpoint_dir: &checkpoint_dir,
        params_file: &params_file,
        seed: assignment.seed,
        until,
    };
    let expand = |what: &str, text: &str| {
        let expanded = Template::parse(text).and_then(|template| template.expand_text(&context));
        expanded.map_err(|error| format!("{what}: {error}"))
    };

    for (index, element) in assignment.spec.command.iter().enumerate() {
        let arguments: Result<_, TemplateError> =
            Template::parse(element).and_then(|template| template.expand_argument(&context));
        launch
            .argv
            .extend(arguments.map_err(|error| format!("element {} of the command: {error}", index + 1))?);
    }
    if launch.argv.first().is_none_or(String::is_empty) {
        return Err("the command is empty: its first element must name a program".to_owned());
    }
    if let Some(index) = launch.argv.iter().position(|argument| argument.contains('\0')) {
        return Err(format!(
            "argument {index} of the command contains a NUL character, which no program can be given"
        ));
    }

    if let Some(workdir) = &assignment.spec.workdir {
        launch.workdir = folder.trial().join(expand("workdir", workdir)?);
    }
    launch.source = match &assignment.spec.metrics {
        MetricSource::StdoutJson => Source::StdoutJson,
        MetricSource::Regex(patterns) => {
            Patterns::new(patterns).map_err(|error| format!("metrics.regex: {error}"))?;
            Source::Regex(patterns.clone())
        }
        MetricSource::File(path) => Source::File(launch.workdir.join(expand("metrics.file", path)?)),
    };

    launch
        .env
        .insert("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned());
    launch.env.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
    for (name, value) in &assignment.spec.env {
        if name.is_empty() || name.contains(['=', '\0']) {
            return Err(format!("{name:?} cannot be the name of an environment variable"));
        }
        let value = expand(&format!("env.{name}"), value)?;
        if value.contains('\0') {
            return Err(format!(
                "env.{name} contains a NUL character, which no program can be given"
            ));
        }
        launch.env.insert(name.clone(), value);
    }
    // Last, so that no study can reach for more GPUs, or for another trial, than it was given.
    launch.env.retain(|name, _| !name.starts_with(PREFIX));
    let mut set = |name: &str, value: String| {
        // A value with NUL can be had from the parameters' file.
        if !value.contains('\0') {
            launch.env.insert(name.to_owned(), value);
        }
    };
    for (name, value) in assignment.params.iter() {
        set(&env_name(name.as_str()), value.to_string());
    }
    set("CUDA_VISIBLE_DEVICES", assignment.gpus.join(","));
    set("TUNESMITH_STUDY", assignment.study.to_string());
    set("TUNESMITH_TRIAL", assignment.lease.trial.to_string());
    set("TUNESMITH_ATTEMPT", assignment.lease.attempt.to_string());
    set("TUNESMITH_SEED", assignment.seed.to_string());
    set("TUNESMITH_PARAMS_FILE", params_file.clone());
    set("TUNESMITH_METRICS_FILE", text(&folder.metrics())?);
    set("TUNESMITH_STOP_FILE", text(&folder.stop())?);
    set("TUNESMITH_SOCKET", text(&launch.socket)?);
    set(MARKER, text(folder.path())?);
    if let Some(checkpoint) = resume_from {
        set("TUNESMITH_RESUME_FROM", text(&checkpoint)?);
    }
    if let Some(until) = until {
        set("TUNESMITH_UNTIL", until.to_string());
    }
    set("TUNESMITH_TRIAL_DIR", trial_dir.clone());
    set("TUNESMITH_CHECKPOINT_DIR", checkpoint_dir.clone());
    Ok(())
}

/// The checkpoint to go on from: what the trial saved here last, or what the coordinator says if that has come further.
fn resume(
    launch: &mut Launch,
    assignment: &Assignment,
    folder: &Folder,
    place: &Place,
    given_up: &CancellationToken,
) -> Result<Option<PathBuf>, String> {
    let here = newest(&folder.checkpoint());
    let told = assignment.resume.as_ref();
    let told = told.filter(|told| here.as_ref().is_none_or(|(step, _)| *step < told.step));
    let Some(told) = told else {
        launch.resumed_at = here.as_ref().map(|(step, _)| *step);
        return Ok(here.map(|(_, path)| path));
    };
    let into = folder.resume().join(step_folder(told.step));
    match place.read(assignment.lease.study, told, &into, given_up) {
        Ok(path) => {
            launch.resumed_at = Some(told.step);
            Ok(Some(path))
        }
        // The training of another trial cannot be done again here.
        Err(error) if told.trial != assignment.lease.trial => Err(error.to_string()),
        Err(error) => {
            launch
                .warnings
                .push(format!("{error}; went on from what there was instead"));
            launch.resumed_at = here.as_ref().map(|(step, _)| *step);
            Ok(here.map(|(_, path)| path))
        }
    }
}

#[cfg(test)]
#[path = "prepare_tests.rs"]
mod tests;
