//! Study files on their way to the coordinator, and changes of studies that it has: both are the same document with the same
//! overrides and the same errors.

use std::io::Read as _;
use std::path::{Component, Path, PathBuf};

use tunesmith_common::document::MAX_BYTES;
use tunesmith_common::study::{EDITABLE, RawStudy, SpecErrors, StudyFile, StudyFileError, StudySpec};
use tunesmith_proto::{convert, v1 as pb};

use crate::error::CliError;
use crate::output::human;

/// A study file that was read and checked.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// To be sent.
    pub(crate) spec: pb::StudySpec,
    /// To be looked at.
    pub(crate) checked: StudySpec,
    /// What its owner should know, one sentence each.
    pub(crate) warnings: Vec<String>,
}

/// Reads a study file with overrides; `name` overrides its name.
pub(crate) fn load(path: &Path, set: &[String], name: Option<&str>) -> Result<Loaded, CliError> {
    let shown = path.display().to_string();
    let mut text = String::new();
    // One byte more than is allowed is enough to be refused, however long the file is.
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    std::fs::File::open(path)
        .and_then(|file| file.take(limit).read_to_string(&mut text))
        .map_err(|error| CliError::file("read the study file", path, &error))?;
    let mut overrides = set.to_vec();
    overrides.extend(name.map(|name| format!("name={name}")));
    let (mut raw, mut checked) = StudyFile::parse_with(&text, &shown, &overrides)
        .map_err(|error| wrong(&error, &format!("study file {shown}")))?;
    if let (Some(raw), Some(checked)) = (&mut raw.trial, &mut checked.trial)
        && let Some(workdir) = &raw.workdir
    {
        raw.workdir = Some(whole_workdir(workdir, path)?);
        checked.workdir.clone_from(&raw.workdir);
    }
    let mut warnings = checked.warnings();
    warnings.extend(misplaced_program(&checked, path));
    Ok(Loaded {
        spec: convert::study::to_wire(&raw),
        checked,
        warnings,
    })
}

/// A relative `workdir` counts from the study file's folder, so that it means the same wherever the command is typed. Workers get it
/// whole: they know nothing of that folder.
fn whole_workdir(workdir: &str, file: &Path) -> Result<String, CliError> {
    let is_known_to_workers_only = workdir.starts_with('{') && !workdir.starts_with("{{");
    if workdir.is_empty() || is_known_to_workers_only || Path::new(workdir).is_absolute() {
        return Ok(workdir.to_owned());
    }
    let folder = std::path::absolute(file)
        .ok()
        .and_then(|file| Some(file.parent()?.to_str()?.to_owned()));
    let Some(folder) = folder else {
        return Err(CliError::usage(
            format!("trial.workdir {workdir:?} counts from the study file's folder, whose path is not UTF-8"),
            "write an absolute path, or move the study file",
        ));
    };
    let folder = folder.replace('{', "{{").replace('}', "}}");
    let mut whole = PathBuf::from(folder);
    // `.` would only make the path longer to read; `..` stays, since it depends on symbolic links.
    whole.extend(
        Path::new(workdir)
            .components()
            .filter(|part| *part != Component::CurDir),
    );
    Ok(whole.to_string_lossy().into_owned())
}

/// A trial runs in a folder of its own, where a script that lies beside the study file is not: the slip of every first study.
fn misplaced_program(spec: &StudySpec, path: &Path) -> Option<String> {
    let trial = spec.trial.as_ref().filter(|trial| trial.workdir.is_none())?;
    let folder = std::path::absolute(path).ok()?.parent()?.to_owned();
    let beside = |word: &&String| {
        let relative = Path::new(word.as_str());
        let is_a_name = !word.starts_with('-') && !word.contains(['{', '}']) && relative.is_relative();
        // The first word is looked up in PATH unless it is a path.
        let is_a_path = word.contains('/') || trial.command.first() != Some(*word);
        is_a_name && is_a_path && folder.join(relative).is_file()
    };
    let word = trial.command.iter().find(beside)?;
    Some(format!(
        "trials run in folders of their own, where {word} is not; if it is meant to be the file beside the study file, write \
         `workdir: .` under `trial`, or add --set trial.workdir=."
    ))
}

/// The definition `spec` with overrides, under a new name.
///
/// Where these name another strategy, the keys that are only for the one before are left out.
pub(crate) fn change(
    mut spec: pb::StudySpec,
    set: &[String],
    new_name: &str,
) -> Result<pb::StudySpec, CliError> {
    let names = |word: &String| {
        let (key, name) = word.split_once('=')?;
        (key.trim() == "strategy.name").then(|| name.trim().to_owned())
    };
    if let Some(strategy) = &mut spec.strategy
        && let Some(name) = set.iter().filter_map(names).next_back()
        && name != strategy.name
    {
        let before = std::mem::take(strategy);
        *strategy = pb::Strategy {
            name: before.name,
            seed: before.seed,
            initial: before.initial,
            random_share: before.random_share,
            history: before.history,
            ..pb::Strategy::default()
        };
    }
    let mut overrides = set.to_vec();
    overrides.push(format!("name={new_name}"));
    Ok(convert::study::to_wire(&overridden(&spec, &overrides)?))
}

/// The definition `spec` with overrides, and which of the fields that may change did.
pub(crate) fn edit(spec: pb::StudySpec, set: &[String]) -> Result<(pb::StudySpec, Vec<String>), CliError> {
    // Through the same way as the new one, so that what is written differently but means the same is no change.
    let old = overridden(&spec, &[])?;
    let new = overridden(&spec, set)?;
    let changed = new.changes(&old).map_err(|SpecErrors(errors)| {
        let name = human::clean(&spec.name);
        let field = errors.first().map_or("", |error| error.path.as_str());
        CliError::usage(
            format!("{field} of a study cannot change; {} can", EDITABLE.join(", ")),
            format!("submit another study with `tunesmith study clone {name} NEW_NAME --set ...`"),
        )
    })?;
    if changed.is_empty() {
        return Err(CliError::usage(
            "nothing would change",
            "the study already has these values; see `tunesmith study show`",
        ));
    }
    let changed = changed.into_iter().map(str::to_owned).collect();
    Ok((convert::study::to_wire(&new), changed))
}

/// Early-stopping rules, each a mapping as in a study file or a name alone, checked as rules of the study `spec`.
pub(crate) fn rules(spec: pb::StudySpec, rules: &[String]) -> Result<Vec<pb::StopperRule>, CliError> {
    let spec = pb::StudySpec {
        early_stopping: Vec::new(),
        ..spec
    };
    let rules: Vec<String> = rules
        .iter()
        .map(|rule| match rule.trim() {
            mapping if mapping.starts_with('{') => mapping.to_owned(),
            name => format!("{{rule: {name}}}"),
        })
        .collect();
    let all = format!("early_stopping=[{}]", rules.join(", "));
    let changed = change_of(&spec, &[all])?.map_err(|error| CliError::Usage {
        headline: format!(
            "{} cannot be tried",
            if rules.len() == 1 { "the rule" } else { "the rules" }
        ),
        // Where it stands is no line of a file: the message names the rule by its place, from 0.
        hints: error
            .problems
            .into_iter()
            .map(|problem| problem.message)
            .collect(),
    })?;
    Ok(convert::study::to_wire(&changed).early_stopping)
}

fn overridden(spec: &pb::StudySpec, set: &[String]) -> Result<RawStudy, CliError> {
    let name = human::clean(&spec.name);
    change_of(spec, set)?.map_err(|error| wrong(&error, &format!("change of study {name}")))
}

/// The definition `spec` with overrides; what is wrong with them is left to be said.
fn change_of(spec: &pb::StudySpec, set: &[String]) -> Result<Result<RawStudy, StudyFileError>, CliError> {
    let name = human::clean(&spec.name);
    let unusable = |why: String| CliError::Refused {
        headline: format!("the definition of study {name} cannot be used: {why}"),
        hints: vec!["the coordinator may be newer than this program; upgrade it".to_owned()],
    };
    let raw: RawStudy =
        convert::study::from_wire(spec.clone()).map_err(|error| unusable(error.to_string()))?;
    let text = serde_json::to_string(&raw).map_err(|error| unusable(error.to_string()))?;
    let changed = StudyFile::parse_with(&text, &spec.name, set);
    Ok(changed.map(|(raw, _)| raw))
}

/// A line for each problem.
fn wrong(error: &StudyFileError, what: &str) -> CliError {
    let problems = if error.problems.len() == 1 {
        "a problem"
    } else {
        "problems"
    };
    CliError::Usage {
        headline: format!("{problems} in {what}"),
        hints: error.to_string().lines().map(str::to_owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::samples;

    fn set(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn an_edit_sends_only_what_changed() {
        let (spec, paths) = edit(
            samples::spec(),
            &set(&["budget.trials=100", "message=second try"]),
        )
        .unwrap();
        assert_eq!(paths, ["message", "budget"]);
        assert_eq!(
            (spec.message.as_str(), spec.budget.unwrap().trials),
            ("second try", Some(100))
        );
        let (spec, _) = edit(samples::spec(), &set(&["budget.trials="])).unwrap();
        assert_eq!(
            spec.budget.unwrap().trials,
            None,
            "an empty value removes a limit"
        );
    }

    #[test]
    fn what_cannot_change_is_refused_with_the_way_that_works() {
        let error = edit(samples::spec(), &set(&["space.lr.low=0.001"])).unwrap_err();
        assert!(
            error.render().contains("space of a study cannot change")
                && error.render().contains("study clone digits")
        );
        assert!(
            edit(samples::spec(), &set(&["budget.trials=40"]))
                .unwrap_err()
                .to_string()
                .contains("nothing would change")
        );
        let error = edit(samples::spec(), &set(&["budget.trails=4"])).unwrap_err();
        assert!(
            error.render().contains("trials"),
            "names the nearest key: {}",
            error.render()
        );
    }

    #[test]
    fn a_clone_has_another_name_and_the_changes() {
        let spec = change(samples::spec(), &set(&["strategy.seed=8"]), "digits-2").unwrap();
        assert_eq!(
            (spec.name.as_str(), spec.strategy.unwrap().seed),
            ("digits-2", Some(8))
        );
        assert!(change(samples::spec(), &[], "a/b").is_err());
    }

    #[test]
    fn a_script_beside_the_study_file_is_noticed_unless_trials_run_there() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s.yaml");
        let text = "objective: {metric: acc, goal: maximize}\nspace: {lr: {type: float, low: 0, high: 1}}\n\
                    trial: {command: [python, train.py, '--lr={lr}']}\n";
        std::fs::write(&path, text).unwrap();
        assert!(
            load(&path, &[], None).unwrap().warnings.is_empty(),
            "there is no such script"
        );
        std::fs::write(folder.path().join("train.py"), "").unwrap();
        let [warning]: [String; 1] = load(&path, &[], None).unwrap().warnings.try_into().unwrap();
        let remedy = warning.split("--set ").nth(1).unwrap();
        let loaded = load(&path, &set(&[remedy]), None).unwrap();
        assert!(loaded.warnings.is_empty());
        assert_eq!(
            loaded.spec.trial.unwrap().workdir,
            folder.path().to_str().unwrap(),
            "what is sent is whole"
        );
        assert_eq!(
            loaded.checked.trial.unwrap().workdir.as_deref(),
            folder.path().to_str()
        );
    }

    #[test]
    fn a_relative_workdir_counts_from_the_study_file() {
        let file = Path::new("/a/b{c}/study.yaml");
        for (given, whole) in [
            (".", "/a/b{{c}}"),
            ("./code", "/a/b{{c}}/code"),
            ("../code/{study}", "/a/b{{c}}/../code/{study}"),
            ("{{x", "/a/b{{c}}/{{x"),
            ("/abs/{trial}", "/abs/{trial}"),
            ("{trial_dir}/x", "{trial_dir}/x"),
            ("", ""),
        ] {
            assert_eq!(whole_workdir(given, file).unwrap(), whole, "{given:?}");
        }
        let here = std::env::current_dir().unwrap();
        assert_eq!(
            whole_workdir(".", Path::new("study.yaml")).unwrap(),
            here.to_str().unwrap()
        );
    }

    #[test]
    fn a_study_file_is_named_by_the_file_unless_told_otherwise() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("my study.yaml");
        std::fs::write(
            &path,
            "objective: {metric: acc, goal: maximize}\nspace:\n  lr: {type: float, low: 0, high: 1}\n",
        )
        .unwrap();
        assert_eq!(load(&path, &[], None).unwrap().spec.name, "my-study");
        assert_eq!(load(&path, &set(&["name=b"]), Some("c")).unwrap().spec.name, "c");
        let error = load(&path, &set(&["space.lr.low=2"]), None).unwrap_err();
        assert_eq!(error.exit_code(), crate::error::EXIT_USAGE);
        assert!(error.render().contains("space.lr"), "{}", error.render());
        assert!(
            load(&folder.path().join("none.yaml"), &[], None)
                .unwrap_err()
                .to_string()
                .contains("No such file")
        );
    }

    #[test]
    fn another_strategy_does_not_inherit_the_keys_of_the_one_before() {
        let grid = pb::StudySpec {
            strategy: Some(pb::Strategy {
                name: "grid".to_owned(),
                points: Some(4),
                history: vec!["coarse".to_owned()],
                random_share: Some(0.25),
                ..pb::Strategy::default()
            }),
            ..samples::spec()
        };
        let strategy = |words: &[&str]| {
            change(grid.clone(), &set(words), "closer")
                .unwrap()
                .strategy
                .unwrap()
        };
        let kept = strategy(&["budget.trials=5"]);
        assert_eq!((kept.name.as_str(), kept.points), ("grid", Some(4)));
        assert_eq!(strategy(&["strategy.name=grid"]), kept);
        let other = strategy(&["strategy.name=gp", "strategy.acquisition=ei"]);
        assert_eq!(
            (other.name.as_str(), other.points, other.acquisition.as_str()),
            ("gp", None, "ei")
        );
        assert_eq!((other.history, other.random_share), (kept.history, Some(0.25)));
    }
}
