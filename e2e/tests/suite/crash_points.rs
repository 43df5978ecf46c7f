//! A coordinator that dies at each point that has a name, among trainings and callers.
//!
//! Each of these changes to the coordinator turns this red: answers given before the commit (`give(answers)` above it in the
//! engine); request ids not stored (`statement.requests` left out), or not loaded (`loader.requests`); points not loaded
//! (`loader.points`); no transaction in SQLite (`BEGIN` and `COMMIT` left out); a point that nobody reaches (`crash_point!` left out).

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::process::ExitStatusExt as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tunesmith_e2e::{
    Api, Coordinator, Database, Ledger, ProbeStudy, Records, Signal, Storage, Trail, Worker, audit,
    audit_decisions, audit_suggestions, audit_tables, crash_points, eventually, points, still_answered,
    study_spec,
};
use tunesmith_proto::v1;
use uuid::Uuid;
use v1::TrialState as State;

use crate::world::{RULES, STUDY, asked_study, fork, ready, running, seeded};

/// Long enough for a restart of a program with debug assertions on a busy machine.
const LEASE: Duration = Duration::from_secs(15);
/// Trials of the long study, whose trainings run all the time.
const LONG: usize = 2;

/// F1. Defence: nothing is told before it is committed; a commit is whole or not at all; loading brings back all that was told.
#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_point_loses_nothing_in_a_file() {
    Box::pin(walk(&Storage::Sqlite, "postgres")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn dying_at_any_point_loses_nothing_in_a_server() {
    let database = Database::create().await;
    Box::pin(walk(&Storage::Postgres(database.clone()), "sqlite")).await;
    database.drop_database().await;
}

/// Dies at each point but those of another store, with trainings running and calls under way.
async fn walk(storage: &Storage, other_store: &str) {
    let mut random = seeded();
    let mut coordinator = Coordinator::start(storage, LEASE).await;
    let trail = Trail::lay(coordinator.tables()).await;
    let worker = Worker::start(&coordinator, "first", &["--slots", "4"]);
    let mut api = coordinator.api();
    let records = Records::new();
    let long = ProbeStudy::new("long", &records, LONG as u64, &["--steps=5", "--open-end"]);
    api.create(&long.yaml()).await;
    api.create(&asked_study("asked", RULES)).await;
    running(&records, LONG, 4).await;
    let caller = Caller {
        api: coordinator.api(),
        calls: AtomicU64::new(0),
    };
    let mut memory = Memory::default();
    let points = crash_points();
    assert!(points.len() > 10, "{points:?}");
    for point in points.iter().filter(|point| !point.contains(other_store)) {
        // In the middle it matters in the middle of what.
        let times = if point.contains("half") { 4 } else { 1 };
        for time in 1..=times {
            // Mostly the worker is there; sometimes it is on its way back.
            if random.random_bool(0.7) {
                ready(&mut api, 1).await;
            }
            let crashed = AtomicBool::new(false);
            let calls = caller.calls.load(Ordering::SeqCst);
            // A study may be made at any moment; where it is the making that dies, then of course.
            let after = if point.starts_with("commit") {
                calls + random.random_range(0..8)
            } else {
                calls
            };
            let dying = async {
                die_at(&mut coordinator, point, async || {
                    let done = caller.calls.load(Ordering::SeqCst);
                    if done >= after { Ok(()) } else { Err(done) }
                })
                .await;
                crashed.store(true, Ordering::SeqCst);
            };
            let (mut more, study) = (fork(&mut random), format!("at-{point}-{time}"));
            tokio::join!(dying, caller.rounds(&mut memory, &mut more, &study, &crashed));
            Box::pin(caller.repeat(&memory)).await;
        }
    }
    finish(&mut api, &trail, &records, &memory).await;
    audit_tables(coordinator.tables()).await;
    drop(worker);
}

/// Has the coordinator die at a point once `ready` says so, and starts it again.
async fn die_at(coordinator: &mut Coordinator, point: &str, ready: impl AsyncFnMut() -> Result<(), u64>) {
    match point.split('-').next().unwrap_or_default() {
        "load" => {
            coordinator.program.kill();
            coordinator.crash_at(point);
            coordinator.restart_without_waiting();
        }
        "stop" => {
            coordinator.crash_at(point);
            coordinator.program.signal(Signal::TERM);
        }
        _ => {
            eventually("some calls are answered", ready).await;
            coordinator.crash_at(point);
        }
    }
    let what = format!("the coordinator dies at {point}");
    eventually(&what, async || {
        if coordinator.program.runs() {
            Err("it runs")
        } else {
            Ok(())
        }
    })
    .await;
    let status = coordinator.program.ended().await;
    assert!(
        status.signal() == Some(9) && !coordinator.will_crash(),
        "it was never at {point}; it ended with {status}:\n{}",
        coordinator.program.output()
    );
    coordinator.restart_without_waiting();
}

/// A call and its answer.
type Answered<Q, A> = Vec<(Q, A)>;

/// Every call that was answered.
#[derive(Default)]
struct Memory {
    created: Answered<v1::CreateStudyRequest, v1::Study>,
    /// Studies of trainings that were made meanwhile, with their records.
    short: Vec<(String, Records)>,
    asked: Answered<v1::AskTrialsRequest, v1::AskedTrial>,
    added: Answered<v1::AddTrialRequest, v1::Trial>,
    reported: Answered<v1::ReportPointsRequest, u64>,
    told: Answered<v1::TellTrialRequest, v1::Trial>,
    ledger: Ledger,
}

/// Calls all the time, and repeats each call until it is answered.
struct Caller {
    api: Api,
    /// Answered so far.
    calls: AtomicU64,
}

/// Repeats a call until it is answered.
macro_rules! call {
    ($self:ident, $service:ident.$method:ident($request:expr)) => {{
        let request = $request;
        let answer = still_answered(stringify!($method), || {
            let (mut api, request) = ($self.api.$service.clone(), request.clone());
            async move { api.$method(request).await }
        })
        .await;
        $self.calls.fetch_add(1, Ordering::SeqCst);
        answer
    }};
}

impl Caller {
    /// Calls until the coordinator has died, and is back.
    async fn rounds(&self, memory: &mut Memory, random: &mut ChaCha8Rng, study: &str, crashed: &AtomicBool) {
        Box::pin(self.create(memory, study)).await;
        loop {
            let over = crashed.load(Ordering::SeqCst);
            self.round(memory, random).await;
            if over {
                return;
            }
        }
    }

    /// Makes a study of two short trainings.
    async fn create(&self, memory: &mut Memory, name: &str) {
        let records = Records::new();
        let study = ProbeStudy::new(name, &records, 2, &["--steps=3"]);
        let request = v1::CreateStudyRequest {
            spec: Some(study_spec(&study.yaml())),
            request_id: Uuid::new_v4().to_string(),
            ..Default::default()
        };
        let created = call!(self, studies.create_study(request.clone())).study.unwrap();
        memory.created.push((request, created));
        memory.short.push((name.to_owned(), records));
    }

    /// Asks for a trial, perhaps adds another, reports about the first, and, mostly, tells its end.
    async fn round(&self, memory: &mut Memory, random: &mut ChaCha8Rng) {
        let mut id = || Uuid::from_u128(random.random()).to_string();
        let parent = "studies/asked".to_owned();
        let ask = v1::AskTrialsRequest {
            parent: parent.clone(),
            client: "caller".to_owned(),
            request_id: id(),
            ..Default::default()
        };
        let add = v1::AddTrialRequest {
            parent,
            request_id: id(),
            ..Default::default()
        };
        let tell_id = id();
        let asked = call!(self, trials.ask_trials(ask.clone())).trials.remove(0);
        let trial = asked.trial.clone().unwrap();
        memory.ledger.made(&ask.request_id, &trial);
        memory.asked.push((ask, asked.clone()));
        // Those that are added are handed out before new ones.
        if random.random_bool(0.3) {
            let added = call!(self, trials.add_trial(add.clone())).trial.unwrap();
            memory.added.push((add, added));
        }
        let height: f64 = random.random();
        for step in 1..=3_u32 {
            let point = (i64::from(step), height * f64::from(step) / 3.0);
            let report = v1::ReportPointsRequest {
                name: trial.name.clone(),
                points: Some(points("score", &[point])),
                lease: asked.lease.clone(),
                first_seq: step.into(),
            };
            let answer = call!(self, trials.report_points(report.clone()));
            assert_eq!(answer.committed_seq, u64::from(step), "{}", trial.name);
            memory.ledger.points.entry(trial.number).or_default().push(point);
            memory.reported.push((report, answer.committed_seq));
        }
        // Some stay open: also they are there again.
        if random.random_bool(0.3) {
            return;
        }
        let tell = v1::TellTrialRequest {
            name: trial.name.clone(),
            value: Some(height),
            lease: asked.lease,
            request_id: tell_id,
            ..Default::default()
        };
        let told = call!(self, trials.tell_trial(tell.clone())).trial.unwrap();
        assert_eq!(told.state(), State::Completed, "{told:?}");
        memory.ledger.told.insert(trial.number, height);
        memory.told.push((tell, told));
    }

    /// Makes every call again and expects the answer it had.
    async fn repeat(&self, memory: &Memory) {
        for (request, created) in &memory.created {
            let again = call!(self, studies.create_study(request.clone())).study.unwrap();
            assert_eq!((&again.name, &again.uid), (&created.name, &created.uid));
        }
        for (request, asked) in &memory.asked {
            let again = call!(self, trials.ask_trials(request.clone())).trials;
            let trial = asked.trial.as_ref().unwrap();
            let expected = vec![(trial.number, trial.parameters.clone(), asked.lease.clone())];
            let again = again.into_iter().map(|it| {
                let trial = it.trial.unwrap();
                (trial.number, trial.parameters, it.lease)
            });
            let again: Vec<_> = again.collect();
            assert_eq!(again, expected, "{request:?}");
        }
        for (request, added) in &memory.added {
            let again = call!(self, trials.add_trial(request.clone())).trial.unwrap();
            assert_eq!(
                (again.number, &again.parameters),
                (added.number, &added.parameters)
            );
        }
        for (request, told) in &memory.told {
            let again = call!(self, trials.tell_trial(request.clone())).trial.unwrap();
            assert_eq!(
                (again.state(), again.value, &again.ended_at),
                (told.state(), told.value, &told.ended_at)
            );
        }
    }
}

/// Lets everything end by itself and audits it.
async fn finish(api: &mut Api, trail: &Trail, records: &Records, memory: &Memory) {
    let short = memory
        .short
        .iter()
        .map(|(name, records)| (name.as_str(), records));
    for (name, records) in short {
        api.done(name, STUDY).await;
        whole(api, name, records, 2).await;
    }
    records.release();
    api.done("long", STUDY).await;
    whole(api, "long", records, LONG).await;

    let trials = api.trials("asked").await;
    let mut stored = BTreeMap::new();
    for trial in &trials {
        stored.insert(trial.number, api.curve(&trial.name, "score").await);
    }
    memory.ledger.check(&trials, &stored);
    let asked = memory
        .asked
        .iter()
        .filter_map(|(_, asked)| Some(asked.trial.as_ref()?.number));
    let given: BTreeSet<u64> = asked
        .chain(memory.added.iter().map(|(_, added)| added.number))
        .collect();
    assert_eq!(trials.len(), given.len(), "a trial that nobody was given");
    let study = api.study("asked").await.unwrap();
    audit_suggestions(&study, &trials);
    assert!(audit_decisions(trail, &study).await > 0, "no rule said anything");
    trail.check_owners().await;
}

/// Every trial of a study of trainings ran once and completed.
async fn whole(api: &mut Api, name: &str, records: &Records, trials: usize) {
    let findings = audit(api, name, records).await;
    assert_eq!(
        (
            findings.count(State::Completed),
            findings.attempts(),
            records.starts()
        ),
        (trials, trials, trials),
        "study {name}: trainings were lost or restarted: {:?}",
        findings.trials
    );
}
