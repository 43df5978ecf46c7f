//! What a definition must satisfy to become a space. Collects everything that is wrong, so that a study file is mended in one go.

use std::collections::{HashMap, HashSet};

use crate::params::ParamValue;

use super::coding::{Coding, Key, describe, list};
use super::error::{SpaceError, nearest, quote, show};
use super::numbers::{LARGEST_INT, LARGEST_LOG_INT, MOST_LEVELS, float};
use super::types::{Domain, Parameter, Scale};

/// Parameters a space may have.
const MOST_PARAMETERS: usize = 1_000;

/// Choices a parameter may have.
const MOST_CHOICES: usize = 10_000;

/// Bytes a text value may have: it must fit into an environment variable and a command line beside many others.
const LONGEST_TEXT: usize = 4_096;

/// Checks the parameters of a space, and brings the values of conditions into the parents' form (`1.0` is `1` for an int).
///
/// Returns how each parameter's values are laid out.
pub(super) fn check_parameters(parameters: &mut [Parameter]) -> Result<Vec<Coding>, Vec<SpaceError>> {
    if parameters.is_empty() {
        return Err(vec![SpaceError::whole(
            "the search space is empty; give at least one parameter",
        )]);
    }
    if parameters.len() > MOST_PARAMETERS {
        let message = format!(
            "{} parameters are too many; at most {MOST_PARAMETERS} are allowed",
            parameters.len()
        );
        return Err(vec![SpaceError::whole(message)]);
    }
    let mut problems = Vec::new();
    let mut seen = HashSet::new();
    for parameter in parameters.iter().filter(|p| !seen.insert(p.name.as_str())) {
        problems.push(SpaceError::new(
            parameter.name.as_str(),
            "",
            "this name is used twice; rename one of the two",
        ));
    }
    let codings: Vec<Option<Coding>> = parameters
        .iter()
        .map(|parameter| {
            let before = problems.len();
            let mut report = |field: &str, message: String| {
                problems.push(SpaceError::new(parameter.name.as_str(), field, message));
            };
            check_domain(&parameter.domain, &mut report);
            (problems.len() == before).then(|| Coding::new(&parameter.domain))
        })
        .collect();
    check_conditions(parameters, &codings, &mut problems);
    if problems.is_empty() {
        Ok(codings.into_iter().flatten().collect())
    } else {
        Err(problems)
    }
}

/// Takes the key of the definition and what is wrong with it.
type Report<'a> = dyn FnMut(&str, String) + 'a;

fn check_domain(domain: &Domain, report: &mut Report<'_>) {
    match domain {
        Domain::Float {
            low,
            high,
            scale,
            step,
        } => check_float(*low, *high, *scale, *step, report),
        Domain::Int {
            low,
            high,
            scale,
            step,
        } => check_int(*low, *high, *scale, *step, report),
        Domain::Categorical { choices } | Domain::Ordinal { choices } => check_choices(choices, report),
        Domain::Boolean => {}
        Domain::Constant(value) => {
            if let Some(message) = refuse_value(value) {
                report("value", message);
            }
        }
    }
}

fn check_float(low: f64, high: f64, scale: Scale, step: Option<f64>, report: &mut Report<'_>) {
    let mut finite = true;
    for (field, value) in [("low", low), ("high", high)] {
        if !value.is_finite() {
            finite = false;
            report(field, format!("{value} is not a finite number"));
        }
    }
    if !finite
        || !check_order(
            ParamValue::Float(low),
            ParamValue::Float(high),
            low.total_cmp(&high),
            report,
        )
    {
        return;
    }
    if scale == Scale::Log2 {
        report(
            "scale",
            "log2 means powers of two and is for type int; use scale log".to_owned(),
        );
    }
    let logarithmic = matches!(scale, Scale::Log | Scale::ReverseLog);
    if logarithmic && low <= 0.0 {
        report("low", log_needs_positive(scale, &ParamValue::Float(low)));
    } else if logarithmic && (high.ln() - low.ln()) <= 0.0 {
        report(
            "high",
            format!("{low:?} and {high:?} are too close for a logarithmic scale; use scale linear"),
        );
    }
    let reach = if scale == Scale::ReverseLog {
        low + high
    } else {
        high - low
    };
    if scale != Scale::Log && !reach.is_finite() {
        let message =
            format!("the range from {low:e} to {high:e} overflows; use a narrower range or scale log");
        report("high", message);
        return;
    }
    let Some(step) = step else { return };
    if scale != Scale::Linear {
        report(
            "step",
            "a step needs scale linear; leave out one of the two".to_owned(),
        );
    } else if !step.is_finite() || step <= 0.0 {
        report(
            "step",
            format!("{} is not a step; give a number above 0", ParamValue::Float(step)),
        );
    } else if step > high - low {
        let message = format!(
            "{} is more than the range, {}; give a smaller step",
            show_float(step),
            show_float(high - low)
        );
        report("step", message);
    } else if step < 2.0 * f64::EPSILON * low.abs().max(high.abs())
        || (high - low) / step >= float(MOST_LEVELS)
    {
        report(
            "step",
            format!(
                "{} is too small to tell the values apart; leave it out",
                show_float(step)
            ),
        );
    }
}

fn check_int(low: i64, high: i64, scale: Scale, step: i64, report: &mut Report<'_>) {
    let mut exact = true;
    for (field, value) in [("low", low), ("high", high)] {
        if !(-LARGEST_INT..=LARGEST_INT).contains(&value) {
            exact = false;
            report(
                field,
                format!("{value} is not within ±2^53, where numbers are exact everywhere"),
            );
        }
    }
    if !exact
        || !check_order(
            ParamValue::Int(low),
            ParamValue::Int(high),
            low.cmp(&high),
            report,
        )
    {
        return;
    }
    match scale {
        Scale::Linear => {}
        Scale::Log | Scale::ReverseLog => {
            if low <= 0 {
                report("low", log_needs_positive(scale, &ParamValue::Int(low)));
            }
            if high > LARGEST_LOG_INT {
                report(
                    "high",
                    format!("{high} is above 2^44, the largest int on this scale; use type float"),
                );
            }
        }
        Scale::Log2 => {
            for (field, value) in [("low", low), ("high", high)] {
                if value <= 0 || value.count_ones() != 1 {
                    let message =
                        format!("{value} is not a power of two, as scale log2 needs; use one, or scale log");
                    report(field, message);
                }
            }
        }
    }
    let span = high.abs_diff(low);
    if step <= 0 {
        report(
            "step",
            format!("{step} is not a step; give a whole number from 1"),
        );
    } else if scale != Scale::Linear && step != 1 {
        report(
            "step",
            "a step needs scale linear; leave out one of the two".to_owned(),
        );
    } else if step.unsigned_abs() > span {
        report(
            "step",
            format!("{step} is more than the range, {span}; give a smaller step"),
        );
    } else if scale == Scale::Linear && span / step.unsigned_abs() >= MOST_LEVELS {
        report(
            "high",
            "more than 2^50 values; use a narrower range, a larger step or type float".to_owned(),
        );
    }
}

/// Whether `low < high`; reports it otherwise.
fn check_order(
    low: ParamValue,
    high: ParamValue,
    order: std::cmp::Ordering,
    report: &mut Report<'_>,
) -> bool {
    let same = low == high || order.is_eq();
    if same {
        report(
            "high",
            format!("low and high are both {high}; a single value is type constant with value: {high}"),
        );
    } else if order.is_gt() {
        report(
            "low",
            format!("low = {low} is above high = {high}; exchange them"),
        );
    }
    !same && order.is_lt()
}

fn log_needs_positive(scale: Scale, low: &ParamValue) -> String {
    let name = if scale == Scale::Log { "log" } else { "reverse_log" };
    format!("scale {name} needs low > 0, this is {low}; raise it, or use scale linear")
}

fn show_float(value: f64) -> String {
    ParamValue::Float(value).to_string()
}

fn check_choices(choices: &[ParamValue], report: &mut Report<'_>) {
    if choices.is_empty() {
        report(
            "choices",
            "there is nothing to choose from; give at least one value".to_owned(),
        );
    }
    if choices.len() > MOST_CHOICES {
        report(
            "choices",
            format!(
                "{} choices are too many; at most {MOST_CHOICES} are allowed",
                choices.len()
            ),
        );
        return;
    }
    // Also by the text that a training gets: `1` and `"1"` are different values, but no program could tell them apart.
    let (mut meanings, mut texts) = (HashMap::new(), HashMap::new());
    for (index, choice) in choices.iter().enumerate() {
        let field = format!("choices[{index}]");
        if let Some(message) = refuse_value(choice) {
            report(&field, message);
            continue;
        }
        let alike = meanings.insert(Key::of(choice), index);
        let written_alike = texts.insert(choice.to_string(), index);
        if let Some(first) = alike.or(written_alike) {
            let earlier = show(&choices[first]);
            report(
                &field,
                format!(
                    "{} cannot be told from choices[{first}] = {earlier}; leave one out",
                    show(choice)
                ),
            );
        }
    }
}

/// Why a value can be neither a choice nor a constant.
fn refuse_value(value: &ParamValue) -> Option<String> {
    match value {
        ParamValue::Bool(_) => None,
        ParamValue::Int(value) => (!(-LARGEST_INT..=LARGEST_INT).contains(value))
            .then(|| format!("{value} is not within ±2^53, where numbers are exact everywhere")),
        ParamValue::Float(value) => (!value.is_finite()).then(|| format!("{value} is not a finite number")),
        ParamValue::Text(text) if text.is_empty() => {
            Some("an empty text is not allowed; use a word such as \"none\"".to_owned())
        }
        ParamValue::Text(text) if text.contains('\0') => Some(format!(
            "{} contains a NUL character, which no program can be given",
            quote(text)
        )),
        ParamValue::Text(text) if text.len() > LONGEST_TEXT => Some(format!(
            "this text has {} bytes; at most {LONGEST_TEXT} are allowed",
            text.len()
        )),
        ParamValue::Text(_) => None,
    }
}

fn check_conditions(
    parameters: &mut [Parameter],
    codings: &[Option<Coding>],
    problems: &mut Vec<SpaceError>,
) {
    for child in 0..parameters.len() {
        let mut conditions = std::mem::take(&mut parameters[child].conditions);
        let mut parents = HashSet::new();
        for condition in &mut conditions {
            let name = parameters[child].name.as_str();
            let mut report =
                |field: String, message: String| problems.push(SpaceError::new(name, field, message));
            let Some(parent) = parameters.get(condition.parent) else {
                let message = format!("there is no parameter number {} to depend on", condition.parent);
                report("when".to_owned(), message);
                continue;
            };
            let field = format!("when.{}", parent.name);
            if condition.parent >= child {
                report(field, refuse_order(parameters, child, condition.parent));
                continue;
            }
            if !parents.insert(condition.parent) {
                report(
                    field,
                    format!("two conditions on {}; put all values into one list", parent.name),
                );
                continue;
            }
            if condition.values.is_empty() {
                report(
                    field,
                    "no values, so that the parameter is never active; give at least one".to_owned(),
                );
                continue;
            }
            if let Domain::Float { .. } = parent.domain {
                let message = format!(
                    "{} is a float; only choices, booleans, ints and constants can be conditions",
                    parent.name
                );
                report(field, message);
                continue;
            }
            let Some(coding) = &codings[condition.parent] else {
                continue;
            };
            let mut listed = HashSet::new();
            for value in &mut condition.values {
                match coding.accept(&parent.domain, value) {
                    Ok(accepted) if !listed.insert(Key::of(&accepted)) => {
                        report(
                            field.clone(),
                            format!("{} is listed twice; leave one out", show(&accepted)),
                        );
                    }
                    Ok(accepted) => *value = accepted,
                    Err(_) => report(field.clone(), impossible_value(parent, value)),
                }
            }
        }
        parameters[child].conditions = conditions;
    }
}

fn impossible_value(parent: &Parameter, value: &ParamValue) -> String {
    let hint = match (&parent.domain, value) {
        (Domain::Categorical { choices } | Domain::Ordinal { choices }, ParamValue::Text(text)) => {
            let texts = choices.iter().filter_map(|choice| match choice {
                ParamValue::Text(text) => Some(text.as_str()),
                _ => None,
            });
            nearest(text, texts)
        }
        _ => None,
    };
    match hint {
        Some(hint) => format!(
            "{} is never {}; did you mean {}?",
            parent.name,
            show(value),
            quote(hint)
        ),
        None => format!(
            "{} is never {}; it is {}",
            parent.name,
            show(value),
            describe(&parent.domain)
        ),
    }
}

/// Why `child` cannot depend on `parent`, which does not stand before it.
fn refuse_order(parameters: &[Parameter], child: usize, parent: usize) -> String {
    if parent == child {
        return "a parameter cannot depend on itself".to_owned();
    }
    match chain(parameters, parent, child) {
        Some(chain) => {
            let names: Vec<&str> = chain
                .iter()
                .map(|index| parameters[*index].name.as_str())
                .collect();
            format!(
                "conditions in a circle: {} -> {}; remove one",
                parameters[child].name,
                names.join(" -> ")
            )
        }
        None => format!(
            "{} stands after this parameter; move it before",
            parameters[parent].name
        ),
    }
}

/// The parameters from `from` to `to`, each depending on the next.
fn chain(parameters: &[Parameter], from: usize, to: usize) -> Option<Vec<usize>> {
    let mut came_from = HashMap::from([(from, from)]);
    let mut open = vec![from];
    while let Some(here) = open.pop() {
        if here == to {
            let mut path = vec![to];
            while let Some(previous) = path
                .last()
                .and_then(|last| came_from.get(last))
                .filter(|p| !path.contains(p))
            {
                path.push(*previous);
            }
            path.reverse();
            return Some(path);
        }
        for condition in &parameters[here].conditions {
            if condition.parent < parameters.len() && !came_from.contains_key(&condition.parent) {
                came_from.insert(condition.parent, here);
                open.push(condition.parent);
            }
        }
    }
    None
}

/// `when optimizer is one of "sgd", "nag"`, for messages about a parameter's conditions.
pub(super) fn requirement(parent: &Parameter, values: &[ParamValue]) -> String {
    format!("{} is {}", parent.name, list(values))
}
