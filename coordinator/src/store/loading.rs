//! What is read of a study when it is loaded. There may be millions of rows: as little of each as a study keeps in memory.

use tunesmith_common::checkpoint::Stages;
use tunesmith_common::decision::Origin;
use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, Params, Timestamp, TrialNumber};

use super::TrialRow;

/// A trial as a study in memory needs it.
#[derive(Clone, Debug, PartialEq)]
pub enum StoredTrial {
    /// It has ended.
    Ended(EndedTrial),
    /// It has not.
    Living(Box<TrialRow>),
}

impl StoredTrial {
    /// Its number.
    #[must_use]
    pub fn number(&self) -> TrialNumber {
        match self {
            Self::Ended(trial) => trial.number,
            Self::Living(row) => row.number,
        }
    }
}

/// What later decisions need of a trial that has ended.
#[derive(Clone, Debug, PartialEq)]
pub struct EndedTrial {
    /// Number within the study.
    pub number: TrialNumber,
    /// How it ended.
    pub end: End,
    /// Values of the active parameters.
    pub params: Params,
    /// The first objective's value. May be NaN or infinite.
    pub value: Option<f64>,
    /// Values of further objectives, and those that measured constraints are about, as [`TrialRow::more_values`] has them.
    pub more_values: Box<[Option<f64>]>,
    /// The highest step reported.
    pub last_step: Option<i64>,
    /// How far it has come, if there is anything to tell of that.
    pub stages: Option<Box<Stages>>,
    /// Who chose the parameters.
    pub origin: Origin,
    /// Where the strategy's enumeration stood after it, for strategies that enumerate.
    pub cursor: Option<u64>,
    /// When it ended; of two trials of a study, the one that ended first has the earlier time.
    pub ended_at: Timestamp,
}

/// How a trial ended, without the reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// By itself.
    Completed,
    /// Stopped by a rule.
    EarlyStopped,
    /// Stopped because time was up.
    TimedOut,
    /// Failed for good.
    Failed,
    /// Cancelled.
    Cancelled,
}

impl End {
    /// The end that a state is, if it is final.
    #[must_use]
    pub fn of(state: &TrialState) -> Option<Self> {
        match state {
            TrialState::Completed => Some(Self::Completed),
            TrialState::EarlyStopped(_) => Some(Self::EarlyStopped),
            TrialState::TimedOut(_) => Some(Self::TimedOut),
            TrialState::Failed(_) => Some(Self::Failed),
            TrialState::Cancelled(_) => Some(Self::Cancelled),
            TrialState::Pending
            | TrialState::Leased(_)
            | TrialState::Running(_)
            | TrialState::Stopping(..)
            | TrialState::Paused => None,
        }
    }

    /// Name of the state, as [`TrialState::name`] has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Completed => "COMPLETED",
            Self::EarlyStopped => "EARLY_STOPPED",
            Self::TimedOut => "TIMED_OUT",
            Self::Failed => "FAILED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The end whose state has this name.
    pub(in crate::store) fn named(name: &str) -> Option<Self> {
        [
            Self::Completed,
            Self::EarlyStopped,
            Self::TimedOut,
            Self::Failed,
            Self::Cancelled,
        ]
        .into_iter()
        .find(|end| end.name() == name)
    }
}

/// Points of some metrics of some trials, ordered by trial, attempt, metric, sequence number: one run for each chunk stored.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PointRuns {
    runs: Vec<Run>,
    points: Vec<(i64, f64)>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Run {
    trial: TrialNumber,
    attempt: Attempt,
    metric: usize,
    /// Where its points end among all of them; they begin where those of the run before it end.
    end: usize,
}

/// Points that were stored together.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PointRun<'a> {
    /// The trial.
    pub trial: TrialNumber,
    /// The attempt.
    pub attempt: Attempt,
    /// The metric's place in the list that was asked for.
    pub metric: usize,
    /// Step and value of each point in the order reported; values may be NaN or infinite.
    pub points: &'a [(i64, f64)],
}

impl PointRuns {
    /// All runs.
    pub fn iter(&self) -> impl Iterator<Item = PointRun<'_>> {
        let starts = std::iter::once(0).chain(self.runs.iter().map(|run| run.end));
        starts.zip(&self.runs).map(|(start, run)| PointRun {
            trial: run.trial,
            attempt: run.attempt,
            metric: run.metric,
            points: &self.points[start..run.end],
        })
    }

    /// The last trial, if there is any.
    #[must_use]
    pub fn last_trial(&self) -> Option<TrialNumber> {
        self.runs.last().map(|run| run.trial)
    }

    /// Number of runs.
    pub(super) fn len(&self) -> usize {
        self.runs.len()
    }

    /// Drops the runs of the last trial, unless it is the only one; whether it is not.
    pub(super) fn drop_last_trial(&mut self) -> bool {
        let Some(last) = self.last_trial() else {
            return true;
        };
        let kept = self.runs.partition_point(|run| run.trial < last);
        if kept == 0 {
            return false;
        }
        self.runs.truncate(kept);
        self.points.truncate(self.runs[kept - 1].end);
        true
    }

    /// Where the points of the next run go, to be closed by [`Self::close_run`].
    pub(super) fn open_run(&mut self) -> &mut Vec<(i64, f64)> {
        &mut self.points
    }

    /// All points since the last run are one of this kind.
    pub(super) fn close_run(&mut self, trial: TrialNumber, attempt: Attempt, metric: usize) {
        let end = self.points.len();
        self.runs.push(Run {
            trial,
            attempt,
            metric,
            end,
        });
    }
}
