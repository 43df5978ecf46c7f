//! Populations: trials that are trained side by side and replace each other.

use crate::id::ParameterName;
use crate::params::Params;

/// Population-based training.
#[derive(Clone, Debug, PartialEq)]
pub struct Population {
    /// How parameters change.
    pub explore: Explore,
    /// Trials that are trained side by side, at least 2.
    pub size: u32,
    /// Steps after which a trial is compared with the others, again and again; at least 1.
    pub interval: i64,
    /// Last step of a training, above `interval`.
    pub max_steps: i64,
    /// Who is replaced by whom.
    pub exploit: Exploit,
    /// Parameters that may change in the middle of a training. At least one, all different.
    pub vary: Vec<ParameterName>,
}

/// Who is replaced by whom.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Exploit {
    /// One of the worst by one of the best.
    Truncation {
        /// Share of the trials that are the worst, and of those that are the best. Above 0, at most 0.5.
        fraction: f64,
    },
    /// One of two drawn by chance by the other, if that is better.
    Tournament,
}

/// How parameters change as a trial is replaced.
#[derive(Clone, Debug, PartialEq)]
pub enum Explore {
    /// By chance.
    Perturb {
        /// Chance that a parameter is drawn anew, from 0 to 1.
        resample: f64,
        /// What a number is multiplied with otherwise, one of them by chance. At least one, all above 0.
        factors: Vec<f64>,
    },
    /// As a model of what changes brought expects most of.
    Model,
}

/// A part of a training during which its parameters stay the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Segment {
    /// Its last step; above that of the segment before.
    pub until: i64,
    /// Seed for everything random in it, if it is to be a certain one.
    pub seed: Option<u64>,
    /// Values of all active parameters.
    pub params: Params,
}

impl Population {
    /// The strategy as the study file writes it.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self.explore {
            Explore::Perturb { .. } => "pbt",
            Explore::Model => "pb2",
        }
    }

    /// The steps at which a trial is compared with the others, from the first after `step` on.
    pub fn marks_after(&self, step: i64) -> impl Iterator<Item = i64> + use<> {
        let (interval, end) = (self.interval.max(1), self.max_steps);
        let first = step.max(0) / interval * interval + interval;
        std::iter::successors(Some(first), move |mark| mark.checked_add(interval))
            .take_while(move |mark| *mark < end)
    }
}
