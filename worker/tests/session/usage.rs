//! What is in use, as a coordinator is told that wants to know.

use super::*;

async fn usage(session: &mut pool::Session) -> v1::UsageReport {
    match session.next().await {
        Some(FromWorker::Usage(report)) => report,
        other => panic!("not what is in use: {other:?}"),
    }
}

#[tokio::test]
async fn a_coordinator_that_asks_is_told_what_attempts_use_all_of_it_in_each_session_and_in_the_end() {
    let (mut pool, state) = (Pool::start().await, state());
    let flags = ["--fake-gpus=2", "--gpus=all"];
    let worker = Worker::start(pool.address, state.path(), &flags);
    let mut session = pool.session().await;
    session.greet_and_ask_for_usage(vec![]).await;
    let end = state.path().join("end");
    // Two processes, of which one works.
    let program = format!(
        "(while [ ! -e {0} ]; do :; done) & while [ ! -e {0} ]; do sleep 0.1; done",
        end.display()
    );
    let mut assignment = script(1, &program);
    assignment.gpus = vec!["GPU-fake-1".to_owned()];
    let lease = assignment.lease.clone().unwrap();
    session.send(ToWorker::Assignment(assignment)).await;
    // A look at the machine may come before the start, and has nothing of the attempt.
    let mut first = None;
    while first.is_none() {
        match session.next().await {
            Some(FromWorker::Usage(report)) => {
                first = report.attempts.first().cloned().map(|used| (used, report))
            }
            Some(FromWorker::Started(_)) => {}
            other => panic!("neither a start nor what is in use: {other:?}"),
        }
    }
    let (used, report) = first.unwrap();
    assert_eq!((used.lease.as_ref(), used.whole), (Some(&lease), true));
    let series = used.series.unwrap();
    assert_eq!((series.seconds.len(), series.gpu_percent[0]), (1, 75));
    assert!(
        series.memory_bytes[0] > 0 && series.gpu_memory_bytes[0] > 0,
        "{series:?}"
    );
    let machine = report.machine.unwrap();
    assert!(
        machine.all_cpus >= 1.0 && machine.memory_bytes < machine.all_memory_bytes,
        "{machine:?}"
    );
    let gpus: Vec<(&str, Option<u32>)> = report.gpus.iter().map(|gpu| (&*gpu.uuid, gpu.percent)).collect();
    assert_eq!(gpus, [("GPU-fake-0", Some(0)), ("GPU-fake-1", Some(75))]);

    let second = usage(&mut session).await.attempts.remove(0);
    assert!(!second.whole);
    let second = second.series.unwrap();
    assert_eq!(second.seconds.len(), 1);
    assert!(second.cpu_millis[0] > 100, "it was busy all the time: {second:?}");

    // Another coordinator, or the same after a restart, is told all of it.
    session
        .send(ToWorker::Drain(v1::Drain {
            reconnect_after: None,
        }))
        .await;
    let mut session = pool.session().await;
    session
        .greet_and_ask_for_usage(vec![verdict(&lease, Verdict::Continue, 0)])
        .await;
    let mut again = None;
    while again.is_none() {
        match session.next().await {
            Some(FromWorker::Usage(report)) => again = report.attempts.first().cloned(),
            Some(FromWorker::Started(_)) => {}
            other => panic!("neither a start nor what is in use: {other:?}"),
        }
    }
    let again = again.unwrap();
    assert!(
        again.whole && again.series.as_ref().unwrap().seconds.len() >= 2,
        "{again:?}"
    );

    std::fs::write(&end, "").unwrap();
    let ended = loop {
        match session.next().await {
            Some(FromWorker::Ended(ended)) => break ended,
            Some(FromWorker::Usage(_)) => {}
            other => panic!("neither an end nor what is in use: {other:?}"),
        }
    };
    assert!(ended.usage.unwrap().seconds.len() >= 2);
    worker.crash().await;
}
