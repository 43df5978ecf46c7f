//! A study that looks more closely at a part of another one's space.

use super::check::{FieldError, SpecErrors};
use super::raw::{RawConstraint, RawKind, RawParameter, RawStudy, RawTrial, RawValues};
use super::spec::{Baseline, Schedule, StopperRule, StudySpec};
use super::values::{Ordered, RawNumber, RawValue};
use crate::document::{nearest, shorten};
use crate::id::StudyName;
use crate::params::ParamValue;
use crate::space::Narrowing;
use crate::template::Template;

/// A study that looks more closely at a part of another one's space.
#[derive(Clone, Debug, PartialEq)]
pub struct Zoomed {
    /// The study, without a seed of its own: one is drawn when it is created.
    pub study: RawStudy,
    /// What it does not have of the study that it came from, one sentence each.
    pub notes: Vec<String>,
}

impl StudySpec {
    /// A study of the given name with this one's settings in a part of its space. This one becomes its parent and the first whose trials it
    /// knows from the start; those whose trials this one knew come after it.
    ///
    /// `narrowings` are what is left of the values of some parameters, each named once. A parameter of which one value is left becomes a constant, and one
    /// that can no longer be active is left out, with the arguments that mention it. Points to try first are left out, and so are
    /// rules that compare with a trial of this study.
    ///
    /// # Errors
    /// All that is wrong with the narrowings, as fields of `ranges`; or what is wrong with the study that comes out, such as constraints that
    /// nothing left satisfies; or that this one repeats one training, as its `name`.
    pub fn zoom(&self, name: &StudyName, narrowings: &[(String, Narrowing)]) -> Result<Zoomed, SpecErrors> {
        if let Some(Schedule::Replay(_)) = self.strategy.schedule {
            return Err(SpecErrors(vec![FieldError {
                path: "name".to_owned(),
                message: "is a study that repeats one training, in which there is nothing to look at more closely; name another study".to_owned(),
            }]));
        }
        let mut study = RawStudy::from(self);
        let mut problems = Vec::new();
        let mut parameters: Vec<(String, RawParameter)> = study
            .space
            .iter()
            .map(|(name, parameter)| (name.to_owned(), parameter.clone()))
            .collect();
        for (index, (name, narrowing)) in narrowings.iter().enumerate() {
            let problem = |message: String| FieldError {
                path: format!("ranges.{}", shorten(name)),
                message,
            };
            if narrowings[..index].iter().any(|(known, _)| known == name) {
                problems.push(problem("is given twice; give one range".to_owned()));
                continue;
            }
            match parameters.iter_mut().find(|(known, _)| known == name) {
                Some((_, parameter)) => {
                    if let Err(message) = narrow(parameter, narrowing) {
                        problems.push(problem(message));
                    }
                }
                None => {
                    let known = parameters.iter().map(|(known, _)| known.as_str());
                    let hint =
                        nearest(name, known).map_or(String::new(), |hint| format!("; did you mean {hint}?"));
                    problems.push(problem(format!("no such parameter in the search space{hint}")));
                }
            }
        }
        if !problems.is_empty() {
            return Err(SpecErrors(problems));
        }
        let mut notes = Vec::new();
        let left = still_possible(parameters, &mut notes);
        let gone =
            |name: &str| study.space.value(name).is_some() && !left.iter().any(|(known, _)| known == name);
        let constraints = self.space.constraints().iter().filter(|constraint| {
            let parameters = self.space.parameters();
            !constraint
                .mentioned()
                .iter()
                .any(|index| gone(parameters[*index].name.as_str()))
        });
        let measured = std::mem::take(&mut study.constraints)
            .into_iter()
            .filter(|constraint| matches!(constraint, RawConstraint::Measured(_)));
        study.constraints = constraints
            .map(|constraint| RawConstraint::Expression(constraint.text().to_owned()))
            .chain(measured)
            .collect();
        if let Some(trial) = &mut study.trial {
            leave_out(trial, &gone);
        }
        let vary = std::mem::take(&mut study.strategy.vary);
        let (vary, fixed): (Vec<String>, Vec<String>) = vary.into_iter().partition(|name| {
            let mut left = left.iter();
            left.any(|(known, parameter)| known == name && parameter.kind != RawKind::Constant)
        });
        if !fixed.is_empty() {
            if vary.is_empty() {
                return Err(SpecErrors(vec![FieldError {
                    path: "ranges".to_owned(),
                    message: format!(
                        "leave no values to vary while a training goes on: strategy.vary is {}; leave one of these a range",
                        fixed.join(", ")
                    ),
                }]));
            }
            notes.push(format!(
                "{} no longer varies while a training goes on",
                fixed.join(", ")
            ));
        }
        study.strategy.vary = vary;
        study.space = Ordered::from_pairs(left).unwrap_or_default();
        let mut rules = self.early_stopping.iter();
        study.early_stopping.retain(|rule| {
            let compares = rules.next().is_some_and(|rule| {
                matches!(
                    rule.rule,
                    StopperRule::BelowBaseline {
                        baseline: Baseline::Trial(_),
                        ..
                    }
                )
            });
            if compares {
                notes.push(format!(
                    "the rule {} that compares with trial {} of {} is left out",
                    rule.rule.name(),
                    rule.trial.unwrap_or_default(),
                    self.name
                ));
            }
            !compares
        });
        study.name = Some(name.to_string());
        study.message = None;
        study.parent = Some(self.name.to_string());
        study.strategy.seed = None;
        study.strategy.initial.clear();
        let known = std::mem::take(&mut study.strategy.history);
        let known = known
            .into_iter()
            .filter(|study| *study != self.name.as_str() && *study != name.as_str());
        study.strategy.history = std::iter::once(self.name.to_string())
            .chain(known)
            .take(16)
            .collect();
        StudySpec::from_raw(study.clone(), 0)?;
        Ok(Zoomed { study, notes })
    }
}

/// Leaves a parameter the values that `narrowing` says.
fn narrow(parameter: &mut RawParameter, narrowing: &Narrowing) -> Result<(), String> {
    let kind = parameter.kind;
    let one_of = |choices: &[RawValue]| -> Result<Vec<RawValue>, String> {
        let place = |value: &ParamValue| {
            choices
                .iter()
                .position(|choice| same(&choice.0, value))
                .ok_or_else(|| format!("{value} is not among its values, {}", list(choices)))
        };
        match narrowing {
            Narrowing::Choices(values) => {
                let mut places = values.iter().map(place).collect::<Result<Vec<_>, _>>()?;
                places.sort_unstable();
                places.dedup();
                Ok(places.into_iter().map(|place| choices[place].clone()).collect())
            }
            Narrowing::Range { low, high } if kind == RawKind::Ordinal => {
                let first = low.as_ref().map_or(Ok(0), place)?;
                let last = high.as_ref().map_or(Ok(choices.len().saturating_sub(1)), place)?;
                Ok(choices.get(first..=last).unwrap_or_default().to_vec())
            }
            Narrowing::Range { .. } => Err(format!(
                "takes values and no range, since it is {}; give some of {}",
                kind.name(),
                list(choices)
            )),
        }
    };
    let values = match kind {
        RawKind::Float | RawKind::Int => return narrow_number(parameter, narrowing),
        RawKind::Categorical | RawKind::Ordinal => one_of(parameter.choices.as_deref().unwrap_or_default())?,
        RawKind::Bool => one_of(&[false, true].map(|value| RawValue(ParamValue::Bool(value))))?,
        RawKind::Constant => one_of(parameter.value.as_slice())?,
    };
    match <[RawValue; 1]>::try_from(values) {
        Ok([value]) => become_constant(parameter, value),
        Err(values) if values.is_empty() => {
            return Err("has no values left; give at least one".to_owned());
        }
        Err(values) if kind != RawKind::Bool => parameter.choices = Some(values),
        Err(_) => {}
    }
    Ok(())
}

fn narrow_number(parameter: &mut RawParameter, narrowing: &Narrowing) -> Result<(), String> {
    let number = |value: &ParamValue| match *value {
        ParamValue::Int(number) => Ok(RawNumber::Int(number)),
        ParamValue::Float(number) if number.is_finite() => Ok(RawNumber::from(number)),
        _ => Err(format!(
            "{value} is no number, but it is {}",
            parameter.kind.name()
        )),
    };
    match narrowing {
        Narrowing::Choices(values) => match values.as_slice() {
            [value] => {
                number(value)?;
                become_constant(parameter, RawValue(value.clone()));
            }
            _ => {
                return Err(format!(
                    "takes a range or one value, since it is {}; give a low and a high bound",
                    parameter.kind.name()
                ));
            }
        },
        Narrowing::Range { low, high } => {
            let low = low.as_ref().map(number).transpose()?.or(parameter.low);
            let high = high.as_ref().map(number).transpose()?.or(parameter.high);
            match (low, high) {
                (Some(low), Some(high)) if low.as_f64() > high.as_f64() => {
                    return Err(format!("{low} is above {high}; exchange them"));
                }
                (Some(low), Some(high)) if low.as_f64() >= high.as_f64() => {
                    let value = match low {
                        RawNumber::Int(number) if parameter.kind == RawKind::Int => ParamValue::Int(number),
                        number => ParamValue::Float(number.as_f64()),
                    };
                    become_constant(parameter, RawValue(value));
                }
                (low, high) => (parameter.low, parameter.high) = (low, high),
            }
        }
    }
    Ok(())
}

fn become_constant(parameter: &mut RawParameter, value: RawValue) {
    *parameter = RawParameter {
        kind: RawKind::Constant,
        value: Some(value),
        when: std::mem::take(&mut parameter.when),
        ..RawParameter::default()
    };
}

/// The parameters that may still be active, with the conditions that still say something.
fn still_possible(
    parameters: Vec<(String, RawParameter)>,
    notes: &mut Vec<String>,
) -> Vec<(String, RawParameter)> {
    let mut left: Vec<(String, RawParameter)> = Vec::with_capacity(parameters.len());
    for (name, mut parameter) in parameters {
        let when = std::mem::take(&mut parameter.when);
        let mut conditions = Vec::new();
        let mut missing = None;
        for (parent, values) in when.iter() {
            // Parents stand before their children.
            let Some((_, of)) = left.iter().find(|(known, _)| known == parent) else {
                missing = Some(parent);
                continue;
            };
            let values: Vec<RawValue> = values
                .0
                .iter()
                .filter(|value| has(of, &value.0))
                .cloned()
                .collect();
            if values.is_empty() {
                missing = Some(parent);
            } else if of.kind != RawKind::Constant || !of.when.is_empty() {
                conditions.push((parent.to_owned(), RawValues(values)));
            }
        }
        if let Some(parent) = missing {
            notes.push(format!(
                "{name} is left out, since {parent} no longer has a value with which it exists"
            ));
            continue;
        }
        parameter.when = Ordered::from_pairs(conditions).unwrap_or_default();
        left.push((name, parameter));
    }
    left
}

/// Whether a parameter can have a value.
fn has(parameter: &RawParameter, value: &ParamValue) -> bool {
    let among = |choices: &[RawValue]| choices.iter().any(|choice| same(&choice.0, value));
    match parameter.kind {
        RawKind::Float | RawKind::Int => number(value).is_some_and(|value| {
            let low = parameter.low.map_or(f64::NEG_INFINITY, RawNumber::as_f64);
            let high = parameter.high.map_or(f64::INFINITY, RawNumber::as_f64);
            (low..=high).contains(&value)
        }),
        RawKind::Categorical | RawKind::Ordinal => among(parameter.choices.as_deref().unwrap_or_default()),
        RawKind::Bool => matches!(value, ParamValue::Bool(_)),
        RawKind::Constant => among(parameter.value.as_slice()),
    }
}

/// Whether two values mean the same: `1` and `1.0` do, `1` and `"1"` do not.
fn same(a: &ParamValue, b: &ParamValue) -> bool {
    match (number(a), number(b)) {
        (Some(a), Some(b)) => a.to_bits() == b.to_bits(),
        _ => a == b,
    }
}

fn number(value: &ParamValue) -> Option<f64> {
    match *value {
        ParamValue::Int(number) => Some(RawNumber::Int(number).as_f64()),
        ParamValue::Float(number) => Some(number + 0.0),
        ParamValue::Bool(_) | ParamValue::Text(_) => None,
    }
}

/// Leaves out what mentions parameters that are gone, as it would be left out of a trial in which they are inactive.
fn leave_out(trial: &mut RawTrial, gone: &dyn Fn(&str) -> bool) {
    let mentions = |text: &str| Template::parse(text).is_ok_and(|template| template.placeholders().any(gone));
    trial.command.retain(|argument| !mentions(argument));
    let texts = trial
        .env
        .values_mut()
        .chain(&mut trial.workdir)
        .chain(&mut trial.metrics.file);
    for text in texts {
        if mentions(text)
            && let Ok(template) = Template::parse(text)
        {
            *text = template.without(gone).to_string();
        }
    }
}

fn list(choices: &[RawValue]) -> String {
    let texts: Vec<String> = choices.iter().map(|choice| choice.0.to_string()).collect();
    texts.join(", ")
}
