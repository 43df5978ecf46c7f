//! The real program against a coordinator on a socket: what it sends, says, prints, and how it ends.

#![expect(
    clippy::unwrap_used,
    reason = "also in helpers of tests a panic is how a test fails"
)]

#[path = "flows/backtest.rs"]
mod backtest;
#[path = "flows/lineage.rs"]
mod lineage;
#[path = "flows/objectives.rs"]
mod objectives;
mod support;
#[path = "flows/trials.rs"]
mod trials;

use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use support::{Fake, Memory, Running, of_program, tunesmith, wait_until};
use tunesmith_proto::v1 as pb;

const STUDY: &str = "\
objective: {metric: val_acc, goal: maximize}
space:
  lr: {type: float, low: 1e-5, high: 1e-1, scale: log}
  opt: {type: categorical, choices: [sgd, adam]}
budget: {trials: 4}
trial:
  command: [python, train.py, '{args}']
  steps: {name: epoch, max: 30}
";

fn study_file(folder: &Path) -> String {
    let path = folder.join("digits.yaml");
    std::fs::write(&path, STUDY).unwrap();
    path.to_str().unwrap().to_owned()
}

fn trial(number: u64, state: pb::TrialState, value: Option<f64>) -> pb::Trial {
    let fields = [("lr".to_owned(), 0.01.into()), ("opt".to_owned(), "adam".into())];
    pb::Trial {
        name: format!("studies/digits/trials/{number}"),
        number,
        state: state.into(),
        value,
        parameters: Some(pbjson_types::Struct {
            fields: fields.into(),
        }),
        ..Default::default()
    }
}

/// Puts an active study with a best trial into the memory, by the program itself.
fn with_study(folder: &Path) -> (Memory, Fake) {
    let memory = Memory::new();
    let fake = Fake::start(&memory);
    fake.run(&["run", &study_file(folder), "--detach"]).expect_code(0);
    memory.lock().trials = vec![
        trial(1, pb::TrialState::Completed, Some(0.5)),
        trial(2, pb::TrialState::EarlyStopped, Some(0.9)),
        trial(3, pb::TrialState::Failed, None),
    ];
    (memory, fake)
}

fn finish(study: &mut pb::Study, best: Option<pb::Trial>) {
    study.set_state(pb::StudyState::Done);
    study.state_reason = "budget: 4 of 4 trials".to_owned();
    study.counts = Some(pb::TrialCounts {
        completed: 3,
        early_stopped: 1,
        ..Default::default()
    });
    study.best = best;
    study.steps_saved = 20;
}

#[test]
fn a_study_is_submitted_followed_and_its_result_printed() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new();
    let fake = Fake::start(&memory);
    let running =
        Running::start(&mut fake.tunesmith(&["run", &study_file(folder.path()), "--set", "budget.trials=5"]));
    memory.wait_for("a watcher", |state| state.watches == 1);
    memory.lock().trials = vec![
        trial(2, pb::TrialState::Completed, Some(0.9)),
        trial(3, pb::TrialState::Failed, None),
    ];
    memory.change_study(|study| study.best = Some(trial(2, pb::TrialState::Completed, Some(0.9))));
    running.wait_to_hear("best so far: val_acc = 0.9, trial 2  lr=0.01 opt=adam");
    memory.change_study(|study| finish(study, Some(trial(2, pb::TrialState::Completed, Some(0.9)))));
    let ended = running.end().expect_code(0);
    assert!(
        ended.stdout.contains("Best trial 2: val_acc = 0.9"),
        "{}",
        ended.stdout
    );
    assert!(
        ended.stdout.contains("20 epochs by early stopping")
            && ended.stdout.contains("tunesmith trial show digits/2")
    );
    let state = memory.lock();
    let [created] = state.created.as_slice() else {
        panic!("{:?}", state.created)
    };
    let spec = created.spec.as_ref().unwrap();
    assert_eq!(
        (spec.name.as_str(), spec.budget.as_ref().unwrap().trials),
        ("digits", Some(5))
    );
    assert_eq!(created.request_id.len(), 36);
    assert!(state.calls.is_empty(), "{:?}", state.calls);
}

#[test]
fn a_study_without_one_usable_trial_ends_with_status_1() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    memory.lock().trials = vec![trial(1, pb::TrialState::Failed, None)];
    memory.change_study(|study| finish(study, None));
    let ended = fake.run(&["study", "watch", "digits"]).expect_code(1);
    assert!(
        ended
            .stderr
            .contains("error: study digits ended without one usable trial"),
        "{}",
        ended.stderr
    );
    assert!(ended.stdout.contains("No trial has a value."), "{}", ended.stdout);
    fake.run(&["study", "best", "digits"]).expect_code(1);
}

#[test]
fn interrupting_leaves_the_study_running_and_says_how_to_follow_it_again() {
    let folder = tempfile::tempdir().unwrap();
    let memory = Memory::new();
    let fake = Fake::start(&memory);
    let running = Running::start(&mut fake.tunesmith(&["run", &study_file(folder.path())]));
    memory.wait_for("a watcher", |state| state.watches == 1);
    running.wait_to_hear("0/4 trials");
    running.interrupt();
    let ended = running.end().expect_code(130);
    assert!(
        ended.stderr.contains("tunesmith study watch digits") && ended.stdout.is_empty(),
        "{}",
        ended.stderr
    );
    assert!(memory.lock().calls.is_empty());
}

#[test]
fn following_survives_a_restart_of_the_coordinator() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let running = Running::start(&mut fake.tunesmith(&["study", "watch", "digits"]));
    memory.wait_for("a watcher", |state| state.watches == 1);
    let address = fake.address;
    drop(fake);
    running.wait_to_hear("the coordinator is away");
    let fake = Fake::start_at(&memory, address);
    memory.wait_for("the watcher coming back", |state| state.watches == 2);
    running.wait_to_hear("the coordinator is back");
    memory.change_study(|study| finish(study, Some(trial(2, pb::TrialState::Completed, Some(0.9)))));
    running.end().expect_code(0);
    drop(fake);
}

#[test]
fn json_is_one_document_with_the_names_of_the_api() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let other = pb::Study {
        name: "studies/other".to_owned(),
        ..Default::default()
    };
    memory.lock().studies.insert(other.name.clone(), other);
    let ended = fake.run(&["study", "list", "--output", "json"]).expect_code(0);
    let list: pb::ListStudiesResponse = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(list.studies.len(), 2, "all pages: {}", ended.stdout);
    for (order, numbers) in [("--best", [2, 1, 3]), ("--newest", [3, 2, 1])] {
        let ended = fake
            .run(&["trial", "list", "digits", order, "--output", "json"])
            .expect_code(0);
        let list: pb::ListTrialsResponse = serde_json::from_str(&ended.stdout).unwrap();
        assert_eq!(
            list.trials.iter().map(|trial| trial.number).collect::<Vec<_>>(),
            numbers
        );
    }
    let ended = fake
        .run(&["study", "show", "digits", "--output", "json"])
        .expect_code(0);
    let value: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
    assert_eq!(value["study"]["spec"]["objective"]["goal"], "GOAL_MAXIMIZE");
}

#[test]
fn refusals_have_their_exit_status_and_their_remedy() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let file = study_file(folder.path());
    let cases: [(&[&str], i32, &str); 7] = [
        (
            &["run", &file],
            4,
            "\n  choose another with --name, such as --name digits-2\n",
        ),
        (
            &["run", &file, "--name", "x", "--set", "message=refuse me"],
            2,
            "  spec.budget.trials: must be at least 1, got 0",
        ),
        (&["run", &file, "--set", "budget.trails=3"], 2, "budget"),
        (&["study", "show", "nothing"], 4, "there is no study"),
        (&["study", "delete", "digits", "--yes"], 4, "stop it first"),
        (&["study", "delete", "digits"], 2, "--yes"),
        (&["worker", "remove", "gpu1"], 4, "is connected"),
    ];
    for (words, code, remedy) in cases {
        let ended = fake.run(words).expect_code(code);
        assert!(
            ended.stderr.starts_with("error: ") && ended.stderr.contains(remedy),
            "{words:?}: {}",
            ended.stderr
        );
        assert!(ended.stdout.is_empty());
    }
    assert_eq!(memory.lock().created.len(), 1);

    let ended = Running::start(fake.tunesmith(&["study", "list"]).env("TUNESMITH_TOKEN", "wrong"))
        .end()
        .expect_code(4);
    assert!(ended.stderr.contains("--token-file"), "{}", ended.stderr);
    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let nobody = format!("http://{free}");
    let ended = Running::start(&mut tunesmith(&["study", "list", "--coordinator", &nobody]))
        .end()
        .expect_code(3);
    assert!(
        ended.stderr.contains("onnection refused") && ended.stderr.contains("tunesmith up"),
        "{}",
        ended.stderr
    );
    Running::start(&mut tunesmith(&["study", "frobnicate"]))
        .end()
        .expect_code(2);
    Running::start(&mut tunesmith(&[
        "study",
        "list",
        "--token-file",
        "/nonexistent/x",
    ]))
    .end()
    .expect_code(2);
}

#[test]
fn an_edit_sends_the_fields_that_changed() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    fake.run(&[
        "study",
        "edit",
        "digits",
        "--set",
        "budget.trials=100",
        "--set",
        "message=more",
    ])
    .expect_code(0);
    let state = memory.lock();
    let update = state.updated.last().unwrap();
    assert_eq!(update.update_mask.as_ref().unwrap().paths, ["message", "budget"]);
    assert_eq!(
        update.spec.as_ref().unwrap().budget.as_ref().unwrap().trials,
        Some(100)
    );
}

#[test]
fn an_exported_study_is_imported_paused_with_its_results() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    memory.lock().curves = vec![pb::Curve {
        metric: "val_acc".to_owned(),
        step: vec![1, 2],
        value: vec![0.25, f64::NAN],
    }];
    let file = folder.path().join("digits.json");
    let path = file.to_str().unwrap();
    fake.run(&["study", "export", "digits", "-o", path])
        .expect_code(0);
    fake.run(&["study", "import", path]).expect_code(4);
    let ended = fake
        .run(&["study", "import", path, "--name", "copy"])
        .expect_code(0);
    assert!(
        ended
            .stdout
            .contains("copy is imported with 3 trials, and paused.")
            && ended.stdout.contains("`tunesmith study resume copy`"),
        "{}",
        ended.stdout
    );
    let state = memory.lock();
    let created = state.created.last().unwrap();
    assert!(created.paused && created.spec.as_ref().unwrap().name == "copy");
    let values: Vec<_> = state
        .added
        .iter()
        .map(|added| added.result.as_ref().unwrap().value)
        .collect();
    assert_eq!(values, [Some(0.5), Some(0.9), None]);
    let points = state.added[0].result.as_ref().unwrap().points.as_ref().unwrap();
    assert!(points.value[1].is_nan() && state.added[0].parent == "studies/copy");

    drop(state);
    let ended = fake
        .run(&["study", "export", "digits", "--format", "csv"])
        .expect_code(0);
    assert!(
        ended.stdout.starts_with("trial,state,value,param.lr,param.opt,")
            && ended.stdout.lines().count() == 4
    );
}

#[test]
fn an_imported_study_that_is_done_is_not_called_paused() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    memory.change_study(|study| {
        let budget = study.spec.get_or_insert_default().budget.get_or_insert_default();
        budget.trials = Some(3);
    });
    let file = folder.path().join("digits.json");
    let path = file.to_str().unwrap();
    fake.run(&["study", "export", "digits", "-o", path])
        .expect_code(0);
    let ended = fake
        .run(&["study", "import", path, "--name", "copy"])
        .expect_code(0);
    assert_eq!(
        ended.stdout,
        "Study copy is imported with 3 trials, and done: budget: trials: 3 of 3 were created. To go on, change what ended it with \
         `tunesmith study edit copy`, then `tunesmith study resume copy`.\n"
    );
}

#[test]
fn a_replay_goes_on_to_the_end_and_ends_with_status_1_if_anything_differs() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let part = |same, next_trial, differences| pb::ReplayStudyResponse {
        same,
        differences,
        not_proposed: 1,
        next_trial,
        same_decisions: same,
        ..Default::default()
    };
    memory.lock().replays = [part(3, 5, vec![]), part(4, 0, vec![])].into();
    let ended = fake.run(&["study", "replay", "digits"]).expect_code(0);
    let said = "7 proposals made again and the same; likewise 7 judgements; 2 trials";
    assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    assert_eq!(memory.lock().calls[..], ["replay from 0", "replay from 5"]);
    let different = pb::ReplayDifference {
        trial: 2,
        stored: trial(2, pb::TrialState::Completed, None).parameters,
        again: None,
        reason: "no model".to_owned(),
    };
    memory.lock().replays = [part(1, 0, vec![different])].into();
    let ended = fake.run(&["study", "replay", "digits"]).expect_code(1);
    let said = "Trial 2: stored lr=0.01 opt=adam, now nothing (no model)\n1 proposal made again and the same";
    assert!(ended.stdout.starts_with(said), "{}", ended.stdout);
    let said = "study \"digits\" has 1 proposal that its history does not give";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn a_token_goes_to_standard_output_alone_or_into_a_private_file() {
    let folder = tempfile::tempdir().unwrap();
    let (_memory, fake) = with_study(folder.path());
    let ended = fake.run(&["token", "create", "--label", "ci"]).expect_code(0);
    assert_eq!(ended.stdout, "ts_a1_fresh\n");
    let file = folder.path().join("token");
    let ended = fake
        .run(&["token", "create", "--label", "ci", "-o", file.to_str().unwrap()])
        .expect_code(0);
    assert!(!ended.stdout.contains("fresh") && !ended.stderr.contains("fresh"));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "ts_a1_fresh\n");
    assert_eq!(
        std::fs::metadata(&file).unwrap().permissions().mode() & 0o777,
        0o600
    );
    fake.run(&["token", "create", "--label", "ci", "-o", file.to_str().unwrap()])
        .expect_code(2);
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let folder = tempfile::tempdir().unwrap();
    let (_memory, fake) = with_study(folder.path());
    let mut command = fake.tunesmith(&["study", "list"]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        (
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).as_ref()
        ),
        (Some(0), "")
    );
}

/// A copy of the program in a folder of its own, beside two scripts in place of the services.
struct Installed {
    folder: tempfile::TempDir,
}

impl Installed {
    fn new(coordinator: &str, worker: &str) -> Self {
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        std::fs::hard_link(env!("CARGO_BIN_EXE_tunesmith"), folder.path().join("tunesmith")).unwrap();
        for (name, script) in [
            ("tunesmith-coordinator", coordinator),
            ("tunesmith-worker", worker),
        ] {
            let path = folder.path().join(name);
            std::fs::write(&path, format!("#!/bin/sh\ncd \"$(dirname \"$0\")\"\n{script}\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn up(&self, listen: &str) -> Running {
        let data = self.path("data");
        let words = [
            "up",
            "--listen",
            listen,
            "--data",
            data.to_str().unwrap(),
            "--slots",
            "2",
        ];
        Running::start(&mut of_program(&self.path("tunesmith"), &words))
    }
}

/// Writes its name when told to stop, and ends.
const STOPPABLE: &str =
    "trap 'echo NAME >> stopped; exit 0' TERM\ntouch NAME.started\nwhile :; do sleep 0.02; done";

#[test]
fn up_starts_both_and_stops_the_worker_first() {
    let tokens =
        "echo ts_secret > data/admin.token; echo w > data/worker.token; echo \"$@\" > coordinator.args\n";
    let coordinator = format!("{tokens}{}", STOPPABLE.replace("NAME", "coordinator"));
    let worker = format!(
        "echo \"$@\" > worker.args\n{}",
        STOPPABLE.replace("NAME", "worker")
    );
    let installed = Installed::new(&coordinator, &worker);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = installed.up(&address.to_string());
    wait_until("the coordinator's start", || {
        installed.path("coordinator.started").exists()
    });
    let memory = Memory::new();
    let _fake = Fake::start_at(&memory, address);
    running.wait_to_hear("Tunesmith is up.");
    running.wait_to_hear("gpu1: 2 slots");
    wait_until("the worker's start", || installed.path("worker.started").exists());
    running.interrupt();
    let ended = running.end().expect_code(0);
    assert_eq!(
        std::fs::read_to_string(installed.path("stopped")).unwrap(),
        "worker\ncoordinator\n",
        "{}",
        ended.stderr
    );
    let data = installed.path("data").canonicalize().unwrap();
    let data = data.to_str().unwrap();
    assert_eq!(
        std::fs::read_to_string(installed.path("coordinator.args")).unwrap(),
        format!("--listen {address} --store sqlite:{data}/tunesmith.db --data {data}\n")
    );
    assert_eq!(
        std::fs::read_to_string(installed.path("worker.args")).unwrap(),
        format!(
            "--coordinator http://{address} --token-file {data}/worker.token --state-dir {data}/worker --on-exit stop --slots 2\n"
        )
    );
}

#[test]
fn up_kills_what_does_not_stop_when_asked_twice() {
    let coordinator = "echo ts_secret > data/admin.token; echo w > data/worker.token; touch coordinator.started; exec sleep 600";
    let installed = Installed::new(
        coordinator,
        "trap '' TERM; echo deaf; while :; do sleep 0.02; done",
    );
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let running = installed.up(&address.to_string());
    wait_until("the coordinator's start", || {
        installed.path("coordinator.started").exists()
    });
    let memory = Memory::new();
    let _fake = Fake::start_at(&memory, address);
    running.wait_to_hear("| deaf");
    running.interrupt();
    running.wait_to_hear("Stopping the worker.");
    running.interrupt();
    let ended = running.end().expect_code(130);
    assert!(ended.stderr.contains("warning: killed"), "{}", ended.stderr);
}

#[test]
fn up_tells_why_a_coordinator_died() {
    let installed = Installed::new(
        "echo 'the database is newer than this program' >&2; exit 7",
        "exit 0",
    );
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ended = installed.up(&address.to_string()).end().expect_code(3);
    assert!(
        ended
            .stderr
            .contains("error: the coordinator ended with status 7"),
        "{}",
        ended.stderr
    );
    assert!(
        ended
            .stderr
            .ends_with("  its last lines:\n  | the database is newer than this program\n"),
        "{}",
        ended.stderr
    );
}

#[test]
fn up_notices_a_port_in_use() {
    let installed = Installed::new("exit 0", "exit 0");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let ended = installed
        .up(&taken.local_addr().unwrap().to_string())
        .end()
        .expect_code(2);
    assert!(
        ended.stderr.contains("the port is in use") && ended.stderr.contains("--listen"),
        "{}",
        ended.stderr
    );
}
