//! Engines on each store: what one commit does, and the upkeep afterwards.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunesmith_common::clock::{Clock, TestClock};
use tunesmith_common::measurement::{Point, PointBatch};
use tunesmith_common::study::StudyFile;
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, WorkerResources};
use tunesmith_common::{LeaseKey, RequestId, StudyId, Timestamp, TrialNumber, WorkerId};
use uuid::Uuid;

use super::{EngineHandle, EngineSettings, Engines};
use crate::decide::{Order, TellRequest};
use crate::pool::{Dispatcher, Hello, Pool, Session, ToWorker};
use crate::store::testing::Backend;
use crate::store::{AuditRow, Lineage, PointChunk, Store, StudyRow, StudyState};

/// Longer than anything takes on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);
const LEASE: Duration = Duration::from_secs(3600);

/// A coordinator without a network.
struct Desk {
    clock: Arc<TestClock>,
    store: Arc<dyn Store>,
    pool: Arc<Pool>,
    engines: Arc<Engines>,
    end: CancellationToken,
}

impl Desk {
    fn new(store: &Arc<dyn Store>, clock: &Arc<TestClock>) -> Self {
        let as_clock: Arc<dyn Clock> = Arc::clone(clock) as _;
        let end = CancellationToken::new();
        let pool = Pool::new(Arc::clone(&as_clock), vec![], Arc::default());
        let settings = EngineSettings {
            join_after: Duration::ZERO,
            ..EngineSettings::new(LEASE)
        };
        let engines = Engines::new(
            Arc::clone(store),
            Arc::clone(&pool),
            as_clock,
            settings,
            end.clone(),
        );
        Self {
            clock: Arc::clone(clock),
            store: Arc::clone(store),
            pool,
            engines,
            end,
        }
    }

    async fn study(&self, id: u128, more: &str) -> EngineHandle {
        let text = format!(
            "name: s{id}\nobjective: {{metric: acc, goal: maximize}}\nspace: {{x: {{type: float, low: 0, high: 1}}}}\n\
             strategy: {{name: random, seed: 1}}\n{more}"
        );
        let (raw, spec) = StudyFile::parse(&text, "s.yaml").unwrap();
        let now = self.clock.now();
        let row = StudyRow {
            id: StudyId(Uuid::from_u128(id)),
            name: spec.name,
            spec: raw,
            lineage: Lineage::default(),
            state: StudyState::Active,
            state_reason: String::new(),
            strategy_note: String::new(),
            active_time: Duration::ZERO,
            gpu_seconds: 0.0,
            cost: 0.0,
            creator: String::new(),
            policy: None,
            created_at: now,
            done_at: None,
            updated_at: now,
        };
        let audit = AuditRow {
            at: now,
            actor: "me".to_owned(),
            action: "create".to_owned(),
            subject: format!("studies/s{id}"),
            detail: String::new(),
        };
        self.engines.create(row, Vec::new(), None, audit).await.unwrap().1
    }

    /// A worker with that many slots joins.
    fn worker(&self, slots: u32) -> Session {
        let session = self.pool.connect(&Hello {
            id: WorkerId(Uuid::from_u128(77)),
            name: "w".parse().unwrap(),
            instance: "1".to_owned(),
            generation: 1,
            version: "1".to_owned(),
            address: "here".to_owned(),
            resources: WorkerResources {
                slots,
                cpus: 64.0,
                memory: 1 << 40,
                gpus: vec![],
                labels: std::collections::BTreeMap::new(),
                stores: vec![],
            },
            attempts: vec![],
            leaving: false,
        });
        let session = session.unwrap();
        self.pool.attached(&session, vec![]);
        session
    }

    async fn stop(self) {
        self.end.cancel();
        self.engines.ended().await;
    }
}

/// The next assignment of a worker.
async fn assigned(session: &mut Session) -> LeaseKey {
    loop {
        let order = tokio::time::timeout(DEADLINE, session.outgoing.recv()).await;
        if let ToWorker::Order(Order::Assign(assignment)) = order.unwrap().unwrap() {
            return assignment.lease;
        }
    }
}

fn batch(step: i64) -> PointBatch {
    PointBatch {
        metrics: vec!["acc".parse().unwrap()],
        points: vec![Point {
            metric: 0,
            step,
            value: 0.5,
            at: Timestamp::UNIX_EPOCH,
        }],
    }
}

/// A worker tells the start, the last point and the end at once.
async fn ends(engine: &EngineHandle, worker: WorkerId, lease: LeaseKey) {
    let end = AttemptEnd {
        lease,
        last_seq: 1,
        ended_at: Timestamp::UNIX_EPOCH,
        outcome: AttemptOutcome::Exited(0),
        stop_cause: None,
        infeasible: None,
        out_of_memory: false,
        peak_memory: 0,
        usage: Default::default(),
        checkpoint: None,
        log_tail: String::new(),
        warnings: Vec::new(),
    };
    let told = engine.call(move |core, out, ctx| {
        core.started(out, ctx, worker, lease, 1);
        core.points(out, ctx, worker, lease, 1, &batch(1));
        core.ended(out, ctx, worker, end);
        Ok(())
    });
    told.await.unwrap();
}

async fn ask(engine: &EngineHandle, request: u128) -> TrialNumber {
    let request = (RequestId(Uuid::from_u128(request)), [0; 32]);
    let asked = engine.call(move |core, out, ctx| Ok(core.ask(out, ctx, 1, "me", None, Some(request))?));
    asked.await.unwrap()[0].trial
}

async fn report(engine: &EngineHandle, trial: TrialNumber, step: i64) {
    let reported =
        engine.call(move |core, out, ctx| Ok(core.report(out, ctx, trial, None, 0, &batch(step))?));
    reported.await.unwrap();
}

async fn tell(engine: &EngineHandle, trial: TrialNumber) {
    let told = engine.call(move |core, out, ctx| {
        let tell = TellRequest {
            trial,
            lease: None,
            value: None,
            values: Vec::new(),
            failure: None,
        };
        Ok(core.tell(out, ctx, tell)?)
    });
    told.await.unwrap();
}

/// Waits until `what` is there.
async fn eventually<T>(mut what: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = what().await {
            return found;
        }
        assert!(Instant::now() < deadline, "never");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn the_next_trial_is_handed_out_in_the_commit_that_ends_the_last_one() {
    let backend = Backend::memory().await;
    let (store, clock) = (
        backend.open().await,
        Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)),
    );
    let desk = Desk::new(&store, &clock);
    let dispatching = CancellationToken::new();
    let dispatcher = Dispatcher::new(Arc::clone(&desk.pool), Arc::clone(&desk.engines));
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(dispatcher.run(dispatching.clone()));
    // As many run as may: nothing is wanted before the end is taken in.
    let engine = desk
        .study(1, "budget: {trials: 3, parallel: 1}\ntrial: {command: [train]}\n")
        .await;
    let mut worker = desk.worker(1);
    let mut lease = assigned(&mut worker).await;
    for next in 2..=3 {
        let mut commits = engine.watch();
        ends(&engine, worker.worker, lease).await;
        let commit = commits.recv().await.unwrap();
        let states: Vec<_> = commit
            .changes
            .trials
            .iter()
            .map(|row| (row.number.0, row.state.name()))
            .collect();
        assert_eq!(states, [(next - 1, "COMPLETED"), (next, "LEASED")]);
        lease = assigned(&mut worker).await;
        assert_eq!(lease.trial, TrialNumber(next));
        assert_eq!(desk.pool.workers()[0].leases, [lease], "one slot, one trial");
    }
    ends(&engine, worker.worker, lease).await;
    assert!(desk.pool.workers()[0].leases.is_empty(), "the budget is used up");
    dispatching.cancel();
    tasks.close();
    tasks.wait().await;
    desk.stop().await;
}

#[tokio::test]
async fn a_place_goes_to_the_study_whose_turn_it_is() {
    let backend = Backend::memory().await;
    let (store, clock) = (
        backend.open().await,
        Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)),
    );
    let desk = Desk::new(&store, &clock);
    let dispatching = CancellationToken::new();
    let dispatcher = Dispatcher::new(Arc::clone(&desk.pool), Arc::clone(&desk.engines));
    let tasks = tokio_util::task::TaskTracker::new();
    tasks.spawn(dispatcher.run(dispatching.clone()));
    let spec = "trial: {command: [train]}\n";
    let studies = [desk.study(1, spec).await, desk.study(2, spec).await];
    let mut worker = desk.worker(1);
    let mut order = Vec::new();
    let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(30);
    while order.len() < 12 {
        let lease = assigned(&mut worker).await;
        let place = usize::from(lease.study == studies[1].id());
        // The first study has the place to itself until the second has said that it wants it, too.
        if place == 1 || !order.is_empty() {
            order.push(place);
        }
        ends(&studies[place], worker.worker, lease).await;
        assert!(
            tokio::time::Instant::now() < deadline,
            "the second study never gets the place"
        );
    }
    for pair in order.windows(2) {
        assert_ne!(pair[0], pair[1], "one place is shared in turn: {order:?}");
    }
    dispatching.cancel();
    tasks.close();
    tasks.wait().await;
    desk.stop().await;
}

/// Chunks of a trial, with their points.
async fn chunks(desk: &Desk, trial: TrialNumber) -> Vec<PointChunk> {
    let study = StudyId(Uuid::from_u128(1));
    desk.store.point_list(study, trial).await.unwrap()
}

async fn points_are_joined_after_the_end(backend: Backend) {
    let (store, clock) = (
        backend.open().await,
        Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)),
    );
    let desk = Desk::new(&store, &clock);
    let engine = desk.study(1, "").await;
    let (first, second) = (ask(&engine, 1).await, ask(&engine, 2).await);
    for step in 1..=100 {
        report(&engine, first, step).await;
        report(&engine, second, step).await;
    }
    assert_eq!(chunks(&desk, first).await.len(), 100);
    tell(&engine, first).await;
    let joined =
        eventually(async || Some(chunks(&desk, first).await).filter(|chunks| chunks.len() == 1)).await;
    assert_eq!(joined[0].steps, (1..=100).collect::<Vec<i64>>());
    assert_eq!((joined[0].first_seq, joined[0].last_seq), (1, 100));
    assert_eq!(chunks(&desk, second).await.len(), 100, "it runs");
    // Reports go on as if nothing had been.
    report(&engine, second, 101).await;
    desk.stop().await;
    // Whoever loads the study finds the same.
    let desk = Desk::new(&store, &clock);
    let engine = desk
        .engines
        .open_by_id(StudyId(Uuid::from_u128(1)))
        .await
        .unwrap();
    let summary = engine
        .unwrap()
        .call(|core, _, ctx| Ok(core.summary(ctx)))
        .await
        .unwrap();
    assert_eq!((summary.counts.completed, summary.best), (1, Some((first, 0.5))));
    desk.stop().await;
    store.close().await;
    backend.remove().await;
}

async fn old_answers_go_and_young_ones_stay(backend: Backend) {
    let (store, clock) = (
        backend.open().await,
        Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)),
    );
    let study = StudyId(Uuid::from_u128(1));
    let desk = Desk::new(&store, &clock);
    let engine = desk.study(1, "").await;
    tell_with_value(&engine, ask(&engine, 1).await).await;
    let running = ask(&engine, 2).await;
    clock.advance(Duration::from_secs(2 * 3600));
    tell_with_value(&engine, ask(&engine, 3).await).await;
    desk.stop().await;
    clock.advance(Duration::from_secs(23 * 3600));

    let desk = Desk::new(&store, &clock);
    let engine = desk.engines.open_by_id(study).await.unwrap().unwrap();
    let kept = async || {
        let rows = store.request_list(study, Timestamp::UNIX_EPOCH).await.unwrap();
        rows.iter().map(|row| row.id.0.as_u128()).collect::<Vec<_>>()
    };
    let left = eventually(async || Some(kept().await).filter(|kept| kept.len() < 3)).await;
    assert_eq!(left, [2, 3], "a running trial's, and one of 23 hours ago");
    // The call that made the running trial may still be repeated.
    assert_eq!(ask(&engine, 2).await, running);
    desk.stop().await;
    store.close().await;
    backend.remove().await;
}

async fn tell_with_value(engine: &EngineHandle, trial: TrialNumber) {
    report(engine, trial, 1).await;
    tell(engine, trial).await;
}

macro_rules! on_each_store {
    ($($case:ident),+) => { on_each_store!(@ memory: $($case),+; sqlite: $($case),+; postgres: $($case),+); };
    (@ $($backend:ident: $($case:ident),+);+) => {
        $(mod $backend {
            use super::Backend;
            $(
                #[tokio::test(flavor = "multi_thread")]
                async fn $case() {
                    super::$case(Backend::$backend().await).await;
                }
            )+
        })+
    };
}

on_each_store!(
    points_are_joined_after_the_end,
    old_answers_go_and_young_ones_stay
);
