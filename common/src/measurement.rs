//! What a training reports: points of its metrics' curves.
//!
//! Values are stored as reported, NaN and infinities included. They never rank best: [`Goal::better`] is the one comparison.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
pub use crate::id::MetricName;

/// Points that one report may carry at most.
pub const MAX_POINTS_PER_BATCH: usize = 10_000;
/// Different metrics a trial may report.
pub const MAX_METRICS_PER_TRIAL: usize = 1_000;

/// One value of one metric at one step.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Index into the table of metric names that travels with the points.
    pub metric: u32,
    /// What the training counts (epochs, batches), at least 0.
    pub step: i64,
    /// The value as reported; may be NaN or infinite.
    pub value: f64,
    /// When the training reported it, by its machine's clock. Informative.
    pub at: Timestamp,
}

/// Points in the order in which they were reported, with the names of their metrics.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PointBatch {
    /// Names that [`Point::metric`] points into.
    pub metrics: Vec<MetricName>,
    /// The points; the first has the sequence number that travels with the batch, and the others follow without gaps.
    pub points: Vec<Point>,
}

/// Which direction of a metric is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Goal {
    /// Smaller is better.
    Minimize,
    /// Larger is better.
    Maximize,
}

impl Goal {
    /// Whether `a` is strictly better than `b`. NaN and infinities are never better than anything, and any finite value is
    /// better than them.
    #[must_use]
    pub fn better(self, a: f64, b: f64) -> bool {
        match (a.is_finite(), b.is_finite()) {
            (false, _) => false,
            (true, false) => true,
            (true, true) => match self {
                Self::Minimize => a < b,
                Self::Maximize => a > b,
            },
        }
    }

    /// `value` with its sign changed where needed so that smaller is better.
    #[must_use]
    pub fn to_minimize(self, value: f64) -> f64 {
        match self {
            Self::Minimize => value,
            Self::Maximize => -value,
        }
    }
}

/// How the objective's value is taken from a trial's curve.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum From {
    /// The value at the highest step.
    #[default]
    Last,
    /// The best finite value at any step.
    Best,
    /// The mean of the finite values at the last `k` steps.
    MeanOfLast(u32),
}
