//! What is measured and judged when a trial has ended: objectives, and bounds of metrics.

use super::Problems;
use crate::document::shorten;
use crate::measurement::From as ValueFrom;
use crate::study::raw::{RawConstraint, RawMeasured, RawObjective, RawObjectives};
use crate::study::spec::{Bound, MeasuredConstraint, Objective};

/// Objectives: with more of them hardly any trial is better than another.
pub(super) const MAX_OBJECTIVES: usize = 8;
/// Bounds of metrics, each of which costs a curve of every trial that runs.
pub(super) const MAX_MEASURED: usize = 8;

/// All objectives; none if something is wrong with one of them.
pub(super) fn objectives(
    raw: &RawObjectives,
    problems: &mut Problems,
) -> Option<(Objective, Vec<Objective>)> {
    let first = objective(&raw.first, &path(raw, 0), problems);
    let more: Vec<Option<Objective>> = raw
        .more
        .iter()
        .enumerate()
        .map(|(index, raw_objective)| {
            let index = index + 1;
            let path = path(raw, index);
            if let Some(known) = raw.iter().take(index).position(|known| known.metric == raw_objective.metric) {
                problems.add(
                    format!("{path}.metric"),
                    format!(
                        "{:?} is the metric of objective[{known}] too; each objective needs a metric of its own",
                        shorten(&raw_objective.metric)
                    ),
                );
            }
            objective(raw_objective, &path, problems)
        })
        .collect();
    Some((first?, more.into_iter().collect::<Option<_>>()?))
}

/// Where an objective stands in the study file.
pub(super) fn path(raw: &RawObjectives, index: usize) -> String {
    if raw.more.is_empty() {
        "objective".to_owned()
    } else {
        format!("objective[{index}]")
    }
}

fn objective(raw: &RawObjective, path: &str, problems: &mut Problems) -> Option<Objective> {
    let metric = problems.take(&format!("{path}.metric"), raw.metric.parse());
    let from = value_from(raw.from.as_deref(), path, problems);
    Some(Objective {
        metric: metric?,
        goal: raw.goal,
        from: from?,
    })
}

/// Bounds of metrics among all constraints.
pub(super) fn measured(constraints: &[RawConstraint], problems: &mut Problems) -> Vec<MeasuredConstraint> {
    constraints
        .iter()
        .enumerate()
        .filter_map(|(index, constraint)| match constraint {
            RawConstraint::Expression(_) => None,
            RawConstraint::Measured(raw) => bound_of_metric(raw, &format!("constraints[{index}]"), problems),
        })
        .collect()
}

fn bound_of_metric(raw: &RawMeasured, path: &str, problems: &mut Problems) -> Option<MeasuredConstraint> {
    let metric = problems.take(&format!("{path}.metric"), raw.metric.parse());
    let from = value_from(raw.from.as_deref(), path, problems);
    problems.finite(&format!("{path}.at_most"), raw.at_most);
    problems.finite(&format!("{path}.at_least"), raw.at_least);
    let bound = match (raw.at_most, raw.at_least) {
        (Some(bound), None) => Bound::AtMost(bound),
        (None, Some(bound)) => Bound::AtLeast(bound),
        (None, None) => {
            problems.add(
                path,
                "has no bound; add at_most or at_least, such as {metric: mem_gb, at_most: 16}",
            );
            return None;
        }
        (Some(_), Some(_)) => {
            problems.add(
                path,
                "takes one of at_most and at_least, got both; write two constraints to keep a metric between bounds",
            );
            return None;
        }
    };
    Some(MeasuredConstraint {
        metric: metric?,
        bound,
        from: from?,
    })
}

/// How a value is taken from a curve; `path` is that of what says so.
fn value_from(raw: Option<&str>, path: &str, problems: &mut Problems) -> Option<ValueFrom> {
    match raw {
        None | Some("last") => Some(ValueFrom::Last),
        Some("best") => Some(ValueFrom::Best),
        Some(text) => match text
            .strip_prefix("mean of last ")
            .and_then(|count| count.trim().parse().ok())
        {
            Some(count) if count > 0 => Some(ValueFrom::MeanOfLast(count)),
            _ => {
                let text = shorten(text);
                problems.add(
                    format!("{path}.from"),
                    format!("expected last, best or \"mean of last 3\", found {text:?}"),
                );
                None
            }
        },
    }
}
