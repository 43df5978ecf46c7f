//! How much of its budget a study has used and is committed to, and saying so in time.
//!
//! What a running trial may still use up to its `max_runtime` is committed: nothing new starts that could not be paid for, and people see why.

use std::fmt;
use std::time::Duration;

use tunesmith_common::clock::Monotonic;
use tunesmith_common::units::HumanDuration;

use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};
use super::trial::{ActiveAttempt, ActiveTrial};
use crate::store::StudyState;

/// Share of a limit from which on people are warned.
const NEAR: f64 = 0.8;

/// A limit that is nearly reached. Only those that stop what runs: that all `trials` were made is the plan, and stops nothing.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Near {
    WallTime { used: Duration, limit: Duration },
    GpuHours { used: f64, committed: f64, limit: f64 },
    Cost { used: f64, committed: f64, limit: f64 },
    Failures { failed: u64, limit: u64 },
}

impl Near {
    /// Which limit.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::WallTime { .. } => "wall_time",
            Self::GpuHours { .. } => "gpu_hours",
            Self::Cost { .. } => "cost",
            Self::Failures { .. } => "failures",
        }
    }
}

impl fmt::Display for Near {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "budget.{}: ", self.name())?;
        match *self {
            Self::WallTime { used, limit } => {
                let used = HumanDuration(Duration::from_secs(used.as_secs()));
                write!(f, "{used} of {} are used", HumanDuration(limit))?;
            }
            Self::GpuHours {
                used,
                committed,
                limit,
            }
            | Self::Cost {
                used,
                committed,
                limit,
            } => write!(
                f,
                "{used:.2} of {limit} are used, and {committed:.2} more are committed to trials that run"
            )?,
            Self::Failures { failed, limit } => write!(f, "{failed} of {limit} trials have failed")?,
        }
        f.write_str("; the study ends at the limit, raise it with an edit if it is to go on")
    }
}

impl StudyCore {
    /// GPU time that attempts which run may still use up to `max_runtime`, in seconds.
    pub(super) fn committed_gpu_seconds(&self, now: Monotonic) -> f64 {
        self.still_usable(now, ActiveAttempt::gpu_seconds_of)
    }

    /// What attempts which run may still cost up to `max_runtime`.
    pub(super) fn committed_cost(&self, now: Monotonic) -> f64 {
        self.still_usable(now, ActiveAttempt::cost_of)
    }

    fn still_usable(&self, now: Monotonic, used: impl Fn(&ActiveAttempt, Duration) -> f64) -> f64 {
        let left = |trial: &ActiveTrial, run_time| self.time_left(trial.stages.trained + run_time);
        self.in_use(
            now,
            |trial, run_time| left(trial, run_time).unwrap_or_default(),
            used,
        )
    }

    /// Limits that are nearly reached while the study lives.
    pub(super) fn near_limits(&self, now: Monotonic) -> Vec<Near> {
        let budget = &self.spec.budget;
        if !matches!(self.row.state, StudyState::Active | StudyState::Paused) {
            return Vec::new();
        }
        let wall_time = budget.wall_time.and_then(|limit| {
            let used = self.active_time(now);
            (used.as_secs_f64() >= NEAR * limit.as_secs_f64()).then_some(Near::WallTime { used, limit })
        });
        let gpu_hours = budget.gpu_hours.and_then(|limit| {
            let (used, committed) = (
                self.gpu_seconds(now) / 3_600.0,
                self.committed_gpu_seconds(now) / 3_600.0,
            );
            (used + committed >= NEAR * limit).then_some(Near::GpuHours {
                used,
                committed,
                limit,
            })
        });
        let cost = budget.cost.and_then(|limit| {
            let (used, committed) = (self.cost(now), self.committed_cost(now));
            (used + committed >= NEAR * limit).then_some(Near::Cost {
                used,
                committed,
                limit,
            })
        });
        let failures = budget.failures.and_then(|limit| {
            let failed = self.counts.failed;
            (failed as f64 >= NEAR * limit as f64).then_some(Near::Failures { failed, limit })
        });
        let near = wall_time.into_iter().chain(gpu_hours);
        near.chain(cost).chain(failures).collect()
    }

    /// Takes it that what is near now, when the study was loaded, was recorded before.
    pub(super) fn near_limits_known(&mut self, now: Monotonic) {
        self.near = self.near_limits(now).iter().map(Near::name).collect();
    }

    /// Records limits that have come near, once each time that they do.
    pub(super) fn record_near_limits(&mut self, out: &mut Outbox, ctx: &Ctx<'_>) {
        let near = self.near_limits(ctx.mono);
        for limit in near.iter().filter(|limit| !self.near.contains(limit.name())) {
            self.audit(out, ctx, "coordinator", "near_budget", None, &limit.to_string());
        }
        self.near = near.iter().map(Near::name).collect();
    }
}
