//! A trial in memory: everything while it lives, what later decisions need once it has ended.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::checkpoint::Stages;
use tunesmith_common::clock::Monotonic;
use tunesmith_common::decision::Provenance;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::trial::Trial;
use tunesmith_common::worker::AttemptEnd;
use tunesmith_common::{Params, Timestamp, TrialNumber};

use super::curve::Curve;
use super::values::{Told, Values};
use crate::store::{AttemptRow, TrialRow};

/// A trial that has not ended.
#[derive(Clone, Debug)]
pub(super) struct ActiveTrial {
    pub(super) life: Trial,
    pub(super) params: Arc<Params>,
    /// Position in the encoded space; NaN for inactive parameters.
    pub(super) encoded: Box<[f64]>,
    pub(super) seed: u64,
    pub(super) note: String,
    pub(super) tags: Vec<String>,
    pub(super) provenance: Arc<Provenance>,
    pub(super) created_at: Timestamp,
    pub(super) started_at: Option<Timestamp>,
    /// By metric, as the study's readings have them.
    pub(super) curves: Box<[Curve]>,
    /// Values that a caller told, likewise; empty if none were.
    pub(super) told: Told,
    pub(super) last: Vec<(MetricName, f64)>,
    pub(super) last_step: Option<i64>,
    pub(super) stages: Arc<Stages>,
    pub(super) attempt: Option<ActiveAttempt>,
    /// While it waits: not to be handed out before.
    pub(super) ready_at: Monotonic,
}

/// The attempt under way.
#[derive(Clone, Debug)]
pub(super) struct ActiveAttempt {
    pub(super) row: AttemptRow,
    /// Sequence number of the last point taken.
    pub(super) committed: u64,
    /// Batches of points taken, each of which may have become a chunk of its own.
    pub(super) batches: u64,
    /// Metrics that reported in this attempt: the first point of each replaces the view from its step on.
    pub(super) reported: Vec<MetricName>,
    /// Last sign of life that was not its worker's session: when it was handed out, loaded, or reported by a client.
    pub(super) renewed: Monotonic,
    /// When the program started, on this process's clock, moved back by what it had run before this process loaded it.
    pub(super) running_since: Option<Monotonic>,
    /// Its run time when this process loaded it.
    pub(super) run_before: Duration,
    /// How long it has run by its worker's clock, if that stopped it for that.
    pub(super) ran: Option<Duration>,
    /// An end that waits for points which are still to come.
    pub(super) end: Option<Box<AttemptEnd>>,
}

impl ActiveAttempt {
    /// How long the program has run.
    pub(super) fn run_time(&self, now: Monotonic) -> Duration {
        self.running_since
            .map_or(Duration::ZERO, |since| now.saturating_since(since))
            + self.run_before
    }

    /// GPU time of so much run time, in seconds.
    pub(super) fn gpu_seconds_of(&self, run_time: Duration) -> f64 {
        run_time.as_secs_f64() * f64::from(u32::try_from(self.row.gpus.len()).unwrap_or(u32::MAX))
    }

    /// Cost of so much run time.
    pub(super) fn cost_of(&self, run_time: Duration) -> f64 {
        run_time.as_secs_f64() / 3_600.0 * self.row.price_per_hour
    }
}

impl ActiveTrial {
    pub(super) fn row(&self, number: TrialNumber, values: Values, ended_at: Option<Timestamp>) -> TrialRow {
        TrialRow {
            number,
            state: self.life.state().clone(),
            attempt: self.life.attempt(),
            program_failures: self.life.program_failures(),
            infrastructure_failures: self.life.infrastructure_failures(),
            params: Arc::clone(&self.params),
            seed: self.seed,
            value: values.first,
            more_values: values.more,
            last_step: self.last_step,
            metrics: self.last.clone(),
            stages: Arc::clone(&self.stages),
            note: self.note.clone(),
            tags: self.tags.clone(),
            provenance: Arc::clone(&self.provenance),
            created_at: self.created_at,
            started_at: self.started_at,
            ended_at,
        }
    }
}
