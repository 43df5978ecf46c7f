//! What is between the memory and the store: commands that were applied, and the commit that is on its way.

use std::sync::Arc;

use futures::future::BoxFuture;
use tunesmith_common::{Attempt, TrialNumber, WorkerId};

use super::handle::{Answer, Command, Committed};
use crate::decide::{Ctx, Order, Outbox, StudyCore};
use crate::pool::{Place, Pool};
use crate::store::{Ownership, StoreError};

/// Commands that were applied to the memory, and what they led to: the next commit.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) out: Outbox,
    pub(super) answers: Vec<Answer>,
    /// Whether the study must be loaded again after the commit.
    pub(super) reload: bool,
}

impl Batch {
    /// Commands whose callers wait for the commit.
    pub(super) fn commands(&self) -> usize {
        self.answers.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.answers.is_empty() && self.out.nothing_to_store()
    }

    /// Applies a command.
    pub(super) fn take(&mut self, command: Box<dyn Command>, core: &mut StudyCore, ctx: &mut Ctx<'_>) {
        let step = command.apply(core, &mut self.out, ctx);
        self.answers.push(step.answer);
        self.reload |= step.reload;
    }

    pub(super) fn take_answers(&mut self) -> Vec<Answer> {
        std::mem::take(&mut self.answers)
    }

    pub(super) fn take_reload(&mut self) -> bool {
        std::mem::take(&mut self.reload)
    }
}

/// A commit on its way to the store, and what waits for it.
pub(super) struct Flight {
    pub(super) commit: BoxFuture<'static, Result<Ownership, StoreError>>,
    pub(super) answers: Vec<Answer>,
    pub(super) reload: bool,
    pub(super) orders: Vec<(WorkerId, Order)>,
    pub(super) places: TakenPlaces,
    pub(super) scattered: Vec<(TrialNumber, Attempt)>,
    pub(super) committed: Option<Committed>,
}

impl Flight {
    /// Whether the study must be loaded again when it has landed.
    pub(super) fn reloads(&self) -> bool {
        self.reload
    }

    /// Waits for its end; for ever if there is none.
    pub(super) async fn landed(flight: &mut Option<Self>) -> Result<Ownership, StoreError> {
        match flight {
            Some(flight) => flight.commit.as_mut().await,
            None => std::future::pending().await,
        }
    }
}

/// Places that the pool has set aside for trials of this commit, with whether there is a trial. Handed back when dropped, whatever happened.
pub(super) struct TakenPlaces {
    pool: Arc<Pool>,
    pub(super) places: Vec<(Place, bool)>,
}

impl TakenPlaces {
    pub(super) fn none(pool: &Arc<Pool>) -> Self {
        Self {
            pool: Arc::clone(pool),
            places: Vec::new(),
        }
    }
}

impl Drop for TakenPlaces {
    fn drop(&mut self) {
        for (place, accepted) in self.places.drain(..) {
            self.pool.offer_answered(place, accepted);
        }
    }
}

/// Answers those whose commands were carried out.
pub(super) fn give(answers: Vec<Answer>) {
    for answer in answers {
        answer(Ok(()));
    }
}
