//! Studies of real trainings, from the file to the result.

use tunesmith_e2e::{
    Api, Coordinator, Storage, Trail, Worker, audit_decisions, audit_suggestions, repository,
};
use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::world::{LEASE, STUDY};

/// The demo's study, made short.
fn digits() -> String {
    let mut yaml = std::fs::read_to_string(repository().join("examples/digits/study.yaml")).unwrap();
    for (long, short) in [
        ("trials: 48", "trials: 14"),
        ("\"--epochs=30\"", "\"--epochs=6\", \"--copies=1\""),
        ("max: 30", "max: 6"),
        ("warmup_steps: 4, min_trials: 5", "warmup_steps: 2, min_trials: 4"),
    ] {
        assert!(yaml.contains(long), "the demo's study has no {long:?} any more");
        yaml = yaml.replace(long, short);
    }
    yaml
}

async fn check_curve(api: &mut Api, trial: &v1::Trial) {
    let curve = api.curve(&trial.name, "val_acc").await;
    let steps: Vec<i64> = curve.iter().map(|(step, _)| *step).collect();
    let expected: Vec<i64> = (1..).take(steps.len()).collect();
    assert_eq!(steps, expected, "steps of trial {}", trial.number);
    let loss = api.curve(&trial.name, "loss").await;
    let diverged = loss.last().is_some_and(|(_, value)| !value.is_finite());
    if trial.state() == State::Completed {
        assert!(
            steps.len() == 6 || diverged,
            "trial {} completed after {} epochs",
            trial.number,
            steps.len()
        );
        let best = curve
            .iter()
            .map(|(_, value)| *value)
            .filter(|value| value.is_finite())
            .fold(0.0, f64::max);
        assert_eq!(trial.value, Some(best), "value of trial {}", trial.number);
    } else {
        assert!(
            !steps.is_empty(),
            "trial {} was stopped before its first epoch: {}",
            trial.number,
            trial.state_reason
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_demo_finds_a_good_network_and_stops_poor_ones_early() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let trail = Trail::lay(coordinator.tables()).await;
    let worker = Worker::start(&coordinator, "first", &["--slots", "2"]);
    let mut api = coordinator.api();
    api.create(&digits()).await;
    let study = api.done("digits", STUDY).await;
    assert_eq!(study.done_reason(), v1::DoneReason::Budget, "{study:?}");
    let trials = api.trials("digits").await;
    assert_eq!(trials.len(), 14);
    let ended = |trial: &v1::Trial| matches!(trial.state(), State::Completed | State::EarlyStopped);
    assert!(trials.iter().all(ended), "{trials:?}");
    for trial in &trials {
        assert_eq!(trial.attempts.len(), 1, "{trial:?}");
        check_curve(&mut api, trial).await;
    }
    let best = study.best.clone().unwrap();
    assert!(best.value.unwrap() > 0.8, "{best:?}");
    let stopped: Vec<&v1::Trial> = trials
        .iter()
        .filter(|trial| trial.state() == State::EarlyStopped)
        .collect();
    assert!(!stopped.is_empty(), "no poor trial was stopped");
    for trial in stopped {
        let decision = trial
            .decisions
            .iter()
            .find(|decision| !decision.shadow)
            .expect("a stop has a decision");
        assert_eq!(decision.rule, trial.stopped_by, "{trial:?}");
        assert!(
            !decision.text.is_empty() && trial.state_reason.contains(&decision.rule),
            "{trial:?}"
        );
    }
    assert!(study.steps_saved > 0);
    audit_suggestions(&study, &trials);
    assert!(audit_decisions(&trail, &study).await > 0);
    trail.check_owners().await;
    drop(worker);
}
