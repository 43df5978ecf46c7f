//! Studies of several objectives and measured constraints, as their callers see them.

use std::collections::HashMap;
use std::sync::Arc;

use tonic::Code;
use tunesmith_coordinator::store::{MemoryStore, Store};
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use crate::support::{World, parameters, refused, request_id, soon, spec};

/// Least loss in least time, in at most 16 GB.
fn two(name: &str, trials: u64) -> v1::StudySpec {
    v1::StudySpec {
        more_objectives: vec![v1::Objective {
            metric: "ms".to_owned(),
            goal: v1::Goal::Minimize.into(),
            from: String::new(),
        }],
        measured_constraints: vec![v1::MeasuredConstraint {
            metric: "mem".to_owned(),
            at_most: Some(16.0),
            ..Default::default()
        }],
        budget: Some(v1::Budget {
            trials: Some(trials),
            ..Default::default()
        }),
        ..spec(name)
    }
}

fn values(pairs: &[(&str, f64)]) -> HashMap<String, f64> {
    pairs
        .iter()
        .map(|(metric, value)| ((*metric).to_owned(), *value))
        .collect()
}

async fn tell(world: &World, study: &str, told: &[(&str, f64)]) -> v1::Trial {
    let asked = world.ask(study).await;
    let request = v1::TellTrialRequest {
        name: asked.trial.unwrap().name,
        values: values(told),
        ..Default::default()
    };
    let told = world.trials().tell_trial(request).await.unwrap();
    told.into_inner().trial.unwrap()
}

/// The numbers of the best trials, read in pages of two.
async fn best(world: &World, study: &str) -> Vec<u64> {
    let mut request = v1::ListTrialsRequest {
        parent: format!("studies/{study}"),
        page_size: 2,
        best_only: true,
        ..Default::default()
    };
    let mut numbers = Vec::new();
    loop {
        let page = world
            .trials()
            .list_trials(request.clone())
            .await
            .unwrap()
            .into_inner();
        numbers.extend(page.trials.iter().map(|trial| trial.number));
        if page.next_page_token.is_empty() {
            return numbers;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pareto_set_is_seen_by_all_who_ask_and_is_the_same_after_a_restart() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let world = World::on(Arc::clone(&store)).await;
    world.create(two("two", 5)).await;
    let watch = v1::WatchStudyRequest {
        name: "studies/two".to_owned(),
        include_points: false,
    };
    let mut watch = world.studies().watch_study(watch).await.unwrap().into_inner();

    let first = tell(&world, "two", &[("loss", 0.5), ("ms", 5.0), ("mem", 16.0)]).await;
    assert_eq!((first.value, first.feasible), (Some(0.5), Some(true)));
    assert_eq!(first.values, values(&[("loss", 0.5), ("ms", 5.0)]));
    let constraint = v1::ConstraintValue {
        metric: "mem".to_owned(),
        value: Some(16.0),
        violation: Some(0.0),
    };
    assert_eq!(first.constraints, [constraint]);
    let large = tell(&world, "two", &[("loss", 0.1), ("ms", 1.0), ("mem", 18.0)]).await;
    assert_eq!(
        (large.feasible, large.constraints[0].violation),
        (Some(false), Some(2.0))
    );
    let unknown = tell(&world, "two", &[("loss", 0.1), ("ms", 1.0)]).await;
    assert_eq!(
        (unknown.feasible, unknown.constraints[0].value),
        (Some(false), None)
    );
    tell(&world, "two", &[("loss", 0.25), ("ms", 9.0), ("mem", 1.0)]).await;
    tell(&world, "two", &[("loss", 0.75), ("ms", 2.0), ("mem", 1.0)]).await;

    let study = world.study("two").await;
    assert_eq!(
        (study.pareto_set.as_slice(), &study.best),
        (&[4, 1, 5][..], &None)
    );
    assert_eq!(best(&world, "two").await, [4, 1, 5]);
    let mut seen = Vec::new();
    while let Some(message) = soon(watch.message()).await.unwrap() {
        if let Some(Event::Study(study)) = message.event {
            seen = study.pareto_set;
        }
    }
    assert_eq!(seen, [4, 1, 5], "what a watcher saw last");

    soon(world.running.stop()).await;
    let world = World::again(store, world.folder).await;
    let listed = world
        .studies()
        .list_studies(v1::ListStudiesRequest::default())
        .await
        .unwrap();
    assert_eq!(
        listed.into_inner().studies[0].pareto_set,
        [4, 1, 5],
        "nobody has opened it yet"
    );
    assert_eq!(best(&world, "two").await, [4, 1, 5]);
    let by_value = v1::ListTrialsRequest {
        parent: "studies/two".to_owned(),
        order_by: "value".to_owned(),
        ..Default::default()
    };
    let listed = world.trials().list_trials(by_value).await.unwrap().into_inner();
    let order: Vec<u64> = listed.trials.iter().map(|trial| trial.number).collect();
    assert_eq!(order, [2, 3, 4, 1, 5], "by the first objective, feasible or not");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_best_of_one_objective_keeps_its_constraints_also_in_lists() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let world = World::on(Arc::clone(&store)).await;
    let one = v1::StudySpec {
        more_objectives: vec![],
        ..two("one", 2)
    };
    world.create(one).await;
    tell(&world, "one", &[("loss", 0.5), ("mem", 1.0)]).await;
    let large = tell(&world, "one", &[("loss", 0.1), ("mem", 18.0)]).await;
    assert_eq!((large.values.len(), large.feasible), (0, Some(false)));
    soon(world.running.stop()).await;
    let world = World::again(store, world.folder).await;
    let listed = world
        .studies()
        .list_studies(v1::ListStudiesRequest::default())
        .await
        .unwrap();
    let study = listed.into_inner().studies.remove(0);
    assert_eq!(study.best.map(|trial| trial.number), Some(1));
    assert_eq!(study.pareto_set, Vec::<u64>::new());
    assert_eq!(best(&world, "one").await, [1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn adding_a_trial_with_values_may_be_repeated() {
    let world = World::start().await;
    world.create(two("two", 5)).await;
    let add = || v1::AddTrialRequest {
        parent: "studies/two".to_owned(),
        parameters: parameters(&[("x", 0.25)]),
        result: Some(v1::Result {
            values: values(&[("loss", 0.5), ("ms", 5.0), ("mem", 16.0)]),
            ..Default::default()
        }),
        request_id: "018f7a3e-0000-4000-8000-0000000000aa".to_owned(),
        ..Default::default()
    };
    // Each message has its map in an order of its own.
    for _ in 0..8 {
        let added = world.trials().add_trial(add()).await.unwrap();
        let added = added.into_inner().trial.unwrap();
        assert_eq!((added.number, added.feasible), (1, Some(true)));
    }
    let mut other = add();
    other.result.get_or_insert_default().values = values(&[("loss", 0.5), ("ms", 5.5), ("mem", 16.0)]);
    let refusal = world.trials().add_trial(other).await;
    refused(refusal, Code::AlreadyExists, "REQUEST_REUSED", "other content");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_makes_no_sense_with_several_objectives_is_refused_by_field() {
    let world = World::start().await;
    let mut again = two("two", 5);
    again.more_objectives[0].metric = "loss".to_owned();
    let mut unbound = two("two", 5);
    unbound.measured_constraints[0].at_most = None;
    let mut target = two("two", 5);
    target.budget.get_or_insert_default().target = Some(0.1);
    for (spec, field) in [
        (again, "objective[1].metric"),
        (unbound, "constraints[0]"),
        (target, "budget.target"),
    ] {
        let request = v1::CreateStudyRequest {
            spec: Some(spec),
            request_id: request_id(),
            ..Default::default()
        };
        let refusal = world.studies().create_study(request).await;
        refused(refusal, Code::InvalidArgument, "INVALID_ARGUMENT", field);
    }
    world.create(two("two", 5)).await;
    let trial = world.ask("two").await.trial.unwrap();
    let telling = |told: &[(&str, f64)], failed| v1::TellTrialRequest {
        name: trial.name.clone(),
        values: values(told),
        failed,
        ..Default::default()
    };
    for (request, what) in [
        (telling(&[("loss", 0.5)], false), "no value of \"ms\""),
        (telling(&[("loss", 0.5)], true), "leave out one of the two"),
        (
            telling(&[("loss", 0.5), ("ms", 1.0), ("acc", 1.0)], false),
            "known are loss, ms, mem",
        ),
        (telling(&[("a b\n", 1.0)], false), "values"),
    ] {
        let refusal = world.trials().tell_trial(request).await;
        refused(refusal, Code::InvalidArgument, "INVALID_ARGUMENT", what);
    }
    let list = v1::ListTrialsRequest {
        parent: "studies/two".to_owned(),
        best_only: true,
        ..Default::default()
    };
    let states = v1::ListTrialsRequest {
        states: vec![v1::TrialState::Completed.into()],
        ..list.clone()
    };
    let order = v1::ListTrialsRequest {
        order_by: "number".to_owned(),
        ..list
    };
    for (request, field) in [(states, "states"), (order, "order_by")] {
        let refusal = world.trials().list_trials(request).await;
        refused(refusal, Code::InvalidArgument, "INVALID_ARGUMENT", field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zoom_lies_around_the_pareto_set_or_the_best_of_those_that_keep_the_constraints() {
    let world = World::start().await;
    let one = v1::StudySpec {
        more_objectives: Vec::new(),
        ..two("one", 8)
    };
    world.create(one).await;
    world.create(two("two", 8)).await;
    let around = async |study: &str, best| {
        let request = v1::PlanZoomRequest {
            name: format!("studies/{study}"),
            best,
            ..Default::default()
        };
        world
            .studies()
            .plan_zoom(request)
            .await
            .map(|plan| plan.into_inner().trials)
    };
    // The second has the best values of all, and too much memory.
    for (loss, ms, mem) in [
        (0.5, 5.0, 16.0),
        (0.1, 1.0, 18.0),
        (0.7, 7.0, 1.0),
        (0.3, 9.0, 1.0),
    ] {
        tell(&world, "two", &[("loss", loss), ("ms", ms), ("mem", mem)]).await;
        tell(&world, "one", &[("loss", loss), ("mem", mem)]).await;
    }
    let mut set = around("two", 0).await.unwrap();
    set.sort_unstable();
    assert_eq!(set, [1, 4]);
    assert_eq!(around("one", 2).await.unwrap(), [4, 1]);
    assert_eq!(around("one", 0).await.unwrap(), [4, 1, 3]);
    refused(
        around("two", 2).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "best: is 2, but a study of several objectives is zoomed around its Pareto set; leave it out",
    );
}
