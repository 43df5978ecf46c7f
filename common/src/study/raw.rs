//! The study file as it is written: the same keys, nothing checked but their types. What is stored, exported and sent.
//!
//! The comments here are the descriptions in the published JSON Schema, and [`super::check`] is where each rule lives. Flat on
//! purpose: serde's tagged enums would lose the lines of what they read.

mod strategy;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use self::budget::{RawBudget, RawNoImprovement};
pub use self::strategy::{RawExploit, RawSegment, RawStrategy, RawStrategyName};
use super::values::{Ordered, RawNumber, RawValue, command, constraints, one_or_many};
use crate::measurement::Goal;
use crate::space::Scale;
use crate::units::{ByteSize, HumanDuration};

mod budget;

/// A study: what to vary, what to optimise, how trials are run and what it may all cost.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a study: a map with the keys objective and space"
)]
#[schemars(title = "Tunesmith study file")]
pub struct RawStudy {
    /// Name, unique within a coordinator: letters, digits, '.', '_' and '-', at most 128. The file's name without its extension if
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Free text for people, at most 64 KiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Name of the study that this one looks into more closely; a link for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Project under which the study is listed with others: a name like a study's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    /// What is optimised: one objective, or a list of up to 8.
    pub objective: RawObjectives,
    /// What may be varied: parameters by name, in the order in which they are shown.
    pub space: Ordered<RawParameter>,
    /// Expressions over parameters that every trial must satisfy, such as "batch * width <= 16384", and bounds of metrics that a trial
    /// must keep to be among the best, such as {metric: mem_gb, at_most: 16}.
    #[serde(
        default,
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "constraints"
    )]
    pub constraints: Vec<RawConstraint>,
    /// How trials are chosen; {name: auto} if left out. A name alone will do: `strategy: random`.
    #[serde(
        default,
        skip_serializing_if = "RawStrategy::is_default",
        deserialize_with = "super::values::strategy"
    )]
    #[schemars(schema_with = "super::schema::strategy")]
    pub strategy: RawStrategy,
    /// Rules that end a trial early. The first that says stop wins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub early_stopping: Vec<RawStopper>,
    /// What the study may cost; what is left out has no limit.
    #[serde(default, skip_serializing_if = "RawBudget::is_default")]
    pub budget: RawBudget,
    /// Share of the pool in relation to other studies, 1 to 1000; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    /// How one trial is run. Left out for a study whose trials are only run by programs that ask and tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<RawTrial>,
}

/// What is optimised: written as one objective, or as a list of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawObjectives {
    /// The first objective.
    pub first: RawObjective,
    /// The others.
    pub more: Vec<RawObjective>,
}

impl RawObjectives {
    /// All objectives in their order.
    pub fn iter(&self) -> impl Iterator<Item = &RawObjective> {
        std::iter::once(&self.first).chain(&self.more)
    }
}

impl From<RawObjective> for RawObjectives {
    fn from(first: RawObjective) -> Self {
        let more = Vec::new();
        Self { first, more }
    }
}

/// What is optimised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "one objective, such as {metric: val_acc, goal: maximize}"
)]
#[schemars(rename = "Objective")]
pub struct RawObjective {
    /// Name of the metric.
    pub metric: String,
    /// Which direction is better.
    pub goal: Goal,
    /// How the trial's value is taken from its curve: "last" (the default), "best", or "mean of last 3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(last|best|mean of last [1-9][0-9]*)$"))]
    pub from: Option<String>,
}

/// Something that a trial must satisfy.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum RawConstraint {
    /// An expression over parameters, known before the trial runs.
    Expression(String),
    /// A bound of a metric, known once the trial has run.
    Measured(RawMeasured),
}

/// A bound of a metric.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a bound of a metric, such as {metric: mem_gb, at_most: 16}"
)]
#[schemars(rename = "MeasuredConstraint")]
pub struct RawMeasured {
    /// Name of the metric.
    pub metric: String,
    /// Largest value that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_most: Option<f64>,
    /// Smallest value that is allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<f64>,
    /// How the trial's value is taken from its curve: "last" (the default), "best", which is the value that keeps the bound best, or "mean
    /// of last 3".
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = r"^(last|best|mean of last [1-9][0-9]*)$"))]
    pub from: Option<String>,
}

/// One parameter of the search space.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "a parameter, such as {type: float, low: 0, high: 1}"
)]
#[schemars(rename = "Parameter")]
pub struct RawParameter {
    /// Kind of values.
    #[serde(rename = "type")]
    pub kind: RawKind,
    /// Smallest value of a float or int.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub low: Option<RawNumber>,
    /// Largest value of a float or int.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub high: Option<RawNumber>,
    /// How the range of a float or int is divided; linear if left out. log2 (powers of two) is for ints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<Scale>,
    /// Only low + k * step, on a linear scale.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<RawNumber>,
    /// Values of a categorical or ordinal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub choices: Option<Vec<RawValue>>,
    /// Value of a constant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<RawValue>,
    /// The parameter exists only in trials in which each parameter named here has the value, or one of the values, given.
    #[serde(default, skip_serializing_if = "Ordered::is_empty")]
    pub when: Ordered<RawValues>,
}

/// Kind of a parameter's values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "ParameterType")]
pub enum RawKind {
    /// Numbers between low and high.
    #[default]
    Float,
    /// Whole numbers between low and high.
    Int,
    /// Choices without an order.
    Categorical,
    /// Choices in their order.
    Ordinal,
    /// False and true.
    Bool,
    /// Always the same value.
    Constant,
}

/// One or several values.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct RawValues(pub Vec<RawValue>);

/// One early-stopping rule. Which keys apply depends on the rule.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "an early-stopping rule, such as {rule: median, warmup_steps: 5}"
)]
#[schemars(rename = "Stopper")]
pub struct RawStopper {
    /// The rule.
    pub rule: RawRule,
    /// Metric judged; the objective's if left out. Required in a study of several objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric: Option<String>,
    /// All but threshold: which direction of the metric is better. Required for a metric that is not an objective's; for that one it
    /// is the objective's goal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub goal: Option<Goal>,
    /// Record what it would have stopped, and do not stop.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<bool>,
    /// median, percentile, plateau, below_baseline, curve: steps of a trial that are never judged; 0, for curve a twentieth, if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warmup_steps: Option<i64>,
    /// median, percentile: other trials needed at the step before anything is judged; 5 if left out. curve: trials trained to the end; 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_trials: Option<u32>,
    /// median, percentile: judge only at every n-th step; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<i64>,
    /// percentile: share of trials that is kept, between 0 and 100; 25 keeps the best quarter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keep: Option<f64>,
    /// threshold: stop above this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub above: Option<f64>,
    /// threshold: stop below this value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub below: Option<f64>,
    /// threshold: judge only steps greater than this; all if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_step: Option<i64>,
    /// plateau: steps without improvement that are waited for, 10 if left out; diverging: reports in a row that must say so, 3 if
    /// left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub patience: Option<i64>,
    /// plateau: improvement that counts, in units of the metric; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_delta: Option<f64>,
    /// diverging: how many times its own range the smoothed value may climb away from its best; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub factor: Option<f64>,
    /// below_baseline: compare with the curve of the trial of this number; with the best finished trial if neither this nor constant
    /// nor curve is given. One of them is required in a study of several objectives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<u64>,
    /// below_baseline: compare with this value at each step.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub constant: Option<f64>,
    /// below_baseline: compare with this curve: [step, value] pairs with growing steps, interpolated between them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curve: Vec<(i64, f64)>,
    /// below_baseline: how much worse is tolerated, in units of the metric; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tolerance: Option<f64>,
    /// asha: step of the first rung, 1 if left out; wilcoxon: steps that a trial and the best one must have in common before anything is
    /// judged, 5 if left out, or as many as a small p needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_steps: Option<i64>,
    /// asha: one trial in so many goes on at each rung, and the next rung is so many times as far; 3 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reduction: Option<u32>,
    /// asha: all rungs lie below this step; trial.steps.max if left out, without end if that is not given either. curve: the last step of
    /// a training; trial.steps.max if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_steps: Option<i64>,
    /// asha: groups that trials are divided between, each of which begins a rung later than the one before; 1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub brackets: Option<u32>,
    /// curve: stops where the probability of ending better than the best is below this; 0.05 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// wilcoxon: stop below this p-value, above 0 and at most 0.5; 0.1 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub p: Option<f64>,
}

/// Name of an early-stopping rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "Rule")]
pub enum RawRule {
    /// The trial's best value so far is worse than the median of the other trials' running averages at the same step.
    #[default]
    Median,
    /// The same with another percentile.
    Percentile,
    /// A value outside bounds.
    Threshold,
    /// No improvement for some steps.
    Plateau,
    /// NaN, infinite, or climbing away from its own best.
    Diverging,
    /// The curve lies under a baseline.
    BelowBaseline,
    /// Successive halving: not among the best of the trials that have come as far as one of a few steps.
    Asha,
    /// Learning-curve extrapolation: unlikely to end better than the best.
    Curve,
    /// Worse than the best finished trial at the same steps, by Wilcoxon's signed-rank test: for folds and problem instances.
    Wilcoxon,
}

/// How one trial is run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "how a trial is run, such as {command: [python, train.py, \"{args}\"]}"
)]
#[schemars(rename = "Trial")]
pub struct RawTrial {
    /// The program and its arguments, with placeholders such as {lr} or {args}; never passed to a shell.
    #[serde(deserialize_with = "command")]
    #[schemars(schema_with = "super::schema::texts")]
    pub command: Vec<String>,
    /// Environment variables to set, with placeholders in their values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::schema::texts_by_name")]
    pub env: BTreeMap<String, String>,
    /// Folder to run in, with placeholders; the trial's own folder if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// Where metrics are read from, beside the metrics file and the socket, which are always read; {stdout: json} if left out.
    #[serde(default, skip_serializing_if = "RawMetrics::is_default")]
    pub metrics: RawMetrics,
    /// What a step is.
    #[serde(default, skip_serializing_if = "RawSteps::is_default")]
    pub steps: RawSteps,
    /// What a trial needs of a worker.
    #[serde(default, skip_serializing_if = "RawResources::is_default")]
    pub resources: RawResources,
    /// Time after which a trial is stopped; what it reported counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_runtime: Option<HumanDuration>,
    /// How often a crashed program is tried again, at most 100; 0 if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Time between SIGTERM and SIGKILL, to save a checkpoint, at most 1h; 30s if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace: Option<HumanDuration>,
}

/// Where metrics are read from: one of the keys.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "one of {stdout: json}, {regex: ...} and {file: ...}"
)]
#[schemars(rename = "Metrics")]
pub struct RawMetrics {
    /// JSON lines on standard output.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stdout: Option<RawStdout>,
    /// A regular expression, or several, tried on each line of standard output. Its named groups say what is what.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        deserialize_with = "one_or_many"
    )]
    #[schemars(schema_with = "super::schema::one_or_many")]
    pub regex: Option<Vec<String>>,
    /// JSON lines in this file, relative to the working folder; placeholders allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl RawMetrics {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// Form of standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Stdout")]
pub enum RawStdout {
    /// One JSON object per line.
    Json,
}

/// What a step is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "what a step is, such as {name: epoch, max: 50}"
)]
#[schemars(rename = "Steps")]
pub struct RawSteps {
    /// Its name, such as epoch; "step" if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The last step of a full training.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<i64>,
}

impl RawSteps {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a trial needs of a worker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    deny_unknown_fields,
    expecting = "resources, such as {gpus: 1, cpus: 4, memory: 16GiB}"
)]
#[schemars(rename = "Resources")]
pub struct RawResources {
    /// Whole GPUs; none if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpus: Option<u32>,
    /// Memory that each GPU must have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory: Option<ByteSize>,
    /// Processor cores; fractions are allowed, and what is left out is not counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Main memory; not counted if left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// Labels that the worker must carry with these values.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "super::schema::texts_by_name")]
    pub labels: BTreeMap<String, String>,
}

impl RawResources {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl RawRule {
    /// The rule as the file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Median => "median",
            Self::Percentile => "percentile",
            Self::Threshold => "threshold",
            Self::Plateau => "plateau",
            Self::Diverging => "diverging",
            Self::BelowBaseline => "below_baseline",
            Self::Asha => "asha",
            Self::Curve => "curve",
            Self::Wilcoxon => "wilcoxon",
        }
    }
}

impl RawKind {
    /// The kind as the file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Float => "float",
            Self::Int => "int",
            Self::Categorical => "categorical",
            Self::Ordinal => "ordinal",
            Self::Bool => "bool",
            Self::Constant => "constant",
        }
    }
}
