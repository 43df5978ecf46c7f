//! A database that crashes, loses answers, or stalls, and clients that hang up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tunesmith_e2e::{
    Api, Coordinator, Database, Ledger, Link, LostAnswers, Postgres, Proxy, Session, Storage, Tables, Trail,
    answered, audit_decisions, audit_suggestions, audit_tables, eventually, points,
};
use tunesmith_proto::v1;
use uuid::Uuid;
use v1::open_session_request::Message as Up;
use v1::open_session_response::Message as Down;

use crate::world::{LEASE, RULES, STUDY, asked_study, fork, ready, seeded};

/// What clients of a study do until they are told to end.
struct Clients {
    tasks: JoinSet<Ledger>,
    over: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
}

impl Clients {
    fn start(coordinator: &Coordinator, study: &str, count: u32, random: &mut ChaCha8Rng) -> Self {
        let (over, acknowledged) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut tasks = JoinSet::new();
        for _ in 0..count {
            let client = Client {
                api: coordinator.api(),
                study: study.to_owned(),
                random: fork(random),
                acknowledged: Arc::clone(&acknowledged),
                ledger: Ledger::default(),
            };
            tasks.spawn(client.run(Arc::clone(&over)));
        }
        Self {
            tasks,
            over,
            acknowledged,
        }
    }

    /// Waits for so many more acknowledged calls.
    async fn progress(&self, calls: u64) {
        let wanted = self.acknowledged.load(Ordering::SeqCst) + calls;
        eventually("calls are answered", async || {
            let done = self.acknowledged.load(Ordering::SeqCst);
            if done >= wanted {
                Ok(())
            } else {
                Err(format!("{done} of {wanted}"))
            }
        })
        .await;
    }

    async fn end(mut self) -> Ledger {
        self.over.store(true, Ordering::SeqCst);
        let mut ledger = Ledger::default();
        while let Some(ended) = self.tasks.join_next().await {
            ledger.join(ended.unwrap());
        }
        ledger
    }
}

struct Client {
    api: Api,
    study: String,
    random: ChaCha8Rng,
    acknowledged: Arc<AtomicU64>,
    ledger: Ledger,
}

impl Client {
    /// Asks, reports and tells; each call is repeated until it is answered. Always ends with a whole trial.
    async fn run(mut self, over: Arc<AtomicBool>) -> Ledger {
        while !over.load(Ordering::SeqCst) {
            let request = v1::AskTrialsRequest {
                parent: format!("studies/{}", self.study),
                count: 1,
                client: "client".to_owned(),
                request_id: Uuid::from_u128(self.random.random()).to_string(),
                ..Default::default()
            };
            let asked = answered("a call for a trial", || {
                let (mut api, request) = (self.api.trials.clone(), request.clone());
                async move { api.ask_trials(request).await }
            });
            let asked = asked.await.trials.remove(0);
            self.count();
            let trial = asked.trial.unwrap();
            self.ledger.made(&request.request_id, &trial);
            let curve: Vec<(i64, f64)> = (1..=3).map(|step| (step, self.random.random())).collect();
            for (first_seq, point) in (1..).zip(&curve) {
                let request = v1::ReportPointsRequest {
                    name: trial.name.clone(),
                    points: Some(points("score", &[*point])),
                    lease: asked.lease.clone(),
                    first_seq,
                };
                let answer = answered("a report", || {
                    let (mut api, request) = (self.api.trials.clone(), request.clone());
                    async move { api.report_points(request).await }
                });
                let answer = answer.await;
                self.count();
                assert_eq!(
                    answer.committed_seq, first_seq,
                    "points of trial {}",
                    trial.number
                );
                self.ledger.points.entry(trial.number).or_default().push(*point);
            }
            let value = self.random.random();
            let request = v1::TellTrialRequest {
                name: trial.name.clone(),
                value: Some(value),
                lease: asked.lease.clone(),
                request_id: Uuid::from_u128(self.random.random()).to_string(),
                ..Default::default()
            };
            let told = answered("a result", || {
                let (mut api, request) = (self.api.trials.clone(), request.clone());
                async move { api.tell_trial(request).await }
            });
            told.await;
            self.count();
            self.ledger.told.insert(trial.number, value);
        }
        self.ledger
    }

    fn count(&self) {
        self.acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

/// Holds everything that clients were told against what is stored.
async fn check(api: &mut Api, database: &Database, trail: &Trail, study: &str, ledger: &Ledger) {
    audit_tables(database).await;
    trail.check_owners().await;
    let mut trials = Vec::new();
    let mut request = v1::ListTrialsRequest {
        parent: format!("studies/{study}"),
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = api
            .trials
            .list_trials(request.clone())
            .await
            .unwrap()
            .into_inner();
        trials.extend(page.trials);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    let rows = database
        .query("SELECT trial, step, value FROM point ORDER BY trial, attempt, step")
        .await;
    let mut stored = std::collections::BTreeMap::<u64, Vec<(i64, f64)>>::new();
    for row in rows {
        stored
            .entry(row[0].parse().unwrap())
            .or_default()
            .push((row[1].parse().unwrap(), row[2].parse().unwrap()));
    }
    assert!(
        ledger.told.len() > 10,
        "too little happened: {}",
        ledger.told.len()
    );
    ledger.check(&trials, &stored);
    let study = api.study(study).await.unwrap();
    audit_suggestions(&study, &trials);
    assert!(audit_decisions(trail, &study).await > 0, "no rule said anything");
}

/// F8. Defence: nothing is answered before it is committed; a commit whose outcome is unknown ends in loading the study again.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_crashes_loses_nothing_that_was_answered() {
    let mut random = seeded();
    let server = tokio::task::spawn_blocking(Postgres::start).await.unwrap();
    let database = Database::create_in(server.url()).await;
    let coordinator = Coordinator::start(&Storage::Postgres(database.clone()), LEASE).await;
    let before = coordinator.usage();
    let mut api = coordinator.api();
    let trail = Trail::lay(Tables::Postgres(database.clone())).await;
    api.create(&asked_study("crashes", RULES)).await;
    let clients = Clients::start(&coordinator, "crashes", 8, &mut random);
    for _ in 0..4 {
        clients.progress(random.random_range(20..200)).await;
        server.crash_and_restart().await;
    }
    clients.progress(100).await;
    let ledger = clients.end().await;
    check(&mut api, &database, &trail, "crashes", &ledger).await;
    assert_eq!(
        api.trials("crashes").await.len(),
        ledger.trials.len(),
        "a trial that nobody was given"
    );
    before.returns(&coordinator.program, DATABASE_CONNECTIONS).await;
    drop(coordinator);
}

/// F10. Defence: loading again after a lost answer, request ids, and numbers of points.
#[tokio::test(flavor = "multi_thread")]
async fn a_commit_whose_answer_is_lost_is_neither_lost_nor_done_twice() {
    let mut random = seeded();
    let database = Database::create().await;
    let url = database.url();
    let (_, rest) = url.split_once('@').unwrap();
    let proxy = LostAnswers::start(rest.split_once('/').unwrap().0.parse().unwrap()).await;
    let coordinator = Coordinator::start(&Storage::Url(proxy.url(&url)), LEASE).await;
    let before = coordinator.usage();
    let mut api = coordinator.api();
    let trail = Trail::lay(Tables::Postgres(database.clone())).await;
    api.create(&asked_study("lost-answers", RULES)).await;
    let clients = Clients::start(&coordinator, "lost-answers", 4, &mut random);
    for round in 1..=25 {
        proxy.lose_next();
        eventually("an answer is lost", async || {
            if proxy.lost() >= round {
                Ok(())
            } else {
                Err(proxy.lost())
            }
        })
        .await;
        clients.progress(random.random_range(1..10)).await;
    }
    let ledger = clients.end().await;
    check(&mut api, &database, &trail, "lost-answers", &ledger).await;
    assert_eq!(
        api.trials("lost-answers").await.len(),
        ledger.trials.len(),
        "a trial that nobody was given"
    );
    before.returns(&coordinator.program, DATABASE_CONNECTIONS).await;
    drop(coordinator);
    database.drop_database().await;
}

/// A firewall that forgets connections. Defence: commits, and questions whether a connection lives, have a deadline. Without it the kernel
/// goes on sending for a quarter of an hour.
#[tokio::test(flavor = "multi_thread")]
async fn connections_to_the_database_that_die_silently_hold_nobody_up_for_long() {
    let mut random = seeded();
    let database = Database::create().await;
    let (link, through) = behind_a_proxy(&database).await;
    let coordinator = Coordinator::start(&through, LEASE).await;
    let before = coordinator.usage();
    let mut api = coordinator.api();
    let trail = Trail::lay(Tables::Postgres(database.clone())).await;
    api.create(&asked_study("forgotten", RULES)).await;
    let clients = Clients::start(&coordinator, "forgotten", 4, &mut random);
    clients.progress(50).await;
    link.forget();
    clients.progress(50).await;
    let ledger = clients.end().await;
    check(&mut api, &database, &trail, "forgotten", &ledger).await;
    before.returns(&coordinator.program, DATABASE_CONNECTIONS).await;
    drop(coordinator);
    database.drop_database().await;
}

/// The network to a database, and the database as seen through it.
async fn behind_a_proxy(database: &Database) -> (Proxy, Storage) {
    let url = database.url();
    let (user, rest) = url.split_once('@').unwrap();
    let (server, name) = rest.split_once('/').unwrap();
    let link = Proxy::start(server.parse().unwrap()).await;
    let through = Storage::Url(format!("{user}@{}/{name}", link.address()));
    (link, through)
}

/// Makes a call and hangs up after so many turns of the scheduler, a few microseconds each: timers are coarser. True if it did.
async fn hangs_up<T>(call: impl Future<Output = T>, turns: u32) -> bool {
    let patience = async {
        for _ in 0..turns {
            tokio::task::yield_now().await;
        }
    };
    tokio::select! {
        biased;
        _ = call => false,
        () = patience => true,
    }
}

/// F20. Defence: no transaction, and no write, in a task that a client can cancel.
#[tokio::test(flavor = "multi_thread")]
async fn clients_that_hang_up_harm_nobody() {
    const CALLS: usize = 2_000;
    let mut random = seeded();
    let database = Database::create().await;
    let coordinator = Coordinator::start(&Storage::Postgres(database.clone()), LEASE).await;
    let before = coordinator.usage();
    let mut api = coordinator.api();
    let trail = Trail::lay(Tables::Postgres(database.clone())).await;
    api.create(&asked_study("storm", RULES)).await;
    let clients = Clients::start(&coordinator, "storm", 4, &mut random);
    let mut storm = JoinSet::new();
    for _ in 0..8 {
        let (mut api, mut random) = (coordinator.api(), fork(&mut random));
        storm.spawn(async move {
            let mut cancelled = 0;
            for call in 0..CALLS / 8 {
                let turns = random.random_range(0..3_000);
                let request = v1::AskTrialsRequest {
                    parent: "studies/storm".to_owned(),
                    request_id: Uuid::from_u128(random.random()).to_string(),
                    ..Default::default()
                };
                let add = v1::AddTrialRequest {
                    parent: "studies/storm".to_owned(),
                    ..Default::default()
                };
                let hung_up = if call % 2 == 0 {
                    hangs_up(api.trials.ask_trials(request), turns).await
                } else {
                    hangs_up(api.trials.add_trial(add), turns).await
                };
                cancelled += usize::from(hung_up);
            }
            cancelled
        });
    }
    let cancelled: usize = storm.join_all().await.into_iter().sum();
    // As many hung up as did not, about: the calls were at all stages.
    assert!(
        (CALLS / 20..CALLS * 19 / 20).contains(&cancelled),
        "{cancelled} of {CALLS} calls were cancelled"
    );
    clients.progress(50).await;
    let ledger = clients.end().await;
    check(&mut api, &database, &trail, "storm", &ledger).await;
    before.returns(&coordinator.program, DATABASE_CONNECTIONS).await;
    drop(coordinator);
    database.drop_database().await;
}

/// F24. Defence: the session's reader always reads, also while nothing is stored; windows of the connection that hold many small
/// frames. Either of these changes to the coordinator makes sessions break with "h2 protocol error": a reader that waits for each
/// commit (`if reading && inbox.is_empty()` in the session's `read`), and a small window (`CONNECTION_WINDOW` of 64 KiB).
#[tokio::test(flavor = "multi_thread")]
async fn a_stalled_store_breaks_no_session() {
    const SESSIONS: u32 = 50;
    const LAST: u64 = 150;
    let database = Database::create().await;
    let (link, through) = behind_a_proxy(&database).await;
    let coordinator = Coordinator::start(&through, LEASE).await;
    let before = coordinator.usage();
    let mut api = coordinator.api();
    let more = format!(
        "budget: {{trials: {SESSIONS}, parallel: {SESSIONS}}}\ntrial: {{command: [train, '{{args}}']}}"
    );
    api.create(&asked_study("stalled", &more)).await;
    let flow = Arc::new(Flow::default());
    let mut workers = JoinSet::new();
    for number in 0..SESSIONS {
        let (mut api, flow) = (coordinator.worker_api(), Arc::clone(&flow));
        workers.spawn(async move {
            let session = Session::open(&mut api, &format!("w{number}"), 1).await?;
            // While nothing is stored, some do not care for the window, and give sign of life after sign of life.
            let floods = number % FLOODING == 0;
            tiny_batches(session, floods, if floods { FLOOD } else { LAST }, &flow).await
        });
    }
    ready(&mut api, usize::try_from(SESSIONS).unwrap()).await;
    eventually("points flow", async || {
        let count = flow.acknowledged.load(Ordering::SeqCst);
        if count > u64::from(SESSIONS) * 5 {
            Ok(())
        } else {
            Err(count)
        }
    })
    .await;

    link.set(Link::Stalled);
    flow.stalled.cancel();
    let floods = u64::from(SESSIONS.div_ceil(FLOODING));
    eventually("much is said while nothing is stored", async || {
        if let Some(Ok(Err(status))) = workers.try_join_next() {
            panic!("a session broke: {status:?}\n{}", coordinator.program.output());
        }
        let signs = flow.signs.load(Ordering::SeqCst);
        let waiting = flow.sent.load(Ordering::SeqCst) - flow.acknowledged.load(Ordering::SeqCst);
        if signs == floods * SIGNS && waiting > floods * FLOOD / 2 {
            Ok(())
        } else {
            Err((signs, waiting))
        }
    })
    .await;
    assert!(
        coordinator.usage().memory < 512 << 20,
        "{:?}",
        coordinator.usage()
    );
    link.set(Link::Open);

    while let Some(ended) = workers.join_next().await {
        if let Err(status) = ended.unwrap() {
            panic!("a session broke: {status:?}\n{}", coordinator.program.output());
        }
    }
    api.done("stalled", STUDY).await;
    audit_tables(&database).await;
    for trial in api.trials("stalled").await {
        assert_eq!(
            (trial.state(), trial.attempts.len()),
            (v1::TrialState::Completed, 1),
            "{trial:?}"
        );
        let points = trial.attempts[0].points;
        assert!([LAST, FLOOD].contains(&points), "{trial:?}");
    }
    before.returns(&coordinator.program, DATABASE_CONNECTIONS).await;
    drop(coordinator);
    database.drop_database().await;
}

/// Connections that a coordinator keeps to its database.
const DATABASE_CONNECTIONS: usize = 16;
/// Batches that may be unacknowledged, by the protocol.
const WINDOW: u64 = 4;
/// Every so many sessions one floods.
const FLOODING: u32 = 25;
/// Points of a session that sends all of them at once.
const FLOOD: u64 = 2_000;
/// Signs of life of such a session: more than h2 would let wait unread in a connection's window of 8 MiB.
const SIGNS: u64 = 18_000;

/// What many sessions together sent.
#[derive(Default)]
struct Flow {
    sent: AtomicU64,
    acknowledged: AtomicU64,
    signs: AtomicU64,
    /// Nothing is stored any more.
    stalled: CancellationToken,
}

/// Runs one trial whose every point is a message of its own, as fast as the protocol allows.
async fn tiny_batches(mut session: Session, floods: bool, last: u64, flow: &Flow) -> Result<(), Status> {
    let mut heartbeat = tokio::time::interval(LEASE / 8);
    let up = session.up.clone();
    let mut signs = std::pin::pin!(async {
        flow.stalled.cancelled().await;
        for _ in 0..SIGNS {
            let sign = v1::OpenSessionRequest {
                message: Some(Up::Heartbeat(v1::Heartbeat {})),
            };
            // What is wrong with a session that is over its reader says.
            if up.send(sign).await.is_err() {
                return;
            }
            flow.signs.fetch_add(1, Ordering::SeqCst);
            // What waits together leaves in one frame, but it is frames that count.
            while up.capacity() < up.max_capacity() {
                tokio::task::yield_now().await;
            }
        }
    });
    let mut signing = floods;
    let (mut lease, mut next, mut stored): (Option<v1::Lease>, u64, u64) = (None, 1, 0);
    loop {
        let window = if floods && flow.stalled.is_cancelled() {
            FLOOD
        } else {
            WINDOW
        };
        while lease.is_some() && next <= last && next <= stored + window {
            let point = [(i64::try_from(next).unwrap(), 0.5)];
            let batch = v1::PointsBatch {
                lease: lease.clone(),
                first_seq: next,
                points: Some(points("score", &point)),
            };
            session.send(Up::Points(batch)).await?;
            flow.sent.fetch_add(1, Ordering::SeqCst);
            next += 1;
        }
        let message = tokio::select! {
            message = session.next() => message?,
            () = &mut signs, if signing => {
                signing = false;
                continue;
            }
            _ = heartbeat.tick() => {
                session.send(Up::Heartbeat(v1::Heartbeat {})).await?;
                continue;
            }
        };
        match message {
            Down::Assignment(assignment) => {
                let started = v1::AttemptStarted {
                    lease: assignment.lease.clone(),
                    pid: 1,
                    started_at: None,
                };
                lease = assignment.lease;
                session.send(Up::Started(started)).await?;
            }
            Down::Ack(ack) => {
                flow.acknowledged
                    .fetch_add(ack.committed_seq.saturating_sub(stored), Ordering::SeqCst);
                stored = stored.max(ack.committed_seq);
                if stored == last {
                    let end = v1::AttemptEnded {
                        lease: lease.clone(),
                        last_seq: last,
                        ended_at: Some(pbjson_types::Timestamp {
                            seconds: 1_800_000_000,
                            nanos: 0,
                        }),
                        outcome: Some(v1::attempt_ended::Outcome::ExitCode(0)),
                        ..Default::default()
                    };
                    session.send(Up::Ended(end)).await?;
                }
            }
            Down::Forget(_) => return Ok(()),
            Down::Heartbeat(_) | Down::Hello(_) => {}
            other => return Err(Status::aborted(format!("unexpected: {other:?}"))),
        }
    }
}
