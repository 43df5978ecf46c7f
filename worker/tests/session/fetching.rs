//! A checkpoint in an object store that takes its time, and all else that goes on meanwhile.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use tunesmith_common::id::LeaseKey;
use tunesmith_common::{Attempt, LeaseId, TrialNumber};
use tunesmith_proto::convert::worker::checkpoint_to_wire;
use tunesmith_proto::v1;
use tunesmith_proto::v1::attempt_ended::Outcome;
use tunesmith_proto::v1::open_session_request::Message as FromWorker;
use tunesmith_proto::v1::open_session_response::Message as ToWorker;
use tunesmith_worker::checkpoint::{Access, Location, Place};
use uuid::Uuid;

use super::pool::{Pool, Session, Worker, is_alive, script, until};
use super::state;

/// A store that answers only as long as the test lets it: the tests' server, and a proxy in front of it.
struct Store {
    location: String,
    variables: Vec<(String, String)>,
    open: watch::Sender<bool>,
    /// Requests that wait.
    held: watch::Sender<usize>,
    checkpoint: v1::Checkpoint,
    _end: DropGuard,
}

impl Store {
    /// One with a checkpoint of trial 1 in it, in the file `model`.
    async fn start() -> Self {
        let url = std::env::var("TUNESMITH_TEST_S3_URL")
            .expect("no private S3 server: run the tests by `make test`, or set TUNESMITH_TEST_S3_URL=$(scripts/s3.sh start)");
        let (user, rest) = url.strip_prefix("http://").unwrap().split_once(':').unwrap();
        let (key, rest) = rest.split_once('@').unwrap();
        let (host, bucket) = rest.split_once('/').unwrap();
        let location = format!("s3://{bucket}/tests of sessions/{}", Uuid::new_v4());
        let variables = |host: &str| {
            let endpoint = format!("http://{host}");
            [
                ("AWS_ACCESS_KEY_ID", user),
                ("AWS_SECRET_ACCESS_KEY", key),
                ("AWS_ENDPOINT", &endpoint),
                ("AWS_ALLOW_HTTP", "true"),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxied = variables(&listener.local_addr().unwrap().to_string());
        let (open, held) = (watch::Sender::new(true), watch::Sender::new(0));
        let end = CancellationToken::new();
        let proxy = accept(listener, host.parse().unwrap(), open.clone(), held.clone());
        TaskTracker::new().spawn(end.clone().run_until_cancelled_owned(proxy));
        let (direct, at) = (variables(host), location.clone());
        let saved = tokio::task::spawn_blocking(move || {
            let at = Location::parse(Path::new(&at), Access::of(direct.into_iter())).unwrap();
            let from = tempfile::tempdir().unwrap();
            std::fs::write(from.path().join("model"), "weights").unwrap();
            let lease = LeaseKey {
                study: script(1, "").lease.unwrap().study_uid.parse().unwrap(),
                trial: TrialNumber(1),
                attempt: Attempt(1),
                id: LeaseId(Uuid::new_v4()),
            };
            Place::open(&at, None)
                .unwrap()
                .save(&lease, 5, from.path())
                .unwrap()
        });
        let checkpoint = checkpoint_to_wire(&saved.await.unwrap());
        Self {
            location,
            variables: proxied.to_vec(),
            open,
            held,
            checkpoint,
            _end: end.drop_guard(),
        }
    }

    fn worker(&self, pool: &Pool, state: &Path) -> Worker {
        let flags = ["--checkpoint-dir", &self.location];
        Worker::start_with(pool.address, state, &flags, &self.variables)
    }

    /// Assigns the second attempt of trial 1, which goes on from the checkpoint, and waits until the worker asks for that in vain.
    async fn assign(&self, session: &Session, program: &str) -> v1::Lease {
        self.open.send_replace(false);
        let mut trial = script(1, program);
        trial.resume = Some(self.checkpoint.clone());
        let lease = trial.lease.as_mut().unwrap();
        lease.attempt = 2;
        let lease = lease.clone();
        session.send(ToWorker::Assignment(trial)).await;
        until("the checkpoint is asked for", || *self.held.borrow() > 0).await;
        lease
    }
}

async fn accept(
    listener: TcpListener,
    target: SocketAddr,
    open: watch::Sender<bool>,
    held: watch::Sender<usize>,
) {
    let connections = TaskTracker::new();
    loop {
        let (client, _) = listener.accept().await.unwrap();
        let server = TcpStream::connect(target).await.unwrap();
        let (mut asked, mut answer) = client.into_split();
        let (mut answered, mut ask) = server.into_split();
        let (mut open, held) = (open.subscribe(), held.clone());
        connections.spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            while let Ok(count @ 1..) = asked.read(&mut buffer).await {
                if !*open.borrow() {
                    held.send_modify(|held| *held += 1);
                }
                if open.wait_for(|open| *open).await.is_err()
                    || ask.write_all(&buffer[..count]).await.is_err()
                {
                    break;
                }
            }
        });
        connections.spawn(async move {
            let _ = tokio::io::copy(&mut answered, &mut answer).await;
        });
    }
}

/// Says what it goes on from, and runs until it is stopped.
const SHOW_AND_WAIT: &str =
    "cat \"$TUNESMITH_RESUME_FROM/model\" > seen; trap 'exit 0' TERM; while :; do sleep 0.1; done";

#[tokio::test]
async fn all_else_goes_on_while_a_checkpoint_is_fetched() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let _worker = store.worker(&pool, state.path());
    let mut session = pool.session().await;
    session
        .greet_with_heartbeat(Duration::from_millis(20), vec![])
        .await;
    let lease = store.assign(&session, "exit 3").await;
    for _ in 0..3 {
        assert!(matches!(session.next().await, Some(FromWorker::Heartbeat(_))));
    }
    // Assigned again, as after a `hello` that did not name it.
    let mut again = script(1, "exit 1");
    again.lease = Some(lease);
    session.send(ToWorker::Assignment(again)).await;
    session.send(ToWorker::Assignment(script(2, "exit 0"))).await;
    let (mut started, mut ended) = (vec![], vec![]);
    while ended.len() < 2 {
        match session.next().await {
            Some(FromWorker::Heartbeat(_)) => {}
            Some(FromWorker::Started(told)) => started.push(told.lease.unwrap().trial),
            Some(FromWorker::Ended(told)) => {
                ended.push((told.lease.unwrap().trial, told.outcome));
                // Only now: trial 2 did not wait for trial 1.
                store.open.send_replace(true);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(started, [2, 1]);
    let exited = |code| Some(Outcome::ExitCode(code));
    assert_eq!(ended, [(2, exited(0)), (1, exited(3))]);
}

#[tokio::test]
async fn a_trial_that_is_to_stop_waits_for_no_checkpoint() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let _worker = store.worker(&pool, state.path());
    let mut session = pool.greeted().await;
    let lease = store.assign(&session, "exit 1").await;
    session
        .send(ToWorker::Stop(v1::StopAttempt {
            lease: Some(lease.clone()),
            reason: "the study was cancelled".to_owned(),
            grace: Some(Duration::from_secs(5).into()),
        }))
        .await;
    let ended = session.ended().await;
    assert_eq!(ended.lease.as_ref(), Some(&lease));
    assert_eq!(ended.outcome, Some(Outcome::HandedBack(v1::HandedBack {})));
    assert_eq!(ended.stop_cause(), v1::StopCause::Asked);
    assert!(!attempt_folder(state.path(), &lease).exists());
}

#[tokio::test]
async fn of_two_attempts_of_a_trial_only_the_later_comes_to_a_program() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let _worker = store.worker(&pool, state.path());
    let mut session = pool.greeted().await;
    // Its lease is lost meanwhile, of which a worker that was not connected has not heard.
    let earlier = store.assign(&session, "exit 1").await;
    let mut later = script(1, "exit 0");
    later.lease = Some(v1::Lease {
        attempt: 3,
        id: Uuid::new_v4().to_string(),
        ..earlier.clone()
    });
    session.send(ToWorker::Assignment(later)).await;
    let given_back = session.ended().await;
    assert_eq!(given_back.lease.as_ref(), Some(&earlier));
    assert_eq!(given_back.outcome, Some(Outcome::HandedBack(v1::HandedBack {})));
    let started = session.started().await;
    assert_eq!(started.lease.unwrap().attempt, 3);
    assert_eq!(session.ended().await.outcome, Some(Outcome::ExitCode(0)));
    assert!(!attempt_folder(state.path(), &earlier).exists());
}

fn attempt_folder(state: &Path, lease: &v1::Lease) -> PathBuf {
    let trial = state.join(format!("trials/{}/{}", lease.study_uid, lease.trial));
    trial.join(lease.attempt.to_string())
}

#[tokio::test]
async fn what_was_fetched_is_there_as_long_as_the_program_runs() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let _worker = store.worker(&pool, state.path());
    let mut session = pool.greeted().await;
    let lease = store.assign(&session, SHOW_AND_WAIT).await;
    store.open.send_replace(true);
    let started = session.started().await;
    let trial = state.path().join(format!("trials/{}/1", lease.study_uid));
    until("the program reads it", || {
        std::fs::read_to_string(trial.join("seen")).is_ok_and(|seen| seen == "weights")
    })
    .await;
    assert!(trial.join("2/resume/step-5/model").exists());
    session
        .send(ToWorker::Stop(v1::StopAttempt {
            lease: Some(lease),
            reason: "median".to_owned(),
            grace: Some(Duration::from_secs(5).into()),
        }))
        .await;
    session.ended().await;
    assert!(!is_alive(started.pid) && !trial.join("2/resume").exists());
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_waits_for_no_checkpoint() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let worker = store.worker(&pool, state.path());
    let session = pool.greeted().await;
    let lease = store.assign(&session, "exit 1").await;
    worker.signal(Signal::TERM);
    // The same session, or one after it.
    let mut leaving = pool.session().await;
    assert!(leaving.hello.draining && leaving.hello.attempts.is_empty());
    leaving.greet(vec![]).await;
    let ended = leaving.ended().await;
    assert_eq!(ended.lease.as_ref(), Some(&lease));
    assert_eq!(ended.outcome, Some(Outcome::HandedBack(v1::HandedBack {})));
    assert!(matches!(leaving.next().await, Some(FromWorker::Goodbye(_))));
    drop(leaving);
    let (status, said) = worker.end().await;
    assert!(status.success(), "{said}");
    assert!(!attempt_folder(state.path(), &lease).exists());
}

#[tokio::test]
async fn a_worker_that_is_ended_at_once_waits_for_no_checkpoint_either() {
    let (store, mut pool, state) = (Store::start().await, Pool::start().await, state());
    let worker = store.worker(&pool, state.path());
    let session = pool.greeted().await;
    store.assign(&session, "exit 1").await;
    worker.signal(Signal::TERM);
    let _leaving = pool.session().await;
    worker.signal(Signal::TERM);
    let (status, said) = worker.end().await;
    assert_eq!(status.code(), Some(130), "{said}");
}
