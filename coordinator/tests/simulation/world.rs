//! The simulated world: one study, some workers, a network that breaks, a coordinator that crashes.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use rand::RngExt as _;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng as _;
use tokio::runtime::Runtime;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::clock::{Clock, Monotonic, TestClock};
use tunesmith_common::study::{StudyFile, StudySpec};
use tunesmith_common::worker::AttemptOutcome;
use tunesmith_common::{Attempt, CheckpointStoreId, LeaseKey, StudyId, Timestamp, TrialNumber, WorkerId};
use tunesmith_coordinator::decide::{Backtest, Ctx, Offer, Order, Outbox, StudyCore};
use tunesmith_coordinator::engine::load;
use tunesmith_coordinator::store::MemoryStore;
use tunesmith_coordinator::store::{
    AuditRow, ChunkPlace, DoneReason, Lineage, Ownership, Store, StoreError, StudyRow, StudyState, TrialQuery,
};
use uuid::Uuid;

use crate::audit::Audit;
use crate::worker::{SimWorker, Up};

const LEASE: Duration = Duration::from_secs(30);
const PARALLEL: usize = 5;
const STORE: CheckpointStoreId = CheckpointStoreId(Uuid::from_u128(9));
const TRIALS: u64 = 14;
const STUDY: &str = "
name: sim
objective: {metric: val_acc, goal: maximize}
space: {x: {type: float, low: 0, high: 1}}
strategy: {name: random, seed: 1}
early_stopping: [{rule: median, warmup_steps: 2, min_trials: 2}, {rule: diverging}]
budget: {trials: 14, parallel: 5}
trial: {command: [train], retries: 1}
";

/// The same, trained in stages.
pub(crate) const IN_STAGES: &str = "
name: sim
objective: {metric: val_acc, goal: maximize}
space: {x: {type: float, low: 0, high: 1}}
strategy: {name: hyperband, sampler: tpe, seed: 1, reduction: 2}
early_stopping: [{rule: diverging}]
budget: {trials: 14, parallel: 5}
trial: {command: [train], retries: 1, steps: {max: 12}}
";

/// A population of more trials than may run at the same time.
pub(crate) const POPULATION: &str = "
name: sim
objective: {metric: val_acc, goal: maximize}
space: {x: {type: float, low: 0, high: 1}}
strategy: {name: pbt, seed: 1, population: 7, interval: 3}
early_stopping: [{rule: diverging}]
budget: {trials: 14, parallel: 5}
trial: {command: [train], retries: 1, steps: {max: 12}}
";

/// Chances of each fault, per round.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Faults {
    pub(crate) coordinator_crash: f64,
    pub(crate) store_refuses: f64,
    pub(crate) answer_lost: f64,
    pub(crate) disconnect: f64,
    pub(crate) machine_death: f64,
    pub(crate) program_crash: f64,
    pub(crate) long_pause: f64,
    pub(crate) person_stops: f64,
}

impl Faults {
    pub(crate) fn none() -> Self {
        Self {
            coordinator_crash: 0.0,
            store_refuses: 0.0,
            answer_lost: 0.0,
            disconnect: 0.0,
            machine_death: 0.0,
            program_crash: 0.0,
            long_pause: 0.0,
            person_stops: 0.0,
        }
    }

    pub(crate) fn all() -> Self {
        Self {
            coordinator_crash: 0.03,
            store_refuses: 0.02,
            answer_lost: 0.02,
            disconnect: 0.05,
            machine_death: 0.004,
            program_crash: 0.01,
            long_pause: 0.02,
            person_stops: 0.01,
        }
    }
}

pub(crate) struct World {
    seed: u64,
    rng: ChaCha8Rng,
    runtime: Runtime,
    clock: TestClock,
    store: MemoryStore,
    study: StudyId,
    core: Option<(StudyCore, Ownership)>,
    workers: Vec<SimWorker>,
    heard: HashMap<WorkerId, Monotonic>,
    faults: Faults,
    /// Attempts whose points are still to be joined, and those of which they were.
    scattered: Vec<Scattered>,
    joined: Vec<(TrialNumber, Attempt)>,
    pub(crate) audit: Audit,
    /// Judgements that were made again at the end.
    pub(crate) judged_again: u64,
}

struct Scattered {
    owner: Ownership,
    trial: TrialNumber,
    attempt: Attempt,
    from: Option<ChunkPlace>,
}

/// What a training saves when it is told to stop: all workers reach the same place.
fn checkpoint(lease: &LeaseKey, step: i64) -> Checkpoint {
    Checkpoint {
        store: STORE,
        trial: lease.trial,
        attempt: lease.attempt,
        step,
        bytes: 1,
        files: 1,
        digest: String::new(),
    }
}

/// Offers a place of a worker that has one free.
fn hand_out(core: &mut StudyCore, out: &mut Outbox, ctx: &mut Ctx<'_>, worker: WorkerId, slots: usize) {
    let held = core.held_by_workers();
    if held.iter().filter(|(holder, ..)| *holder == worker).count() < slots {
        let offer = Offer {
            worker,
            worker_name: "w".to_owned(),
            stores: vec![STORE],
            gpus: Vec::new(),
            price_per_hour: 0.0,
        };
        let _ = core.offer(out, ctx, offer);
    }
}

impl World {
    pub(crate) fn new(seed: u64, faults: Faults) -> Self {
        Self::of(STUDY, seed, faults)
    }

    pub(crate) fn of(study_file: &str, seed: u64, faults: Faults) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let clock = TestClock::at(Timestamp::from_micros(1_000_000_000));
        let store = MemoryStore::new();
        let study = StudyId(Uuid::from_u128(1));
        let (raw, spec) = StudyFile::parse(study_file, "sim.yaml").unwrap();
        let row = StudyRow {
            id: study,
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
            created_at: clock.now(),
            done_at: None,
            updated_at: clock.now(),
        };
        let audit = AuditRow {
            at: clock.now(),
            actor: "sim".to_owned(),
            action: "create".to_owned(),
            subject: "studies/sim".to_owned(),
            detail: String::new(),
        };
        runtime
            .block_on(store.study_create(&row, &[], None, &audit))
            .unwrap();
        let workers = (0..3)
            .map(|n| SimWorker::new(WorkerId(Uuid::from_u128(100 + n)), 2))
            .collect();
        Self {
            seed,
            rng: ChaCha8Rng::seed_from_u64(seed),
            runtime,
            clock,
            store,
            study,
            core: None,
            workers,
            heard: HashMap::new(),
            faults,
            scattered: Vec::new(),
            joined: Vec::new(),
            audit: Audit::default(),
            judged_again: 0,
        }
    }

    /// Rounds with faults, then rounds without: the study must end.
    pub(crate) fn run(&mut self) {
        for _ in 0..300 {
            self.round();
            if self.is_over() {
                break;
            }
        }
        self.faults = Faults::none();
        let mut rounds = 0;
        while !self.is_over() {
            self.round();
            rounds += 1;
            assert!(rounds < 20_000, "the study never ends, seed {}", self.seed);
        }
        for _ in 0..20 {
            self.round(); // workers learn of the end
        }
        let seed = self.seed;
        self.audit.assert_whole(seed);
        for worker in &self.workers {
            assert!(
                worker.held.is_empty(),
                "{:?} still holds {:?}, seed {seed}",
                worker.id,
                worker.held.keys()
            );
        }
        while !self.scattered.is_empty() {
            self.upkeep();
        }
        self.assert_points_are_stored_once();
        self.assert_judgements_are_made_again();
        self.assert_memory_matches_the_store();
        let state = self.step(|core, _, _| core.state());
        assert!(
            matches!(
                state,
                Some(StudyState::Done(DoneReason::Budget | DoneReason::Exhausted))
            ),
            "{state:?}, seed {seed}"
        );
    }

    fn chance(&mut self, probability: f64) -> bool {
        probability > 0.0 && self.rng.random_bool(probability)
    }

    fn is_over(&mut self) -> bool {
        self.step(|core, _, _| core.is_over()).unwrap_or(false)
    }

    fn round(&mut self) {
        let mut pass = Duration::from_millis(self.rng.random_range(1..2_000));
        let long = self.chance(self.faults.long_pause);
        if long {
            pass = LEASE + Duration::from_secs(self.rng.random_range(1..20));
        }
        self.clock.advance(pass);
        if self.chance(self.faults.coordinator_crash) {
            self.core = None;
        }
        for index in 0..self.workers.len() {
            // A worker that is not heard for longer than its lease, with its session still open: what it had sent arrives later.
            if long && self.rng.random_bool(0.5) {
                self.train(index);
                let window = self.rng.random_range(1..5);
                self.workers[index].send(window);
            } else {
                self.worker_round(index);
            }
        }
        let heard = self.heard.clone();
        if self.rng.random_bool(0.5) {
            self.upkeep();
        }
        self.step(move |core, out, ctx| core.expire(out, ctx, LEASE, |worker| heard.get(&worker).copied()));
        if self.chance(self.faults.person_stops) {
            let trial = TrialNumber(self.rng.random_range(1..=TRIALS));
            self.step(move |core, out, ctx| core.stop_trial(out, ctx, trial, "kim").is_ok());
        }
    }

    fn worker_round(&mut self, index: usize) {
        if self.chance(self.faults.machine_death) {
            self.machine_dies(index);
        }
        if self.chance(self.faults.disconnect) {
            self.workers[index].disconnect();
        }
        self.train(index);
        if !self.workers[index].connected && (self.faults.disconnect == 0.0 || self.rng.random_bool(0.3)) {
            self.connect(index);
        }
        if !self.workers[index].connected {
            return;
        }
        self.heard.insert(self.workers[index].id, self.clock.monotonic());
        let window = self.rng.random_range(1..5);
        self.workers[index].send(window);
        for _ in 0..self.rng.random_range(0..6) {
            let Some(up) = self.workers[index].up.pop_front() else {
                break;
            };
            self.deliver_up(index, up);
        }
        for _ in 0..self.rng.random_range(0..6) {
            let Some(order) = self.workers[index].down.pop_front() else {
                break;
            };
            self.workers[index].obey(order);
        }
        self.offer(index);
    }

    /// The machine reboots with its disk, or is set up anew and joins as another worker.
    fn machine_dies(&mut self, index: usize) {
        let new_id = WorkerId(Uuid::from_u128(self.rng.random()));
        let disk_survives = self.rng.random_bool(0.5);
        let worker = &mut self.workers[index];
        worker.disconnect();
        if disk_survives {
            for (_, held) in worker.held.values_mut() {
                held.end.get_or_insert(AttemptOutcome::Lost("reboot".to_owned()));
            }
        } else {
            worker.held.clear();
            worker.id = new_id;
        }
    }

    /// The trainings of a worker print, end or crash, whatever the coordinator does.
    fn train(&mut self, index: usize) {
        let keys: Vec<_> = self.workers[index].held.keys().copied().collect();
        for key in keys {
            let crash = self.chance(self.faults.program_crash);
            let lines = self.rng.random_range(0..4);
            let Some((lease, held)) = self.workers[index].held.get_mut(&key) else {
                continue;
            };
            if held.end.is_some() {
                continue;
            }
            held.started = true;
            if held.stop {
                held.end = Some(AttemptOutcome::Signalled(15));
                let step = held.base + held.printed.len() as i64;
                if held.keep && !held.printed.is_empty() {
                    held.last = Some(checkpoint(lease, step));
                    self.audit.saved(lease, step);
                }
                continue;
            }
            if crash {
                held.end = Some(AttemptOutcome::Exited(1));
                continue;
            }
            for _ in 0..lines {
                let step = held.base + held.printed.len() as i64 + 1;
                if step > 12 {
                    held.end = Some(AttemptOutcome::Exited(0));
                    break;
                }
                let value = (lease.trial.0 % 7) as f64 + step as f64 / 100.0;
                held.printed.push((step, value));
                self.audit.printed(lease, step, value);
                if held.keep && step % 2 == 0 && !held.has_untold() {
                    held.checkpoint = Some(checkpoint(lease, step));
                    held.printed_before = held.printed.len() as u64;
                    self.audit.saved(lease, step);
                }
            }
        }
    }

    fn connect(&mut self, index: usize) {
        let (worker, hello) = (self.workers[index].id, self.workers[index].hello());
        self.workers[index].connected = true;
        match self.step(move |core, out, ctx| core.attach(out, ctx, worker, &hello)) {
            Some(attached) => {
                self.heard.insert(worker, self.clock.monotonic());
                self.workers[index].welcome(&attached.verdicts);
            }
            None => self.workers[index].disconnect(),
        }
    }

    fn deliver_up(&mut self, index: usize, up: Up) {
        let worker = self.workers[index].id;
        let heard = match up {
            Up::Started(lease) => self.step(move |core, out, ctx| core.started(out, ctx, worker, lease, 1)),
            Up::Points {
                lease,
                first_seq,
                batch,
            } => self.step(move |core, out, ctx| core.points(out, ctx, worker, lease, first_seq, &batch)),
            Up::Checkpoint(lease, checkpoint) => {
                self.step(move |core, out, _| core.checkpoint(out, worker, &lease, checkpoint))
            }
            Up::Ended(end) => {
                // The place may go to the next trial in the same commit.
                let refill = self.rng.random_bool(0.5);
                let slots = self.workers[index].slots;
                self.step(move |core, out, ctx| {
                    core.ended(out, ctx, worker, end);
                    if refill {
                        hand_out(core, out, ctx, worker, slots);
                    }
                })
            }
        };
        if heard.is_none() {
            // A coordinator that lost the message says so by ending the session, as one that crashed does.
            self.workers[index].disconnect();
        }
    }

    fn offer(&mut self, index: usize) {
        let (worker, slots) = (self.workers[index].id, self.workers[index].slots);
        self.step(move |core, out, ctx| hand_out(core, out, ctx, worker, slots));
    }

    /// Joins some points of an attempt that has ended, on behalf of whoever owned the study when it did.
    fn upkeep(&mut self) {
        let Some(work) = self.scattered.pop() else { return };
        let Scattered {
            owner,
            trial,
            attempt,
            from,
        } = work;
        let round = self.store.point_compact(&owner, trial, attempt, from.as_ref());
        match self.runtime.block_on(round) {
            Ok(Some(next)) => self.scattered.push(Scattered {
                from: Some(next),
                ..work
            }),
            Ok(None) => self.joined.push((trial, attempt)),
            Err(error) => assert!(matches!(error, StoreError::NotOwner(_)), "{error}"),
        }
    }

    /// What the engine does with one command. None if the coordinator crashed or could not tell whether it was committed.
    fn step<T>(&mut self, command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> T) -> Option<T> {
        if self.core.is_none() {
            // A process does not come up in no time.
            self.clock.advance(Duration::from_millis(100));
            let store: Arc<dyn Store> = Arc::new(self.store.clone());
            self.core = Some(
                self.runtime
                    .block_on(load(&store, &self.clock, self.study))
                    .unwrap(),
            );
            // Orders may have been lost with the memory: sessions begin anew.
            self.workers.iter_mut().for_each(SimWorker::disconnect);
        }
        let (mut core, owner) = self.core.take()?;
        let rng = &mut self.rng;
        let mut random = || rng.random();
        let mut ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let mut out = Outbox::default();
        let answer = command(&mut core, &mut out, &mut ctx);
        core.settle(&mut out, &ctx);
        let scattered = out.take_scattered();
        let dropped = out.take_dropped();
        let silent = out.nothing_to_store();
        let (changes, orders) = core.close(out, &ctx);
        let mut owner = owner;
        if !silent {
            if self.chance(self.faults.store_refuses) {
                return None;
            }
            owner = self
                .runtime
                .block_on(self.store.commit(&owner, &changes))
                .unwrap();
            self.audit.committed(&changes, PARALLEL, TRIALS, self.seed);
            if self.chance(self.faults.answer_lost) {
                return None;
            }
            core.committed(owner.commit_seq);
            for (trial, attempt) in scattered {
                let from = None;
                self.scattered.push(Scattered {
                    owner,
                    trial,
                    attempt,
                    from,
                });
            }
        }
        self.audit.dropped(&dropped, self.seed);
        self.core = Some((core, owner));
        for (worker, order) in orders {
            if let Order::Assign(assignment) = &order {
                self.audit.begins_from(assignment.resume.as_ref(), self.seed);
            }
            self.deliver_down(worker, order);
        }
        Some(answer)
    }

    fn deliver_down(&mut self, id: WorkerId, order: Order) {
        if let Some(worker) = self
            .workers
            .iter_mut()
            .find(|worker| worker.id == id && worker.connected)
        {
            worker.down.push_back(order);
        }
    }

    /// Whatever was joined, and whenever: the store has the points that were committed, in order, and joined ones in one chunk.
    fn assert_points_are_stored_once(&mut self) {
        for (trial, attempt, committed) in self.audit.points() {
            let chunks = self
                .runtime
                .block_on(self.store.point_list(self.study, trial))
                .unwrap();
            let chunks: Vec<_> = chunks.iter().filter(|chunk| chunk.attempt == attempt).collect();
            let points = chunks
                .iter()
                .flat_map(|chunk| chunk.steps.iter().copied().zip(chunk.values.iter().copied()));
            assert_eq!(
                points.collect::<Vec<_>>(),
                *committed,
                "trial {trial}, seed {}",
                self.seed
            );
            if self.joined.contains(&(trial, attempt)) {
                assert_eq!(chunks.len(), 1, "trial {trial} is not joined, seed {}", self.seed);
            }
        }
    }

    /// The judgements of rules and schedules follow from what is stored, to the last digit.
    fn assert_judgements_are_made_again(&mut self) {
        let (runtime, store, study) = (&self.runtime, &self.store, self.study);
        let row = runtime.block_on(store.study_fetch(study)).unwrap().unwrap();
        let mut own = Backtest::of_its_own(StudySpec::try_from(row.spec).unwrap());
        let all = TrialQuery {
            limit: 1_000,
            ..TrialQuery::default()
        };
        for row in runtime.block_on(store.trial_list(study, &all)).unwrap() {
            let number = row.number;
            let attempts = runtime.block_on(store.attempt_list(study, number)).unwrap();
            let points = runtime.block_on(store.point_list(study, number)).unwrap();
            own.trial(row, &attempts, &points, self.clock.now());
        }
        let stored = runtime.block_on(store.decision_list_all(study)).unwrap();
        let judged = own.judge_again(stored);
        assert_eq!(judged.different, [], "seed {}", self.seed);
        self.judged_again = judged.same;
    }

    fn assert_memory_matches_the_store(&mut self) {
        let summary = |world: &mut Self| world.step(|core, _, ctx| core.summary(ctx)).unwrap();
        let before = summary(self);
        self.core = None;
        let after = summary(self);
        assert_eq!(before.counts, after.counts, "seed {}", self.seed);
        assert_eq!(
            before.best.map(|best| best.1),
            after.best.map(|best| best.1),
            "seed {}",
            self.seed
        );
        assert_eq!(before.steps_saved, after.steps_saved, "seed {}", self.seed);
    }
}
