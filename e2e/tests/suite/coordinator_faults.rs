//! A coordinator that is killed, and one that is told to end.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::RngExt as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tunesmith_e2e::{
    Api, Coordinator, Database, Ledger, ProbeStudy, Records, Session, Signal, Storage, Trail, Worker,
    answered, audit, audit_tables, eventually, eventually_within, half_sent,
};
use tunesmith_proto::v1;
use uuid::Uuid;
use v1::TrialState as State;
use v1::open_session_response::Message as Down;

use crate::world::{LEASE, RULES, STUDY, World, asked_study, ready, running, seeded};

/// Kills of the coordinator while trainings run, and while they end.
const KILLS: u32 = 12;

async fn revision(api: &mut Api, study: &str) -> Result<u64, String> {
    let study = api.study(study).await.map_err(|status| status.to_string())?;
    Ok(study.revision)
}

/// F2. Defence: a restart loads leases and gives each a new term; workers resend from what is stored.
#[tokio::test(flavor = "multi_thread")]
async fn killing_the_coordinator_again_and_again_restarts_no_training() {
    let mut random = seeded();
    let mut coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let workers = ["a", "b"].map(|name| Worker::start(&coordinator, name, &["--slots", "2"]));
    let (records, mut api) = (Records::new(), coordinator.api());
    let study = ProbeStudy::new("killed", &records, 8, &["--steps=5", "--pause=15", "--open-end"]);
    api.create(&study.budget("trials: 8, parallel: 4").yaml()).await;
    running(&records, 4, 4).await;
    for kill in 1..=KILLS {
        // From the moment it answers to some commits later.
        let more = random.random_range(0..8);
        let before = eventually("it answers", async || revision(&mut api, "killed").await).await;
        if kill == KILLS - 3 {
            records.release();
        }
        eventually("it commits", async || {
            let study = api.study("killed").await.map_err(|status| status.to_string())?;
            let far = study.revision >= before + more || study.state() == v1::StudyState::Done;
            if far {
                Ok(())
            } else {
                Err(format!("revision {} of {}", study.revision, before + more))
            }
        })
        .await;
        coordinator.program.kill();
        coordinator.restart_without_waiting();
    }
    eventually("it answers", async || revision(&mut api, "killed").await).await;
    api.done("killed", STUDY).await;
    let findings = audit(&mut api, "killed", &records).await;
    assert_eq!(findings.count(State::Completed), 8, "{:?}", findings.trials);
    assert_eq!(
        (findings.attempts(), records.starts()),
        (8, 8),
        "trainings were restarted: {:?}",
        findings.trials
    );
    drop(workers);
}

/// F30, but for the pause: both live. Defence: each commit compares the owner's epoch and the number of the commit before; whoever
/// is not the owner any more loads the study again. A commit that compares neither (`WHERE study_id = $1` alone, for Postgres) turns
/// this red.
#[tokio::test(flavor = "multi_thread")]
async fn two_coordinators_on_one_database_never_both_write_a_study() {
    const TRIALS: usize = 25;
    let database = Database::create().await;
    let first = Coordinator::start(&Storage::Postgres(database.clone()), LEASE).await;
    let second = first.start_beside().await;
    let trail = Trail::lay(first.tables()).await;
    let mut api = first.api();
    api.create(&asked_study("torn", RULES)).await;
    let mut callers = JoinSet::new();
    for api in [first.api(), second.api()] {
        callers.spawn(async move {
            let mut ledger = Ledger::default();
            for _ in 0..TRIALS {
                let request = v1::AskTrialsRequest {
                    parent: "studies/torn".to_owned(),
                    client: "caller".to_owned(),
                    request_id: Uuid::new_v4().to_string(),
                    ..Default::default()
                };
                let asked = answered("a call for a trial", || {
                    let (mut api, request) = (api.trials.clone(), request.clone());
                    async move { api.ask_trials(request).await }
                });
                let asked = asked.await.trials.remove(0);
                let trial = asked.trial.unwrap();
                ledger.made(&request.request_id, &trial);
                let request = v1::TellTrialRequest {
                    name: trial.name,
                    value: Some(0.5),
                    lease: asked.lease,
                    request_id: Uuid::new_v4().to_string(),
                    ..Default::default()
                };
                let told = answered("a result", || {
                    let (mut api, request) = (api.trials.clone(), request.clone());
                    async move { api.tell_trial(request).await }
                });
                told.await;
                ledger.told.insert(trial.number, 0.5);
            }
            ledger
        });
    }
    let told = callers.join_all().await;
    trail.check_owners().await;
    let mut ledger = Ledger::default();
    for told in told {
        ledger.join(told);
    }
    let trials = api.trials("torn").await;
    ledger.check(&trials, &BTreeMap::new());
    assert_eq!(trials.len(), ledger.trials.len(), "a trial that nobody was given");
    let owners = database.query("SELECT owner_epoch FROM study_owner").await;
    let epochs: usize = owners[0][0].parse().unwrap();
    assert!(epochs > 4, "the study hardly moved: {epochs} owners");
    audit_tables(&database).await;
    drop((first, second));
    database.drop_database().await;
}

/// F15. Defence: sessions are ended by their own drain, and the server is dropped at a deadline.
#[tokio::test(flavor = "multi_thread")]
async fn sigterm_ends_the_coordinator_however_many_hold_on_to_it() {
    let mut world = World::start(1).await;
    let study = ProbeStudy::new("drained", &world.records, 1, &["--open-end"]);
    world.api.create(&study.yaml()).await;
    running(&world.records, 1, 4).await;
    let mut sessions = Vec::new();
    for connection in 0..10 {
        let mut api = world.coordinator.worker_api();
        for number in 0..10 {
            // Without a place for a trial.
            let name = format!("idle-{connection}-{number}");
            sessions.push(Session::open(&mut api, &name, 1).await.unwrap());
        }
    }
    ready(&mut world.api, 101).await;
    let (mut silent, mut watching) = (Vec::new(), Vec::new());
    for beginning in [
        &b""[..],
        b"GET /healthz HTTP/1.1\r\nHost: loc",
        b"PRI * HTTP/2.0\r\n\r\nSM",
    ] {
        for _ in 0..8 {
            let mut stream = TcpStream::connect(world.coordinator.address()).await.unwrap();
            stream.write_all(beginning).await.unwrap();
            silent.push(stream);
        }
    }
    let mut half = Vec::new();
    for _ in 0..5 {
        half.push(half_sent(&world.coordinator).await);
    }
    for _ in 0..5 {
        let request = v1::WatchStudyRequest {
            name: "studies/drained".to_owned(),
            include_points: true,
        };
        watching.push(world.api.studies.watch_study(request).await.unwrap().into_inner());
    }

    world.coordinator.program.signal(Signal::TERM);
    let program = &mut world.coordinator.program;
    let exited = eventually_within(Duration::from_secs(10), "it ends", async || {
        if program.runs() { Err("it runs") } else { Ok(()) }
    });
    exited.await;
    assert_eq!(
        world.coordinator.program.ended().await.code(),
        Some(0),
        "{}",
        world.coordinator.program.output()
    );
    for session in &mut sessions {
        let mut drained = false;
        while let Ok(message) = session.next().await {
            drained |= matches!(message, Down::Drain(_));
        }
        assert!(drained, "a session ended without being told to come back");
    }
    for call in half {
        assert!(call.await.is_err(), "half a request was answered");
    }
    for mut stream in silent {
        // Nothing is left open.
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
    }

    world.coordinator.restart().await;
    eventually("the worker is back", async || {
        let request = v1::GetWorkerRequest {
            name: "workers/first".to_owned(),
        };
        let worker = world
            .api
            .pool
            .get_worker(request)
            .await
            .map_err(|status| status.to_string())?
            .into_inner()
            .worker;
        let state = worker.unwrap_or_default().state();
        if state == v1::WorkerState::Ready {
            Ok(())
        } else {
            Err(format!("{state:?}"))
        }
    })
    .await;
    world.records.release();
    let findings = world.finish("drained").await;
    assert_eq!(
        (findings.count(State::Completed), findings.attempts()),
        (1, 1),
        "{:?}",
        findings.trials
    );
}
