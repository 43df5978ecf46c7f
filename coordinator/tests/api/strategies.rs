//! Strategies that compute: their proposals come from beside the engine, and are the same whatever happens to the coordinator.

use std::sync::Arc;

use tunesmith_common::study::StudySpec;
use tunesmith_common::{Params, TrialNumber};
use tunesmith_coordinator::store::{MemoryStore, Store, TrialOrder, TrialQuery, TrialRow};
use tunesmith_optimizer::{FinishedTrial, Memory, RunningTrial, StudyView, build};
use tunesmith_proto::v1;

use crate::support::{World, soon, spec};

fn study(strategy: &str) -> v1::StudySpec {
    let parameter = |name: &str| v1::Parameter {
        name: name.to_owned(),
        r#type: "float".to_owned(),
        low: Some(0.0),
        high: Some(1.0),
        ..Default::default()
    };
    v1::StudySpec {
        space: vec![parameter("x"), parameter("y")],
        strategy: Some(v1::Strategy {
            name: strategy.to_owned(),
            seed: Some(7),
            ..Default::default()
        }),
        budget: Some(v1::Budget {
            trials: Some(40),
            ..Default::default()
        }),
        ..spec("study")
    }
}

async fn ask(world: &World, count: u32) -> Vec<v1::AskedTrial> {
    let request = v1::AskTrialsRequest {
        parent: "studies/study".to_owned(),
        count,
        ..Default::default()
    };
    let answer = soon(async { world.trials().ask_trials(request).await }).await;
    answer.unwrap().into_inner().trials
}

/// The values of a trial's two parameters.
fn point(trial: &v1::AskedTrial) -> [f64; 2] {
    let parameters = trial.trial.as_ref().unwrap().parameters.as_ref().unwrap();
    ["x", "y"].map(|name| {
        let kind = parameters.fields[name].kind.clone();
        match kind {
            Some(pbjson_types::value::Kind::NumberValue(value)) => value,
            other => panic!("{name} is {other:?}"),
        }
    })
}

async fn tell(world: &World, asked: v1::AskedTrial) {
    let [x, y] = point(&asked);
    let request = v1::TellTrialRequest {
        name: asked.trial.unwrap().name,
        lease: asked.lease,
        value: Some((x - 0.3).powi(2) + (y - 0.8).powi(2)),
        ..Default::default()
    };
    world.trials().tell_trial(request).await.unwrap();
}

/// Runs a study to its end, three trials at a time that end in another order than they began, and the coordinator starting again now and
/// then.
async fn run(strategy: &str, store: &Arc<dyn Store>) {
    let mut world = World::on(Arc::clone(store)).await;
    world.create(study(strategy)).await;
    let mut open: Vec<v1::AskedTrial> = Vec::new();
    for trial in 1..=40_usize {
        if [5, 18, 19, 33].contains(&trial) {
            let World { running, folder, .. } = world;
            running.stop().await;
            world = World::again(Arc::clone(store), folder).await;
        }
        open.push(ask(&world, 1).await.remove(0));
        while open.len() > 3 || (trial == 40 && !open.is_empty()) {
            let ended = open.remove((trial % 2).min(open.len() - 1));
            tell(&world, ended).await;
        }
    }
}

/// What the strategy proposes for a trial, given the results that it had seen and what ran then.
fn again(spec: &StudySpec, rows: &[TrialRow], row: &TrialRow) -> Params {
    let mut ended: Vec<&TrialRow> = rows.iter().filter(|row| row.ended_at.is_some()).collect();
    ended.sort_by_key(|row| row.ended_at);
    ended.truncate(usize::try_from(row.provenance.results).unwrap());
    let encode = |row: &TrialRow| spec.space.encode(&row.params).unwrap();
    let finished: Vec<FinishedTrial> = ended
        .iter()
        .map(|row| FinishedTrial {
            trial: row.number,
            encoded: encode(row).into(),
            value: row.value,
            failed: false,
            partial: false,
            last_step: None,
        })
        .collect();
    let ran: Vec<(TrialNumber, Vec<f64>)> = rows
        .iter()
        .filter(|other| other.number < row.number && ended.iter().all(|ended| ended.number != other.number))
        .map(|other| (other.number, encode(other)))
        .collect();
    let running: Vec<RunningTrial<'_>> = ran
        .iter()
        .map(|(trial, encoded)| RunningTrial {
            trial: *trial,
            encoded,
        })
        .collect();
    let view = StudyView {
        space: &spec.space,
        seed: spec.strategy.seed,
        next: row.number,
        proposed: row.number.0 - 1,
        cursor: None,
        finished: &finished,
        running: &running,
    };
    let (strategy, _) = build(spec);
    let proposal = strategy.propose(&view, 1, &mut Memory::default());
    proposal.unwrap().points.remove(0).params
}

#[tokio::test(flavor = "multi_thread")]
async fn every_proposal_can_be_made_again_from_what_is_stored() {
    for strategy in ["gp", "tpe", "cmaes", "evolution"] {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
        run(strategy, &store).await;
        let study = store
            .study_find(&"study".parse().unwrap())
            .await
            .unwrap()
            .unwrap();
        let spec = StudySpec::try_from(study.spec.clone()).unwrap();
        let query = TrialQuery {
            states: Vec::new(),
            order: TrialOrder::Number,
            offset: 0,
            limit: 100,
        };
        let rows = store.trial_list(study.id, &query).await.unwrap();
        assert_eq!(rows.len(), 40);
        for row in &rows {
            assert_eq!(
                again(&spec, &rows, row),
                *row.params,
                "{strategy}, trial {}",
                row.number
            );
        }
        let best = rows
            .iter()
            .filter_map(|row| row.value)
            .fold(f64::INFINITY, f64::min);
        // One of 40 random points comes so near with a chance of an eighth.
        assert!(best < 1e-3, "{strategy}: {best}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn trials_asked_for_at_once_are_all_there_and_all_different() {
    let world = World::start().await;
    world.create(study("gp")).await;
    for asked in ask(&world, 12).await {
        tell(&world, asked).await;
    }
    let asked = ask(&world, 9).await;
    assert_eq!(asked.len(), 9);
    let points: Vec<[f64; 2]> = asked.iter().map(point).collect();
    for (i, a) in points.iter().enumerate() {
        for b in &points[..i] {
            assert!((a[0] - b[0]).abs() + (a[1] - b[1]).abs() > 1e-6, "{points:?}");
        }
    }
    // Not more than the budget has.
    assert_eq!(ask(&world, 100).await.len(), 19);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_tells_which_results_its_strategy_had_seen() {
    let world = World::start().await;
    world.create(study("tpe")).await;
    let first = ask(&world, 1).await.remove(0);
    tell(&world, first).await;
    let second = ask(&world, 1).await.remove(0).trial.unwrap();
    let provenance = second.provenance.unwrap();
    assert_eq!((provenance.strategy.as_str(), provenance.results), ("tpe", 1));
}
