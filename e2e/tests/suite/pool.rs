//! Several workers on one Postgres, and one of them lost.

use std::time::Duration;

use tunesmith_e2e::{
    Coordinator, Database, ProbeStudy, Records, Storage, Worker, audit, audit_tables, eventually,
};
use tunesmith_proto::v1::TrialState as State;

use crate::world::{LEASE, STUDY, ready, running};

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_killed_loses_its_trials_to_others() {
    let database = Database::create().await;
    let coordinator = Coordinator::start(&Storage::Postgres(database.clone()), LEASE).await;
    let more = ["--slots", "2", "--orphan-timeout", "1s"];
    let mut workers: Vec<Worker> = ["a", "b", "c"]
        .map(|name| Worker::start(&coordinator, name, &more))
        .into();
    let mut api = coordinator.api();
    ready(&mut api, 3).await;
    let records = Records::new();
    let study = ProbeStudy::new(
        "lost-worker",
        &records,
        10,
        &["--steps=12", "--hold-at=6", "--checkpoint-every=2"],
    );
    api.create(&study.budget("trials: 10, parallel: 6").yaml()).await;
    running(&records, 6, 10).await;

    let killed = workers.last_mut().unwrap();
    killed.program.kill();
    // Nobody watches over them any more: their supervisors end them.
    eventually("orphans are ended", async || {
        let left = killed.trainings();
        if left.is_empty() { Ok(()) } else { Err(left) }
    })
    .await;
    records.release();

    api.done("lost-worker", STUDY).await;
    let findings = audit(&mut api, "lost-worker", &records).await;
    audit_tables(&database).await;
    assert_eq!(findings.count(State::Completed), 10, "{:?}", findings.trials);
    let retried: Vec<_> = findings
        .trials
        .iter()
        .filter(|trial| trial.attempts.len() == 2)
        .collect();
    assert_eq!(retried.len(), 2, "{:?}", findings.trials);
    for trial in retried {
        assert_eq!(
            (
                trial.attempts[0].holder.as_str(),
                trial.attempts[0].failure_cause.as_str()
            ),
            ("c", "LEASE_EXPIRED")
        );
        assert_ne!(trial.attempts[1].holder, "c");
    }
    drop(workers);
    database.drop_database().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_is_killed_and_comes_back_adopts_its_trainings() {
    let coordinator = Coordinator::start(&Storage::Sqlite, Duration::from_secs(8)).await;
    let mut worker = Worker::start(&coordinator, "first", &["--slots", "2"]);
    let (records, mut api) = (Records::new(), coordinator.api());
    let study = ProbeStudy::new("adopted", &records, 2, &["--open-end"]);
    api.create(&study.yaml()).await;
    running(&records, 2, 6).await;
    for round in 1..=3 {
        worker.program.kill();
        // They print on while nobody reads.
        let far = records
            .read()
            .values()
            .map(|told| told.points.len())
            .min()
            .unwrap();
        running(&records, 2, far + 10).await;
        worker.restart();
        eventually("the points printed meanwhile arrive", async || {
            let trials = api.trials("adopted").await;
            let stored = trials
                .iter()
                .map(|trial| trial.attempts.last().map_or(0, |attempt| attempt.points))
                .min();
            let wanted = u64::try_from(far + 10).unwrap();
            if stored >= Some(wanted) {
                Ok(())
            } else {
                Err(format!("round {round}: {trials:?}"))
            }
        })
        .await;
    }
    records.release();
    api.done("adopted", STUDY).await;
    let findings = audit(&mut api, "adopted", &records).await;
    assert_eq!(
        (findings.count(State::Completed), findings.attempts()),
        (2, 2),
        "{:?}",
        findings.trials
    );
}
