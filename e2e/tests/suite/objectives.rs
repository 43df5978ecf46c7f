//! Studies of several objectives and measured constraints, from the file to the Pareto set that people see.

use tunesmith_e2e::{Coordinator, Storage, Worker};
use tunesmith_proto::v1;

use crate::world::{LEASE, STUDY};

/// Programs that print their parameters as metrics: the more of x and the less of y the better, in at most 0.7 of z.
const STUDY_FILE: &str = r#"name: two
objective:
  - {metric: gain, goal: maximize, from: best}
  - {metric: cost, goal: minimize}
constraints: [{metric: mem, at_most: 0.7}]
space:
  x: {type: float, low: 0, high: 1}
  y: {type: float, low: 0, high: 1}
  z: {type: float, low: 0, high: 1}
strategy: {name: random, seed: 11}
budget: {trials: 30, parallel: 2}
trial:
  command:
    - sh
    - -c
    - 'echo "{{\"gain\": $1, \"cost\": 5, \"mem\": $3, \"step\": 1}}"; echo "{{\"gain\": 0, \"cost\": $2, \"step\": 2}}"'
    - sh
    - "{x}"
    - "{y}"
    - "{z}"
"#;

fn parameter(trial: &v1::Trial, name: &str) -> f64 {
    let parameters = serde_json::to_value(trial.parameters.clone().unwrap()).unwrap();
    parameters[name].as_f64().unwrap()
}

/// The Pareto set as its definition has it, best gain first.
fn pareto_set(trials: &[v1::Trial]) -> Vec<u64> {
    let point = |trial: &v1::Trial| (parameter(trial, "x"), parameter(trial, "y"));
    let feasible: Vec<&v1::Trial> = trials
        .iter()
        .filter(|trial| parameter(trial, "z") <= 0.7)
        .collect();
    let beaten = |trial: &v1::Trial| {
        let (gain, cost) = point(trial);
        feasible.iter().any(|other| {
            let (other_gain, other_cost) = point(other);
            other_gain >= gain && other_cost <= cost && (other_gain > gain || other_cost < cost)
        })
    };
    let mut members: Vec<&v1::Trial> = feasible.iter().copied().filter(|trial| !beaten(trial)).collect();
    members.sort_by(|a, b| point(b).0.total_cmp(&point(a).0));
    members.iter().map(|trial| trial.number).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pareto_set_shown_is_that_of_what_the_programs_printed() {
    let mut coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let worker = Worker::start(&coordinator, "first", &["--slots", "2"]);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("two.yaml");
    std::fs::write(&file, STUDY_FILE).unwrap();
    let file = file.display().to_string();
    let _ = coordinator.cli(&["run", &file, "--detach"]).await.expect_code(0);
    let mut api = coordinator.api();
    let study = api.done("two", STUDY).await;
    let trials = api.trials("two").await;
    assert_eq!(trials.len(), 30);
    for trial in &trials {
        let (gain, cost, memory) = (
            parameter(trial, "x"),
            parameter(trial, "y"),
            parameter(trial, "z"),
        );
        assert_eq!(trial.state(), v1::TrialState::Completed, "{trial:?}");
        assert_eq!(trial.value, Some(gain), "the best, not the last: {trial:?}");
        assert_eq!(trial.values.get("cost"), Some(&cost), "{trial:?}");
        assert_eq!(trial.constraints[0].value, Some(memory), "{trial:?}");
        assert_eq!(trial.feasible, Some(memory <= 0.7), "{trial:?}");
    }
    let expected = pareto_set(&trials);
    assert!(expected.len() > 1 && trials.iter().any(|trial| trial.feasible == Some(false)));
    assert_eq!((&study.pareto_set, &study.best), (&expected, &None));

    let shown = |json: &serde_json::Value| -> Vec<u64> {
        let trials = json["trials"].as_array().unwrap();
        trials
            .iter()
            .map(|trial| trial["number"].as_str().unwrap().parse().unwrap())
            .collect()
    };
    let best = ["study", "best", "two", "--output", "json"];
    let ran = coordinator.cli(&best).await.expect_code(0);
    assert_eq!(shown(&ran.json()), expected);
    let ran = coordinator.cli(&["study", "show", "two"]).await.expect_code(0);
    let table = ran.out.split("\nPareto set\n").nth(1).unwrap();
    let rows = table.lines().skip(1).take_while(|line| !line.is_empty());
    let numbers: Vec<u64> = rows
        .map(|row| row.split_whitespace().next().unwrap().parse().unwrap())
        .collect();
    assert_eq!(numbers, expected, "{}", ran.out);

    coordinator.restart().await;
    let ran = coordinator.cli(&best).await.expect_code(0);
    assert_eq!(shown(&ran.json()), expected, "after a restart");

    // Exported and imported, it is the same study with the same set.
    let file = folder.path().join("two.json").display().to_string();
    let _ = coordinator
        .cli(&["study", "export", "two", "-o", &file])
        .await
        .expect_code(0);
    let _ = coordinator
        .cli(&["study", "import", &file, "--name", "copy"])
        .await
        .expect_code(0);
    assert_eq!(api.study("copy").await.unwrap().pareto_set, expected);
    drop(worker);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_prints_one_of_two_objectives_has_failed_and_is_quoted() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let worker = Worker::start(&coordinator, "first", &[]);
    let mut api = coordinator.api();
    let half = STUDY_FILE
        .replace("\\\"cost\\\"", "\\\"loss\\\"")
        .replace("trials: 30", "trials: 1");
    api.create(&half).await;
    api.done("two", STUDY).await;
    let trial = api.trials("two").await.remove(0);
    assert_eq!(
        (trial.state(), trial.failure_cause.as_str()),
        (v1::TrialState::Failed, "NO_METRIC")
    );
    assert!(
        trial
            .state_reason
            .contains("objective's metric cost; the last it printed")
            && trial.state_reason.contains("loss"),
        "{}",
        trial.state_reason
    );
    drop(worker);
}
