//! When a study ends by itself, as it is written.
//!
//! Nothing is checked here but types, as in all of the study file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::units::HumanDuration;

/// What the study may cost. What is left out has no limit.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a budget, such as {trials: 64, parallel: 8}"
)]
#[schemars(rename = "Budget")]
pub struct RawBudget {
    /// Trials that may be created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trials: Option<u64>,
    /// Trials that may run at the same time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parallel: Option<u32>,
    /// Time during which the study is active.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_time: Option<HumanDuration>,
    /// GPU hours of all attempts together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_hours: Option<f64>,
    /// What all attempts together may cost, in the coordinator's currency. For studies whose trials run on workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<f64>,
    /// Failed trials after which the study ends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u64>,
    /// Objective value at which the study is content. For studies of one objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<f64>,
    /// When going on is not worth it: no new trial is made then, and the study ends with the last one that runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_improvement: Option<RawNoImprovement>,
}

impl RawBudget {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// When going on is not worth it: `patience`, `gain_below` or both, of which the first that holds counts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "when going on is not worth it, such as {patience: 30, min_delta: 0.001} or {gain_below: 0.001}"
)]
#[schemars(rename = "NoImprovement")]
pub struct RawNoImprovement {
    /// The best value has not become better by more than min_delta in the last so many results. With several objectives: none of them has
    /// changed the Pareto set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<u64>,
    /// With patience: what does not count as better, in units of the objective; 0 if left out. For studies of one objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_delta: Option<f64>,
    /// By a model of all results, the best point of the space is better than the best result by this at most, in units of the objective. For
    /// studies of one objective.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_below: Option<f64>,
    /// With gain_below: probability with which it must be so, from 0.5 to 0.99; 0.95 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confidence: Option<f64>,
    /// Record that it would have ended the study, and do not end it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
}
