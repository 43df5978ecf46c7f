//! Work on what is stored that nobody waits for: joins the points of attempts that have ended, and forgets answers that nobody asks for again.
//!
//! One task for all studies, which nobody cancels: it ends between two pieces of work. It must not delay a commit: each piece is small, and
//! after each it rests for as long as the piece took.
//!
//! What is not done when the coordinator ends stays undone: rows that are not joined take more space, and say the same.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunesmith_common::{Attempt, Clock, StudyId, Timestamp, TrialNumber};

use crate::store::{Ownership, PRUNED_AT_A_TIME, Store, StoreError};

/// Attempts that wait at most. One that finds no room is left as it is.
const WAITING: usize = 65_536;
/// How long an answer is kept for a caller that repeats its call, at least.
pub(super) const KEEP_ANSWERS: Duration = Duration::from_secs(24 * 3600);
/// How often studies are looked through for older ones.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);
/// The shortest rest.
const REST: Duration = Duration::from_millis(1);

/// Something to do.
#[derive(Debug)]
enum Chore {
    /// The study is served here.
    Served(StudyId),
    /// An attempt has ended whose points came in several batches.
    Join {
        owner: Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        ended: Instant,
    },
}

/// Gives work to the [`Upkeep`]. Cheap to clone; never waits.
#[derive(Clone, Debug)]
pub(super) struct UpkeepHandle(mpsc::Sender<Chore>);

impl UpkeepHandle {
    /// A study is served here from now on: its old answers are forgotten now and then.
    pub(super) fn served(&self, study: StudyId) {
        self.put(Chore::Served(study));
    }

    /// An attempt has ended, and its end is committed: its points are joined.
    pub(super) fn ended(&self, owner: Ownership, trial: TrialNumber, attempt: Attempt) {
        let ended = Instant::now();
        self.put(Chore::Join {
            owner,
            trial,
            attempt,
            ended,
        });
    }

    fn put(&self, chore: Chore) {
        if let Err(error) = self.0.try_send(chore) {
            tracing::debug!(%error, "upkeep of the database is left undone");
        }
    }
}

/// Does the work.
#[derive(Debug)]
pub(super) struct Upkeep {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    chores: mpsc::Receiver<Chore>,
    /// How long after the end of an attempt its points are joined: not while its worker waits for the next trial.
    join_after: Duration,
    /// Studies that are or were served here, with when that was said last.
    studies: HashMap<StudyId, Timestamp>,
}

impl Upkeep {
    pub(super) fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        join_after: Duration,
    ) -> (Self, UpkeepHandle) {
        let (sender, chores) = mpsc::channel(WAITING);
        let upkeep = Self {
            store,
            clock,
            chores,
            join_after,
            studies: HashMap::new(),
        };
        (upkeep, UpkeepHandle(sender))
    }

    /// Runs until `shutdown` is cancelled.
    pub(super) async fn run(mut self, shutdown: CancellationToken) {
        let mut prune = tokio::time::interval(PRUNE_EVERY);
        prune.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // At the start no study is known: each is looked through when it is first served.
        prune.reset();
        loop {
            let chore = tokio::select! {
                () = shutdown.cancelled() => return,
                _ = prune.tick() => None,
                chore = self.chores.recv() => match chore {
                    Some(chore) => Some(chore),
                    None => return,
                },
            };
            match chore {
                None => self.prune_all(&shutdown).await,
                Some(Chore::Served(study)) => {
                    if self.studies.insert(study, self.clock.now()).is_none() {
                        self.prune(study, &shutdown).await;
                    }
                }
                Some(Chore::Join {
                    owner,
                    trial,
                    attempt,
                    ended,
                }) => {
                    tokio::select! {
                        () = shutdown.cancelled() => return,
                        () = tokio::time::sleep_until(ended + self.join_after) => {}
                    }
                    self.join(owner, trial, attempt, &shutdown).await;
                }
            }
        }
    }

    async fn join(
        &self,
        owner: Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        shutdown: &CancellationToken,
    ) {
        let mut from = None;
        loop {
            let began = Instant::now();
            match self
                .store
                .point_compact(&owner, trial, attempt, from.as_ref())
                .await
            {
                Ok(Some(next)) => from = Some(next),
                Ok(None) => return,
                // Its new owner knows.
                Err(StoreError::NotOwner(_)) => return,
                Err(error) => return left_undone(&error, owner.study),
            }
            if rest(began, shutdown).await {
                return;
            }
        }
    }

    async fn prune_all(&mut self, shutdown: &CancellationToken) {
        let now = self.clock.now();
        // Of those that are no longer served, the last answers have been forgotten by then.
        self.studies
            .retain(|_, said| now.saturating_since(*said) <= KEEP_ANSWERS + PRUNE_EVERY * 2);
        let studies: Vec<StudyId> = self.studies.keys().copied().collect();
        for study in studies {
            self.prune(study, shutdown).await;
        }
    }

    async fn prune(&self, study: StudyId, shutdown: &CancellationToken) {
        let before = remembered_since(self.clock.now());
        while !shutdown.is_cancelled() {
            let began = Instant::now();
            match self.store.request_prune(study, before).await {
                Ok(count) if count < u64::from(PRUNED_AT_A_TIME) => return,
                Ok(_) => {}
                Err(error) => return left_undone(&error, study),
            }
            if rest(began, shutdown).await {
                return;
            }
        }
    }
}

/// Answers given before this may be forgotten.
pub(super) fn remembered_since(now: Timestamp) -> Timestamp {
    let keep = i64::try_from(KEEP_ANSWERS.as_micros()).unwrap_or(i64::MAX);
    Timestamp::from_micros(now.as_micros().saturating_sub(keep))
}

/// Rests for as long as the work took. True if it is time to end.
async fn rest(began: Instant, shutdown: &CancellationToken) -> bool {
    tokio::select! {
        () = shutdown.cancelled() => true,
        () = tokio::time::sleep(began.elapsed().max(REST)) => false,
    }
}

fn left_undone(error: &StoreError, study: StudyId) {
    tracing::debug!(error = error as &dyn std::error::Error, %study, "upkeep of the database is left undone");
}
