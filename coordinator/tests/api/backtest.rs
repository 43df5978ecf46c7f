//! Early-stopping rules tried on what is stored.

use std::sync::Arc;

use tonic::Code;
use tunesmith_coordinator::store::{MemoryStore, SqliteStore, Store};
use tunesmith_proto::v1;

use crate::support::{World, points, refused, replayed, soon, spec};

fn rule(name: &str) -> v1::StopperRule {
    v1::StopperRule {
        rule: name.to_owned(),
        min_trials: Some(1),
        ..Default::default()
    }
}

/// Runs trials of three steps, one after the other, each with its values; one without values fails.
async fn run(world: &World, trials: &[&[f64]]) {
    for values in trials {
        let asked = soon(world.ask("s")).await;
        let name = asked.trial.unwrap().name;
        let told = if let Some(value) = values.last() {
            let reported: Vec<(i64, f64)> = (1..).zip(values.iter().copied()).collect();
            let request = v1::ReportPointsRequest {
                name: name.clone(),
                points: points("loss", &reported),
                lease: asked.lease.clone(),
                first_seq: 1,
            };
            world.trials().report_points(request).await.unwrap();
            Some(*value)
        } else {
            None
        };
        let request = v1::TellTrialRequest {
            name,
            lease: asked.lease,
            value: told,
            failed: told.is_none(),
            ..Default::default()
        };
        world.trials().tell_trial(request).await.unwrap();
    }
}

async fn backtest(
    world: &World,
    study: &str,
    rules: &[v1::StopperRule],
) -> Result<v1::BacktestStudyResponse, tonic::Status> {
    let request = v1::BacktestStudyRequest {
        name: format!("studies/{study}"),
        early_stopping: rules.to_vec(),
    };
    soon(async { world.studies().backtest_study(request).await })
        .await
        .map(tonic::Response::into_inner)
}

async fn rules_are_tried_on(store: Arc<dyn Store>) {
    let world = World::on(store).await;
    world.create(spec("s")).await;
    run(
        &world,
        &[&[0.5, 0.5, 0.5], &[0.6, 0.2, 0.1], &[0.4, 0.3, 0.2], &[]],
    )
    .await;
    let before = world.study("s").await;
    let tried = backtest(&world, "s", &[rule("median")]).await.unwrap();
    assert_eq!(
        (tried.trials, tried.trials_without_points, tried.ranked),
        (3, 1, 3)
    );
    assert_eq!(tried.early_stopping, [rule("median")]);
    assert_eq!(
        tried.notes,
        ["rule 1, median of loss: judged 4 reports, stopped 1 trial"]
    );
    let [stop] = tried.stops.as_slice() else {
        panic!("{tried:?}")
    };
    assert_eq!(
        (stop.trial, stop.value, stop.final_value, stop.rank),
        (2, Some(0.6), Some(0.1), 1)
    );
    assert_eq!((stop.steps_saved, stop.last_step), (2, 3));
    assert_eq!(stop.state(), v1::TrialState::Completed);
    let decision = stop.decision.as_ref().unwrap();
    assert_eq!((decision.rule.as_str(), decision.step), ("median", 1));
    assert!(
        decision.decided_at.is_some() && decision.text.contains("is above 0.5"),
        "{decision:?}"
    );
    let of = |best: &Option<v1::BacktestBest>| best.as_ref().map(|best| (best.trial, best.value));
    assert_eq!(of(&tried.best), Some((2, 0.1)));
    assert_eq!(of(&tried.best_with_rules), Some((3, 0.2)));
    assert_eq!((of(&tried.best_lost), tried.best_lost_rank), (Some((2, 0.1)), 1));
    assert_eq!((tried.steps, tried.steps_saved), (9, 2));
    assert_eq!(
        backtest(&world, "s", &[rule("median")]).await.unwrap().stops,
        tried.stops
    );
    // All but the time for which it has been active.
    let after = world.study("s").await;
    assert_eq!(
        (after.revision, after.counts, after.best, after.stopper_notes),
        (before.revision, before.counts, before.best, before.stopper_notes)
    );
}

/// What rules judged is judged again in the same way from what is stored.
async fn judgements_are_made_again(store: Arc<dyn Store>) {
    let world = World::on(store).await;
    let mut with_rules = spec("s");
    let shadow = v1::StopperRule {
        rule: "threshold".to_owned(),
        shadow: true,
        above: Some(0.42),
        ..Default::default()
    };
    let diverging = v1::StopperRule {
        rule: "diverging".to_owned(),
        ..Default::default()
    };
    with_rules.early_stopping = vec![rule("median"), shadow, diverging];
    world.create(with_rules).await;
    run(
        &world,
        &[
            &[0.5, 0.4, 0.3],
            &[0.6, 0.2, 0.1],
            &[0.4, 0.3, 0.35],
            &[f64::NAN, 0.2, 0.3],
            &[0.45, 0.44, 0.3],
        ],
    )
    .await;
    let mut whole = Vec::new();
    for number in 1..=5 {
        let request = v1::GetTrialRequest {
            name: format!("studies/s/trials/{number}"),
        };
        let trial = world
            .trials()
            .get_trial(request)
            .await
            .unwrap()
            .into_inner()
            .trial;
        whole.push(trial.unwrap());
    }
    let stored: u64 = whole.iter().map(|trial| trial.decisions.len() as u64).sum();
    assert!(stored >= 5, "{stored} judgements");
    let replayed = replayed(&world, "s", 0).await;
    assert_eq!(replayed.decision_differences, []);
    assert_eq!(replayed.same_decisions, stored);

    // Lists have judgements and attempts where they are asked for.
    let mut list = v1::ListTrialsRequest {
        parent: "studies/s".to_owned(),
        states: vec![v1::TrialState::EarlyStopped.into()],
        with_attempts: true,
        ..Default::default()
    };
    let listed = async |request| {
        world
            .trials()
            .list_trials(request)
            .await
            .unwrap()
            .into_inner()
            .trials
    };
    let stopped = listed(list.clone()).await;
    whole.retain(|trial| trial.state() == v1::TrialState::EarlyStopped);
    assert!(!whole.is_empty());
    for trial in &mut whole {
        trial.cost = None;
        for attempt in &mut trial.attempts {
            attempt.points = 0;
        }
    }
    // As texts: what is no number is not even the same as itself.
    assert_eq!(format!("{stopped:#?}"), format!("{whole:#?}"));
    list.with_attempts = false;
    let without = listed(list).await;
    assert!(
        without
            .iter()
            .all(|trial| trial.attempts.is_empty() && trial.decisions.is_empty())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn judgements_are_made_again_from_memory() {
    judgements_are_made_again(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn judgements_are_made_again_from_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("t.db")).await.unwrap();
    judgements_are_made_again(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_tried_on_what_is_in_memory() {
    rules_are_tried_on(Arc::new(MemoryStore::default())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_tried_on_what_is_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("tunesmith.db"))
        .await
        .unwrap();
    rules_are_tried_on(Arc::new(store)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_that_cannot_be_tried_are_refused_as_those_of_a_study_are() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let none = backtest(&world, "s", &[]).await;
    refused(
        none,
        invalid.0,
        invalid.1,
        "early_stopping: study s has no rules of its own",
    );
    let unknown = backtest(&world, "s", &[rule("hyperband")]).await;
    refused(unknown, invalid.0, invalid.1, "early_stopping[0].rule");
    let mut other = rule("plateau");
    other.patience = Some(0);
    let wrong = backtest(&world, "s", &[rule("median"), other]).await;
    refused(
        wrong,
        invalid.0,
        invalid.1,
        "early_stopping[1].min_trials: plateau does not take",
    );
    let nobody = backtest(&world, "nobody", &[rule("median")]).await;
    refused(nobody, Code::NotFound, "NOT_FOUND", "nobody");
}
