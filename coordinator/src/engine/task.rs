//! The engine's task: load, serve, and load again whenever a commit failed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::clock::{Clock, Monotonic};
use tunesmith_common::{StudyId, StudyName, WorkerId};

use super::handle::{Answer, Command, Committed, EngineError};
use super::load::load;
use super::registry::EngineSettings;
use super::thinking::{Thinkers, Thinking};
use super::upkeep::UpkeepHandle;
use crate::crash::crash_point;
use crate::decide::{Ctx, Demand, GainQuestion, Offer, Order, Outbox, Question, StudyCore};
use crate::pool::{Place, Pool};
use crate::store::{Ownership, Store, StoreError};

/// Commands that one commit takes at most, so that the first of them does not wait for too long.
const BATCH: usize = 256;
/// Waiting between attempts to load: doubled each time, from the first to the second.
const LOAD_BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Ticks without a command after which the engine of a study that is over ends.
const IDLE_TICKS: u32 = 240;

/// How often the upkeep is told that the study is still served.
const SERVED_EVERY: Duration = Duration::from_secs(3600);

/// Owner of one study.
pub(super) struct Engine {
    pub(super) id: StudyId,
    pub(super) name: StudyName,
    pub(super) store: Arc<dyn Store>,
    pub(super) pool: Arc<Pool>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) settings: EngineSettings,
    pub(super) upkeep: UpkeepHandle,
    /// Cancelled when workers are sent away: their silence is this coordinator's doing then.
    pub(super) leaving: CancellationToken,
    pub(super) thinkers: Thinkers,
    pub(super) commands: mpsc::Receiver<Box<dyn Command>>,
    pub(super) events: broadcast::Sender<Committed>,
    /// Counts the answers of the study's strategy.
    pub(super) advised: watch::Sender<u64>,
}

/// What is being computed for the study.
#[derive(Default)]
struct Asked {
    points: Thinking<Question>,
    /// What is left to be gained.
    gain: Thinking<GainQuestion>,
}

/// Why serving ended.
enum Ended {
    /// The memory does not match the store any more.
    Reload,
    /// The engine is no longer wanted.
    Over,
}

impl Engine {
    /// Runs until `shutdown` is cancelled, the study is gone, or it is over and nobody has asked for it for a while.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let span = tracing::info_span!("study", study = %self.name);
        async {
            let mut wait = LOAD_BACKOFF.0;
            let mut reloading = false;
            loop {
                match self.load_and_serve(reloading, &shutdown).await {
                    Ok(Ended::Reload) => {
                        wait = LOAD_BACKOFF.0;
                        reloading = true;
                    }
                    Ok(Ended::Over) => break,
                    Err(StoreError::NotFound(_)) => break,
                    Err(error) => {
                        if matches!(error, StoreError::Corrupt(_)) {
                            tracing::error!(
                                error = &error as &dyn std::error::Error,
                                "study cannot be loaded"
                            );
                        } else {
                            tracing::warn!(
                                error = &error as &dyn std::error::Error,
                                "study could not be loaded yet"
                            );
                        }
                        if self.refuse_for(wait, &error, &shutdown).await {
                            break;
                        }
                        wait = (wait * 2).min(LOAD_BACKOFF.1);
                    }
                }
            }
            self.pool.demand(self.id, None);
        }
        .instrument(span)
        .await;
    }

    async fn load_and_serve(
        &mut self,
        reloading: bool,
        shutdown: &CancellationToken,
    ) -> Result<Ended, StoreError> {
        let store = Arc::clone(&self.store);
        let clock = Arc::clone(&self.clock);
        let (mut core, mut owner) = load(&store, &*clock, self.id).await?;
        tracing::debug!(revision = owner.commit_seq, "study loaded");
        self.upkeep.served(self.id);
        if reloading {
            let holders: Vec<WorkerId> = core
                .held_by_workers()
                .into_iter()
                .map(|(worker, ..)| worker)
                .collect();
            self.pool.study_reloaded(self.id, &holders);
        }
        let serving = AssertUnwindSafe(self.serve(&mut core, &mut owner, shutdown)).catch_unwind();
        Ok(serving.await.unwrap_or_else(|_| {
            tracing::error!("a rule of the study panicked; its memory is thrown away and loaded again");
            Ended::Reload
        }))
    }

    /// Answers everything that comes with "try again" for a while. True if the engine is to end.
    async fn refuse_for(&mut self, wait: Duration, error: &StoreError, shutdown: &CancellationToken) -> bool {
        let until = tokio::time::sleep(wait);
        tokio::pin!(until);
        let answer = match error {
            StoreError::Corrupt(_) => EngineError::Broken(self.id),
            error => EngineError::from_store(error),
        };
        loop {
            let command = tokio::select! {
                () = shutdown.cancelled() => return true,
                () = &mut until => return false,
                command = self.commands.recv() => command,
            };
            let Some(command) = command else { return true };
            command.refuse(answer.clone());
        }
    }

    async fn serve(
        &mut self,
        core: &mut StudyCore,
        owner: &mut Ownership,
        shutdown: &CancellationToken,
    ) -> Ended {
        let mut tick = tokio::time::interval(self.settings.tick);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut watch = PauseWatch::new(self.clock.monotonic(), self.settings.lease_ttl);
        let mut published: Option<Demand> = None;
        let mut served = self.clock.monotonic();
        let mut idle = 0;
        let mut batch: Vec<Box<dyn Command>> = Vec::with_capacity(BATCH);
        let mut asked = Asked::default();
        loop {
            self.ask(core, &mut asked);
            let ticked = tokio::select! {
                biased;
                answered = asked.points.answer(&*self.clock) => {
                    let Some((advice, took)) = answered else {
                        return Ended::Reload;
                    };
                    if let Some(panic) = advice.panic() {
                        tracing::error!(strategy = advice.strategy(), panic, "the study's strategy panicked");
                    }
                    core.advised(advice, took);
                    self.advised.send_modify(|count| *count += 1);
                    false
                }
                answered = asked.gain.answer(&*self.clock) => {
                    let Some((answer, _)) = answered else {
                        return Ended::Reload;
                    };
                    if answer.is_bug() {
                        tracing::error!("the model of what is left to gain panicked");
                    }
                    core.gain_answered(answer);
                    false
                }
                received = self.commands.recv_many(&mut batch, BATCH) => {
                    if received == 0 {
                        return Ended::Over;
                    }
                    self.gather(&mut batch).await;
                    false
                }
                _ = tick.tick() => true,
                () = shutdown.cancelled() => return Ended::Over,
            };
            idle = if ticked { idle + 1 } else { 0 };
            let step = self
                .step(core, owner, &mut batch, &mut watch, &mut published, &mut asked)
                .await;
            if let Err(ended) = step {
                return ended;
            }
            self.publish_demand(core, &mut published, ticked);
            if ticked && self.clock.monotonic().saturating_since(served) >= SERVED_EVERY {
                served = self.clock.monotonic();
                self.upkeep.served(self.id);
            }
            if core.is_over() && idle > IDLE_TICKS && self.events.receiver_count() == 0 {
                self.commands.close();
                while let Ok(command) = self.commands.try_recv() {
                    batch.push(command);
                }
                // Those that came in the last moment are still served.
                return match self
                    .step(core, owner, &mut batch, &mut watch, &mut published, &mut asked)
                    .await
                {
                    Ok(()) => Ended::Over,
                    Err(ended) => ended,
                };
            }
        }
    }

    /// Adds what is on its way at this moment: two small commits cost more than one. Costs nothing where nobody else is busy.
    async fn gather(&mut self, batch: &mut Vec<Box<dyn Command>>) {
        let mut before = 0;
        while before < batch.len() && batch.len() < BATCH {
            before = batch.len();
            tokio::task::yield_now().await;
            while batch.len() < BATCH
                && let Ok(command) = self.commands.try_recv()
            {
                batch.push(command);
            }
        }
    }

    /// Applies all commands of the batch, commits, and only then answers.
    async fn step(
        &mut self,
        core: &mut StudyCore,
        owner: &mut Ownership,
        batch: &mut Vec<Box<dyn Command>>,
        watch: &mut PauseWatch,
        published: &mut Option<Demand>,
        asked: &mut Asked,
    ) -> Result<(), Ended> {
        let mut random = || uuid::Uuid::new_v4().as_u128();
        let mut ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let mut out = Outbox::default();
        let mut answers: Vec<Answer> = Vec::with_capacity(batch.len());
        let mut reload = false;
        for command in batch.drain(..) {
            let step = command.apply(core, &mut out, &mut ctx);
            answers.push(step.answer);
            reload |= step.reload;
        }
        match watch.look(ctx.mono) {
            Look::NotYet => {}
            Look::Due if self.leaving.is_cancelled() => core.renew_all(&ctx),
            Look::WasAway => core.renew_all(&ctx),
            Look::Due => {
                let presence = self.pool.presence();
                core.expire(&mut out, &ctx, self.settings.lease_ttl, |worker| {
                    presence.last_heard(worker)
                });
                core.stop_overdue(&mut out, &ctx);
                core.give_up_checkpoints(&mut out, &ctx, |store| self.pool.reaches(store));
            }
        }
        core.settle(&mut out, &ctx);
        let places = self.refill(core, &mut out, &mut ctx, published);

        let scattered = out.take_scattered();
        let dropped = out.take_dropped();
        if out.nothing_to_store() {
            let (_, orders) = core.close(out, &ctx);
            self.send(orders, places);
            give(answers);
            self.drop_checkpoints(dropped);
            return if reload { Err(Ended::Reload) } else { Ok(()) };
        }
        let (changes, orders) = core.close(out, &ctx);
        // A place that is free now waits for the commit and for the next point: both at once. If the commit fails the study is loaded again, and the
        // answer is never looked at.
        if !reload {
            self.ask(core, asked);
        }
        crash_point!(BeforeCommit);
        match self.store.commit(owner, &changes).await {
            Ok(advanced) => {
                *owner = advanced;
                core.committed(advanced.commit_seq);
                crash_point!(Committed);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "commit failed; loading the study again"
                );
                let answer = EngineError::from_store(&error);
                for reply in answers {
                    reply(Err(answer.clone()));
                }
                return Err(Ended::Reload);
            }
        }
        self.send(orders, places);
        crash_point!(Ordered, after a moment);
        give(answers);
        crash_point!(Answered, after a moment);
        self.drop_checkpoints(dropped);
        for (trial, attempt) in scattered {
            self.upkeep.ended(*owner, trial, attempt);
        }
        if self.events.receiver_count() > 0 {
            let committed = Committed {
                revision: owner.commit_seq,
                at: ctx.now,
                changes: Arc::new(changes),
                summary: Arc::new(core.summary(&ctx)),
            };
            // Nobody watches any more: nothing to tell.
            let _ = self.events.send(committed);
        }
        if reload { Err(Ended::Reload) } else { Ok(()) }
    }

    /// Hands places that have just become free to the study's own next trials, where it is their turn, so that these need no commit of their
    /// own.
    fn refill(
        &self,
        core: &mut StudyCore,
        out: &mut Outbox,
        ctx: &mut Ctx<'_>,
        published: &mut Option<Demand>,
    ) -> TakenPlaces {
        let mut taken = TakenPlaces {
            pool: Arc::clone(&self.pool),
            places: Vec::new(),
        };
        let released = out.take_released();
        if released.is_empty() {
            return taken;
        }
        let demand = core.demand(ctx);
        let places = self.pool.refill(&released, demand.clone());
        *published = demand;
        taken
            .places
            .extend(places.into_iter().map(|place| (place, false)));
        for (place, accepted) in &mut taken.places {
            *accepted = core.offer(out, ctx, Offer::from(&*place)).is_ok();
            if !*accepted {
                // To be told again: the pool takes it that the study wants nothing.
                *published = None;
            }
        }
        if !taken.places.is_empty() {
            core.settle(out, ctx);
        }
        taken
    }

    /// Sends workers their orders. From then on leases stand for the places.
    fn send(&self, orders: Vec<(WorkerId, Order)>, places: TakenPlaces) {
        for (worker, order) in orders {
            self.pool.order(worker, order);
        }
        drop(places);
    }

    /// Has checkpoints removed that nobody refers to any more.
    fn drop_checkpoints(&self, dropped: Vec<Checkpoint>) {
        for checkpoint in dropped {
            self.pool.drop_checkpoint(self.id, checkpoint);
        }
    }

    /// Begins to compute what the study wants to know and is not being computed.
    fn ask(&self, core: &mut StudyCore, asked: &mut Asked) {
        // Before the other question, which takes the results away.
        if let Some(question) = core.gain_question() {
            asked.gain.begin(&self.thinkers, &*self.clock, question);
        }
        if let Some(question) = self.question(core) {
            asked.points.begin(&self.thinkers, &*self.clock, question);
        }
    }

    /// What the study's strategy is to compute next.
    fn question(&self, core: &mut StudyCore) -> Option<Question> {
        let mut random = || 0; // nothing is drawn
        let ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        core.question(&ctx)
    }

    /// Tells the pool what the study could use: when that changed, and now and then in case the pool has other ideas.
    fn publish_demand(&self, core: &StudyCore, published: &mut Option<Demand>, ticked: bool) {
        let mut random = || 0; // nothing is drawn
        let ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let demand = core.demand(&ctx);
        let (before, after) = (published.as_ref(), demand.as_ref());
        if before != after || (ticked && after.is_some_and(|demand| demand.wants > 0)) {
            self.pool.demand(self.id, demand.clone());
            *published = demand;
        }
    }
}

/// Places that the pool has set aside for trials of this commit, with whether there is a trial. Handed back when dropped, whatever happened.
struct TakenPlaces {
    pool: Arc<Pool>,
    places: Vec<(Place, bool)>,
}

impl Drop for TakenPlaces {
    fn drop(&mut self) {
        for (place, accepted) in self.places.drain(..) {
            self.pool.offer_answered(place, accepted);
        }
    }
}

/// Answers those whose commands were carried out.
fn give(answers: Vec<Answer>) {
    for answer in answers {
        answer(Ok(()));
    }
}

/// Notices when this process itself was not listening.
struct PauseWatch {
    last: Monotonic,
    every: Duration,
}

/// What the watch says.
enum Look {
    /// It is not time yet.
    NotYet,
    /// Time to look for late leases.
    Due,
    /// The process was away: lateness of others is its own doing.
    WasAway,
}

impl PauseWatch {
    fn new(now: Monotonic, lease_ttl: Duration) -> Self {
        Self {
            last: now,
            every: lease_ttl / 16,
        }
    }

    fn look(&mut self, now: Monotonic) -> Look {
        let since = now.saturating_since(self.last);
        if since < self.every {
            return Look::NotYet;
        }
        self.last = now;
        // A quarter of a lease: messages that came meanwhile are still unread.
        if since >= self.every * 4 {
            Look::WasAway
        } else {
            Look::Due
        }
    }
}
