//! The worker's side of a session, with the real program against a coordinator whose answers the test gives by hand.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod fetching;
mod pool;
mod usage;

use std::time::Duration;

use pool::{Pool, TOKEN, Worker, is_alive, print_points, script, soon, until, verdict};
use rustix::process::Signal;
use tonic::Status;
use tunesmith_proto::v1;
use tunesmith_proto::v1::Verdict;
use tunesmith_proto::v1::attempt_ended::Outcome;
use tunesmith_proto::v1::open_session_request::Message as FromWorker;
use tunesmith_proto::v1::open_session_response::Message as ToWorker;

fn state() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn read_log(request: u64, trial: u64, follow: bool) -> ToWorker {
    ToWorker::ReadLog(v1::ReadLog {
        request,
        study_uid: "018f7a3e-0000-7000-8000-000000000001".to_owned(),
        trial,
        attempt: 1,
        tail_bytes: None,
        follow,
        stderr: false,
    })
}

#[tokio::test]
async fn hello_says_who_and_what_the_worker_is() {
    let (mut pool, state) = (Pool::start().await, state());
    let flags = [
        "--fake-gpus=2",
        "--gpus=all",
        "--label=zone=a",
        "--memory=2GiB",
        "--cpus=1.5",
    ];
    let worker = Worker::start(pool.address, state.path(), &flags);
    let first = pool.greeted().await;
    assert_eq!(
        first.authorization.as_deref(),
        Some(format!("Bearer {TOKEN}").as_str())
    );
    let hello = &first.hello;
    assert_eq!(
        (hello.worker.as_str(), hello.generation, hello.draining),
        ("tester", 1, false)
    );
    assert_eq!((hello.protocol_min, hello.protocol_max), (1, 1));
    assert!(hello.attempts.is_empty());
    let resources = hello.resources.as_ref().unwrap();
    assert_eq!((resources.slots, resources.memory_bytes), (2, 2 << 30));
    assert!((resources.cpus - 1.5).abs() < 1e-9);
    assert_eq!(resources.labels["zone"], "a");
    assert_eq!(
        resources
            .gpus
            .iter()
            .map(|gpu| gpu.uuid.as_str())
            .collect::<Vec<_>>(),
        ["GPU-fake-0", "GPU-fake-1"]
    );
    worker.crash().await;

    let _worker = Worker::start(pool.address, state.path(), &[]);
    let second = pool.session().await;
    assert_eq!(second.hello.worker_uid, hello.worker_uid);
    assert_eq!(second.hello.generation, 2);
    assert_ne!(second.hello.instance, hello.instance);
}

#[tokio::test]
async fn a_trial_is_run_reported_and_forgotten() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    let trial = script(1, &print_points(200));
    let lease = trial.lease.clone().unwrap();
    session.send(ToWorker::Assignment(trial.clone())).await;
    // The same again changes nothing.
    session.send(ToWorker::Assignment(trial)).await;
    let started = session.started().await;
    assert_eq!(started.lease.as_ref(), Some(&lease));
    assert_ne!(started.pid, 0);
    let (first, values, ended) = session.points_until_end().await;
    assert_eq!(first, 1);
    assert_eq!(values, (1..=200).map(f64::from).collect::<Vec<_>>());
    assert_eq!(
        (ended.last_seq, ended.outcome.clone(), ended.stop_cause),
        (200, Some(Outcome::ExitCode(0)), 0)
    );

    // Until the coordinator says so, the end is told in each session.
    let mut session = session
        .reopen(&mut pool, vec![verdict(&lease, Verdict::Continue, 200)])
        .await;
    assert_eq!(
        session.hello.attempts,
        [v1::HeldAttempt {
            lease: Some(lease.clone()),
            started: true,
            ended: true
        }]
    );
    session.started().await;
    assert_eq!(session.ended().await, ended);
    session.forget(&lease).await;
    let session = session.reopen(&mut pool, vec![]).await;
    assert!(session.hello.attempts.is_empty());
}

#[tokio::test]
async fn four_batches_are_on_their_way_at_most() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    session
        .send(ToWorker::Assignment(script(1, &print_points(3_000))))
        .await;
    let lease = session.started().await.lease;
    let mut sent = 0;
    for _ in 0..4 {
        let batch = session.points().await;
        let count = batch.points.unwrap().value.len();
        assert!(count <= 512, "{count} points in a batch");
        assert_eq!(batch.first_seq, sent + 1);
        sent += count as u64;
    }
    // Answered after whatever was due: no fifth batch is.
    session.send(read_log(7, 99, false)).await;
    assert_eq!(session.log().await.request, 7);
    session
        .send(ToWorker::Ack(v1::PointsAck {
            lease: lease.clone(),
            committed_seq: sent,
        }))
        .await;
    assert_eq!(session.points().await.first_seq, sent + 1);

    session
        .send(ToWorker::Resend(v1::PointsResend { lease, from_seq: 2 }))
        .await;
    let again = loop {
        match session.next().await {
            Some(FromWorker::Points(batch)) if batch.first_seq <= sent => break batch,
            // On their way before the order arrived; with them all may have been told.
            Some(FromWorker::Points(_) | FromWorker::Ended(_)) => {}
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(again.first_seq, 2);
    assert!((again.points.unwrap().value[0] - 2.0).abs() < 1e-9);
}

#[tokio::test]
async fn points_are_sent_again_from_where_the_database_is_not_where_it_was() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    let trial = script(1, &format!("{}; exit 3", print_points(100)));
    let lease = trial.lease.clone().unwrap();
    session.send(ToWorker::Assignment(trial)).await;
    session.started().await;
    let (_, values, ended) = session.points_until_end().await;
    assert_eq!((values.len(), ended.outcome), (100, Some(Outcome::ExitCode(3))));

    // All 100 were acknowledged; after a restore the coordinator has 40.
    drop(session);
    let mut session = pool.session().await;
    session.greet(vec![verdict(&lease, Verdict::Continue, 40)]).await;
    session.started().await;
    let (first, values, ended) = session.points_until_end().await;
    assert_eq!((first, values.len(), ended.last_seq), (41, 60, 100));
}

#[tokio::test]
async fn a_trial_that_lost_its_lease_is_killed() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    for number in [1, 2] {
        session
            .send(ToWorker::Assignment(script(
                number,
                "trap '' TERM; while :; do sleep 1; done",
            )))
            .await;
    }
    let mut running = [session.started().await, session.started().await];
    running.sort_by_key(|started| started.lease.as_ref().unwrap().trial);
    let leases: Vec<_> = running
        .iter()
        .map(|started| started.lease.clone().unwrap())
        .collect();

    session
        .send(ToWorker::Stale(v1::StaleLease {
            lease: Some(leases[0].clone()),
        }))
        .await;
    until("the first is dead", || !is_alive(running[0].pid)).await;
    assert!(is_alive(running[1].pid));
    let session = session
        .reopen(&mut pool, vec![verdict(&leases[1], Verdict::Stale, 0)])
        .await;
    assert_eq!(session.hello.attempts.len(), 1);
    until("the second is dead", || !is_alive(running[1].pid)).await;
    let session = session.reopen(&mut pool, vec![]).await;
    assert!(session.hello.attempts.is_empty());
}

#[tokio::test]
async fn a_trial_is_stopped_when_the_coordinator_asks() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    session
        .send(ToWorker::Assignment(script(
            1,
            "trap 'exit 0' TERM; while :; do sleep 0.1; done",
        )))
        .await;
    let started = session.started().await;
    let grace = Some(Duration::from_secs(5).into());
    let stop = v1::StopAttempt {
        lease: started.lease,
        reason: "median".to_owned(),
        grace,
    };
    session.send(ToWorker::Stop(stop.clone())).await;
    session.send(ToWorker::Stop(stop)).await;
    let ended = session.ended().await;
    assert_eq!(ended.stop_cause(), v1::StopCause::Asked);
    assert!(!is_alive(started.pid));
}

#[tokio::test]
async fn a_program_that_cannot_be_started_and_one_that_cannot_be_understood_are_told() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    let mut absent = script(1, "");
    absent.template.as_mut().unwrap().command = vec!["/no/such/program".to_owned()];
    session.send(ToWorker::Assignment(absent)).await;
    let ended = session.ended().await;
    assert!(
        matches!(&ended.outcome, Some(Outcome::LaunchFailure(why)) if why.contains("/no/such/program")),
        "{ended:?}"
    );

    let mut odd = script(2, "");
    odd.template.as_mut().unwrap().command.clear();
    session.send(ToWorker::Assignment(odd)).await;
    let ended = session.ended().await;
    assert!(
        matches!(&ended.outcome, Some(Outcome::LaunchFailure(why)) if why.contains("template.command")),
        "{ended:?}"
    );
}

#[tokio::test]
async fn output_is_read_followed_and_left() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    let go = state.path().join("go");
    let waiting = format!(
        "echo one; while [ ! -e {} ]; do sleep 0.05; done; echo two",
        go.display()
    );
    session.send(ToWorker::Assignment(script(1, &waiting))).await;
    session.started().await;
    session.send(read_log(1, 1, true)).await;
    let mut text = vec![];
    while !text.ends_with(b"one\n") {
        text.extend(session.log().await.data);
    }
    // A reader that left gets nothing more, and one that asks for what is not there gets a reason.
    session.send(read_log(2, 1, true)).await;
    assert_eq!(session.log().await.request, 2);
    session
        .send(ToWorker::CancelLog(v1::CancelLog { request: 2 }))
        .await;
    session.send(read_log(3, 99, false)).await;
    let absent = session.log().await;
    assert!(
        absent.end && absent.request == 3 && absent.error.contains("no output"),
        "{absent:?}"
    );

    std::fs::write(go, "").unwrap();
    let (mut log_ended, mut trial_ended) = (false, false);
    while !(log_ended && trial_ended) {
        match session.next().await {
            Some(FromWorker::Log(chunk)) => {
                assert_eq!((chunk.request, chunk.error.as_str()), (1, ""));
                text.extend(chunk.data);
                log_ended = chunk.end;
            }
            Some(FromWorker::Ended(_)) => trial_ended = true,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(String::from_utf8(text).unwrap(), "one\ntwo\n");
    session.send(read_log(4, 1, false)).await;
    let mut end = false;
    while !end {
        let chunk = session.log().await;
        assert_eq!(chunk.request, 4, "the reader that left");
        end = chunk.end;
    }
}

#[tokio::test]
async fn the_token_is_not_in_the_training_s_environment() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    session.send(ToWorker::Assignment(script(1, "env"))).await;
    session.started().await;
    session.ended().await;
    session.send(read_log(1, 1, false)).await;
    let mut text = vec![];
    loop {
        let chunk = session.log().await;
        text.extend(chunk.data);
        if chunk.end {
            break;
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains("TUNESMITH_TRIAL="), "{text}");
    assert!(
        !text.contains(TOKEN) && !text.contains("TUNESMITH_TOKEN"),
        "{text}"
    );
}

#[tokio::test]
async fn a_silent_worker_gives_signs_of_life() {
    let (mut pool, state) = (Pool::start().await, state());
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.session().await;
    session
        .greet_with_heartbeat(Duration::from_millis(20), vec![])
        .await;
    for _ in 0..3 {
        assert!(matches!(session.next().await, Some(FromWorker::Heartbeat(_))));
    }
}

#[tokio::test]
async fn a_worker_that_is_told_to_end_gives_its_trials_back() {
    let (mut pool, state) = (Pool::start().await, state());
    let worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    // Exits well on SIGTERM, and is given back nonetheless.
    session
        .send(ToWorker::Assignment(script(
            1,
            "trap 'exit 0' TERM; while :; do sleep 0.1; done",
        )))
        .await;
    let started = session.started().await;
    worker.signal(Signal::TERM);

    let mut leaving = pool.session().await;
    assert!(leaving.hello.draining);
    leaving
        .greet(vec![verdict(
            started.lease.as_ref().unwrap(),
            Verdict::Continue,
            0,
        )])
        .await;
    let late = script(2, "exit 0");
    leaving.send(ToWorker::Assignment(late.clone())).await;
    let mut given_back = vec![];
    while given_back.len() < 2 {
        match leaving.next().await {
            Some(FromWorker::Ended(ended)) => {
                assert_eq!(ended.outcome, Some(Outcome::HandedBack(v1::HandedBack {})));
                given_back.push(ended.lease.unwrap());
            }
            Some(FromWorker::Started(_)) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(given_back.contains(late.lease.as_ref().unwrap()));
    assert!(!is_alive(started.pid));
    for lease in given_back {
        leaving.forget(&lease).await;
    }
    assert!(matches!(leaving.next().await, Some(FromWorker::Goodbye(_))));
    drop(leaving);
    let (status, said) = worker.end().await;
    assert!(status.success(), "{status}: {said}");
    assert!(!said.contains(TOKEN));
}

#[tokio::test]
async fn trainings_go_on_without_the_daemon_and_are_taken_over() {
    let (mut pool, state) = (Pool::start().await, state());
    let worker = Worker::start(pool.address, state.path(), &["--on-exit=leave"]);
    let mut session = pool.greeted().await;
    let go = state.path().join("go");
    let program = format!(
        "{}; while [ ! -e {} ]; do sleep 0.05; done; echo '{{{{\"step\": 11, \"acc\": 11}}}}'",
        print_points(10),
        go.display()
    );
    session.send(ToWorker::Assignment(script(1, &program))).await;
    let started = session.started().await;
    let lease = started.lease.clone().unwrap();
    worker.signal(Signal::TERM);
    // The session ends without a goodbye, which would give the lease up.
    while let Some(message) = session.next().await {
        assert!(matches!(message, FromWorker::Points(_)), "{message:?}");
    }
    drop(session);
    assert!(worker.end().await.0.success());
    assert!(is_alive(started.pid));

    let worker = Worker::start(pool.address, state.path(), &["--on-exit=leave"]);
    let session = pool.session().await;
    assert_eq!(
        session.hello.attempts,
        [v1::HeldAttempt {
            lease: Some(lease.clone()),
            started: true,
            ended: false
        }]
    );
    session.greet(vec![verdict(&lease, Verdict::Continue, 4)]).await;
    worker.crash().await;
    drop(session);

    std::fs::write(go, "").unwrap();
    until("the training ends without a daemon", || !is_alive(started.pid)).await;
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.session().await;
    session.greet(vec![verdict(&lease, Verdict::Continue, 4)]).await;
    assert_eq!(session.started().await.pid, started.pid);
    let (first, values, ended) = session.points_until_end().await;
    assert_eq!((first, values), (5, (5..=11).map(f64::from).collect()));
    assert_eq!(ended.outcome, Some(Outcome::ExitCode(0)));
}

#[tokio::test]
async fn the_coordinator_may_be_away_as_long_as_it_likes() {
    let state = state();
    let mut pool = Pool::start().await;
    let _worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    let done = state.path().join("done");
    session
        .send(ToWorker::Assignment(script(
            1,
            &format!("{}; : > {}", print_points(50), done.display()),
        )))
        .await;
    let lease = session.started().await.lease.unwrap();
    drop(session);
    let address = pool.stop().await;
    until("the training ends though nobody listens", || done.exists()).await;

    let mut pool = Pool::start_at(address).await;
    let mut session = pool.session().await;
    session.greet(vec![verdict(&lease, Verdict::Continue, 0)]).await;
    session.started().await;
    let (first, values, _) = session.points_until_end().await;
    assert_eq!((first, values.len()), (1, 50));
}

#[tokio::test]
async fn a_worker_without_work_ends_when_told_so() {
    let (mut pool, state) = (Pool::start().await, state());
    let worker = Worker::start(pool.address, state.path(), &["--exit-when-idle=200ms"]);
    let mut session = pool.greeted().await;
    assert!(matches!(session.next().await, Some(FromWorker::Goodbye(_))));
    drop(session);
    assert!(worker.end().await.0.success());
}

#[tokio::test]
async fn a_refused_worker_says_what_to_do() {
    let (pool, state) = (Pool::start().await, state());
    pool.refuse(Status::unauthenticated("this token is not known here"));
    let (status, said) = Worker::start(pool.address, state.path(), &[]).end().await;
    assert_eq!(status.code(), Some(4), "{said}");
    assert!(
        said.contains("this token is not known here")
            && said.contains("`tunesmith token create --label NAME --worker --file PATH`"),
        "{said}"
    );
    assert!(!said.contains(TOKEN), "{said}");
}

#[tokio::test]
async fn a_refusal_later_on_ends_nothing() {
    let (mut pool, state) = (Pool::start().await, state());
    let mut worker = Worker::start(pool.address, state.path(), &[]);
    let mut session = pool.greeted().await;
    session
        .send(ToWorker::Assignment(script(1, "while :; do sleep 0.1; done")))
        .await;
    let started = session.started().await;
    session
        .fail(Status::failed_precondition(
            "another instance of worker tester is connected",
        ))
        .await;
    worker
        .says("another instance of worker tester is connected")
        .await;
    worker.signal(Signal::TERM);
    until("the trial is stopped all the same", || !is_alive(started.pid)).await;
    let leaving = pool.session().await;
    leaving
        .greet(vec![verdict(started.lease.as_ref().unwrap(), Verdict::Forget, 0)])
        .await;
    let (status, said) = worker.end().await;
    assert!(status.success(), "{said}");
}

#[tokio::test]
async fn wrong_starts_are_refused_with_a_reason() {
    let (mut pool, state) = (Pool::start().await, state());
    let worker = Worker::start(pool.address, state.path(), &[]);
    pool.greeted().await;
    let (status, said) = Worker::start(pool.address, state.path(), &[]).end().await;
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(
        said.contains("another worker daemon uses the state folder"),
        "{said}"
    );
    worker.crash().await;

    let output = soon("it ends", Worker::command(state.path()).output())
        .await
        .unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{said}");
    assert!(said.contains("TUNESMITH_TOKEN"), "{said}");

    let output = soon(
        "it ends",
        Worker::command(state.path())
            .env("TUNESMITH_TOKEN", TOKEN)
            .arg("--check-config")
            .output(),
    )
    .await
    .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(
        output.status.success() && printed.contains("name = \"tester\"") && !printed.contains(TOKEN),
        "{printed}"
    );
}
