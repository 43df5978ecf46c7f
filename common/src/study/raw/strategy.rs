//! How trials are chosen, as the study file writes it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::spec::Acquisition;
use super::super::values::{Ordered, RawValue, names};

/// How trials are chosen.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a strategy, such as random or {name: grid, points: 5}"
)]
#[schemars(rename = "Strategy")]
pub struct RawStrategy {
    /// The strategy.
    #[serde(default)]
    pub name: RawStrategyName,
    /// Seed of everything random in the study; drawn when the study is created if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// grid: a seeded shuffle instead of the stated order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shuffle: Option<bool>,
    /// grid: values per float or int without a step; 10 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub points: Option<u32>,
    /// gp: log_ei (if left out), ei or ucb.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acquisition: Option<Acquisition>,
    /// asha, hyperband, bohb: the strategy that chooses the points: random (if left out, of asha and hyperband), sobol, gp, or tpe (if left out, of
    /// bohb).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<RawStrategyName>,
    /// asha, hyperband, bohb: step of the first rung, at which trials are compared for the first time; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_steps: Option<i64>,
    /// asha, hyperband, bohb: last step of a training; trial.steps.max if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<i64>,
    /// asha, hyperband, bohb: one trial in so many goes on at each rung; 3 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<u32>,
    /// asha, hyperband, bohb: groups of trials of which each begins a rung later than the one before; 1 for asha, as many as there are rungs for
    /// hyperband and bohb if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brackets: Option<u32>,
    /// Points to try first, in order; parameters left out are chosen by the strategy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub initial: Vec<Ordered<RawValue>>,
    /// Names of up to 16 studies whose finished trials are known from the start, as far as they are points of this study's space.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "names")]
    #[schemars(schema_with = "super::super::schema::one_or_many")]
    pub history: Vec<String>,
    /// All but manual: share of the trials that are drawn at random instead, as a baseline, from 0 to 1; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_share: Option<f64>,
}

impl RawStrategy {
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Name of a strategy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "StrategyName")]
pub enum RawStrategyName {
    /// Tunesmith chooses, and says what it chose.
    #[default]
    Auto,
    /// Only people and programs add trials.
    Manual,
    /// Every combination of values once.
    Grid,
    /// Independent draws.
    Random,
    /// A scrambled Sobol sequence, which spreads more evenly than random.
    Sobol,
    /// Bayesian optimisation with a Gaussian process, for trainings that take long.
    Gp,
    /// Tree-structured Parzen estimator: cheap, for many trials and deep conditions.
    Tpe,
    /// Covariance matrix adaptation: cheap, for hundreds of trials and more over numbers.
    Cmaes,
    /// Regularised evolution: cheap, for many trials in spaces of choices, such as architectures.
    Evolution,
    /// Non-dominated sorting genetic algorithm: cheap, for many trials with several objectives.
    Nsga2,
    /// Asynchronous successive halving: trials rest at rungs, and the best of each are promoted.
    Asha,
    /// Hyperband: the same in several brackets, some of which compare later.
    Hyperband,
    /// Hyperband whose points are chosen by a model of what was seen at the rungs.
    Bohb,
}

impl RawStrategyName {
    /// The strategy as the file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Manual => "manual",
            Self::Grid => "grid",
            Self::Random => "random",
            Self::Sobol => "sobol",
            Self::Gp => "gp",
            Self::Tpe => "tpe",
            Self::Cmaes => "cmaes",
            Self::Evolution => "evolution",
            Self::Nsga2 => "nsga2",
            Self::Asha => "asha",
            Self::Hyperband => "hyperband",
            Self::Bohb => "bohb",
        }
    }
}
