//! What studies cost, as programs that call see it.

use std::sync::Arc;
use std::time::Duration;

use tonic::Code;
use tunesmith_coordinator::decide::{Caps, Match, Policy, Price, Prices, Terms};
use tunesmith_coordinator::store::MemoryStore;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as Say;

use crate::session::{Worker, assignment, ended, hello};
use crate::support::{World, refused, request_id, soon, spec_for_workers};

/// So high that the moments of a test show.
const PER_GPU_HOUR: f64 = 3_600_000.0;

fn terms(per_gpu_hour: f64) -> Terms {
    Terms {
        prices: Prices {
            currency: "EUR".to_owned(),
            list: vec![Price {
                labels: [("gpu".to_owned(), "h100".to_owned())].into(),
                per_gpu_hour,
                per_hour: 100.0,
            }],
        },
        policies: vec![],
    }
}

/// A worker with two GPUs of that kind.
fn with_gpus() -> v1::WorkerHello {
    let mut hello = hello();
    let resources = hello.resources.get_or_insert_default();
    resources.labels = [("gpu".to_owned(), "h100".to_owned())].into();
    resources.gpus = ["GPU-1", "GPU-2"]
        .map(|uuid| v1::Gpu {
            uuid: uuid.to_owned(),
            ..Default::default()
        })
        .into();
    hello
}

fn costing(name: &str, cost: f64) -> v1::StudySpec {
    let mut spec = spec_for_workers(name);
    spec.budget.get_or_insert_default().cost = Some(cost);
    let trial = spec.trial.get_or_insert_default();
    trial.resources.get_or_insert_default().gpus = 2;
    trial.max_runtime = Some(pbjson_types::Duration {
        seconds: 3_600,
        nanos: 0,
    });
    spec
}

fn create(spec: v1::StudySpec) -> v1::CreateStudyRequest {
    v1::CreateStudyRequest {
        spec: Some(spec),
        ..Default::default()
    }
}

async fn trial(world: &World, name: &str) -> v1::Trial {
    let request = v1::GetTrialRequest {
        name: name.to_owned(),
    };
    let answer = world.trials().get_trial(request).await.unwrap();
    answer.into_inner().trial.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_of_costs_is_refused_where_nothing_has_a_price() {
    let world = World::start().await;
    let told = "budget.cost: is 40, but this coordinator knows no prices, so that nothing would count towards it; add [[price]] to its \
                configuration file, or remove this";
    let created = world.studies().create_study(create(costing("s", 40.0))).await;
    refused(created, Code::InvalidArgument, "INVALID_ARGUMENT", told);
    world.create(spec_for_workers("s")).await;
    let edit = |path: &str| v1::UpdateStudyRequest {
        name: "studies/s".to_owned(),
        spec: Some(costing("s", 40.0)),
        update_mask: Some(pbjson_types::FieldMask {
            paths: vec![path.to_owned()],
        }),
    };
    let edited = world.studies().update_study(edit("budget")).await;
    refused(edited, Code::InvalidArgument, "INVALID_ARGUMENT", told);
    world.studies().update_study(edit("message")).await.unwrap();
    let spending = world.study("s").await.spending.unwrap();
    assert_eq!((spending.cost, spending.currency.as_str()), (0.0, ""));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_runs_is_counted_live_and_a_restart_with_other_prices_does_not_change_what_it_costs() {
    let store = Arc::new(MemoryStore::default());
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::on_terms(store.clone(), folder, terms(PER_GPU_HOUR)).await;
    let (mut worker, _) = Worker::join(&world, with_gpus()).await;
    world.create(costing("s", 1e9)).await;
    let assigned = assignment(&mut worker).await;
    let lease = assigned.lease.clone().unwrap();
    let name = "studies/s/trials/1";
    let price = 2.0 * PER_GPU_HOUR + 100.0;
    let spending = world.study("s").await.spending.unwrap();
    assert_eq!((spending.cost, spending.cost_committed), (0.0, price));
    assert_eq!(spending.currency, "EUR");
    let started = v1::AttemptStarted {
        lease: Some(lease.clone()),
        pid: 7,
        ..Default::default()
    };
    worker.say(Say::Started(started)).await;
    let running = soon(async {
        loop {
            let spending = world.study("s").await.spending.unwrap();
            if spending.cost > 0.0 {
                break spending;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert!(
        (running.cost + running.cost_committed - price).abs() < 1e-3,
        "{running:?}"
    );
    let live = trial(&world, name).await;
    let prices: Vec<f64> = live
        .attempts
        .iter()
        .map(|attempt| attempt.price_per_hour)
        .collect();
    assert_eq!(prices, [price]);
    assert!(
        live.cost.unwrap() > 0.0 && live.cost == Some(live.attempts[0].cost),
        "{live:?}"
    );

    // Started again without any price for it.
    let folder = world.folder;
    world.running.stop().await;
    world = World::on_terms(store.clone(), folder, terms(0.0)).await;
    let mut back = with_gpus();
    back.attempts = vec![v1::HeldAttempt {
        lease: Some(lease.clone()),
        started: true,
        ended: false,
    }];
    let (worker, _) = Worker::join(&world, back).await;
    let after = world.study("s").await.spending.unwrap();
    assert!(after.cost >= running.cost, "{after:?} after {running:?}");
    worker.say(Say::Ended(ended(&lease, 0))).await;
    let done = soon(async {
        loop {
            let study = world.study("s").await;
            if study.state() == v1::StudyState::Done {
                break study.spending.unwrap();
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ended = trial(&world, name).await;
    assert_eq!(
        (ended.attempts[0].price_per_hour, ended.attempts[0].cost),
        (price, done.cost)
    );
    assert_eq!((ended.cost, done.cost_committed), (Some(done.cost), 0.0));
    assert!(done.cost >= after.cost, "{done:?} after {after:?}");

    // Nothing has a price any more: the study is warned of its limit that nothing counts towards.
    let folder = world.folder;
    world.running.stop().await;
    world = World::again(store, folder).await;
    let study = world.study("s").await;
    assert!(
        study
            .warnings
            .iter()
            .any(|text| text.starts_with("budget.cost: is 1000000000")),
        "{study:?}"
    );
    let spent = study.spending.map(|spent| spent.cost);
    assert_eq!(spent, Some(done.cost), "what was spent stays");
}

/// A policy for studies that begin with `guest`.
fn guests() -> Terms {
    let policy = Policy {
        name: "guests".to_owned(),
        matches: Match {
            name_prefix: "guest".to_owned(),
            ..Match::default()
        },
        caps: Caps {
            cost: Some(50.0),
            trials: Some(10),
            max_runtime: Some(Duration::from_secs(7_200)),
            ..Caps::default()
        },
    };
    Terms {
        policies: vec![policy],
        ..terms(2.5)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_gets_what_its_policy_gives_and_no_more_and_keeps_it() {
    let store = Arc::new(MemoryStore::default());
    let folder = tempfile::tempdir().unwrap();
    let mut world = World::on_terms(store.clone(), folder, guests()).await;
    let free = world.create(spec_for_workers("other")).await;
    assert_eq!((free.policy, free.creator.as_str()), (None, "admin"));

    let told = "budget.cost: is 51, but the policy \"guests\" has max_cost = 50; ask for no more, leave it out to get what the policy gives, or \
                have whoever runs the coordinator change the policy";
    let created = world.studies().create_study(create(costing("guest", 51.0))).await;
    refused(created, Code::InvalidArgument, "INVALID_ARGUMENT", told);
    let checked = v1::CreateStudyRequest {
        validate_only: true,
        ..create(costing("guest", 51.0))
    };
    refused(
        world.studies().create_study(checked).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        told,
    );

    let repeated = v1::CreateStudyRequest {
        request_id: request_id(),
        ..create(spec_for_workers("guest"))
    };
    let first = world.studies().create_study(repeated.clone()).await.unwrap();
    let first = first.into_inner().study.unwrap();
    let spec = first.spec.clone().unwrap();
    let budget = spec.budget.unwrap();
    assert_eq!((budget.cost, budget.trials), (Some(50.0), Some(1)));
    assert_eq!(spec.trial.unwrap().max_runtime.unwrap().seconds, 7_200);
    let by = first.policy.clone().unwrap();
    assert_eq!(
        (by.name.as_str(), by.sets),
        (
            "guests",
            vec!["budget.cost".to_owned(), "trial.max_runtime".to_owned()]
        )
    );

    let edit = |budget: v1::Budget| v1::UpdateStudyRequest {
        name: "studies/guest".to_owned(),
        spec: Some(v1::StudySpec {
            budget: Some(budget),
            ..spec_for_workers("guest")
        }),
        update_mask: Some(pbjson_types::FieldMask {
            paths: vec!["budget".to_owned()],
        }),
    };
    let more = v1::Budget {
        cost: Some(51.0),
        ..Default::default()
    };
    let edited = world.studies().update_study(edit(more)).await;
    refused(edited, Code::InvalidArgument, "INVALID_ARGUMENT", told);
    let less = v1::Budget {
        cost: Some(12.0),
        ..Default::default()
    };
    let edited = world.studies().update_study(edit(less)).await.unwrap();
    let edited = edited.into_inner().study.unwrap();
    let budget = edited.spec.unwrap().budget.unwrap();
    assert_eq!((budget.cost, budget.trials), (Some(12.0), Some(10)));
    let sets = ["budget.trials", "trial.max_runtime"].map(str::to_owned);
    assert_eq!(edited.policy.unwrap().sets, sets);

    // Under other terms it is what it was, until its budget is edited; and the call that made it makes no other.
    let folder = world.folder;
    world.running.stop().await;
    world = World::on_terms(store, folder, terms(2.5)).await;
    let kept = world.study("guest").await;
    assert_eq!(
        (kept.policy.unwrap().sets, kept.creator.as_str()),
        (sets.into(), "admin")
    );
    let again = world.studies().create_study(repeated).await.unwrap();
    assert_eq!(again.into_inner().study.unwrap().uid, first.uid);
    let free = world
        .studies()
        .update_study(edit(more))
        .await
        .unwrap()
        .into_inner();
    let free = free.study.unwrap();
    assert_eq!(
        (free.policy, free.spec.unwrap().budget.unwrap().trials),
        (None, None)
    );
}
