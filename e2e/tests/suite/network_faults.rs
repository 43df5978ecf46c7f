//! Cuts between a worker and its coordinator.

use tunesmith_e2e::{
    Api, Coordinator, Link, ProbeStudy, Proxy, Records, Signal, Storage, Usage, Worker, alive, audit,
    bytes_in, eventually,
};
use tunesmith_proto::v1;
use v1::TrialState as State;

use crate::world::{LEASE, STUDY, running};

struct Cut {
    coordinator: Coordinator,
    proxy: Proxy,
    near: Worker,
    records: Records,
    api: Api,
}

/// A worker behind a network that can be cut.
async fn behind_a_proxy() -> Cut {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let proxy = Proxy::start(coordinator.address()).await;
    let url = format!("http://{}", proxy.address());
    let near = Worker::start_at(
        &url,
        &coordinator.worker_token(),
        "near",
        &["--slots", "1", "--keep-attempts", "1ms"],
    );
    let api = coordinator.api();
    Cut {
        coordinator,
        proxy,
        near,
        records: Records::new(),
        api,
    }
}

/// Lines that the first attempt of the first trial has printed.
fn printed(records: &Records) -> usize {
    records.read().get(&(1, 1)).map_or(0, |told| told.points.len())
}

/// Waits until a worker knows that nothing of its attempts is wanted any more, and starts it again: it keeps none of their files.
async fn forgotten(worker: &mut Worker, attempt: &str) {
    let trials = worker.folder().join("trials");
    eventually("the attempt is forgotten", async || {
        let studies = std::fs::read_dir(&trials).unwrap().flatten();
        let marks: Vec<_> = studies
            .map(|study| study.path().join(attempt).join("forgotten"))
            .collect();
        if marks.iter().all(|mark| mark.exists()) {
            Ok(())
        } else {
            Err(marks)
        }
    })
    .await;
    worker.program.signal(Signal::TERM);
    assert!(worker.program.ended().await.success());
    worker.restart();
    eventually("files of attempts are removed", async || {
        match bytes_in(&trials) {
            0 => Ok(()),
            left => Err(left),
        }
    })
    .await;
}

/// F4. Defence: a silence shorter than the lease is not a loss, and neither is a connection that breaks.
#[tokio::test(flavor = "multi_thread")]
async fn a_short_cut_costs_no_attempt_and_no_point() {
    let Cut {
        coordinator,
        proxy,
        mut near,
        records,
        mut api,
    } = behind_a_proxy().await;
    let study = ProbeStudy::new("short-cut", &records, 1, &["--open-end", "--pause=20"]);
    api.create(&study.yaml()).await;
    running(&records, 1, 10).await;
    let (ours, theirs) = (coordinator.usage(), Usage::of(&near.program));
    for round in 0..6 {
        let far = printed(&records);
        proxy.set(Link::Stalled);
        running(&records, 1, far + 50).await;
        if round % 2 == 1 {
            // What was on its way is lost, and the connection with it.
            proxy.reset();
        }
        proxy.set(Link::Open);
        eventually("the points printed meanwhile arrive", async || {
            let trial = api.trials("short-cut").await.remove(0);
            let stored = trial.attempts.first().map_or(0, |attempt| attempt.points);
            if stored >= u64::try_from(far + 50).unwrap() {
                Ok(())
            } else {
                Err(format!("{trial:?}"))
            }
        })
        .await;
    }
    records.release();
    api.done("short-cut", STUDY).await;
    let findings = audit(&mut api, "short-cut", &records).await;
    assert_eq!(
        (findings.count(State::Completed), findings.attempts()),
        (1, 1),
        "{:?}",
        findings.trials
    );
    // Connections that broke are closed on both sides, and files that are not needed any more are gone.
    ours.returns(&coordinator.program, 0).await;
    theirs.returns(&near.program, 0).await;
    forgotten(&mut near, "1/1").await;
    drop((near, coordinator));
}

/// F5. Defence: leases are compared for equality; a worker that comes back is told that its attempt is stale, and kills it.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_cut_gives_the_trial_away_and_the_zombie_dies_on_its_return() {
    let Cut {
        coordinator,
        proxy,
        near,
        records,
        mut api,
    } = behind_a_proxy().await;
    let study = ProbeStudy::new("long-cut", &records, 1, &["--open-end"]);
    api.create(&study.yaml()).await;
    running(&records, 1, 10).await;
    proxy.set(Link::Blackhole);
    let mut far = Worker::start(&coordinator, "far", &["--slots", "1", "--keep-attempts", "1ms"]);
    eventually("another worker has the trial", async || {
        let told = records.read();
        if told.get(&(1, 2)).is_some_and(|told| told.points.len() > 4) {
            Ok(())
        } else {
            Err(told)
        }
    })
    .await;
    let before = records.read();
    let zombie = before[&(1, 1)].pids[0];
    assert!(alive(zombie), "the zombie ended before it could know");
    // It prints on, and its worker has much to tell.
    eventually("the zombie prints", async || {
        let count = printed(&records);
        if count > before[&(1, 1)].points.len() + 10 {
            Ok(())
        } else {
            Err(count)
        }
    })
    .await;

    proxy.set(Link::Open);
    proxy.reset();
    eventually("the zombie is dead", async || {
        if alive(zombie) { Err("alive") } else { Ok(()) }
    })
    .await;
    records.release();
    api.done("long-cut", STUDY).await;
    let findings = audit(&mut api, "long-cut", &records).await;
    let trial = &findings.trials[0];
    assert_eq!(
        (trial.state(), trial.attempts.len()),
        (State::Completed, 2),
        "{trial:?}"
    );
    assert_eq!(
        (
            trial.attempts[0].holder.as_str(),
            trial.attempts[0].failure_cause.as_str()
        ),
        ("near", "LEASE_EXPIRED")
    );
    assert_eq!(trial.attempts[1].holder, "far");
    // What was printed during the cut came too late.
    let late = findings.told[&(1, 1)].points.len();
    assert!(
        trial.attempts[0].points < u64::try_from(late).unwrap(),
        "{trial:?}"
    );
    forgotten(&mut far, "1/2").await;
    drop((near, far));
}
