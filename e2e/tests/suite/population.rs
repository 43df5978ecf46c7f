//! Populations: trials are replaced by children of better ones, whatever workers and the coordinator go through, and what was found can be repeated.

use std::collections::BTreeMap;

use tunesmith_e2e::{Api, Coordinator, Storage, Worker, eventually};
use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::world::{LEASE, STUDY, ready, trial_name};

const EPOCHS: i64 = 16;
const SIZE: u64 = 6;

const POPULATION: &str = "name: population
objective: {metric: val_loss, goal: minimize}
space: {lr: {type: float, low: 1e-4, high: 0.2, scale: log}}
strategy: {name: pbt, seed: 5, population: 6, interval: 2, vary: [lr]}
trial:
  command: [digits, --copies=7, \"--epochs={until}\", --checkpoint-every=1, \"{args}\"]
  steps: {name: epoch, max: 16}
  grace: 20s
";

async fn trials_by_number(api: &mut Api, study: &str) -> BTreeMap<u64, v1::Trial> {
    let trials = api.trials(study).await.into_iter();
    trials.map(|trial| (trial.number, trial)).collect()
}

/// The trials that led to this one, the first ancestor first, each with the step up to which it counts.
fn line(trials: &BTreeMap<u64, v1::Trial>, last: u64) -> Vec<(u64, i64)> {
    let mut line = vec![(last, trials[&last].last_step.unwrap())];
    while let Some(parent) = &trials[&line[0].0].parent {
        line.insert(0, (parent.trial, parent.step));
    }
    line
}

/// The curve of a line as one.
async fn curve(api: &mut Api, study: &str, line: &[(u64, i64)]) -> Vec<(i64, f64)> {
    let mut whole: Vec<(i64, f64)> = Vec::new();
    for (trial, until) in line {
        let last = whole.last().map_or(0, |(step, _)| *step);
        let of_trial = api.curve(&trial_name(study, *trial), "val_loss").await;
        let part = of_trial
            .into_iter()
            .filter(|(step, _)| *step > last && step <= until);
        whole.extend(part);
    }
    whole
}

#[tokio::test(flavor = "multi_thread")]
async fn a_population_outlives_a_worker_and_the_coordinator_and_its_best_schedule_can_be_repeated() {
    let mut coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let shared = tempfile::tempdir().unwrap();
    let options = [
        "--checkpoint-dir",
        shared.path().to_str().unwrap(),
        "--slots",
        "2",
    ];
    let [first, second] = ["a", "b"].map(|name| Worker::start(&coordinator, name, &options));
    let mut api = coordinator.api();
    ready(&mut api, 2).await;
    api.create(POPULATION).await;
    eventually("a child begins", async || {
        let trials = api.clone().trials("population").await;
        let is_child = |trial: &v1::Trial| trial.parent.is_some();
        if trials.iter().any(is_child) {
            Ok(())
        } else {
            Err(trials)
        }
    })
    .await;
    drop(first); // its machine is gone
    coordinator.restart().await;
    let third = Worker::start(&coordinator, "c", &options);
    let mut api = coordinator.api();
    let study = api.done("population", STUDY).await;
    assert_eq!(study.done_reason(), v1::DoneReason::Exhausted, "{study:?}");
    let trials = trials_by_number(&mut api, "population").await;
    let mut replaced = Vec::new();
    for trial in trials.values() {
        if trial.state() == State::Completed {
            assert_eq!(trial.last_step, Some(EPOCHS), "{trial:?}");
        } else {
            assert_eq!(
                (trial.state(), trial.stopped_by.as_str()),
                (State::EarlyStopped, "pbt"),
                "{trial:?}"
            );
        }
        let Some(parent) = &trial.parent else {
            assert!(trial.number <= SIZE, "{trial:?}");
            continue;
        };
        replaced.extend(parent.replaces);
        assert_eq!(
            trials[&parent.replaces.unwrap()].state(),
            State::EarlyStopped,
            "{trial:?}"
        );
        assert_eq!(parent.changed.len(), 1, "{trial:?}");
        let steps = api.curve(&trial.name, "val_loss").await;
        assert_eq!(
            steps.first().map(|(step, _)| *step),
            Some(parent.step + 1),
            "{trial:?}"
        );
    }
    let early: Vec<u64> = trials
        .values()
        .filter(|trial| trial.state() == State::EarlyStopped)
        .map(|trial| trial.number)
        .collect();
    replaced.sort_unstable();
    assert_eq!(replaced, early, "each place was taken once");
    assert_eq!(trials.len() as u64 - early.len() as u64, SIZE);

    // What the best line with a change went through, once more.
    let completed = trials.values().filter(|trial| trial.state() == State::Completed);
    let changed = completed.filter(|trial| trial.parent.is_some());
    let best = changed.min_by(|a, b| a.value.unwrap().total_cmp(&b.value.unwrap()));
    let best = best.expect("a child came to the end").number;
    let line = line(&trials, best);
    let found = curve(&mut api, "population", &line).await;
    let steps: Vec<i64> = found.iter().map(|(step, _)| *step).collect();
    assert_eq!(steps, (1..=EPOCHS).collect::<Vec<_>>(), "without a gap: {line:?}");
    let reference = format!("population/{best}");
    let ran = coordinator
        .cli(&["trial", "schedule", &reference])
        .await
        .expect_code(0);
    let file = format!(
        "name: again\nobjective: {{metric: val_loss, goal: minimize}}\n\
         space: {{lr: {{type: float, low: 1e-4, high: 0.2, scale: log}}}}\n{}\
         trial:\n  command: [digits, --copies=7, \"--epochs={{until}}\", \"{{args}}\"]\n  steps: {{name: epoch, max: 16}}\n",
        ran.out
    );
    api.create(&file).await;
    let study = api.done("again", STUDY).await;
    assert_eq!(study.done_reason(), v1::DoneReason::Exhausted, "{study:?}");
    let again = trials_by_number(&mut api, "again").await;
    assert_eq!(again.len(), line.len());
    let line: Vec<(u64, i64)> = again
        .values()
        .map(|trial| (trial.number, trial.last_step.unwrap()))
        .collect();
    assert_eq!(curve(&mut api, "again", &line).await, found);
    drop((second, third));
}
