//! Parameters, conditions and constraints as written, made into a [`Space`], which then checks what concerns their values.

use super::Problems;
use crate::constraint::Constraint;
use crate::document::{nearest, shorten};
use crate::params::{ParamValue, ParameterName, Params};
use crate::space::{Condition, Domain, Parameter, Space, SpaceError};
use crate::study::raw::{RawConstraint, RawKind, RawParameter};
use crate::study::values::{Ordered, RawNumber, RawValue};
use crate::template::env_name;

/// The space, if nothing is wrong with it.
pub(super) fn check(
    raw: &Ordered<RawParameter>,
    constraints: &[RawConstraint],
    seed: u64,
    problems: &mut Problems,
) -> Option<Space> {
    if raw.is_empty() {
        problems.add("space", "must have at least one parameter");
        return None;
    }
    let before = problems.0.len();
    check_env_names(raw, problems);
    let parameters: Vec<_> = raw
        .iter()
        .enumerate()
        .map(|(index, (name, parameter))| {
            let path = format!("space.{}", shorten(name));
            Some(Parameter {
                name: problems.take::<ParameterName, _>(&path, name.parse())?,
                domain: domain(parameter, &path, problems)?,
                conditions: conditions(raw, index, parameter, &path, problems),
            })
        })
        .collect();
    let parameters: Vec<Parameter> = parameters.into_iter().collect::<Option<_>>()?;
    let constraints: Vec<_> = constraints
        .iter()
        .enumerate()
        .filter_map(|(index, constraint)| match constraint {
            RawConstraint::Expression(text) => problems.take(
                &format!("constraints[{index}]"),
                Constraint::parse(text, &parameters),
            ),
            RawConstraint::Measured(_) => None,
        })
        .collect();
    let has_constraints = !constraints.is_empty();
    let space = match Space::new(parameters, constraints) {
        Ok(space) => space,
        Err(errors) => {
            add_all(errors, "space", problems);
            return None;
        }
    };
    if has_constraints && !space.is_satisfiable(seed) {
        problems.add(
            "constraints",
            "no point found in 10,000 draws that satisfies all of them; loosen them or the ranges",
        );
    }
    (problems.0.len() == before).then_some(space)
}

/// Points to try first, as far as they fit the space.
pub(super) fn initial(
    space: Option<&Space>,
    raw: &[Ordered<RawValue>],
    problems: &mut Problems,
) -> Vec<Params> {
    let mut points = Vec::new();
    for (index, values) in raw.iter().enumerate() {
        let path = format!("strategy.initial[{index}]");
        let params = values
            .iter()
            .map(|(name, value)| {
                let name = problems.take(&path, name.parse::<ParameterName>())?;
                Some((name, value.0.clone()))
            })
            .collect::<Option<Params>>();
        if let (Some(space), Some(params)) = (space, params) {
            match space.normalize_partial(params) {
                Ok(params) => points.push(params),
                Err(errors) => add_all(errors, &path, problems),
            }
        }
    }
    points
}

pub(super) fn add_all(errors: Vec<SpaceError>, root: &str, problems: &mut Problems) {
    for error in errors {
        problems.add(error.path(root), error.message);
    }
}

/// Two parameters must not share an environment variable.
fn check_env_names(raw: &Ordered<RawParameter>, problems: &mut Problems) {
    let mut seen = std::collections::HashMap::new();
    for (name, _) in raw.iter() {
        if let Some(first) = seen.insert(env_name(name), name) {
            let message = format!(
                "becomes the environment variable {} like {first:?}; rename one",
                env_name(name)
            );
            problems.add(format!("space.{}", shorten(name)), message);
        }
    }
}

fn domain(raw: &RawParameter, path: &str, problems: &mut Problems) -> Option<Domain> {
    let before = problems.0.len();
    refuse_other_keys(raw, path, problems);
    let domain = match raw.kind {
        RawKind::Float => {
            let (low, high) = (
                required(raw.low, "low", path, problems),
                required(raw.high, "high", path, problems),
            );
            Domain::Float {
                low: low?.as_f64(),
                high: high?.as_f64(),
                scale: raw.scale.unwrap_or_default(),
                step: raw.step.map(RawNumber::as_f64),
            }
        }
        RawKind::Int => {
            let mut whole = |number: Option<RawNumber>, key: &str| match number? {
                RawNumber::Int(number) => Some(number),
                RawNumber::Float(number) => {
                    problems.add(
                        format!("{path}.{key}"),
                        format!("must be a whole number, got {}", RawNumber::Float(number)),
                    );
                    None
                }
            };
            let (low, high) = (whole(raw.low, "low"), whole(raw.high, "high"));
            let step = if raw.step.is_some() {
                whole(raw.step, "step")
            } else {
                Some(1)
            };
            for (key, number) in [("low", raw.low), ("high", raw.high)] {
                required(number, key, path, problems);
            }
            Domain::Int {
                low: low?,
                high: high?,
                scale: raw.scale.unwrap_or_default(),
                step: step?,
            }
        }
        RawKind::Categorical => Domain::Categorical {
            choices: choices(raw, path, problems)?,
        },
        RawKind::Ordinal => Domain::Ordinal {
            choices: choices(raw, path, problems)?,
        },
        RawKind::Bool => Domain::Boolean,
        RawKind::Constant => {
            let value = required(raw.value.as_ref(), "value", path, problems)?.0.clone();
            refuse_nul(&value, &format!("{path}.value"), problems);
            Domain::Constant(value)
        }
    };
    (problems.0.len() == before).then_some(domain)
}

fn required<T>(value: Option<T>, key: &str, path: &str, problems: &mut Problems) -> Option<T> {
    if value.is_none() {
        problems.add(path, format!("the key {key:?} is missing"));
    }
    value
}

fn choices(raw: &RawParameter, path: &str, problems: &mut Problems) -> Option<Vec<ParamValue>> {
    let choices = required(raw.choices.as_ref(), "choices", path, problems)?;
    for (index, choice) in choices.iter().enumerate() {
        refuse_nul(&choice.0, &format!("{path}.choices[{index}]"), problems);
    }
    Some(choices.iter().map(|choice| choice.0.clone()).collect())
}

/// Neither an argument nor an environment variable can carry a NUL character.
fn refuse_nul(value: &ParamValue, path: &str, problems: &mut Problems) {
    if matches!(value, ParamValue::Text(text) if text.contains('\0')) {
        problems.add(
            path,
            "must not contain a NUL character: no command line can carry it",
        );
    }
}

/// Refuses keys that belong to other types.
fn refuse_other_keys(raw: &RawParameter, path: &str, problems: &mut Problems) {
    use RawKind::{Categorical, Constant, Float, Int, Ordinal};
    let numeric = ("float and int", [Float, Int].as_slice());
    let listed = ("categorical and ordinal", [Categorical, Ordinal].as_slice());
    let keys = [
        ("low", raw.low.is_some(), numeric),
        ("high", raw.high.is_some(), numeric),
        ("scale", raw.scale.is_some(), numeric),
        ("step", raw.step.is_some(), numeric),
        ("choices", raw.choices.is_some(), listed),
        ("value", raw.value.is_some(), ("constant", [Constant].as_slice())),
    ];
    for (key, given, (takers, kinds)) in keys {
        if given && !kinds.contains(&raw.kind) {
            let kind = raw.kind.name();
            problems.add(
                format!("{path}.{key}"),
                format!("only {takers} parameters take {key:?}, this one is {kind}"),
            );
        }
    }
}

/// Conditions with the parents' places. Parents stand before their children, so that there are no cycles.
fn conditions(
    raw: &Ordered<RawParameter>,
    own: usize,
    parameter: &RawParameter,
    path: &str,
    problems: &mut Problems,
) -> Vec<Condition> {
    let mut conditions = Vec::new();
    for (parent, values) in parameter.when.iter() {
        let path = format!("{path}.when.{}", shorten(parent));
        match raw.iter().position(|(name, _)| name == parent) {
            Some(index) if index < own => {
                let values = values.0.iter().map(|value| value.0.clone()).collect();
                conditions.push(Condition {
                    parent: index,
                    values,
                });
            }
            Some(index) if index == own => problems.add(path, "a parameter cannot depend on itself"),
            Some(index) => match cycle(raw, own, index) {
                Some(cycle) => problems.add(path, format!("conditions form a cycle: {cycle}")),
                None => problems.add(
                    path,
                    format!(
                        "{:?} stands after this parameter; move it before",
                        shorten(parent)
                    ),
                ),
            },
            None => {
                let remedy = match nearest(parent, raw.iter().map(|(name, _)| name)) {
                    Some(near) => format!("did you mean {near:?}?"),
                    None => format!(
                        "known are {}",
                        raw.iter().map(|(name, _)| name).collect::<Vec<_>>().join(", ")
                    ),
                };
                problems.add(
                    path,
                    format!("there is no parameter {:?}; {remedy}", shorten(parent)),
                );
            }
        }
    }
    conditions
}

/// The way from `start` over its parent `via` back to `start`, if there is one.
fn cycle(raw: &Ordered<RawParameter>, start: usize, via: usize) -> Option<String> {
    let parameters: Vec<_> = raw.iter().collect();
    let mut came_from = vec![None; parameters.len()];
    let mut open = vec![via];
    came_from[via] = Some(start);
    while let Some(index) = open.pop() {
        for (parent, _) in parameters[index].1.when.iter() {
            let Some(next) = parameters.iter().position(|(name, _)| *name == parent) else {
                continue;
            };
            if next == start {
                let mut way = vec![parameters[start].0, parameters[index].0];
                let mut at = index;
                while let Some(previous) = came_from[at].filter(|previous| *previous != start) {
                    way.push(parameters[previous].0);
                    at = previous;
                }
                way.push(parameters[start].0);
                way.reverse();
                return Some(way.join(" -> "));
            }
            if came_from[next].is_none() {
                came_from[next] = Some(index);
                open.push(next);
            }
        }
    }
    None
}
