//! Budgets: each limit by itself, and whether they contradict what trials need, so that no trial could ever run, or no limit could ever be
//! reached.

use super::Problems;
use crate::study::raw::{RawBudget, RawNoImprovement};
use crate::study::spec::{Budget, NoImprovement, TrialSpec};
use crate::units::HumanDuration;

/// Probability with which little must be left to gain, if the study does not say.
pub(in crate::study) const CONFIDENCE: f64 = 0.95;
/// From and to where it may be said: beyond, an estimate from a thousand draws says little.
const CONFIDENCES: (f64, f64) = (0.5, 0.99);

/// `one` is whether the study has one objective.
pub(super) fn budget(raw: &RawBudget, one: bool, problems: &mut Problems) -> Budget {
    problems.at_least("budget.trials", raw.trials, 1);
    problems.at_least("budget.parallel", raw.parallel, 1);
    problems.at_least("budget.failures", raw.failures, 1);
    problems.finite("budget.target", raw.target);
    if let Some(target) = raw.target.filter(|_| !one) {
        problems.add(
            "budget.target",
            format!(
                "is {target}, but a study of several objectives has no single best value to reach it; remove it, or make all \
                 objectives but one constraints, such as {{metric: mem_gb, at_most: 16}}"
            ),
        );
    }
    for (key, limit) in [("gpu_hours", raw.gpu_hours), ("cost", raw.cost)] {
        if let Some(limit) = limit.filter(|limit| !(limit.is_finite() && *limit > 0.0)) {
            problems.add(
                format!("budget.{key}"),
                format!("must be above 0 and finite, got {limit}"),
            );
        }
    }
    if raw.wall_time.is_some_and(|time| time.0.is_zero()) {
        problems.add("budget.wall_time", "must be longer than 0s");
    }
    Budget {
        trials: raw.trials,
        parallel: raw.parallel,
        wall_time: raw.wall_time.map(|time| time.0),
        gpu_hours: raw.gpu_hours,
        cost: raw.cost,
        failures: raw.failures,
        target: raw.target,
        no_improvement: raw
            .no_improvement
            .as_ref()
            .map(|raw| no_improvement(raw, one, problems)),
    }
}

fn no_improvement(raw: &RawNoImprovement, one: bool, problems: &mut Problems) -> NoImprovement {
    const AT: &str = "budget.no_improvement";
    let at = |key: &str| format!("{AT}.{key}");
    if raw.patience.is_none() && raw.gain_below.is_none() {
        problems.add(
            AT,
            "says nothing; give patience, gain_below or both, such as {patience: 30}",
        );
    }
    problems.at_least(&at("patience"), raw.patience, 1);
    if let Some(delta) = raw.min_delta {
        if !(delta.is_finite() && delta >= 0.0) {
            problems.add(
                at("min_delta"),
                format!("must be 0 or more and finite, got {delta}"),
            );
        }
        if raw.patience.is_none() {
            problems.add(
                at("min_delta"),
                format!("is {delta}, but only patience uses it; add patience"),
            );
        }
        if !one {
            problems.add(
                at("min_delta"),
                format!(
                    "is {delta}, but in a study of several objectives every change of the Pareto set counts; remove it"
                ),
            );
        }
    }
    if let Some(gain) = raw.gain_below {
        if !(gain.is_finite() && gain > 0.0) {
            problems.add(
                at("gain_below"),
                format!("must be above 0 and finite, got {gain}"),
            );
        }
        if !one {
            problems.add(
                at("gain_below"),
                format!(
                    "is {gain}, but a study of several objectives has no single best value to gain on; use patience, or make all \
                     objectives but one constraints, such as {{metric: mem_gb, at_most: 16}}"
                ),
            );
        }
    }
    if let Some(confidence) = raw.confidence {
        let (least, most) = CONFIDENCES;
        if !(least..=most).contains(&confidence) {
            problems.add(
                at("confidence"),
                format!("must be between {least} and {most}, got {confidence}"),
            );
        }
        if raw.gain_below.is_none() {
            problems.add(
                at("confidence"),
                format!("is {confidence}, but only gain_below uses it; add gain_below"),
            );
        }
    }
    NoImprovement {
        patience: raw.patience,
        min_delta: raw.min_delta.unwrap_or(0.0),
        gain_below: raw.gain_below,
        confidence: raw.confidence.unwrap_or(CONFIDENCE),
        shadow: raw.shadow.unwrap_or(false),
    }
}

pub(super) fn check(budget: &Budget, trial: Option<&TrialSpec>, problems: &mut Problems) {
    if budget.gpu_hours.is_some() && trial.is_none_or(|trial| trial.resources.gpus.count == 0) {
        problems.add(
            "budget.gpu_hours",
            "no trial asks for a GPU; add trial.resources.gpus or remove this",
        );
    }
    if let (Some(cost), None) = (budget.cost, trial) {
        problems.add(
            "budget.cost",
            format!("is {cost}, but only trials that run on workers cost anything; add trial or remove this"),
        );
    }
    let max_runtime = trial.and_then(|trial| trial.max_runtime);
    if let (Some(runtime), Some(wall_time)) = (max_runtime, budget.wall_time)
        && runtime > wall_time
    {
        let (runtime, wall_time) = (HumanDuration(runtime), HumanDuration(wall_time));
        problems.add(
            "trial.max_runtime",
            format!("{runtime} is longer than the whole study, budget.wall_time is {wall_time}"),
        );
    }
}
