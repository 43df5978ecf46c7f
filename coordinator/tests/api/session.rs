//! A worker's session, spoken by hand.

use std::sync::Arc;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status, Streaming};
use tunesmith_coordinator::store::MemoryStore;
use tunesmith_proto::v1::open_session_request::Message as Say;
use tunesmith_proto::v1::open_session_response::Message as Hear;
use tunesmith_proto::{SESSION_PROTOCOL, v1};

use crate::support::{World, points, refused, soon, spec_for_workers};

pub(crate) struct Worker {
    say: mpsc::Sender<v1::OpenSessionRequest>,
    hear: Streaming<v1::OpenSessionResponse>,
}

impl Worker {
    async fn open(world: &World) -> Self {
        let (say, receiver) = mpsc::channel(64);
        let hear = world
            .workers()
            .open_session(ReceiverStream::new(receiver))
            .await
            .unwrap()
            .into_inner();
        Self { say, hear }
    }

    pub(crate) async fn join(world: &World, hello: v1::WorkerHello) -> (Self, v1::CoordinatorHello) {
        let mut worker = Self::open(world).await;
        worker.say(Say::Hello(hello)).await;
        match worker.hear().await.unwrap() {
            Hear::Hello(hello) => (worker, hello),
            other => panic!("the first message is {other:?}"),
        }
    }

    pub(crate) async fn say(&self, message: Say) {
        self.say
            .send(v1::OpenSessionRequest {
                message: Some(message),
            })
            .await
            .unwrap();
    }

    /// The next message that is no heartbeat.
    pub(crate) async fn hear(&mut self) -> Result<Hear, Status> {
        loop {
            match soon(self.hear.message()).await? {
                Some(message) if matches!(message.message, Some(Hear::Heartbeat(_))) => {}
                Some(message) => return Ok(message.message.unwrap()),
                None => return Err(Status::ok("the stream ended")),
            }
        }
    }
}

pub(crate) fn hello() -> v1::WorkerHello {
    v1::WorkerHello {
        worker: "gpu1".to_owned(),
        worker_uid: "018f7a3e-0000-7000-8000-000000000001".to_owned(),
        instance: "first".to_owned(),
        generation: 1,
        version: "0.1.0".to_owned(),
        protocol_min: SESSION_PROTOCOL,
        protocol_max: SESSION_PROTOCOL,
        resources: Some(v1::WorkerResources {
            slots: 1,
            cpus: 2.0,
            memory_bytes: 1 << 30,
            ..Default::default()
        }),
        attempts: vec![],
        draining: false,
    }
}

pub(crate) fn ended(lease: &v1::Lease, last_seq: u64) -> v1::AttemptEnded {
    v1::AttemptEnded {
        lease: Some(lease.clone()),
        last_seq,
        ended_at: Some(pbjson_types::Timestamp {
            seconds: 1_800_000_000,
            nanos: 0,
        }),
        outcome: Some(v1::attempt_ended::Outcome::ExitCode(0)),
        ..Default::default()
    }
}

pub(crate) async fn assignment(worker: &mut Worker) -> v1::Assignment {
    match worker.hear().await.unwrap() {
        Hear::Assignment(assignment) => assignment,
        other => panic!("expected an assignment, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_goes_from_assignment_to_forget() {
    let world = World::start().await;
    let (mut worker, answer) = Worker::join(&world, hello()).await;
    assert_eq!((answer.protocol, answer.verdicts.len()), (SESSION_PROTOCOL, 0));
    world.create(spec_for_workers("s")).await;
    let assignment = assignment(&mut worker).await;
    assert_eq!(
        (assignment.study.as_str(), assignment.metrics[0].as_str()),
        ("s", "loss")
    );
    let lease = assignment.lease.unwrap();
    let status = v1::GetWorkerRequest {
        name: "workers/gpu1".to_owned(),
    };
    let status = world
        .pool()
        .get_worker(status)
        .await
        .unwrap()
        .into_inner()
        .worker
        .unwrap();
    assert_eq!(
        (status.state(), &status.trials),
        (v1::WorkerState::Ready, &vec!["studies/s/trials/1".to_owned()])
    );

    worker
        .say(Say::Started(v1::AttemptStarted {
            lease: Some(lease.clone()),
            pid: 77,
            started_at: None,
        }))
        .await;
    let batch = |first_seq, values: &[(i64, f64)]| {
        Say::Points(v1::PointsBatch {
            lease: Some(lease.clone()),
            first_seq,
            points: points("loss", values),
        })
    };
    worker.say(batch(1, &[(1, 0.5), (2, 0.4)])).await;
    match worker.hear().await.unwrap() {
        Hear::Ack(ack) => assert_eq!(ack.committed_seq, 2),
        other => panic!("expected an acknowledgement, got {other:?}"),
    }
    worker.say(batch(9, &[(9, 0.1)])).await;
    match worker.hear().await.unwrap() {
        Hear::Resend(resend) => assert_eq!(resend.from_seq, 3),
        other => panic!("expected to be asked again, got {other:?}"),
    }
    // The end waits for points that are missing.
    worker.say(Say::Ended(ended(&lease, 3))).await;
    assert!(matches!(worker.hear().await.unwrap(), Hear::Resend(_)));
    worker.say(batch(3, &[(3, 0.3)])).await;
    let (mut acknowledged, mut forgotten) = (false, false);
    while !(acknowledged && forgotten) {
        match worker.hear().await.unwrap() {
            Hear::Ack(ack) => acknowledged = ack.committed_seq == 3,
            Hear::Forget(forget) => forgotten = forget.lease.as_ref() == Some(&lease),
            other => panic!("unexpected {other:?}"),
        }
    }
    let trial = v1::GetTrialRequest {
        name: "studies/s/trials/1".to_owned(),
    };
    let trial = world
        .trials()
        .get_trial(trial)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(
        (trial.state(), trial.value),
        (v1::TrialState::Completed, Some(0.3))
    );
    assert_eq!((trial.attempts[0].pid, trial.attempts[0].points), (77, 3));
    assert_eq!(trial.attempts[0].holder, "gpu1");

    // What is said about it later is of no interest, and of a study that never was, stale.
    worker.say(Say::Ended(ended(&lease, 3))).await;
    assert!(matches!(worker.hear().await.unwrap(), Hear::Forget(_)));
    let unknown = v1::Lease {
        study_uid: "018f7a3e-0000-7000-8000-00000000dead".to_owned(),
        ..lease.clone()
    };
    let started = v1::AttemptStarted {
        lease: Some(unknown.clone()),
        pid: 1,
        started_at: None,
    };
    worker.say(Say::Started(started)).await;
    match worker.hear().await.unwrap() {
        Hear::Stale(stale) => assert_eq!(stale.lease, Some(unknown)),
        other => panic!("expected to hear that it is stale, got {other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_comes_back_goes_on_where_it_was_also_after_a_restart() {
    let store = Arc::new(MemoryStore::default());
    let world = World::on(store.clone()).await;
    world.create(spec_for_workers("s")).await;
    let (mut worker, _) = Worker::join(&world, hello()).await;
    let lease = assignment(&mut worker).await.lease.unwrap();
    worker
        .say(Say::Started(v1::AttemptStarted {
            lease: Some(lease.clone()),
            pid: 77,
            started_at: None,
        }))
        .await;
    let batch = v1::PointsBatch {
        lease: Some(lease.clone()),
        first_seq: 1,
        points: points("loss", &[(1, 0.5)]),
    };
    worker.say(Say::Points(batch)).await;
    assert!(matches!(worker.hear().await.unwrap(), Hear::Ack(_)));
    soon(world.running.stop()).await;
    assert!(matches!(worker.hear().await.unwrap(), Hear::Drain(_)));
    assert_eq!(worker.hear().await.unwrap_err().code(), Code::Unavailable);

    let store: Arc<dyn tunesmith_coordinator::store::Store> = store;
    let world = World::again(store, world.folder).await;
    let stale = v1::Lease {
        id: "018f7a3e-0000-4000-8000-00000000dead".to_owned(),
        ..lease.clone()
    };
    let held = |lease: &v1::Lease, ended| v1::HeldAttempt {
        lease: Some(lease.clone()),
        started: true,
        ended,
    };
    let back = v1::WorkerHello {
        attempts: vec![held(&lease, false), held(&stale, false)],
        ..hello()
    };
    let (_worker, answer) = Worker::join(&world, back).await;
    let verdict = |lease: &v1::Lease| {
        let found = answer
            .verdicts
            .iter()
            .find(|verdict| verdict.lease.as_ref() == Some(lease))
            .unwrap();
        (found.verdict(), found.committed_seq)
    };
    assert_eq!(verdict(&lease), (v1::Verdict::Continue, 1));
    assert_eq!(verdict(&stale), (v1::Verdict::Stale, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_the_protocol_ends_the_session() {
    let world = World::start().await;
    let mut early = Worker::open(&world).await;
    early.say(Say::Heartbeat(v1::Heartbeat {})).await;
    refused(
        early.hear().await,
        Code::FailedPrecondition,
        "HELLO_EXPECTED",
        "first message",
    );
    let (mut twice, _) = Worker::join(&world, hello()).await;
    twice.say(Say::Hello(hello())).await;
    refused(
        twice.hear().await,
        Code::FailedPrecondition,
        "HELLO_TWICE",
        "once",
    );
    let mut huge = Worker::open(&world).await;
    let mut resources = hello().resources.unwrap();
    resources.gpus = vec![v1::Gpu::default(); 2_000];
    huge.say(Say::Hello(v1::WorkerHello {
        resources: Some(resources),
        ..hello()
    }))
    .await;
    refused(
        huge.hear().await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "hello.resources.gpus",
    );
    let mut old = Worker::open(&world).await;
    old.say(Say::Hello(v1::WorkerHello {
        protocol_min: 0,
        protocol_max: 0,
        ..hello()
    }))
    .await;
    refused(
        old.hear().await,
        Code::FailedPrecondition,
        "PROTOCOL_VERSION",
        "upgrade the worker",
    );

    let (_first, _) = Worker::join(&world, hello()).await;
    let mut copy = Worker::open(&world).await;
    copy.say(Say::Hello(v1::WorkerHello {
        instance: "copy".to_owned(),
        ..hello()
    }))
    .await;
    refused(
        copy.hear().await,
        Code::FailedPrecondition,
        "OTHER_INSTANCE",
        "gpu1",
    );
    let mut namesake = Worker::open(&world).await;
    let uid = "018f7a3e-0000-7000-8000-000000000002".to_owned();
    namesake
        .say(Say::Hello(v1::WorkerHello {
            worker_uid: uid,
            ..hello()
        }))
        .await;
    refused(
        namesake.hear().await,
        Code::FailedPrecondition,
        "WORKER_NAME_TAKEN",
        "gpu1",
    );
    let mut bad = Worker::join(
        &world,
        v1::WorkerHello {
            generation: 2,
            instance: "b".to_owned(),
            ..hello()
        },
    )
    .await
    .0;
    bad.say(Say::Started(v1::AttemptStarted::default())).await;
    refused(
        bad.hear().await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "started.lease",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_read_through_the_session_and_workers_are_drained_and_removed() {
    let world = World::start().await;
    world.create(spec_for_workers("s")).await;
    let (mut worker, _) = Worker::join(&world, hello()).await;
    let lease = assignment(&mut worker).await.lease.unwrap();
    let request = v1::ReadLogRequest {
        name: "studies/s/trials/1".to_owned(),
        follow: true,
        ..Default::default()
    };
    let mut log = world
        .trials()
        .read_log(request.clone())
        .await
        .unwrap()
        .into_inner();
    let Hear::ReadLog(read) = worker.hear().await.unwrap() else {
        panic!("expected to be asked for a log")
    };
    assert_eq!((read.trial, read.attempt, read.follow), (1, lease.attempt, true));
    let chunk = |data: &str, end| v1::LogChunk {
        request: read.request,
        data: data.into(),
        end,
        ..Default::default()
    };
    worker.say(Say::Log(chunk("epoch 1\n", false))).await;
    assert_eq!(soon(log.message()).await.unwrap().unwrap().data, b"epoch 1\n");
    worker.say(Say::Log(chunk("", true))).await;
    assert!(soon(log.message()).await.unwrap().is_none());
    drop(log);

    let drain = |resume| v1::DrainWorkerRequest {
        name: "workers/gpu1".to_owned(),
        resume,
    };
    let drained = world
        .pool()
        .drain_worker(drain(false))
        .await
        .unwrap()
        .into_inner()
        .worker
        .unwrap();
    assert_eq!(drained.state(), v1::WorkerState::Draining);
    let remove = || v1::RemoveWorkerRequest {
        name: "workers/gpu1".to_owned(),
    };
    let connected = world.pool().remove_worker(remove()).await;
    refused(
        connected,
        Code::FailedPrecondition,
        "WORKER_CONNECTED",
        "stop it first",
    );
    drop(worker);
    let gone = async {
        while world.pool().remove_worker(remove()).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    soon(gone).await;
    let log = world.trials().read_log(request).await.map(|_| ());
    refused(log, Code::FailedPrecondition, "LOG_AWAY", "gpu1");
    assert!(
        world
            .pool()
            .list_workers(v1::ListWorkersRequest {})
            .await
            .unwrap()
            .into_inner()
            .workers
            .is_empty()
    );
}

/// Many, because what notices first that a connection is gone, the reader or the writer, is a matter of chance.
#[tokio::test(flavor = "multi_thread")]
async fn workers_that_vanish_are_offline() {
    let world = World::start().await;
    let mut workers = Vec::new();
    for number in 10..40 {
        let hello = v1::WorkerHello {
            worker: format!("gpu{number}"),
            worker_uid: format!("018f7a3e-0000-7000-8000-0000000000{number}"),
            ..hello()
        };
        workers.push(Worker::join(&world, hello).await);
    }
    drop(workers);
    let all_offline = async {
        loop {
            let list = world.pool().list_workers(v1::ListWorkersRequest {}).await;
            let workers = list.unwrap().into_inner().workers;
            assert_eq!(workers.len(), 30);
            if workers
                .iter()
                .all(|worker| worker.state() == v1::WorkerState::Offline)
            {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    soon(all_offline).await;
}
