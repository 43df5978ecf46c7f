//! More time for trials whose time was up: they go on from their checkpoints once the limit that stopped them was raised.
//!
//! What such a trial had come to when its time was up stays a result that strategies have seen, so that what was proposed since can be proposed again.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::checkpoint::EarlierEnd;
use tunesmith_common::trial::{Event, StopReason, Trial, TrialState};
use tunesmith_common::units::HumanDuration;
use tunesmith_common::{Timestamp, TrialNumber};

use super::outbox::Outbox;
use super::study::{Ctx, StudyCore, later_than};
use super::trial::ActiveTrial;
use crate::store::TrialRow;

/// Trials whose time was up, as they were read from the store.
#[derive(Debug, Default)]
pub struct TimedOut {
    /// The trials.
    pub rows: Vec<TrialRow>,
    /// What [`StudyCore::loaded_at`] was before they were read.
    pub loaded_at: u64,
}

impl StudyCore {
    /// Changes whenever the study is loaded anew, and so whenever a trial that had ended goes on.
    #[must_use]
    pub fn loaded_at(&self) -> u64 {
        self.loaded_at
    }

    /// Whether what was read of trials that have ended may be out of date.
    pub(super) fn is_out_of_date(&self, timed_out: &TimedOut) -> bool {
        !timed_out.rows.is_empty() && timed_out.loaded_at != self.loaded_at
    }

    /// Those that can go on now, as they are to be stored.
    pub(super) fn with_time_left(&self, ctx: &Ctx<'_>, timed_out: TimedOut) -> Vec<TrialRow> {
        // The study is loaded again before anything else happens.
        let now = later_than(&mut self.last_end.clone(), ctx.now);
        let rows = timed_out.rows.into_iter();
        rows.filter_map(|row| self.given_more_time(row, now)).collect()
    }

    fn given_more_time(&self, mut row: TrialRow, now: Timestamp) -> Option<TrialRow> {
        row.stages.checkpoint.as_ref()?;
        if !self.has_time_left(row.stages.trained) {
            return None;
        }
        let mut life = Trial::restore(
            row.state,
            row.attempt,
            self.spec.trial.as_ref()?.retries,
            row.program_failures,
            row.infrastructure_failures,
        );
        life.apply(Event::MoreTime).ok()?;
        row.state = life.state().clone();
        let end = EarlierEnd {
            at: row.ended_at.take()?,
            went_on_at: now,
            value: row.value.take(),
            more_values: std::mem::take(&mut row.more_values),
            last_step: row.last_step,
            next: TrialNumber(self.next_number),
        };
        Arc::make_mut(&mut row.stages).earlier_ends.push(end);
        Some(row)
    }

    /// Trials that go on wait from now on.
    pub(super) fn count_as_waiting(&mut self, rows: &[TrialRow]) {
        let count = rows.len() as u64;
        self.counts.timed_out = self.counts.timed_out.saturating_sub(count);
        self.counts.pending += count;
    }

    /// Lets trials go on. The study must be loaded again after the commit.
    pub(super) fn let_go_on(&self, out: &mut Outbox, ctx: &Ctx<'_>, rows: Vec<TrialRow>, actor: &str) {
        for row in rows {
            let text = "its time was up, and there is more of it now: it goes on from its checkpoint";
            self.audit(out, ctx, actor, "continue_trial", Some(row.number), text);
            out.trials.insert(row.number, Some(row));
        }
    }

    /// How much longer a trial may run that has run so long; none if that is not limited.
    pub(super) fn time_left(&self, trained: Duration) -> Option<Duration> {
        let limit = self.spec.trial.as_ref()?.max_runtime?;
        Some(limit.saturating_sub(trained))
    }

    fn has_time_left(&self, trained: Duration) -> bool {
        self.time_left(trained).is_none_or(|left| !left.is_zero())
    }

    /// An attempt was stopped because it had run as long as it had been given: `limit`. Whether its trial goes on, having been given more meanwhile;
    /// otherwise it is asked to stop.
    pub(super) fn at_max_runtime(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        limit: Duration,
    ) -> bool {
        let Some(trial) = self.active.get_mut(&number) else {
            return false;
        };
        // By the clock of whoever stopped it, which is the one that counts.
        let so_far = trial.stages.trained + limit;
        if let Some(attempt) = &mut trial.attempt {
            attempt.ran = Some(limit);
        }
        if trial.stages.checkpoint.is_some() && self.has_time_left(so_far) {
            return true;
        }
        self.stop_for_time(out, ctx, number, so_far);
        false
    }

    /// Asks a trial to stop that has run so long.
    pub(super) fn stop_for_time(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        limit: Duration,
    ) {
        let limit = format!("max_runtime of {}", HumanDuration(limit));
        let stop = Event::StopRequested(StopReason::TimedOut { limit });
        // Refused only where the trial has ended.
        let _ = self.apply(out, ctx, number, stop, "");
    }

    /// An attempt begins: what was trained before counts only if it goes on from there.
    pub(super) fn count_from(&mut self, number: TrialNumber) {
        if let Some(trial) = self.active.get_mut(&number)
            && !trial.stages.trained.is_zero()
            && !matches!(&trial.stages.checkpoint, Some(checkpoint) if checkpoint.trial == number)
        {
            Arc::make_mut(&mut trial.stages).trained = Duration::ZERO;
        }
    }
}

/// A trial has ended: how long it was trained matters only if it may go on.
pub(super) fn end_count(trial: &mut ActiveTrial) {
    let may_go_on =
        matches!(trial.life.state(), TrialState::TimedOut(_)) && trial.stages.checkpoint.is_some();
    if !may_go_on && !trial.stages.trained.is_zero() {
        Arc::make_mut(&mut trial.stages).trained = Duration::ZERO;
    }
}
