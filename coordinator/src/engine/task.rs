//! The engine's task: load, serve, and load again whenever a commit failed.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;
use tunesmith_common::clock::{Clock, Monotonic};
use tunesmith_common::{StudyId, StudyName, WorkerId};

use super::flight::{Batch, Flight, TakenPlaces, give};
use super::handle::{Command, Committed, EngineError};
use super::load::load;
use super::registry::EngineSettings;
use super::thinking::{Thinkers, Thinking};
use super::upkeep::UpkeepHandle;
use crate::crash::crash_point;
use crate::decide::{Ctx, Demand, Offer, Order, Outbox, Question, StudyCore};
use crate::pool::Pool;
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

    /// Serves commands. While one commit is on its way to the store, what comes meanwhile is already applied to the memory, and is the next
    /// commit: nobody is answered before what their command led to is stored, and so is everything that it was based on.
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
        let mut received: Vec<Box<dyn Command>> = Vec::with_capacity(BATCH);
        let mut next = Batch::default();
        let mut flight: Option<Flight> = None;
        let mut thinking = Thinking::default();
        loop {
            if let Some(question) = self.question(core) {
                thinking.begin(&self.thinkers, &*self.clock, question);
            }
            let room = BATCH.saturating_sub(next.commands());
            let ticked = tokio::select! {
                biased;
                landed = Flight::landed(&mut flight) => {
                    if let Err(ended) = self.land(owner, &mut flight, landed, &mut next) {
                        return ended;
                    }
                    false
                }
                answered = thinking.advice(&*self.clock) => {
                    let Some((advice, took)) = answered else {
                        self.finish(core, owner, flight, next, &mut published).await;
                        return Ended::Reload;
                    };
                    if let Some(panic) = advice.panic() {
                        tracing::error!(strategy = advice.strategy(), panic, "the study's strategy panicked");
                    }
                    core.advised(advice, took);
                    self.advised.send_modify(|count| *count += 1);
                    false
                }
                count = self.commands.recv_many(&mut received, room), if room > 0 => {
                    if count == 0 {
                        return self.finish(core, owner, flight, next, &mut published).await;
                    }
                    false
                }
                _ = tick.tick() => true,
                () = shutdown.cancelled() => {
                    return self.finish(core, owner, flight, next, &mut published).await;
                }
            };
            idle = if ticked { idle + 1 } else { 0 };
            self.apply(core, &mut next, &mut received);
            if flight.is_none() {
                self.look(core, &mut next, &mut watch);
                flight = self.depart(core, owner, &mut next, &mut published);
                if flight.as_ref().is_some_and(Flight::reloads) {
                    return self.finish(core, owner, flight, next, &mut published).await;
                }
                if next.take_reload() {
                    return Ended::Reload;
                }
            }
            self.publish_demand(core, &mut published, ticked);
            if ticked && self.clock.monotonic().saturating_since(served) >= SERVED_EVERY {
                served = self.clock.monotonic();
                self.upkeep.served(self.id);
            }
            if core.is_over() && idle > IDLE_TICKS && self.events.receiver_count() == 0 {
                self.commands.close();
                // Those that came in the last moment are still served.
                while let Ok(command) = self.commands.try_recv() {
                    received.push(command);
                }
                self.apply(core, &mut next, &mut received);
                return self.finish(core, owner, flight, next, &mut published).await;
            }
        }
    }

    /// Waits for the commit that is on its way, and commits what was applied since. Over, unless the study must be loaded again.
    async fn finish(
        &mut self,
        core: &mut StudyCore,
        owner: &mut Ownership,
        mut flight: Option<Flight>,
        mut next: Batch,
        published: &mut Option<Demand>,
    ) -> Ended {
        let mut ended = Ended::Over;
        loop {
            if flight.is_some() {
                if flight.as_ref().is_some_and(Flight::reloads) {
                    ended = Ended::Reload;
                }
                let landed = Flight::landed(&mut flight).await;
                if let Err(ended) = self.land(owner, &mut flight, landed, &mut next) {
                    return ended;
                }
            }
            if next.is_empty() {
                return ended;
            }
            flight = self.depart(core, owner, &mut next, published);
            if next.take_reload() {
                ended = Ended::Reload;
            }
        }
    }

    fn ctx<'r>(&self, random: &'r mut (dyn FnMut() -> u128 + Send)) -> Ctx<'r> {
        Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random,
        }
    }

    /// Applies commands to the memory.
    fn apply(&self, core: &mut StudyCore, next: &mut Batch, received: &mut Vec<Box<dyn Command>>) {
        if received.is_empty() {
            return;
        }
        let mut random = new_id;
        let mut ctx = self.ctx(&mut random);
        for command in received.drain(..) {
            next.take(command, core, &mut ctx);
        }
    }

    /// Looks for leases and trials whose time is up, if it is time for that.
    fn look(&self, core: &mut StudyCore, next: &mut Batch, watch: &mut PauseWatch) {
        let mut random = new_id;
        let ctx = self.ctx(&mut random);
        match watch.look(ctx.mono) {
            Look::NotYet => {}
            Look::Due if self.leaving.is_cancelled() => core.renew_all(&ctx),
            Look::WasAway => core.renew_all(&ctx),
            Look::Due => {
                let presence = self.pool.presence();
                core.expire(&mut next.out, &ctx, self.settings.lease_ttl, |worker| {
                    presence.last_heard(worker)
                });
                core.stop_overdue(&mut next.out, &ctx);
            }
        }
    }

    /// Sends what was applied to the store. Where nothing is to be stored, answers at once: only called while no commit is on its way.
    fn depart(
        &self,
        core: &mut StudyCore,
        owner: &Ownership,
        next: &mut Batch,
        published: &mut Option<Demand>,
    ) -> Option<Flight> {
        let mut random = new_id;
        let mut ctx = self.ctx(&mut random);
        core.settle(&mut next.out, &ctx);
        let places = self.refill(core, &mut next.out, &mut ctx, published);
        if next.out.nothing_to_store() {
            let (_, orders) = core.close(std::mem::take(&mut next.out), &ctx);
            self.send(orders, places);
            give(next.take_answers());
            return None;
        }
        let Batch {
            mut out,
            answers,
            reload,
        } = std::mem::take(next);
        let scattered = out.take_scattered();
        let (changes, orders) = core.close(out, &ctx);
        let changes = Arc::new(changes);
        // From here on the memory is what this commit makes of the study.
        core.committed(owner.commit_seq + 1);
        let committed = (self.events.receiver_count() > 0).then(|| Committed {
            revision: core.revision(),
            at: ctx.now,
            changes: Arc::clone(&changes),
            summary: Arc::new(core.summary(&ctx)),
        });
        crash_point!(BeforeCommit);
        let (store, owner) = (Arc::clone(&self.store), *owner);
        let commit = async move { store.commit(&owner, &changes).await }.boxed();
        Some(Flight {
            commit,
            answers,
            reload,
            orders,
            places,
            scattered,
            committed,
        })
    }

    /// Does what waited for a commit, or, if it failed, refuses everybody who waits.
    fn land(
        &self,
        owner: &mut Ownership,
        flight: &mut Option<Flight>,
        landed: Result<Ownership, StoreError>,
        next: &mut Batch,
    ) -> Result<(), Ended> {
        let Some(flight) = flight.take() else {
            return Ok(());
        };
        match landed {
            Ok(advanced) => {
                *owner = advanced;
                crash_point!(Committed);
            }
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "commit failed; loading the study again"
                );
                let answer = EngineError::from_store(&error);
                for reply in flight.answers.into_iter().chain(next.take_answers()) {
                    reply(Err(answer.clone()));
                }
                return Err(Ended::Reload);
            }
        }
        self.send(flight.orders, flight.places);
        crash_point!(Ordered, after a moment);
        give(flight.answers);
        crash_point!(Answered, after a moment);
        for (trial, attempt) in flight.scattered {
            self.upkeep.ended(*owner, trial, attempt);
        }
        if let Some(committed) = flight.committed {
            // Nobody watches any more: nothing to tell.
            let _ = self.events.send(committed);
        }
        Ok(())
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
        let mut taken = TakenPlaces::none(&self.pool);
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

    /// What the study's strategy is to compute next.
    fn question(&self, core: &mut StudyCore) -> Option<Question> {
        let mut random = || 0; // nothing is drawn
        let ctx = self.ctx(&mut random);
        core.question(&ctx)
    }

    /// Tells the pool what the study could use: when that changed, and now and then in case the pool has other ideas.
    fn publish_demand(&self, core: &StudyCore, published: &mut Option<Demand>, ticked: bool) {
        let mut random = || 0; // nothing is drawn
        let ctx = self.ctx(&mut random);
        let demand = core.demand(&ctx);
        let (before, after) = (published.as_ref(), demand.as_ref());
        if before != after || (ticked && after.is_some_and(|demand| demand.wants > 0)) {
            self.pool.demand(self.id, demand.clone());
            *published = demand;
        }
    }
}

fn new_id() -> u128 {
    uuid::Uuid::new_v4().as_u128()
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
