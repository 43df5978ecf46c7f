//! A checked study as its owner would have written it: what the database keeps and `study export` prints. Reads back to an
//! equal study.

use super::check::{
    CONFIDENCE, DEFAULT_GRACE, DEFAULT_STEP_NAME, DIVERGING_PATIENCE, MIN_STEPS, MIN_TRIALS, MIN_WHOLE,
    P_VALUE, PLATEAU_PATIENCE, PROBABILITY, REDUCTION, common_steps, curve_warmup, default_brackets,
    population::{FACTORS, FRACTION, RESAMPLE, SIZE},
};
use super::population::{Exploit, Explore, Population, Segment};
use super::raw::{
    RawBudget, RawConstraint, RawExploit, RawKind, RawMeasured, RawMetrics, RawNoImprovement, RawObjective,
    RawObjectives, RawParameter, RawResources, RawRule, RawSegment, RawSteps, RawStopper, RawStrategy,
    RawStrategyName, RawStudy, RawTrial, RawValues,
};
use super::spec::{
    Acquisition, Baseline, Bound, Budget, HalvingName, MeasuredConstraint, MetricSource, Objective,
    Resources, Schedule, StopperRule, StopperSpec, StrategyName, StrategySpec, StudySpec, TrialSpec, rungs,
};
use super::values::{Ordered, RawNumber, RawValue};
use crate::measurement::From as ValueFrom;
use crate::params::Params;
use crate::space::{Domain, Parameter, Scale, Space};
use crate::units::{ByteSize, HumanDuration};

impl From<&StudySpec> for RawStudy {
    /// Leaves out what is the default, except for the seed.
    fn from(spec: &StudySpec) -> Self {
        let expressions = spec.space.constraints().iter();
        let last_step = spec.trial.as_ref().and_then(|trial| trial.steps.max);
        Self {
            name: Some(spec.name.to_string()),
            message: Some(spec.message.clone()).filter(|message| !message.is_empty()),
            parent: spec.parent.as_ref().map(ToString::to_string),
            project: spec.project.as_ref().map(ToString::to_string),
            objective: RawObjectives {
                first: objective(&spec.objective),
                more: spec.more_objectives.iter().map(objective).collect(),
            },
            space: ordered(
                spec.space
                    .parameters()
                    .iter()
                    .map(|p| (p.name.to_string(), parameter(p, &spec.space))),
            ),
            constraints: expressions
                .map(|expression| RawConstraint::Expression(expression.to_string()))
                .chain(spec.measured_constraints.iter().map(measured))
                .collect(),
            strategy: strategy(&spec.strategy, last_step),
            early_stopping: spec
                .early_stopping
                .iter()
                .map(|rule| stopper(rule, last_step))
                .collect(),
            budget: budget(&spec.budget),
            priority: given(spec.priority.get(), 1),
            trial: spec.trial.as_ref().map(trial),
        }
    }
}

fn budget(budget: &Budget) -> RawBudget {
    RawBudget {
        trials: budget.trials,
        parallel: budget.parallel,
        wall_time: budget.wall_time.map(HumanDuration),
        gpu_hours: budget.gpu_hours,
        cost: budget.cost,
        failures: budget.failures,
        target: budget.target,
        no_improvement: budget.no_improvement.map(|rule| RawNoImprovement {
            patience: rule.patience,
            min_delta: given(rule.min_delta, 0.0),
            gain_below: rule.gain_below,
            confidence: given(rule.confidence, CONFIDENCE),
            shadow: given(rule.shadow, false),
        }),
    }
}

fn objective(objective: &Objective) -> RawObjective {
    RawObjective {
        metric: objective.metric.to_string(),
        goal: objective.goal,
        from: value_from(objective.from),
    }
}

fn measured(constraint: &MeasuredConstraint) -> RawConstraint {
    let (at_most, at_least) = match constraint.bound {
        Bound::AtMost(bound) => (Some(bound), None),
        Bound::AtLeast(bound) => (None, Some(bound)),
    };
    RawConstraint::Measured(RawMeasured {
        metric: constraint.metric.to_string(),
        at_most,
        at_least,
        from: value_from(constraint.from),
    })
}

fn value_from(from: ValueFrom) -> Option<String> {
    match from {
        ValueFrom::Last => None,
        ValueFrom::Best => Some("best".to_owned()),
        ValueFrom::MeanOfLast(count) => Some(format!("mean of last {count}")),
    }
}

/// The value, unless it is the default.
fn given<T: PartialEq>(value: T, default: T) -> Option<T> {
    (value != default).then_some(value)
}

/// A map of keys that a checked study has once.
fn ordered<V>(pairs: impl IntoIterator<Item = (String, V)>) -> Ordered<V> {
    Ordered::from_pairs(pairs).unwrap_or_default()
}

fn parameter(parameter: &Parameter, space: &Space) -> RawParameter {
    let scale = |scale: Scale| given(scale, Scale::Linear);
    let choices = |choices: &[_]| Some(choices.iter().cloned().map(RawValue).collect());
    let mut raw = match &parameter.domain {
        Domain::Float {
            low,
            high,
            scale: s,
            step,
        } => RawParameter {
            kind: RawKind::Float,
            low: Some((*low).into()),
            high: Some((*high).into()),
            scale: scale(*s),
            step: step.map(RawNumber::from),
            ..RawParameter::default()
        },
        Domain::Int {
            low,
            high,
            scale: s,
            step,
        } => RawParameter {
            kind: RawKind::Int,
            low: Some(RawNumber::Int(*low)),
            high: Some(RawNumber::Int(*high)),
            scale: scale(*s),
            step: given(*step, 1).map(RawNumber::Int),
            ..RawParameter::default()
        },
        Domain::Categorical { choices: c } => RawParameter {
            kind: RawKind::Categorical,
            choices: choices(c),
            ..RawParameter::default()
        },
        Domain::Ordinal { choices: c } => RawParameter {
            kind: RawKind::Ordinal,
            choices: choices(c),
            ..RawParameter::default()
        },
        Domain::Boolean => RawParameter {
            kind: RawKind::Bool,
            ..RawParameter::default()
        },
        Domain::Constant(value) => RawParameter {
            kind: RawKind::Constant,
            value: Some(RawValue(value.clone())),
            ..RawParameter::default()
        },
    };
    raw.when = ordered(parameter.conditions.iter().filter_map(|condition| {
        let parent = space.parameters().get(condition.parent)?;
        let values = condition.values.iter().cloned().map(RawValue).collect();
        Some((parent.name.to_string(), RawValues(values)))
    }));
    raw
}

fn strategy(spec: &StrategySpec, last_step: Option<i64>) -> RawStrategy {
    let mut raw = RawStrategy {
        seed: Some(spec.seed),
        initial: spec.initial.iter().map(values).collect(),
        history: spec.history.iter().map(ToString::to_string).collect(),
        random_share: given(spec.random_share, 0.0),
        ..RawStrategy::default()
    };
    raw.name = match spec.name {
        StrategyName::Auto => RawStrategyName::Auto,
        StrategyName::Manual => RawStrategyName::Manual,
        StrategyName::Random => RawStrategyName::Random,
        StrategyName::Sobol => RawStrategyName::Sobol,
        StrategyName::Tpe => RawStrategyName::Tpe,
        StrategyName::Cmaes => RawStrategyName::Cmaes,
        StrategyName::Evolution => RawStrategyName::Evolution,
        StrategyName::Nsga2 => RawStrategyName::Nsga2,
        StrategyName::Gp { acquisition } => {
            raw.acquisition = given(acquisition, Acquisition::default());
            RawStrategyName::Gp
        }
        StrategyName::Grid { shuffle, points } => {
            raw.shuffle = given(shuffle, false);
            raw.points = Some(points.get());
            RawStrategyName::Grid
        }
    };
    match &spec.schedule {
        Some(Schedule::Population(population)) => self::population(&mut raw, population, last_step),
        Some(Schedule::Replay(segments)) => replay(&mut raw, segments),
        Some(Schedule::Halving(_)) | None => {}
    }
    if let Some(Schedule::Halving(halving)) = &spec.schedule {
        let (name, sampler) = match halving.name {
            HalvingName::Asha => (RawStrategyName::Asha, RawStrategyName::Random),
            HalvingName::Hyperband => (RawStrategyName::Hyperband, RawStrategyName::Random),
            HalvingName::Bohb => (RawStrategyName::Bohb, RawStrategyName::Tpe),
        };
        raw.sampler = given(raw.name, sampler);
        raw.name = name;
        raw.min_steps = given(halving.min_steps, 1);
        raw.max_steps = Some(halving.max_steps).filter(|max| last_step != Some(*max));
        raw.reduction = given(halving.reduction, REDUCTION);
        let count = rungs(halving.min_steps, halving.reduction, Some(halving.max_steps)).count();
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        raw.brackets = given(halving.brackets, default_brackets(halving.name, count));
    }
    raw
}

fn values(params: &Params) -> Ordered<RawValue> {
    let pairs = params.iter();
    ordered(pairs.map(|(name, value)| (name.to_string(), RawValue(value.clone()))))
}

fn population(raw: &mut RawStrategy, population: &Population, last_step: Option<i64>) {
    raw.sampler = given(raw.name, RawStrategyName::Sobol);
    raw.population = given(population.size, SIZE);
    raw.interval = Some(population.interval);
    raw.max_steps = Some(population.max_steps).filter(|max| last_step != Some(*max));
    match population.exploit {
        Exploit::Truncation { fraction } => raw.fraction = given(fraction, FRACTION),
        Exploit::Tournament => raw.exploit = Some(RawExploit::Tournament),
    }
    raw.vary = population.vary.iter().map(ToString::to_string).collect();
    match &population.explore {
        Explore::Perturb { resample, factors } => {
            raw.name = RawStrategyName::Pbt;
            raw.resample = given(*resample, RESAMPLE);
            raw.factors = if factors[..] == FACTORS {
                Vec::new()
            } else {
                factors.clone()
            };
        }
        Explore::Model => raw.name = RawStrategyName::Pb2,
    }
}

fn replay(raw: &mut RawStrategy, segments: &[Segment]) {
    raw.name = RawStrategyName::Replay;
    let segment = |segment: &Segment| RawSegment {
        until: Some(segment.until),
        seed: segment.seed,
        parameters: values(&segment.params),
    };
    raw.segments = segments.iter().map(segment).collect();
}

fn stopper(spec: &StopperSpec, last_step: Option<i64>) -> RawStopper {
    let mut raw = RawStopper {
        shadow: given(spec.shadow, false),
        ..RawStopper::default()
    };
    let metric = match &spec.rule {
        StopperRule::Percentile {
            metric,
            goal: _,
            keep,
            warmup_steps,
            min_trials,
            interval,
        } => {
            let is_median = keep.total_cmp(&50.0).is_eq();
            raw.rule = if is_median {
                RawRule::Median
            } else {
                RawRule::Percentile
            };
            raw.keep = (!is_median).then_some(*keep);
            raw.warmup_steps = given(*warmup_steps, 0);
            raw.min_trials = given(*min_trials, MIN_TRIALS);
            raw.interval = given(*interval, 1);
            metric
        }
        StopperRule::Threshold {
            metric,
            above,
            below,
            after_step,
        } => {
            raw.rule = RawRule::Threshold;
            (raw.above, raw.below, raw.after_step) = (*above, *below, given(*after_step, -1));
            metric
        }
        StopperRule::Plateau {
            metric,
            goal: _,
            patience,
            min_delta,
            warmup_steps,
        } => {
            raw.rule = RawRule::Plateau;
            raw.patience = given(*patience, PLATEAU_PATIENCE);
            (raw.min_delta, raw.warmup_steps) = (given(*min_delta, 0.0), given(*warmup_steps, 0));
            metric
        }
        StopperRule::Diverging {
            metric,
            goal: _,
            factor,
            patience,
        } => {
            raw.rule = RawRule::Diverging;
            raw.factor = given(*factor, 1.0);
            raw.patience = given(*patience, DIVERGING_PATIENCE).map(i64::from);
            metric
        }
        StopperRule::BelowBaseline {
            metric,
            goal: _,
            baseline,
            tolerance,
            warmup_steps,
        } => {
            raw.rule = RawRule::BelowBaseline;
            match baseline {
                Baseline::Trial(number) => raw.trial = Some(number.0),
                Baseline::Best => {}
                Baseline::Constant(value) => raw.constant = Some(*value),
                Baseline::Curve(curve) => raw.curve.clone_from(curve),
            }
            (raw.tolerance, raw.warmup_steps) = (given(*tolerance, 0.0), given(*warmup_steps, 0));
            metric
        }
        StopperRule::Asha {
            metric,
            goal: _,
            min_steps,
            reduction,
            max_steps,
            brackets,
        } => {
            raw.rule = RawRule::Asha;
            raw.min_steps = given(*min_steps, MIN_STEPS);
            raw.reduction = given(*reduction, REDUCTION);
            raw.max_steps = max_steps.filter(|_| *max_steps != last_step);
            raw.brackets = given(*brackets, 1);
            metric
        }
        StopperRule::Curve {
            metric,
            goal: _,
            probability,
            max_steps,
            warmup_steps,
            min_trials,
        } => {
            raw.rule = RawRule::Curve;
            raw.probability = given(*probability, PROBABILITY);
            raw.max_steps = Some(*max_steps).filter(|_| Some(*max_steps) != last_step);
            raw.warmup_steps = given(*warmup_steps, curve_warmup(*max_steps));
            raw.min_trials = given(*min_trials, MIN_WHOLE);
            metric
        }
        StopperRule::Wilcoxon {
            metric,
            goal: _,
            p,
            min_steps,
        } => {
            raw.rule = RawRule::Wilcoxon;
            raw.p = given(*p, P_VALUE);
            raw.min_steps = given(*min_steps, common_steps(*p));
            metric
        }
    };
    raw.metric = metric.as_ref().map(ToString::to_string);
    raw.goal = spec.rule.goal();
    raw
}

fn trial(spec: &TrialSpec) -> RawTrial {
    let metrics = match &spec.metrics {
        MetricSource::StdoutJson => RawMetrics::default(),
        MetricSource::Regex(patterns) => RawMetrics {
            regex: Some(patterns.clone()),
            ..RawMetrics::default()
        },
        MetricSource::File(file) => RawMetrics {
            file: Some(file.clone()),
            ..RawMetrics::default()
        },
    };
    RawTrial {
        command: spec.command.clone(),
        env: spec.env.clone(),
        workdir: spec.workdir.clone(),
        metrics,
        steps: RawSteps {
            name: Some(spec.steps.name.clone()).filter(|name| name != DEFAULT_STEP_NAME),
            max: spec.steps.max,
        },
        resources: resources(&spec.resources),
        max_runtime: spec.max_runtime.map(HumanDuration),
        retries: given(spec.retries, 0),
        grace: given(spec.grace, DEFAULT_GRACE).map(HumanDuration),
    }
}

fn resources(spec: &Resources) -> RawResources {
    RawResources {
        gpus: given(spec.gpus.count, 0),
        gpu_memory: given(spec.gpus.memory, 0).map(ByteSize),
        cpus: given(spec.cpus, 0.0),
        memory: given(spec.memory, 0).map(ByteSize),
        labels: spec.labels.clone(),
    }
}
