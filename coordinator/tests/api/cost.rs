//! What studies cost, as programs that call see it.

use std::sync::Arc;

use tonic::Code;
use tunesmith_coordinator::decide::{Price, Prices, Terms};
use tunesmith_coordinator::store::MemoryStore;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as Say;

use crate::session::{Worker, assignment, ended, hello};
use crate::support::{World, refused, soon, spec_for_workers};

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
