//! What a study has spent, and whether that leaves room for another trial.
//!
//! Time is counted on the monotonic clock of the process that owns the study and stored as a sum, so that neither a restart nor
//! a clock that is set ends or extends a study.

use std::time::Duration;

use tunesmith_common::clock::Monotonic;

use super::checkpoints::Reach;
use super::course::Course;
use super::propose::NoTrial;
use super::study::{Ctx, StudyCore};
use super::trial::{ActiveAttempt, ActiveTrial};
use crate::store::StudyState;

impl StudyCore {
    /// Brings the stored time up to `now`.
    pub(super) fn count_time(&mut self, now: Monotonic) {
        self.row.active_time = self.active_time(now);
        self.counted_to = now;
    }

    /// Time during which the study was active.
    pub(super) fn active_time(&self, now: Monotonic) -> Duration {
        match self.row.state {
            StudyState::Active | StudyState::Ending(_) => {
                self.row.active_time + now.saturating_since(self.counted_to)
            }
            StudyState::Paused | StudyState::Done(_) | StudyState::Archived(_) => self.row.active_time,
        }
    }

    /// GPU time of all attempts, those running included, in seconds.
    pub(super) fn gpu_seconds(&self, now: Monotonic) -> f64 {
        let whole = |_: &ActiveTrial, run_time| run_time;
        self.row.gpu_seconds + self.in_use(now, whole, ActiveAttempt::gpu_seconds_of)
    }

    /// What all attempts have cost, those running included.
    pub(super) fn cost(&self, now: Monotonic) -> f64 {
        let whole = |_: &ActiveTrial, run_time| run_time;
        self.row.cost + self.in_use(now, whole, ActiveAttempt::cost_of)
    }

    /// The sum of what running attempts use, with each attempt's run time replaced by `counted` of it.
    pub(super) fn in_use(
        &self,
        now: Monotonic,
        counted: impl Fn(&ActiveTrial, Duration) -> Duration,
        used: impl Fn(&ActiveAttempt, Duration) -> f64,
    ) -> f64 {
        self.active
            .values()
            .filter_map(|trial| Some((trial, trial.attempt.as_ref()?)))
            .map(|(trial, attempt)| used(attempt, counted(trial, attempt.run_time(now))))
            .sum()
    }

    /// Whether one more trial may start.
    pub(super) fn may_start(&self, ctx: &Ctx<'_>) -> Result<(), NoTrial> {
        match self.row.state {
            StudyState::Active => {}
            StudyState::Paused => return Err(NoTrial::Paused),
            StudyState::Ending(_) | StudyState::Done(_) | StudyState::Archived(_) => {
                return Err(NoTrial::Over(self.row.state_reason.clone()));
            }
        }
        let budget = &self.spec.budget;
        if let Some(parallel) = budget.parallel
            && self.counts.in_flight() >= u64::from(parallel)
        {
            return Err(NoTrial::Parallel(parallel));
        }
        if let Some(limit) = budget.gpu_hours {
            let spoken_for = self.gpu_seconds(ctx.mono) + self.committed_gpu_seconds(ctx.mono);
            if spoken_for >= limit * 3600.0 {
                return Err(NoTrial::Budget(format!(
                    "gpu_hours: {limit} are used or spoken for by running trials"
                )));
            }
        }
        if let Some(limit) = budget.cost
            && self.cost(ctx.mono) + self.committed_cost(ctx.mono) >= limit
        {
            return Err(NoTrial::Budget(format!(
                "cost: {limit} are used or spoken for by running trials"
            )));
        }
        Ok(())
    }

    /// Whether the budget of trials allows one more to be created, and it is worth it.
    pub(super) fn may_create(&self) -> Result<(), NoTrial> {
        match self.spec.budget.trials {
            Some(limit) if self.created() >= limit => Err(NoTrial::Budget(format!(
                "trials: {limit} of {limit} were created"
            ))),
            _ => match self.not_worth_it() {
                Some(verdict) => Err(NoTrial::Budget(verdict.to_string())),
                None => self.is_incomplete(),
            },
        }
    }

    /// Whether the budget of trials has room for so many more.
    pub(super) fn has_room_for(&self, more: u64) -> bool {
        let limit = self.spec.budget.trials;
        limit.is_none_or(|limit| self.created().saturating_add(more) <= limit)
    }

    /// Whether trials that begin with others' training are still to come.
    fn is_incomplete(&self) -> Result<(), NoTrial> {
        let complete = |text: &str| Err(NoTrial::Population(text.to_owned()));
        match &self.course {
            Some(Course::Population(_)) if self.members_wanted(Reach::All) == Some(0) => {
                complete("the population is complete")
            }
            Some(Course::Replay(segments)) if segments.next().is_none() => {
                complete("the next segment begins with the last one's checkpoint, if there is any")
            }
            _ => Ok(()),
        }
    }

    /// Trials created so far.
    pub(super) fn created(&self) -> u64 {
        self.next_number - 1
    }

    /// The budget that is used up so that everything must stop now, if there is one.
    pub(super) fn time_is_up(&self, now: Monotonic) -> Option<String> {
        let budget = &self.spec.budget;
        if let Some(limit) = budget.wall_time
            && self.active_time(now) >= limit
        {
            return Some(format!(
                "wall_time of {}",
                tunesmith_common::units::HumanDuration(limit)
            ));
        }
        if let Some(limit) = budget.gpu_hours
            && self.gpu_seconds(now) >= limit * 3600.0
        {
            return Some(format!("gpu_hours of {limit}"));
        }
        if let Some(limit) = budget.cost
            && self.cost(now) >= limit
        {
            return Some(format!("cost of {limit}"));
        }
        None
    }
}
