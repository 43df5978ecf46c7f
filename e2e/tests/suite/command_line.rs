//! The command `tunesmith` against a real coordinator.

use std::fs;
use std::process::Command;

use tunesmith_e2e::{Coordinator, ProbeStudy, Program, Storage, Worker, eventually, repository, tunesmith};
use tunesmith_proto::v1;

use crate::world::{LEASE, World, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_knows_nothing_of_tuning_is_tuned() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let worker = Worker::start(&coordinator, "first", &["--slots", "2"]);
    let example = repository().join("examples/any-script");
    let file = example.join("study.yaml").display().to_string();
    let workdir = format!("trial.workdir={}", example.display());
    let arguments = [
        "run",
        &file,
        "--set",
        &workdir,
        "--set",
        "budget.trials=2",
        "--output",
        "json",
    ];
    let ran = coordinator.cli(&arguments).await.expect_code(0);
    let study = &ran.json()["study"];
    assert_eq!(study["state"], "STUDY_STATE_DONE", "{study}");
    assert_eq!(study["doneReason"], "DONE_REASON_BUDGET", "{study}");
    assert!(study["best"]["value"].as_f64().unwrap() > 50.0, "{study}");
    let mut api = coordinator.api();
    for trial in api.trials("any-script").await {
        assert_eq!(
            api.curve(&trial.name, "accuracy").await.len(),
            api.curve(&trial.name, "loss").await.len()
        );
        assert!(trial.last_step.is_some_and(|step| step >= 8), "{trial:?}");
    }
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn exit_statuses_tell_what_went_wrong() {
    let World {
        records,
        worker,
        coordinator,
        ..
    } = World::start(2).await;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let good = write(
        "good.yaml",
        &ProbeStudy::new("good", &records, 1, &["--steps=2"]).yaml(),
    );
    let _ = coordinator.cli(&["run", &good]).await.expect_code(0);
    // The name is taken.
    let ran = coordinator.cli(&["run", &good]).await.expect_code(4);
    assert!(
        ran.err.contains("good") && ran.err.contains("--name"),
        "{}",
        ran.err
    );
    let failing = write(
        "bad.yaml",
        &ProbeStudy::new("bad", &records, 1, &["--crash-at=1"]).yaml(),
    );
    let ran = coordinator.cli(&["run", &failing]).await.expect_code(1);
    assert!(ran.err.contains("without one usable trial"), "{}", ran.err);
    let wrong = write("wrong.yaml", "name: wrong\nobjectiv: {metric: a}\n");
    let ran = coordinator.cli(&["run", &wrong]).await.expect_code(2);
    assert!(
        ran.err.contains("objectiv") && ran.err.contains("wrong.yaml:2"),
        "{}",
        ran.err
    );
    let _ = coordinator.cli(&["study", "show", "nobody"]).await.expect_code(4);
    drop((worker, coordinator));
    let mut command = tunesmith(None, &["study", "list", "--coordinator", "http://127.0.0.1:1"]);
    command.env("TUNESMITH_TOKEN", "x");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap();
    assert_eq!(
        output.status.code(),
        Some(3),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_survives_export_and_import() {
    let mut world = World::start(2).await;
    let study = ProbeStudy::new("original", &world.records, 4, &["--steps=5"]);
    world.api.create(&study.yaml()).await;
    let findings = world.finish("original").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("original.json").display().to_string();
    let _ = world
        .coordinator
        .cli(&["study", "export", "original", "-o", &file])
        .await
        .expect_code(0);
    let _ = world
        .coordinator
        .cli(&["study", "import", &file, "--name", "copy"])
        .await
        .expect_code(0);
    let copies = world.api.trials("copy").await;
    assert_eq!(copies.len(), findings.trials.len());
    for (trial, copy) in findings.trials.iter().zip(&copies) {
        assert_eq!(
            (trial.number, trial.state(), trial.value),
            (copy.number, copy.state(), copy.value)
        );
        assert_eq!(
            (&trial.parameters, trial.last_step),
            (&copy.parameters, copy.last_step)
        );
        for metric in ["score", "loss"] {
            assert_eq!(
                world.api.curve(&trial.name, metric).await,
                world.api.curve(&copy.name, metric).await
            );
        }
    }
    let copy = world.api.study("copy").await.unwrap();
    assert_eq!(
        copy.best.map(|best| best.number),
        findings.study.best.map(|best| best.number)
    );
    let specs = [copy.spec.unwrap(), findings.study.spec.unwrap()].map(|spec| v1::StudySpec {
        name: String::new(),
        ..spec
    });
    assert_eq!(specs[0], specs[1]);
    let ran = world
        .coordinator
        .cli(&["study", "export", "original", "--format", "csv"])
        .await
        .expect_code(0);
    assert_eq!(ran.out.lines().count(), 5, "{}", ran.out);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_while_it_grows() {
    let mut world = World::start(1).await;
    let study = ProbeStudy::new("log", &world.records, 1, &["--steps=8", "--hold-at=4"]);
    world.api.create(&study.yaml()).await;
    running(&world.records, 1, 6).await;
    let log = world.records.folder().join("followed.log");
    let mut following = Program::start(
        tunesmith(Some(&world.coordinator), &["trial", "logs", "log/1", "-f"]),
        &log,
    );
    eventually("what was printed is shown", async || {
        let output = following.output();
        if output.contains(r#""step":3"#) {
            Ok(())
        } else {
            Err(output)
        }
    })
    .await;
    assert!(
        following.runs() && !following.output().contains(r#""step":4"#),
        "{}",
        following.output()
    );
    world.records.release();
    let status = following.ended().await;
    assert!(status.success(), "{}", following.output());
    let lines: Vec<String> = following.output().lines().map(str::to_owned).collect();
    let printed = world.records.read()[&(1, 1)].points.len();
    assert_eq!(lines.len(), printed, "{lines:?}");
    world.finish("log").await;
}

#[test]
fn every_example_passes_the_check() {
    let mut checked = 0;
    for entry in fs::read_dir(repository().join("examples")).unwrap() {
        let folder = entry.unwrap().path();
        let files = fs::read_dir(&folder)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path());
        for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "yaml")) {
            let output = tunesmith(None, &["study", "check"]).arg(&file).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(output.status.success(), "{}: {said}", file.display());
            checked += 1;
        }
    }
    assert!(checked >= 2, "only {checked} study files were found");
    let missing: &mut Command = &mut tunesmith(None, &["study", "check", "no-such-file.yaml"]);
    assert_eq!(missing.output().unwrap().status.code(), Some(2));
}
