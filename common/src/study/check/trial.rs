//! How a trial is run: command, environment, metrics, resources, times.

use std::time::Duration;

use super::Problems;
use crate::document::shorten;
use crate::metrics::Patterns;
use crate::study::raw::{RawMetrics, RawParameter, RawResources, RawSteps, RawTrial};
use crate::study::spec::{GpuRequest, MetricSource, Resources, Steps, TrialSpec};
use crate::study::values::Ordered;
use crate::template::{Template, TemplateError, Usage, is_list};

/// Most attempts after the first.
const MAX_RETRIES: u32 = 100;
/// Longest time a trial gets to end by itself.
const MAX_GRACE: Duration = Duration::from_secs(3600);
/// Time a trial gets to end by itself, if the study does not say.
pub(in crate::study) const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// What a step is called, if the study does not say.
pub(in crate::study) const DEFAULT_STEP_NAME: &str = "step";
/// Characters of a step's name, a label's key or a label's value.
const MAX_WORD: usize = 128;
/// GPUs of one trial: more than any machine has.
const MAX_GPUS: u32 = 1024;

/// Refuses `{until}` where no step is known that it could stand for.
pub(super) fn refuse_until(raw: &RawTrial, space: &Ordered<RawParameter>, problems: &mut Problems) {
    const UNTIL: &str = "until";
    if space.iter().any(|(name, _)| name == UNTIL) {
        return;
    }
    let command = raw.command.iter().enumerate();
    let command = command.map(|(index, text)| (format!("trial.command[{index}]"), text));
    let env = raw
        .env
        .iter()
        .map(|(name, text)| (format!("trial.env.{}", shorten(name)), text));
    for (path, text) in command.chain(env) {
        let mentions =
            Template::parse(text).is_ok_and(|template| template.placeholders().any(|name| name == UNTIL));
        if mentions {
            problems.add(
                path,
                "{until} stands for the step to train to, which is not known; give trial.steps.max",
            );
        }
    }
}

pub(super) fn check(raw: RawTrial, space: &Ordered<RawParameter>, problems: &mut Problems) -> TrialSpec {
    let names: Vec<&str> = space.iter().map(|(name, _)| name).collect();
    let mut template = |path: &str, text: &str, usage: Usage| {
        if text.contains('\0') {
            problems.add(
                path,
                "must not contain a NUL character: no command line can carry it",
            );
        }
        let template = Template::parse(text).and_then(|template| {
            template.check(usage, &names)?;
            Ok::<_, TemplateError>(template)
        });
        problems.take(path, template)
    };
    let command: Vec<Option<Template>> = raw
        .command
        .iter()
        .enumerate()
        .map(|(index, text)| template(&format!("trial.command[{index}]"), text, Usage::Argument))
        .collect();
    for (name, text) in &raw.env {
        template(&format!("trial.env.{}", shorten(name)), text, Usage::Text);
    }
    if let Some(workdir) = &raw.workdir {
        template("trial.workdir", workdir, Usage::Text);
    }
    if let Some(file) = &raw.metrics.file {
        template("trial.metrics.file", file, Usage::Text);
    }
    check_program(
        raw.command.first(),
        command.first().and_then(Option::as_ref),
        space,
        problems,
    );
    check_env(&raw, problems);
    if let Some(retries) = raw.retries.filter(|retries| *retries > MAX_RETRIES) {
        problems.add(
            "trial.retries",
            format!("must be at most {MAX_RETRIES}, got {retries}"),
        );
    }
    if let Some(grace) = raw.grace.filter(|grace| grace.0 > MAX_GRACE) {
        problems.add("trial.grace", format!("must be at most 1h, got {grace}"));
    }
    if raw.max_runtime.is_some_and(|runtime| runtime.0.is_zero()) {
        problems.add("trial.max_runtime", "must be longer than 0s");
    }
    TrialSpec {
        metrics: metrics(raw.metrics, problems),
        steps: steps(raw.steps, problems),
        resources: resources(raw.resources, problems),
        command: raw.command,
        env: raw.env,
        workdir: raw.workdir,
        max_runtime: raw.max_runtime.map(|runtime| runtime.0),
        retries: raw.retries.unwrap_or(0),
        grace: raw.grace.map_or(DEFAULT_GRACE, |grace| grace.0),
    }
}

/// The program must be there in every trial.
fn check_program(
    text: Option<&String>,
    template: Option<&Template>,
    space: &Ordered<RawParameter>,
    problems: &mut Problems,
) {
    let Some(text) = text else {
        problems.add("trial.command", "is empty; give the program and its arguments");
        return;
    };
    if text.is_empty() {
        problems.add("trial.command[0]", "is empty; give the program to run");
    }
    for name in template.into_iter().flat_map(Template::placeholders) {
        match space.value(name) {
            Some(parameter) if !parameter.when.is_empty() => {
                let message = format!("{{{name}}} is conditional, and without it there is no program to run");
                problems.add("trial.command[0]", message);
            }
            None if is_list(name) => {
                problems.add("trial.command[0]", format!("{{{name}}} cannot be the program"));
            }
            _ => {}
        }
    }
}

fn check_env(raw: &RawTrial, problems: &mut Problems) {
    for name in raw.env.keys() {
        let path = format!("trial.env.{}", shorten(name));
        if name.is_empty() || name.contains(['=', '\0']) {
            problems.add(
                "trial.env",
                format!("{:?} is not a name of an environment variable", shorten(name)),
            );
        } else if name.starts_with("TUNESMITH_") {
            problems.add(
                path,
                "names that begin with TUNESMITH_ are set for each trial and cannot be changed",
            );
        }
    }
}

fn metrics(raw: RawMetrics, problems: &mut Problems) -> MetricSource {
    let given = [raw.stdout.is_some(), raw.regex.is_some(), raw.file.is_some()];
    if given.iter().filter(|given| **given).count() > 1 {
        problems.add(
            "trial.metrics",
            "takes one of stdout, regex and file, got several",
        );
    }
    if let Some(patterns) = raw.regex {
        if let Err(error) = Patterns::new(&patterns) {
            let cause = std::error::Error::source(&error)
                .map(|cause| format!(": {cause}"))
                .unwrap_or_default();
            problems.add("trial.metrics.regex", format!("{error}{cause}"));
        }
        return MetricSource::Regex(patterns);
    }
    match raw.file {
        Some(file) => {
            if file.is_empty() {
                problems.add("trial.metrics.file", "must not be empty");
            }
            MetricSource::File(file)
        }
        None => MetricSource::StdoutJson,
    }
}

fn steps(raw: RawSteps, problems: &mut Problems) -> Steps {
    let name = raw.name.unwrap_or_else(|| DEFAULT_STEP_NAME.to_owned());
    check_word("trial.steps.name", &name, problems);
    problems.at_least("trial.steps.max", raw.max, 1);
    Steps { name, max: raw.max }
}

fn resources(raw: RawResources, problems: &mut Problems) -> Resources {
    let gpus = raw.gpus.unwrap_or(0);
    if gpus > MAX_GPUS {
        problems.add(
            "trial.resources.gpus",
            format!("must be at most {MAX_GPUS}, got {gpus}"),
        );
    }
    if gpus == 0 && raw.gpu_memory.is_some_and(|memory| memory.0 > 0) {
        problems.add("trial.resources.gpu_memory", "no GPU is asked for; add gpus");
    }
    if let Some(cpus) = raw.cpus.filter(|cpus| !(cpus.is_finite() && *cpus >= 0.0)) {
        problems.add(
            "trial.resources.cpus",
            format!("must be at least 0 and finite, got {cpus}"),
        );
    }
    for (key, value) in &raw.labels {
        let path = format!("trial.resources.labels.{}", shorten(key));
        check_word(&path, key, problems);
        check_word(&path, value, problems);
    }
    Resources {
        gpus: GpuRequest {
            count: gpus,
            memory: raw.gpu_memory.unwrap_or_default().0,
        },
        cpus: raw.cpus.unwrap_or(0.0),
        memory: raw.memory.unwrap_or_default().0,
        labels: raw.labels,
    }
}

/// Words end up in tables and terminals.
fn check_word(path: &str, word: &str, problems: &mut Problems) {
    let length = word.chars().count();
    if length == 0 || length > MAX_WORD || word.contains(char::is_control) {
        let word = shorten(word);
        problems.add(
            path,
            format!("must have 1 to {MAX_WORD} characters, none of them a control character, got {word:?}"),
        );
    }
}
