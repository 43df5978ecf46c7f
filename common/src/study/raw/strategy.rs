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
    /// bohb). pbt, pb2: the one that chooses the points to begin with: sobol (if left out) or random.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampler: Option<RawStrategyName>,
    /// asha, hyperband, bohb: step of the first rung, at which trials are compared for the first time; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_steps: Option<i64>,
    /// asha, hyperband, bohb, pbt, pb2: last step of a training; trial.steps.max if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<i64>,
    /// asha, hyperband, bohb: one trial in so many goes on at each rung; 3 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<u32>,
    /// asha, hyperband, bohb: groups of trials of which each begins a rung later than the one before; 1 for asha, as many as there are rungs for
    /// hyperband and bohb if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brackets: Option<u32>,
    /// pbt, pb2: trials that are trained side by side; 16 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub population: Option<u32>,
    /// pbt, pb2: steps after which each trial is compared with the others, again and again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// pbt, pb2: how it is found out who is replaced: truncation (if left out) compares with all others, tournament with one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exploit: Option<RawExploit>,
    /// pbt, pb2 with truncation: share of the trials that is replaced, and that of those who replace them, above 0 and at most 0.5; 0.25 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fraction: Option<f64>,
    /// pbt, pb2: names of the parameters that may change in the middle of a training; all if left out, of pb2 all that are numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vary: Vec<String>,
    /// pbt: chance that a parameter is drawn anew, from 0 to 1; 0.25 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resample: Option<f64>,
    /// pbt: what a number is multiplied with if it is not drawn anew, one of them by chance; [0.8, 1.2] if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub factors: Vec<f64>,
    /// replay: the parameters of a training, one set after the other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub segments: Vec<RawSegment>,
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

/// How it is found out which trials of a population are replaced.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Exploit")]
pub enum RawExploit {
    /// One of the worst is replaced by one of the best.
    #[default]
    Truncation,
    /// A trial is replaced by another one, drawn by chance, if that is better.
    Tournament,
}

impl RawExploit {
    /// As the file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncation => "truncation",
            Self::Tournament => "tournament",
        }
    }
}

/// A part of a training during which its parameters stay the same.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a segment, such as {until: 10, parameters: {lr: 0.1}}"
)]
#[schemars(rename = "Segment")]
pub struct RawSegment {
    /// Its last step; of the last segment the last step of the training if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<i64>,
    /// Seed for everything random in it; from the study's seed if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// Values of all active parameters.
    pub parameters: Ordered<RawValue>,
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
    /// Population-based training: the worst trials are replaced by changed copies of the best, which go on from their checkpoints.
    Pbt,
    /// The same, the changes being chosen by a model of what they brought so far.
    Pb2,
    /// One training whose parameters change as those of another one did.
    Replay,
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
            Self::Pbt => "pbt",
            Self::Pb2 => "pb2",
            Self::Replay => "replay",
        }
    }
}
