//! What a program is started with.

use std::time::Duration;

use tunesmith_common::id::{Attempt, LeaseId, LeaseKey, StudyId, TrialNumber};
use tunesmith_common::params::ParamValue;
use tunesmith_common::study::{Resources, Steps, TrialSpec};
use uuid::Uuid;

use super::*;
use crate::checkpoint::Location;

fn assignment(command: &[&str]) -> Assignment {
    let mut params = tunesmith_common::Params::new();
    params.insert("lr".parse().unwrap(), ParamValue::Float(1e-5));
    params.insert(
        "model.name".parse().unwrap(),
        ParamValue::Text("a; rm -rf / $(x) {seed} \"'\n--y".to_owned()),
    );
    Assignment {
        lease: LeaseKey {
            study: StudyId(Uuid::from_u128(1)),
            trial: TrialNumber(7),
            attempt: Attempt(2),
            id: LeaseId(Uuid::from_u128(0xfeed)),
        },
        study: "digits".parse().unwrap(),
        params,
        spec: TrialSpec {
            command: command.iter().map(|&element| element.to_owned()).collect(),
            env: BTreeMap::new(),
            workdir: None,
            metrics: MetricSource::StdoutJson,
            steps: Steps {
                name: "epoch".to_owned(),
                max: None,
            },
            resources: Resources::default(),
            max_runtime: None,
            retries: 0,
            grace: Duration::from_secs(30),
        },
        gpus: vec!["GPU-1".to_owned(), "GPU-2".to_owned()],
        seed: 99,
        metrics: Vec::new(),
        objectives: 1,
        resume: None,
        until: None,
        keep_checkpoint: false,
    }
}

#[test]
fn what_has_come_furthest_is_gone_on_with_and_a_checkpoint_of_the_trial_that_is_lost_is_not_missed() {
    let state = tempfile::tempdir().unwrap();
    let mut assignment = assignment(&["train", "{until}"]);
    let folder = Folder::of(
        state.path(),
        assignment.lease.study,
        assignment.lease.trial,
        assignment.lease.attempt,
    );
    let here = folder.checkpoint().join("step-5");
    std::fs::create_dir_all(&here).unwrap();
    let place = place_in(state.path());
    let stored = |step| place.save(&assignment.lease, step, &here).unwrap();
    let (earlier, later) = (stored(3), stored(9));
    let resumed = |assignment: &Assignment| {
        let (launch, failure) = prepared(assignment, state.path());
        (
            launch.env["TUNESMITH_RESUME_FROM"].clone(),
            launch.resumed_at,
            launch.warnings,
            failure,
        )
    };
    assignment.until = Some(27);
    assignment.resume = Some(earlier);
    let (path, at, ..) = resumed(&assignment);
    assert_eq!((path.as_str(), at), (here.to_str().unwrap(), Some(5)));
    assignment.resume = Some(later.clone());
    let (path, at, ..) = resumed(&assignment);
    assert!(path.ends_with("step-9") && at == Some(9), "{path}");
    let (launch, _) = prepared(&assignment, state.path());
    assert_eq!(
        (launch.argv[1].as_str(), launch.env["TUNESMITH_UNTIL"].as_str()),
        ("27", "27")
    );

    place.remove(assignment.lease.study, &later).unwrap();
    let (path, at, warnings, failure) = resumed(&assignment);
    assert_eq!(
        (path.as_str(), at, failure),
        (here.to_str().unwrap(), Some(5), None)
    );
    assert!(
        warnings[0].contains("step 9") && warnings[0].contains("is not there"),
        "{warnings:?}"
    );
    let mut of_other = later;
    of_other.trial.0 += 1;
    assignment.resume = Some(of_other);
    let (_, failure) = prepared(&assignment, state.path());
    assert!(
        failure.unwrap().contains("is not there"),
        "another trial's training cannot be done again here"
    );
}

fn place_in(state: &Path) -> Place {
    Place::open(&Location::Folder(state.join("checkpoints")), None).unwrap()
}

fn prepared(assignment: &Assignment, state: &Path) -> (Launch, Option<String>) {
    let lease = assignment.lease;
    let folder = Folder::of(state, lease.study, lease.trial, lease.attempt);
    folder.make().unwrap();
    let socket = folder.socket();
    prepare(
        assignment,
        &folder,
        socket,
        &StoreOptions::new(state),
        &place_in(state),
        &CancellationToken::new(),
        Timestamp::UNIX_EPOCH,
    )
}

#[test]
fn a_hostile_value_is_one_argument_and_one_variable() {
    let state = tempfile::tempdir().unwrap();
    let (launch, failure) = prepared(
        &assignment(&["train", "--name={model.name}", "{lr}"]),
        state.path(),
    );
    assert_eq!(failure, None);
    let hostile = "a; rm -rf / $(x) {seed} \"'\n--y";
    assert_eq!(launch.argv, ["train", &format!("--name={hostile}"), "1e-05"]);
    assert_eq!(launch.env["TUNESMITH_PARAM_MODEL_NAME"], hostile);
}

#[test]
fn a_study_cannot_take_gpus_or_pass_for_another_trial() {
    let state = tempfile::tempdir().unwrap();
    let mut assignment = assignment(&["train"]);
    for (name, value) in [
        ("CUDA_VISIBLE_DEVICES", "all"),
        ("TUNESMITH_SOCKET", "/elsewhere"),
        ("TUNESMITH_RESUME_FROM", "/elsewhere"),
        ("PYTHONUNBUFFERED", "0"),
        ("OUT", "{trial_dir}/out-{lr}"),
    ] {
        assignment.spec.env.insert(name.to_owned(), value.to_owned());
    }
    let (launch, failure) = prepared(&assignment, state.path());
    assert_eq!(failure, None);
    assert_eq!(launch.env["CUDA_VISIBLE_DEVICES"], "GPU-1,GPU-2");
    assert!(
        launch.env["TUNESMITH_SOCKET"].ends_with("/7/2/socket"),
        "{:?}",
        launch.env
    );
    assert_eq!(launch.env.get("TUNESMITH_RESUME_FROM"), None);
    assert_eq!(launch.env["PYTHONUNBUFFERED"], "0");
    assert!(launch.env["OUT"].ends_with("/7/out-1e-05"));
    assert!(
        !format!("{:?} {:?}", launch.env, launch.argv).contains("feed"),
        "the lease's secret is in the environment"
    );
}

#[test]
fn only_a_committed_checkpoint_is_resumed_from_and_the_newest_one() {
    let state = tempfile::tempdir().unwrap();
    let assignment = assignment(&["train"]);
    let checkpoints = state
        .path()
        .join("trials")
        .join(assignment.lease.study.to_string())
        .join("7/checkpoint");
    for name in [
        "step-9",
        "step-10",
        "step-11.tmp",
        "step-+12",
        "step-",
        "other-99",
    ] {
        std::fs::create_dir_all(checkpoints.join(name)).unwrap();
    }
    std::fs::write(checkpoints.join("step-500"), "a file").unwrap();
    let (launch, _) = prepared(&assignment, state.path());
    assert_eq!(
        launch.env["TUNESMITH_RESUME_FROM"],
        checkpoints.join("step-10").to_str().unwrap()
    );
}

#[test]
fn what_cannot_be_launched_says_why() {
    let state = tempfile::tempdir().unwrap();
    let mut bad_env = assignment(&["train"]);
    bad_env.spec.env.insert("A=B".to_owned(), String::new());
    let mut bad_regex = assignment(&["train"]);
    bad_regex.spec.metrics = MetricSource::Regex(vec!["(".to_owned()]);
    let cases = [
        (assignment(&["train", "{"]), "element 2 of the command: "),
        (assignment(&[""]), "the command is empty"),
        (
            assignment(&["train", "a\0b"]),
            "argument 1 of the command contains a NUL",
        ),
        (bad_env, "\"A=B\" cannot be the name"),
        (bad_regex, "metrics.regex: pattern 1"),
    ];
    for (assignment, expected) in cases {
        let (_, failure) = prepared(&assignment, state.path());
        assert!(
            failure.as_ref().is_some_and(|text| text.starts_with(expected)),
            "{failure:?}"
        );
    }
}

#[test]
fn the_workers_own_variables_stay_with_the_worker() {
    let vars = [
        ("PATH", "/bin"),
        ("TUNESMITH_TOKEN", "secret"),
        ("TUNESMITH_ANYTHING", "x"),
        ("HOME", "/root"),
    ];
    let kept = base_env(vars.iter().map(|(name, value)| (name.into(), value.into())));
    assert_eq!(kept.map(|(name, _)| name).collect::<Vec<_>>(), ["PATH", "HOME"]);
}
