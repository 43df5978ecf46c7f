//! The checked form of a study: what the rest of the system works with.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::population::{Population, Segment};
use crate::id::{MetricName, ProjectName, StudyName, TrialNumber};
use crate::measurement::{From as ValueFrom, Goal};
use crate::params::Params;
use crate::space::Space;

/// A checked study.
#[derive(Clone, Debug, PartialEq)]
pub struct StudySpec {
    /// Name, unique within a coordinator.
    pub name: StudyName,
    /// Free text for people; may be empty.
    pub message: String,
    /// The study that this one looks into more closely.
    pub parent: Option<StudyName>,
    /// The project under which it is listed with others.
    pub project: Option<ProjectName>,
    /// What is optimised; the first of the objectives if there are several.
    pub objective: Objective,
    /// The second and further objectives, each with a metric of its own. Empty in most studies.
    pub more_objectives: Vec<Objective>,
    /// Bounds of metrics that a trial must keep to be among the best.
    pub measured_constraints: Vec<MeasuredConstraint>,
    /// What may be varied, with its constraints.
    pub space: Space,
    /// How trials are chosen.
    pub strategy: StrategySpec,
    /// Rules that end a trial early, in the order in which they are asked.
    pub early_stopping: Vec<StopperSpec>,
    /// What the study may cost.
    pub budget: Budget,
    /// Share of the pool in relation to other studies: a study of priority 2 gets twice the slots of one of priority 1.
    /// Between 1 and 1,000.
    pub priority: NonZeroU32,
    /// How one trial is run. None for a study whose trials are only run by programs that ask and tell.
    pub trial: Option<TrialSpec>,
}

impl StudySpec {
    /// All objectives, in their order.
    pub fn objectives(&self) -> impl Iterator<Item = &Objective> {
        std::iter::once(&self.objective).chain(&self.more_objectives)
    }

    /// Metrics that trials' values are taken from: those of the objectives in their order, then those of measured constraints. Each once.
    #[must_use]
    pub fn value_metrics(&self) -> Vec<MetricName> {
        let constrained = self
            .measured_constraints
            .iter()
            .map(|constraint| &constraint.metric);
        let mut metrics: Vec<MetricName> = Vec::new();
        for metric in self
            .objectives()
            .map(|objective| &objective.metric)
            .chain(constrained)
        {
            if !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        metrics
    }
}

/// What is optimised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objective {
    /// The metric.
    pub metric: MetricName,
    /// Which direction is better.
    pub goal: Goal,
    /// How the trial's value is taken from its curve.
    pub from: ValueFrom,
}

/// A bound of a metric, known to be kept once a trial has run.
#[derive(Clone, Debug, PartialEq)]
pub struct MeasuredConstraint {
    /// The metric.
    pub metric: MetricName,
    /// The bound.
    pub bound: Bound,
    /// How the trial's value is taken from its curve.
    pub from: ValueFrom,
}

/// A bound of a value. Finite.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Bound {
    /// The largest value that is allowed.
    AtMost(f64),
    /// The smallest value that is allowed.
    AtLeast(f64),
}

impl Bound {
    /// By how much `value` violates it, in the value's units: it is kept where this is 0 or less. NaN for NaN.
    #[must_use]
    pub fn violation(self, value: f64) -> f64 {
        match self {
            Self::AtMost(bound) => value - bound,
            Self::AtLeast(bound) => bound - value,
        }
    }

    /// Which direction keeps it.
    #[must_use]
    pub fn goal(self) -> Goal {
        match self {
            Self::AtMost(_) => Goal::Minimize,
            Self::AtLeast(_) => Goal::Maximize,
        }
    }
}

/// Which strategy proposes trials.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
pub enum StrategyName {
    /// Tunesmith chooses; it says what it chose.
    Auto,
    /// Only people and programs add trials.
    Manual,
    /// Every combination of values once.
    Grid {
        /// Seeded shuffle instead of the stated order.
        shuffle: bool,
        /// Values per continuous or integer parameter without a step.
        points: NonZeroU32,
    },
    /// Independent draws.
    Random,
    /// A scrambled Sobol sequence: spreads more evenly than random.
    Sobol,
    /// Bayesian optimisation with a Gaussian process.
    Gp {
        /// What is made of the model's mean and variance.
        acquisition: Acquisition,
    },
    /// Tree-structured Parzen estimator.
    Tpe,
    /// Covariance matrix adaptation evolution strategy.
    Cmaes,
    /// Regularised evolution.
    Evolution,
    /// Non-dominated sorting genetic algorithm.
    Nsga2,
}

impl StrategyName {
    /// Its settings as in a study file, such as `acquisition: log_ei`; empty if it has none.
    #[must_use]
    pub fn settings(self) -> String {
        match self {
            Self::Grid { shuffle, points } => format!("shuffle: {shuffle}, points: {points}"),
            Self::Gp { acquisition } => format!("acquisition: {}", acquisition.name()),
            Self::Auto
            | Self::Manual
            | Self::Random
            | Self::Sobol
            | Self::Tpe
            | Self::Cmaes
            | Self::Evolution
            | Self::Nsga2 => String::new(),
        }
    }
}

/// How promising a point is, from the mean and the variance that a model gives it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Acquisition {
    /// Logarithm of the expected improvement.
    #[default]
    LogEi,
    /// Expected improvement.
    Ei,
    /// Confidence bound: the mean and so many deviations in the better direction.
    Ucb,
}

impl Acquisition {
    /// The acquisition as the study file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::LogEi => "log_ei",
            Self::Ei => "ei",
            Self::Ucb => "ucb",
        }
    }
}

/// Which strategy proposes trials, and its seed.
#[derive(Clone, Debug, PartialEq)]
pub struct StrategySpec {
    /// The strategy.
    pub name: StrategyName,
    /// How long each trial is trained, if not to the end in one go.
    pub schedule: Option<Schedule>,
    /// Seed of everything random in the study. Drawn when the study is created if its owner gave none.
    pub seed: u64,
    /// Points to try before the strategy's own, in order. Parameters left out are chosen by the strategy.
    pub initial: Vec<Params>,
    /// Studies whose finished trials are known from the start. At most 16, all different.
    pub history: Vec<StudyName>,
    /// Probability with which a trial is drawn at random instead, as a baseline. From 0 to 1.
    pub random_share: f64,
}

/// How long each trial is trained, where that depends on how it does.
#[derive(Clone, Debug, PartialEq)]
pub enum Schedule {
    /// Successive halving with promotion: trials rest at rungs, and the best of each go on.
    Halving(Halving),
    /// Population-based training: trials are replaced by changed copies of better ones.
    Population(Population),
    /// One training in segments, each of which is a trial that goes on from the one before. At least one.
    Replay(Vec<Segment>),
}

/// Successive halving with promotion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Halving {
    /// The name under which its owner asked for it.
    pub name: HalvingName,
    /// Step of the first rung, at least 1.
    pub min_steps: i64,
    /// One trial in so many goes on at each rung, at least 2; also the ratio of the steps of neighbouring rungs.
    pub reduction: u32,
    /// Last step of a training, above `min_steps`.
    pub max_steps: i64,
    /// Brackets that trials are divided between, from 1 to the number of rungs. Each begins a rung later than the one before.
    pub brackets: u32,
}

/// What successive halving with promotion goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HalvingName {
    /// One bracket, unless more were asked for.
    Asha,
    /// All brackets.
    Hyperband,
    /// All brackets, and points that a model chooses.
    Bohb,
}

impl HalvingName {
    /// The strategy as the study file writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Asha => "asha",
            Self::Hyperband => "hyperband",
            Self::Bohb => "bohb",
        }
    }
}

/// An early-stopping rule of a study.
#[derive(Clone, Debug, PartialEq)]
pub struct StopperSpec {
    /// The rule.
    pub rule: StopperRule,
    /// Record what it would have stopped, and do not stop.
    pub shadow: bool,
}

/// An early-stopping rule.
#[derive(Clone, Debug, PartialEq)]
pub enum StopperRule {
    /// Stop when the trial's best value so far is worse than the given percentile of the other trials' running averages at
    /// the same step. `median` is the 50th percentile.
    Percentile {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// Share of trials that are kept: 50 is the median rule, 25 keeps the best quarter. Between 0 and 100, exclusive.
        keep: f64,
        /// Steps of a trial that are never judged.
        warmup_steps: i64,
        /// Other trials needed at the step before anything is judged, at least 1.
        min_trials: u32,
        /// Judge only at every n-th step, at least 1.
        interval: i64,
    },
    /// Stop when a value lies outside bounds.
    Threshold {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Stop above this value.
        above: Option<f64>,
        /// Stop below this value.
        below: Option<f64>,
        /// Judge only steps greater than this.
        after_step: i64,
    },
    /// Stop when there was no improvement for some steps.
    Plateau {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// Steps without improvement that are waited for, at least 1.
        patience: i64,
        /// Improvement that counts, at least 0, in units of the metric.
        min_delta: f64,
        /// Steps of a trial that are never judged.
        warmup_steps: i64,
    },
    /// Stop when the metric is NaN, infinite, or climbs away from its own best.
    Diverging {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// How many times its own range so far the smoothed value may lie on the wrong side of its best, above 0.
        factor: f64,
        /// Reports in a row that must say so, at least 1. NaN and infinities stop at once.
        patience: u32,
    },
    /// Stop when the trial's curve lies under a baseline curve at the same step.
    BelowBaseline {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// What it is compared with.
        baseline: Baseline,
        /// How much worse is tolerated, at least 0, in units of the metric.
        tolerance: f64,
        /// Steps of a trial that are never judged.
        warmup_steps: i64,
    },
    /// Asynchronous successive halving in its stopping form: stop when the trial is not among the best of those that have come as far
    /// as one of a few steps, the rungs.
    Asha {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// Step of the first rung, at least 1.
        min_steps: i64,
        /// One trial in so many goes on at each rung, at least 2; also the ratio of the steps of neighbouring rungs.
        reduction: u32,
        /// Step below which all rungs lie, above `min_steps`; without end if none.
        max_steps: Option<i64>,
        /// Brackets that trials are divided between, from 1 to the number of rungs; 1 if there is no `max_steps`. Each begins a rung
        /// later than the one before.
        brackets: u32,
    },
    /// Learning-curve extrapolation: stop when the trial is unlikely to end better than the best one that has ended.
    Curve {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// Stop where the probability is below this. Between 0 and 1, exclusive.
        probability: f64,
        /// Last step of a training, at least 2.
        max_steps: i64,
        /// Steps of a trial that are never judged.
        warmup_steps: i64,
        /// Trials that must have been trained to the end before anything is judged, at least 1.
        min_trials: u32,
    },
    /// Stop when the trial's values are worse than those of the best trial that has ended, at the same steps, by Wilcoxon's signed-rank test.
    /// For steps that are folds of a cross-validation, or problem instances.
    Wilcoxon {
        /// Metric judged; the objective's if none.
        metric: Option<MetricName>,
        /// Which direction of the metric is better; the objective's if none.
        goal: Option<Goal>,
        /// Stop below this p-value; above 0, at most 0.5.
        p: f64,
        /// Steps that both must have before anything is judged, so many that a p-value below `p` is possible.
        min_steps: i64,
    },
}

/// The steps of the rungs of successive halving, ascending: each `reduction` times the one before, below `max_steps`.
pub fn rungs(min_steps: i64, reduction: u32, max_steps: Option<i64>) -> impl Iterator<Item = i64> {
    // Twice the step at least: 64 of them are more than there are.
    let next = move |step: &i64| step.checked_mul(i64::from(reduction.max(2)));
    std::iter::successors(Some(min_steps.max(1)), next)
        .take_while(move |step| max_steps.is_none_or(|max| *step < max))
}

impl StopperRule {
    /// The metric judged, if the rule names one; else it is the objective's.
    #[must_use]
    pub fn metric(&self) -> Option<&MetricName> {
        match self {
            Self::Percentile { metric, .. }
            | Self::Threshold { metric, .. }
            | Self::Plateau { metric, .. }
            | Self::Diverging { metric, .. }
            | Self::BelowBaseline { metric, .. }
            | Self::Asha { metric, .. }
            | Self::Curve { metric, .. }
            | Self::Wilcoxon { metric, .. } => metric.as_ref(),
        }
    }

    /// Which direction of the metric is better, if the rule says so; else it is the objective's. In a checked study it says so of each
    /// metric that is not the objective's, and all rules on a metric say the same.
    #[must_use]
    pub fn goal(&self) -> Option<Goal> {
        match self {
            Self::Percentile { goal, .. }
            | Self::Plateau { goal, .. }
            | Self::Diverging { goal, .. }
            | Self::BelowBaseline { goal, .. }
            | Self::Asha { goal, .. }
            | Self::Curve { goal, .. }
            | Self::Wilcoxon { goal, .. } => *goal,
            Self::Threshold { .. } => None,
        }
    }
}

/// What a trial's curve is compared with.
#[derive(Clone, Debug, PartialEq)]
pub enum Baseline {
    /// The curve of this trial.
    Trial(TrialNumber),
    /// The curve of the best finished trial.
    Best,
    /// The same value at each step.
    Constant(f64),
    /// A curve given in the study file: value by step, interpolated between steps.
    Curve(Vec<(i64, f64)>),
}

/// What a study may cost. `None` is without limit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Budget {
    /// Trials that may be created.
    pub trials: Option<u64>,
    /// Trials that may run at the same time.
    pub parallel: Option<u32>,
    /// Time during which the study is active.
    pub wall_time: Option<Duration>,
    /// GPU hours of all attempts together, those running included.
    pub gpu_hours: Option<f64>,
    /// What all attempts together may cost, those running included, in the coordinator's currency.
    pub cost: Option<f64>,
    /// Failed trials after which the study ends.
    pub failures: Option<u64>,
    /// Objective value at which the study is content.
    pub target: Option<f64>,
    /// When going on is not worth it.
    pub no_improvement: Option<NoImprovement>,
}

/// When going on is not worth it: the first of these that holds. There is at least one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct NoImprovement {
    /// The best value has not become better by more than `min_delta` in the last so many results; at least 1. With several objectives: the Pareto
    /// set has not changed.
    pub patience: Option<u64>,
    /// In units of the objective, not negative.
    pub min_delta: f64,
    /// By a model, no point is better than the best result by more than this, in units of the objective; above 0.
    pub gain_below: Option<f64>,
    /// Probability with which that must be so, between 0.5 and 0.99.
    pub confidence: f64,
    /// Whether it only records that it would have ended the study.
    pub shadow: bool,
}

/// How one trial is run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialSpec {
    /// The program and its arguments, with placeholders; never passed to a shell. Not empty.
    pub command: Vec<String>,
    /// Environment variables to set, with placeholders in their values.
    pub env: BTreeMap<String, String>,
    /// Folder to run in, with placeholders; the trial's own folder if none.
    pub workdir: Option<String>,
    /// Where metrics are read from, beside the metrics file and the socket, which are always read.
    pub metrics: MetricSource,
    /// What a step is.
    pub steps: Steps,
    /// What a trial needs of a worker.
    pub resources: Resources,
    /// Time after which a trial is stopped; what it reported counts.
    pub max_runtime: Option<Duration>,
    /// How often a crashed program is tried again.
    pub retries: u32,
    /// Time between SIGTERM and SIGKILL.
    pub grace: Duration,
}

/// Where metrics are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MetricSource {
    /// JSON lines on standard output.
    StdoutJson,
    /// Regular expressions on standard output, see [`crate::metrics::regex`].
    Regex(Vec<String>),
    /// JSON lines in a file of the training's own, with placeholders; relative to the working folder.
    File(String),
}

/// What a step is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// Its name, such as `epoch`.
    pub name: String,
    /// The last step of a full training, if known.
    pub max: Option<i64>,
}

/// What a trial needs of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Resources {
    /// Whole GPUs, each with some memory.
    pub gpus: GpuRequest,
    /// Processor cores; fractions allowed, 0 is not counted.
    pub cpus: f64,
    /// Main memory in bytes; 0 is not counted.
    pub memory: u64,
    /// Labels that the worker must carry with these values.
    pub labels: BTreeMap<String, String>,
}

/// GPUs that a trial needs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GpuRequest {
    /// How many.
    pub count: u32,
    /// Memory that each must have, in bytes.
    pub memory: u64,
}
