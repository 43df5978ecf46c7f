//! Studies: [`RawStudy`] inside, [`v1::StudySpec`] on the wire, field for field.
//!
//! Only form is checked here; what a study may say is checked when it becomes a [`tunesmith_common::study::StudySpec`]. The wire knows
//! one kind of number: a choice of 1.0 arrives as 1.

use pbjson_types::{Struct, Value};
use serde::de::value::{Error as WordError, StrDeserializer};
use serde::de::{DeserializeOwned, IntoDeserializer};
use tunesmith_common::measurement::Goal;
use tunesmith_common::space::Scale;
use tunesmith_common::study::{
    Ordered, RawBudget, RawConstraint, RawMeasured, RawMetrics, RawNoImprovement, RawNumber, RawObjective,
    RawObjectives, RawParameter, RawResources, RawSegment, RawStdout, RawSteps, RawStopper, RawStrategy,
    RawStudy, RawTrial, RawValue, RawValues,
};
use tunesmith_common::units::{ByteSize, HumanDuration};

use super::value::{from_wire as value_from_wire, to_wire as value_to_wire};
use super::{ConvertError, duration_from_wire, duration_to_wire, required, shorten};
use crate::v1;

/// A study on the wire. Keys that contradict each other, which no checked study has, are sent as far as the wire can express them.
#[must_use]
pub fn to_wire(raw: &RawStudy) -> v1::StudySpec {
    v1::StudySpec {
        name: raw.name.clone().unwrap_or_default(),
        message: raw.message.clone().unwrap_or_default(),
        parent: raw.parent.clone().unwrap_or_default(),
        project: raw.project.clone().unwrap_or_default(),
        objective: Some(objective_to_wire(&raw.objective.first)),
        more_objectives: raw.objective.more.iter().map(objective_to_wire).collect(),
        space: raw
            .space
            .iter()
            .map(|(name, parameter)| parameter_to_wire(name, parameter))
            .collect(),
        constraints: raw
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                RawConstraint::Expression(text) => Some(text.clone()),
                RawConstraint::Measured(_) => None,
            })
            .collect(),
        measured_constraints: raw
            .constraints
            .iter()
            .filter_map(|constraint| match constraint {
                RawConstraint::Expression(_) => None,
                RawConstraint::Measured(measured) => Some(measured_to_wire(measured)),
            })
            .collect(),
        strategy: Some(strategy_to_wire(&raw.strategy)),
        early_stopping: raw.early_stopping.iter().map(stopper_to_wire).collect(),
        budget: Some(v1::Budget {
            trials: raw.budget.trials,
            parallel: raw.budget.parallel,
            wall_time: raw.budget.wall_time.map(|time| duration_to_wire(time.0)),
            gpu_hours: raw.budget.gpu_hours,
            cost: raw.budget.cost,
            failures: raw.budget.failures,
            target: raw.budget.target,
            no_improvement: raw.budget.no_improvement.as_ref().map(|rule| v1::NoImprovement {
                patience: rule.patience,
                min_delta: rule.min_delta,
                gain_below: rule.gain_below,
                confidence: rule.confidence,
                shadow: rule.shadow.unwrap_or(false),
            }),
        }),
        priority: raw.priority,
        trial: raw.trial.as_ref().map(trial_to_wire),
    }
}

/// A study from the wire.
///
/// # Errors
/// If something is missing, a word is unknown, a parameter comes twice, or a duration is negative.
pub fn from_wire(spec: v1::StudySpec) -> Result<RawStudy, ConvertError> {
    let first = objective_from_wire(required(spec.objective, "objective")?, "objective")?;
    let more = spec.more_objectives.into_iter().enumerate();
    let more = more
        .map(|(index, objective)| objective_from_wire(objective, &format!("more_objectives[{index}]")))
        .collect::<Result<_, _>>()?;
    let expressions = spec.constraints.into_iter().map(RawConstraint::Expression);
    let measured = spec.measured_constraints.into_iter().map(measured_from_wire);
    let mut parameters = Vec::with_capacity(spec.space.len());
    for (index, parameter) in spec.space.into_iter().enumerate() {
        let field = format!("space[{index}]");
        parameters.push((parameter.name.clone(), parameter_from_wire(&parameter, &field)?));
    }
    let stoppers = spec.early_stopping.iter().enumerate();
    let budget = spec.budget.unwrap_or_default();
    Ok(RawStudy {
        name: text(spec.name),
        message: text(spec.message),
        parent: text(spec.parent),
        project: text(spec.project),
        objective: RawObjectives { first, more },
        space: ordered(parameters, "space")?,
        constraints: expressions.chain(measured).collect(),
        strategy: strategy_from_wire(&spec.strategy.unwrap_or_default())?,
        early_stopping: stoppers
            .map(|(index, rule)| stopper_from_wire(rule, &format!("early_stopping[{index}]")))
            .collect::<Result<_, _>>()?,
        budget: RawBudget {
            trials: budget.trials,
            parallel: budget.parallel,
            wall_time: duration(budget.wall_time.as_ref(), "budget.wall_time")?,
            gpu_hours: budget.gpu_hours,
            cost: budget.cost,
            failures: budget.failures,
            target: budget.target,
            no_improvement: budget.no_improvement.map(|rule| RawNoImprovement {
                patience: rule.patience,
                min_delta: rule.min_delta,
                gain_below: rule.gain_below,
                confidence: rule.confidence,
                shadow: rule.shadow.then_some(true),
            }),
        },
        priority: spec.priority,
        trial: spec.trial.map(trial_from_wire).transpose()?,
    })
}

fn objective_to_wire(raw: &RawObjective) -> v1::Objective {
    v1::Objective {
        metric: raw.metric.clone(),
        goal: goal_to_wire(Some(raw.goal)),
        from: raw.from.clone().unwrap_or_default(),
    }
}

fn objective_from_wire(objective: v1::Objective, field: &str) -> Result<RawObjective, ConvertError> {
    let field = format!("{field}.goal");
    let goal = goal_from_wire(objective.goal, &field)?;
    Ok(RawObjective {
        metric: objective.metric,
        goal: required(goal, &field)?,
        from: text(objective.from),
    })
}

fn measured_to_wire(raw: &RawMeasured) -> v1::MeasuredConstraint {
    v1::MeasuredConstraint {
        metric: raw.metric.clone(),
        at_most: raw.at_most,
        at_least: raw.at_least,
        from: raw.from.clone().unwrap_or_default(),
    }
}

fn measured_from_wire(constraint: v1::MeasuredConstraint) -> RawConstraint {
    RawConstraint::Measured(RawMeasured {
        metric: constraint.metric,
        at_most: constraint.at_most,
        at_least: constraint.at_least,
        from: text(constraint.from),
    })
}

fn text(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

/// One of the words of the study file.
fn word<T: DeserializeOwned>(word: &str, field: &str) -> Result<T, ConvertError> {
    let word = shorten(word);
    let word: StrDeserializer<'_, WordError> = word.as_str().into_deserializer();
    T::deserialize(word).map_err(|error| ConvertError::new(field, error))
}

fn ordered<V>(pairs: Vec<(String, V)>, field: &str) -> Result<Ordered<V>, ConvertError> {
    Ordered::from_pairs(pairs)
        .map_err(|name| ConvertError::new(field, format!("{:?} is given twice", shorten(&name))))
}

fn duration(
    duration: Option<&pbjson_types::Duration>,
    field: &str,
) -> Result<Option<HumanDuration>, ConvertError> {
    duration
        .map(|duration| duration_from_wire(duration, field).map(HumanDuration))
        .transpose()
}

fn goal_to_wire(goal: Option<Goal>) -> i32 {
    let goal = match goal {
        None => v1::Goal::Unspecified,
        Some(Goal::Minimize) => v1::Goal::Minimize,
        Some(Goal::Maximize) => v1::Goal::Maximize,
    };
    goal.into()
}

fn goal_from_wire(goal: i32, field: &str) -> Result<Option<Goal>, ConvertError> {
    match v1::Goal::try_from(goal) {
        Ok(v1::Goal::Unspecified) => Ok(None),
        Ok(v1::Goal::Minimize) => Ok(Some(Goal::Minimize)),
        Ok(v1::Goal::Maximize) => Ok(Some(Goal::Maximize)),
        Err(_) => Err(ConvertError::new(
            field,
            format!("{goal} is not a goal; use GOAL_MINIMIZE or GOAL_MAXIMIZE"),
        )),
    }
}

fn scale_name(scale: Scale) -> &'static str {
    match scale {
        Scale::Linear => "linear",
        Scale::Log => "log",
        Scale::Log2 => "log2",
        Scale::ReverseLog => "reverse_log",
    }
}

fn values_to_wire(values: &[RawValue]) -> Vec<Value> {
    values.iter().map(|value| value_to_wire(&value.0)).collect()
}

fn values_from_wire(values: &[Value], field: &str) -> Result<Vec<RawValue>, ConvertError> {
    let values = values.iter().enumerate();
    values
        .map(|(index, value)| value_from_wire(value, &format!("{field}[{index}]")).map(RawValue))
        .collect()
}

fn point_to_wire(point: &Ordered<RawValue>) -> Struct {
    Struct {
        fields: point
            .iter()
            .map(|(name, value)| (name.to_owned(), value_to_wire(&value.0)))
            .collect(),
    }
}

/// Sorted by name: the wire has no order of its own, and the same message must give the same study.
fn point_from_wire(point: &Struct, field: &str) -> Result<Ordered<RawValue>, ConvertError> {
    let mut pairs = Vec::with_capacity(point.fields.len());
    for (name, value) in &point.fields {
        pairs.push((
            name.clone(),
            RawValue(value_from_wire(value, &format!("{field}.{}", shorten(name)))?),
        ));
    }
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    ordered(pairs, field)
}

fn parameter_to_wire(name: &str, raw: &RawParameter) -> v1::Parameter {
    v1::Parameter {
        name: name.to_owned(),
        r#type: raw.kind.name().to_owned(),
        low: raw.low.map(RawNumber::as_f64),
        high: raw.high.map(RawNumber::as_f64),
        scale: raw
            .scale
            .map(|scale| scale_name(scale).to_owned())
            .unwrap_or_default(),
        step: raw.step.map(RawNumber::as_f64),
        choices: values_to_wire(raw.choices.as_deref().unwrap_or_default()),
        value: raw.value.as_ref().map(|value| value_to_wire(&value.0)),
        when: raw
            .when
            .iter()
            .map(|(parent, values)| v1::Condition {
                parent: parent.to_owned(),
                values: values_to_wire(&values.0),
            })
            .collect(),
    }
}

fn parameter_from_wire(parameter: &v1::Parameter, field: &str) -> Result<RawParameter, ConvertError> {
    let path = |key: &str| format!("{field}.{key}");
    let mut conditions = Vec::with_capacity(parameter.when.len());
    for (index, condition) in parameter.when.iter().enumerate() {
        let values = values_from_wire(&condition.values, &format!("{field}.when[{index}].values"))?;
        conditions.push((condition.parent.clone(), RawValues(values)));
    }
    let choices = values_from_wire(&parameter.choices, &path("choices"))?;
    Ok(RawParameter {
        kind: word(&parameter.r#type, &path("type"))?,
        low: parameter.low.map(RawNumber::from),
        high: parameter.high.map(RawNumber::from),
        scale: match parameter.scale.as_str() {
            "" => None,
            scale => Some(word(scale, &path("scale"))?),
        },
        step: parameter.step.map(RawNumber::from),
        choices: Some(choices).filter(|choices| !choices.is_empty()),
        value: match &parameter.value {
            Some(value) => Some(RawValue(value_from_wire(value, &path("value"))?)),
            None => None,
        },
        when: ordered(conditions, &path("when"))?,
    })
}

fn strategy_to_wire(raw: &RawStrategy) -> v1::Strategy {
    v1::Strategy {
        name: raw.name.name().to_owned(),
        seed: raw.seed,
        shuffle: raw.shuffle,
        points: raw.points,
        initial: raw.initial.iter().map(point_to_wire).collect(),
        random_share: raw.random_share,
        history: raw.history.clone(),
        acquisition: raw
            .acquisition
            .map_or_else(String::new, |acquisition| acquisition.name().to_owned()),
        sampler: raw
            .sampler
            .map_or_else(String::new, |sampler| sampler.name().to_owned()),
        min_steps: raw.min_steps,
        max_steps: raw.max_steps,
        reduction: raw.reduction,
        brackets: raw.brackets,

        population: raw.population,
        interval: raw.interval,
        exploit: raw
            .exploit
            .map_or_else(String::new, |exploit| exploit.name().to_owned()),
        fraction: raw.fraction,
        vary: raw.vary.clone(),
        resample: raw.resample,
        factors: raw.factors.clone(),
        segments: raw.segments.iter().map(segment_to_wire).collect(),
    }
}

fn segment_to_wire(raw: &RawSegment) -> v1::Segment {
    v1::Segment {
        until: raw.until,
        seed: raw.seed,
        parameters: Some(point_to_wire(&raw.parameters)),
    }
}

fn strategy_from_wire(strategy: &v1::Strategy) -> Result<RawStrategy, ConvertError> {
    let initial = strategy.initial.iter().enumerate();
    Ok(RawStrategy {
        name: match strategy.name.as_str() {
            "" => RawStrategy::default().name,
            name => word(name, "strategy.name")?,
        },
        seed: strategy.seed,
        shuffle: strategy.shuffle,
        points: strategy.points,
        acquisition: match strategy.acquisition.as_str() {
            "" => None,
            name => Some(word(name, "strategy.acquisition")?),
        },
        initial: initial
            .map(|(index, point)| point_from_wire(point, &format!("strategy.initial[{index}]")))
            .collect::<Result<_, _>>()?,
        random_share: strategy.random_share,
        history: strategy.history.clone(),
        sampler: match strategy.sampler.as_str() {
            "" => None,
            name => Some(word(name, "strategy.sampler")?),
        },
        min_steps: strategy.min_steps,
        max_steps: strategy.max_steps,
        reduction: strategy.reduction,
        brackets: strategy.brackets,
        population: strategy.population,
        interval: strategy.interval,
        exploit: match strategy.exploit.as_str() {
            "" => None,
            name => Some(word(name, "strategy.exploit")?),
        },
        fraction: strategy.fraction,
        vary: strategy.vary.clone(),
        resample: strategy.resample,
        factors: strategy.factors.clone(),
        segments: strategy
            .segments
            .iter()
            .enumerate()
            .map(|(index, segment)| segment_from_wire(segment, &format!("strategy.segments[{index}]")))
            .collect::<Result<_, _>>()?,
    })
}

fn segment_from_wire(segment: &v1::Segment, field: &str) -> Result<RawSegment, ConvertError> {
    let parameters = segment.parameters.clone().unwrap_or_default();
    Ok(RawSegment {
        until: segment.until,
        seed: segment.seed,
        parameters: point_from_wire(&parameters, &format!("{field}.parameters"))?,
    })
}

fn stopper_to_wire(raw: &RawStopper) -> v1::StopperRule {
    v1::StopperRule {
        rule: raw.rule.name().to_owned(),
        metric: raw.metric.clone().unwrap_or_default(),
        goal: goal_to_wire(raw.goal),
        shadow: raw.shadow.unwrap_or(false),
        warmup_steps: raw.warmup_steps,
        min_trials: raw.min_trials,
        interval: raw.interval,
        keep: raw.keep,
        above: raw.above,
        below: raw.below,
        after_step: raw.after_step,
        patience: raw.patience,
        min_delta: raw.min_delta,
        factor: raw.factor,
        trial: raw.trial,
        constant: raw.constant,
        curve: raw
            .curve
            .iter()
            .map(|&(step, value)| v1::CurvePoint { step, value })
            .collect(),
        tolerance: raw.tolerance,
        min_steps: raw.min_steps,
        reduction: raw.reduction,
        max_steps: raw.max_steps,
        brackets: raw.brackets,
        probability: raw.probability,
        p: raw.p,
    }
}

fn stopper_from_wire(stopper: &v1::StopperRule, field: &str) -> Result<RawStopper, ConvertError> {
    Ok(RawStopper {
        rule: word(&stopper.rule, &format!("{field}.rule"))?,
        metric: text(stopper.metric.clone()),
        goal: goal_from_wire(stopper.goal, &format!("{field}.goal"))?,
        shadow: stopper.shadow.then_some(true),
        warmup_steps: stopper.warmup_steps,
        min_trials: stopper.min_trials,
        interval: stopper.interval,
        keep: stopper.keep,
        above: stopper.above,
        below: stopper.below,
        after_step: stopper.after_step,
        patience: stopper.patience,
        min_delta: stopper.min_delta,
        factor: stopper.factor,
        trial: stopper.trial,
        constant: stopper.constant,
        curve: stopper
            .curve
            .iter()
            .map(|point| (point.step, point.value))
            .collect(),
        tolerance: stopper.tolerance,
        min_steps: stopper.min_steps,
        reduction: stopper.reduction,
        max_steps: stopper.max_steps,
        brackets: stopper.brackets,
        probability: stopper.probability,
        p: stopper.p,
    })
}

fn trial_to_wire(raw: &RawTrial) -> v1::TrialTemplate {
    use v1::metric_source::Source;
    let source = match &raw.metrics {
        RawMetrics {
            regex: Some(patterns),
            ..
        } => Some(Source::Regex(v1::RegexPatterns {
            patterns: patterns.clone(),
        })),
        RawMetrics { file: Some(file), .. } => Some(Source::File(file.clone())),
        RawMetrics {
            stdout: Some(RawStdout::Json),
            ..
        } => Some(Source::StdoutJson(v1::StdoutJson {})),
        RawMetrics { .. } => None,
    };
    v1::TrialTemplate {
        command: raw.command.clone(),
        env: raw.env.clone().into_iter().collect(),
        workdir: raw.workdir.clone().unwrap_or_default(),
        metrics: source.map(|source| v1::MetricSource { source: Some(source) }),
        steps: Some(v1::Steps {
            name: raw.steps.name.clone().unwrap_or_default(),
            max: raw.steps.max,
        }),
        resources: Some(v1::ResourceRequest {
            gpus: raw.resources.gpus.unwrap_or(0),
            gpu_memory_bytes: raw.resources.gpu_memory.unwrap_or_default().0,
            cpus: raw.resources.cpus.unwrap_or(0.0),
            memory_bytes: raw.resources.memory.unwrap_or_default().0,
            labels: raw.resources.labels.clone().into_iter().collect(),
        }),
        max_runtime: raw.max_runtime.map(|runtime| duration_to_wire(runtime.0)),
        retries: raw.retries.unwrap_or(0),
        grace: raw.grace.map(|grace| duration_to_wire(grace.0)),
    }
}

fn trial_from_wire(trial: v1::TrialTemplate) -> Result<RawTrial, ConvertError> {
    use v1::metric_source::Source;
    let metrics = match trial.metrics.and_then(|metrics| metrics.source) {
        None => RawMetrics::default(),
        Some(Source::StdoutJson(_)) => RawMetrics {
            stdout: Some(RawStdout::Json),
            ..RawMetrics::default()
        },
        Some(Source::Regex(regex)) => RawMetrics {
            regex: Some(regex.patterns),
            ..RawMetrics::default()
        },
        Some(Source::File(file)) => RawMetrics {
            file: Some(file),
            ..RawMetrics::default()
        },
    };
    let steps = trial.steps.unwrap_or_default();
    let resources = trial.resources.unwrap_or_default();
    Ok(RawTrial {
        command: trial.command,
        env: trial.env.into_iter().collect(),
        workdir: text(trial.workdir),
        metrics,
        steps: RawSteps {
            name: text(steps.name),
            max: steps.max,
        },
        resources: RawResources {
            gpus: Some(resources.gpus).filter(|gpus| *gpus > 0),
            gpu_memory: Some(ByteSize(resources.gpu_memory_bytes)).filter(|memory| memory.0 > 0),
            cpus: Some(resources.cpus).filter(|cpus| *cpus != 0.0),
            memory: Some(ByteSize(resources.memory_bytes)).filter(|memory| memory.0 > 0),
            labels: resources.labels.into_iter().collect(),
        },
        max_runtime: duration(trial.max_runtime.as_ref(), "trial.max_runtime")?,
        retries: Some(trial.retries).filter(|retries| *retries > 0),
        grace: duration(trial.grace.as_ref(), "trial.grace")?,
    })
}

#[cfg(test)]
mod tests;
