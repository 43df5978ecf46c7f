//! Trials that are trained in stages: they rest at rungs, and go on from their checkpoints, on whatever worker reaches those.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tunesmith_e2e::{Api, Coordinator, ProbeStudy, Records, Storage, Worker, eventually, program};
use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::world::{LEASE, STUDY, assert_went_on, ready, trial_name};

const EPOCHS: i64 = 12;

/// Twelve networks; one in three goes on at epochs 1, 3 and 9.
fn digits(more: &str) -> String {
    format!(
        "name: stages\nobjective: {{metric: val_acc, goal: maximize, from: best}}\n\
         space:\n  lr: {{type: float, low: 1e-4, high: 1.0, scale: log}}\n  batch: {{type: int, low: 16, high: 256, scale: log2}}\n\
         strategy: {{name: asha, seed: 7, initial: [{{lr: 0.05, batch: 32}}, {{lr: 1e-4, batch: 256}}, {{lr: 1e-4, batch: 128}}]}}\n\
         budget: {{trials: 12}}\n\
         trial:\n  command: [digits, --copies=15, {more}, \"{{args}}\"]\n  steps: {{name: epoch, max: {EPOCHS}}}\n  grace: 20s\n"
    )
}

/// What the program prints for the same parameters and seed if nobody interrupts it.
fn uninterrupted(trial: &v1::Trial) -> Vec<(i64, f64)> {
    let parameters = trial.parameters.clone().unwrap().fields;
    let option = |name: &str| {
        let value = serde_json::to_value(&parameters[name]).unwrap();
        format!("--{name}={value}")
    };
    let output = Command::new(program("digits"))
        .args([
            "--copies=15".to_owned(),
            format!("--epochs={EPOCHS}"),
            option("lr"),
        ])
        .arg(option("batch").replace(".0", ""))
        .env("TUNESMITH_SEED", trial.seed.to_string())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok());
    lines
        .filter_map(|line| Some((line["epoch"].as_i64()?, line["val_acc"].as_f64()?)))
        .collect()
}

/// Every epoch of every trial was trained once, over all its attempts. Returns attempts by trial that went on after a rest.
async fn trained_once(api: &mut Api, trials: &[v1::Trial]) -> usize {
    let mut went_on = 0;
    for trial in trials {
        let mut steps = Vec::new();
        for attempt in &trial.attempts {
            let request = v1::ListPointsRequest {
                name: trial.name.clone(),
                metrics: vec!["val_acc".to_owned()],
                attempt: attempt.attempt,
            };
            let curves = api.trials.list_points(request).await.unwrap().into_inner().curves;
            steps.extend(curves.into_iter().flat_map(|curve| curve.step));
        }
        let once: Vec<i64> = (1..).take(steps.len()).collect();
        assert_eq!(steps, once, "epochs of trial {}: {trial:?}", trial.number);
        went_on += trial.attempts.len() - 1;
    }
    went_on
}

/// `least`: attempts after a rest that there are at least.
async fn check(api: &mut Api, least: usize) {
    let study = api.done("stages", STUDY).await;
    assert_eq!(study.done_reason(), v1::DoneReason::Budget, "{study:?}");
    let trials = api.trials("stages").await;
    let went_on = trained_once(api, &trials).await;
    assert!(went_on >= least, "{went_on} attempts after a rest");
    let mut reached: BTreeMap<i64, usize> = BTreeMap::new();
    for trial in &trials {
        assert!(
            matches!(trial.state(), State::Completed | State::EarlyStopped),
            "{trial:?}"
        );
        for rung in &trial.rungs {
            *reached.entry(rung.rung).or_default() += 1;
        }
        assert_eq!(trial.last_step == Some(EPOCHS), trial.state() == State::Completed);
    }
    assert_eq!(reached[&1], 12);
    assert!(reached[&3] >= 4 && reached[&9] >= 1, "{reached:?}");
    // The one that came furthest, over the most attempts, is what it would have been without a rest.
    let furthest = trials
        .iter()
        .max_by_key(|trial| (trial.last_step, trial.attempts.len()));
    let furthest = furthest.unwrap();
    assert_eq!(furthest.state(), State::Completed);
    let curve = api.curve(&furthest.name, "val_acc").await;
    assert_eq!(curve, uninterrupted(furthest), "trial {}", furthest.number);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_epoch_is_trained_once_though_trials_rest_and_change_their_workers() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let shared = tempfile::tempdir().unwrap();
    let options = ["--checkpoint-dir", shared.path().to_str().unwrap()];
    let workers = ["a", "b"].map(|name| Worker::start(&coordinator, name, &options));
    let mut api = coordinator.api();
    ready(&mut api, 2).await;
    api.create(&digits("\"--epochs=12\"")).await;
    // Who is among the best as it comes to a rung is not interrupted, so how many go on after a rest depends on who comes first. The first,
    // a good one, rests because nobody has come before it, and goes on.
    check(&mut api, 1).await;
    // Only what was trained to the end keeps its checkpoint.
    let completed = api.trials("stages").await.into_iter();
    let completed = completed
        .filter(|trial| trial.state() == State::Completed)
        .count();
    eventually("checkpoints that nobody needs are removed", async || {
        let stored = manifests(shared.path());
        if stored.len() == completed {
            Ok(())
        } else {
            Err(stored)
        }
    })
    .await;
    drop(workers);
}

/// Checkpoints in a place.
fn manifests(place: &Path) -> Vec<PathBuf> {
    let entries = |dir: &Path| {
        std::fs::read_dir(dir)
            .into_iter()
            .flatten()
            .flatten()
            .map(|entry| entry.path())
    };
    let attempts = entries(place).flat_map(|study| entries(&study).collect::<Vec<_>>());
    let files = attempts.flat_map(|attempt| entries(&attempt).collect::<Vec<_>>());
    files
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_trains_to_the_step_it_is_given_need_not_be_stopped() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let worker = Worker::start(&coordinator, "a", &["--slots", "2"]);
    let mut api = coordinator.api();
    api.create(&digits("\"--epochs={until}\"")).await;
    check(&mut api, 3).await;
    for trial in api.trials("stages").await {
        for attempt in &trial.attempts {
            assert_eq!(attempt.exit_code, Some(0), "{attempt:?}");
        }
    }
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_rests_outlives_its_worker_and_the_coordinator() {
    let mut coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let shared = tempfile::tempdir().unwrap();
    let options = ["--checkpoint-dir", shared.path().to_str().unwrap()];
    let first = Worker::start(&coordinator, "first", &options);
    let (records, mut api) = (Records::new(), coordinator.api());
    // The second point of each trial waits for the gate.
    let mut study = ProbeStudy::new(
        "outlives",
        &records,
        3,
        &["--steps=9", "--checkpoint-every=1", "--hold-at=2"],
    )
    .trial("steps: {max: 9}");
    study.more = vec!["strategy: {name: asha, seed: 7}".to_owned()];
    api.create(&study.budget("trials: 3").yaml()).await;
    // The best of three goes on, the others rest.
    let promoted = eventually("the best goes on", async || {
        let trials = api.clone().trials("outlives").await;
        let state = |state| trials.iter().filter(|trial| trial.state() == state).count();
        let running = trials.iter().find(|trial| trial.state() == State::Running);
        match running {
            Some(trial) if state(State::Paused) == 2 && trial.checkpoint.is_some() => Ok(trial.clone()),
            _ => Err(format!("{trials:?}")),
        }
    })
    .await;
    drop(first); // its machine is gone
    coordinator.restart().await;
    let second = Worker::start(&coordinator, "second", &options);
    records.release();
    api = coordinator.api();
    let study = api.done("outlives", STUDY).await;
    assert_eq!(study.counts.unwrap().completed, 1, "{study:?}");
    let name = trial_name("outlives", promoted.number);
    let request = v1::GetTrialRequest { name: name.clone() };
    let trial = api
        .trials
        .get_trial(request)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(trial.state(), State::Completed, "{trial:?}");
    // It began where its checkpoint was, not at the beginning.
    let told = records.read();
    let on_second = trial.attempts.iter().find(|attempt| attempt.holder == "second");
    let last = &told[&(trial.number, on_second.unwrap().attempt)];
    assert_eq!(last.points.first().map(|(_, step, _)| *step), Some(2), "{last:?}");
    let steps: Vec<i64> = api
        .curve(&name, "score")
        .await
        .iter()
        .map(|(step, _)| *step)
        .collect();
    assert_eq!(steps, (1..=9).collect::<Vec<i64>>());
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_whose_worker_is_lost_goes_on_from_its_newest_checkpoint_elsewhere() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let shared = tempfile::tempdir().unwrap();
    let options = ["--checkpoint-dir", shared.path().to_str().unwrap()];
    let first = Worker::start(&coordinator, "first", &options);
    let (records, mut api) = (Records::new(), coordinator.api());
    let options_of_program = ["--steps=9", "--checkpoint-every=1", "--hold-at=6"];
    let study = ProbeStudy::new("lost", &records, 1, &options_of_program);
    api.create(&study.budget("trials: 1").yaml()).await;
    // While it runs, its checkpoints are stored: the newest takes the place of the one before.
    eventually("the newest checkpoint is known", async || {
        let trials = api.clone().trials("lost").await;
        let checkpoint = trials.first().and_then(|trial| trial.checkpoint.as_ref());
        let step = checkpoint.map(|checkpoint| checkpoint.step);
        let stored = manifests(shared.path());
        if step == Some(5) && stored.len() == 1 {
            Ok(())
        } else {
            Err(format!("{trials:?} {stored:?}"))
        }
    })
    .await;
    drop(first); // its machine is gone
    let second = Worker::start(&coordinator, "second", &options);
    records.release();
    api.done("lost", STUDY).await;
    assert_went_on(&mut api, &records, "lost", 6..=9).await;
    drop(second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_whose_time_was_up_goes_on_from_its_checkpoint_once_it_has_more() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let worker = Worker::start(&coordinator, "only", &[]);
    let (records, mut api) = (Records::new(), coordinator.api());
    let study = ProbeStudy::new(
        "limited",
        &records,
        1,
        &["--steps=9", "--checkpoint-every=1", "--hold-at=6"],
    );
    let study = study.budget("trials: 1").trial("max_runtime: 5s");
    api.create(&study.yaml()).await;
    api.done("limited", STUDY).await;
    let trial = api.trials("limited").await.remove(0);
    assert_eq!(
        (trial.state(), trial.state_reason.as_str()),
        (State::TimedOut, "time is up: max_runtime of 5s"),
        "{trial:?}"
    );
    assert_eq!(
        trial.checkpoint.as_ref().map(|checkpoint| checkpoint.step),
        Some(5)
    );
    records.release();
    let refused = coordinator
        .cli(&["study", "resume", "limited"])
        .await
        .expect_code(4);
    assert!(refused.err.contains("1 of 1 were created"), "{refused:?}");
    let edit = ["study", "edit", "limited", "--set", "trial.max_runtime=1h"];
    let edited = coordinator.cli(&edit).await.expect_code(0);
    assert!(edited.out.contains("trial.max_runtime"), "{edited:?}");
    let resumed = coordinator
        .cli(&["study", "resume", "limited"])
        .await
        .expect_code(0);
    assert!(resumed.out.contains("limited"), "{resumed:?}");
    api.done("limited", STUDY).await;
    assert_went_on(&mut api, &records, "limited", 6..=9).await;
    assert_eq!(api.trials("limited").await[0].attempts.len(), 2);
    drop(worker);
}
