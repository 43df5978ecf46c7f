//! Early-stopping rules: each takes some of the keys, with defaults of its own.

use super::{Problems, objectives};
use crate::document::shorten;
use crate::id::{MetricName, TrialNumber};
use crate::measurement::Goal;
use crate::study::raw::{RawObjectives, RawRule, RawStopper};
use crate::study::spec::{Baseline, StopperRule, StopperSpec, rungs};

/// Points that a given curve may have.
const MAX_CURVE: usize = 10_000;
/// Steps without improvement that `plateau` waits for.
pub(in crate::study) const PLATEAU_PATIENCE: i64 = 10;
/// Reports in a row that `diverging` waits for.
pub(in crate::study) const DIVERGING_PATIENCE: u32 = 3;
/// Trials that a percentile is drawn from.
pub(in crate::study) const MIN_TRIALS: u32 = 5;
/// Step of the first rung of `asha`.
pub(in crate::study) const MIN_STEPS: i64 = 1;
/// One trial in so many goes on at a rung of `asha`.
pub(in crate::study) const REDUCTION: u32 = 3;
/// P-value of `wilcoxon`.
pub(in crate::study) const P_VALUE: f64 = 0.1;
/// Steps in common that `wilcoxon` waits for at least, unless the study says.
const COMMON_STEPS: i64 = 5;

/// Probability of ending better than the best below which `curve` stops.
pub(in crate::study) const PROBABILITY: f64 = 0.05;
/// Trials trained to the end that `curve` waits for.
pub(in crate::study) const MIN_WHOLE: u32 = 4;
/// Share of a training that `curve` never judges: 1 in so many steps.
const WARMUP_OF: i64 = 20;

/// Steps of a training of `max_steps` that `curve` does not judge if nothing else is said.
pub(in crate::study) fn curve_warmup(max_steps: i64) -> i64 {
    max_steps / WARMUP_OF
}

pub(super) fn check(
    raw: &RawStopper,
    objectives: &RawObjectives,
    last_step: Option<i64>,
    path: &str,
    problems: &mut Problems,
) -> Option<StopperSpec> {
    let before = problems.0.len();
    refuse_other_keys(raw, path, problems);
    check_numbers(raw, path, problems);
    let goal = check_goal(raw, objectives, path, problems);
    let metric: Option<MetricName> = match &raw.metric {
        Some(name) => problems.take(&format!("{path}.metric"), name.parse()),
        None => None,
    };
    let warmup_steps = raw.warmup_steps.unwrap_or(0);
    let rule = match raw.rule {
        RawRule::Median | RawRule::Percentile => StopperRule::Percentile {
            metric,
            goal,
            keep: keep(raw, path, problems)?,
            warmup_steps,
            min_trials: raw.min_trials.unwrap_or(MIN_TRIALS),
            interval: raw.interval.unwrap_or(1),
        },
        RawRule::Threshold => {
            if raw.above.is_none() && raw.below.is_none() {
                problems.add(path, "threshold needs \"above\" or \"below\"");
            }
            if let (Some(above), Some(below)) = (raw.above, raw.below)
                && below > above
            {
                problems.add(
                    path,
                    format!(
                        "every value is below {below} or above {above}: exchange \"below\" and \"above\""
                    ),
                );
            }
            let after_step = raw.after_step.unwrap_or(-1);
            StopperRule::Threshold {
                metric,
                above: raw.above,
                below: raw.below,
                after_step,
            }
        }
        RawRule::Plateau => StopperRule::Plateau {
            metric,
            goal,
            patience: raw.patience.unwrap_or(PLATEAU_PATIENCE),
            min_delta: raw.min_delta.unwrap_or(0.0),
            warmup_steps,
        },
        RawRule::Diverging => StopperRule::Diverging {
            metric,
            goal,
            factor: raw.factor.unwrap_or(1.0),
            patience: match raw.patience.map(|patience| (patience, u32::try_from(patience))) {
                None => DIVERGING_PATIENCE,
                Some((_, Ok(patience))) => patience,
                Some((patience, Err(_))) => {
                    if patience > 0 {
                        problems.add(
                            format!("{path}.patience"),
                            format!("must be at most {}, got {patience}", u32::MAX),
                        );
                    }
                    DIVERGING_PATIENCE
                }
            },
        },
        RawRule::BelowBaseline => StopperRule::BelowBaseline {
            metric,
            goal,
            baseline: baseline(raw, objectives, path, problems),
            tolerance: raw.tolerance.unwrap_or(0.0),
            warmup_steps,
        },
        RawRule::Asha => {
            let (min_steps, reduction) = (
                raw.min_steps.unwrap_or(MIN_STEPS),
                raw.reduction.unwrap_or(REDUCTION),
            );
            check_rungs(raw, last_step, path, problems);
            StopperRule::Asha {
                metric,
                goal,
                min_steps,
                reduction,
                max_steps: raw.max_steps.or(last_step),
                brackets: raw.brackets.unwrap_or(1),
            }
        }
        RawRule::Curve => {
            let max_steps = raw.max_steps.or(last_step).unwrap_or_else(|| {
                problems.add(
                    path,
                    "the key \"max_steps\" is missing: the last step of a training, whose value is foreseen; trial.steps.max serves, too",
                );
                0
            });
            StopperRule::Curve {
                metric,
                goal,
                probability: raw.probability.unwrap_or(PROBABILITY),
                max_steps,
                warmup_steps: raw.warmup_steps.unwrap_or(curve_warmup(max_steps)),
                min_trials: raw.min_trials.unwrap_or(MIN_WHOLE),
            }
        }
        RawRule::Wilcoxon => {
            let p = raw.p.unwrap_or(P_VALUE);
            check_p_value(p, raw.min_steps, path, problems);
            StopperRule::Wilcoxon {
                metric,
                goal,
                p,
                min_steps: raw.min_steps.unwrap_or_else(|| common_steps(p)),
            }
        }
    };
    (problems.0.len() == before).then(|| StopperSpec {
        rule,
        shadow: raw.shadow.unwrap_or(false),
    })
}

/// Which direction of its metric a rule says is better, if it says so or needs to: that of the first objective goes without saying.
///
/// A rule on a metric that is not an objective's must say it: one that guessed wrong would stop the good trials and keep the bad ones.
fn check_goal(
    raw: &RawStopper,
    objectives: &RawObjectives,
    path: &str,
    problems: &mut Problems,
) -> Option<Goal> {
    if raw.metric.is_none() && !objectives.more.is_empty() {
        let metrics: Vec<_> = objectives
            .iter()
            .map(|objective| shorten(&objective.metric))
            .collect();
        problems.add(
            path,
            format!(
                "the key \"metric\" is missing: the study has several objectives, so say which metric the rule judges, such as {}",
                metrics.join(" or ")
            ),
        );
        return None;
    }
    let objective = match &raw.metric {
        None => Some(0),
        Some(metric) => objectives
            .iter()
            .position(|objective| objective.metric == *metric),
    };
    let objective = objective.and_then(|index| Some((index, objectives.iter().nth(index)?)));
    match (objective, raw.goal) {
        (None, None) if raw.rule != RawRule::Threshold => problems.add(
            path,
            format!(
                "the key \"goal\" is missing: {:?} is not {} metric, so say which of its values are better, goal: \
                 minimize or goal: maximize",
                shorten(raw.metric.as_deref().unwrap_or_default()),
                if objectives.more.is_empty() { "the objective's" } else { "an objective's" },
            ),
        ),
        (Some((index, objective)), Some(goal)) if goal != objective.goal => problems.add(
            format!("{path}.goal"),
            format!(
                "is {}, but {:?} is the objective's metric, and {}.goal is {}; leave it out here",
                word(goal),
                shorten(&objective.metric),
                objectives::path(objectives, index),
                word(objective.goal)
            ),
        ),
        (Some((1.., objective)), None) => return Some(objective.goal),
        _ => {}
    }
    raw.goal
}

/// Refuses rules that take the same metric to have two directions; those of the objectives are compared with the objectives.
pub(super) fn refuse_two_goals(rules: &[RawStopper], objectives: &RawObjectives, problems: &mut Problems) {
    for (index, rule) in rules.iter().enumerate() {
        let is_objective = |metric: &str| objectives.iter().any(|objective| objective.metric == metric);
        let metric = rule.metric.as_ref().filter(|metric| !is_objective(metric));
        let (Some(metric), Some(goal)) = (metric, rule.goal) else {
            continue;
        };
        let other = |known: &RawStopper| {
            known.metric.as_ref() == Some(metric) && known.goal.is_some_and(|known| known != goal)
        };
        if let Some(known) = rules[..index].iter().position(other) {
            problems.add(
                format!("early_stopping[{index}].goal"),
                format!(
                    "is {}, but early_stopping[{known}] says the opposite of {:?}; a metric has one goal",
                    word(goal),
                    shorten(metric)
                ),
            );
        }
    }
}

fn word(goal: Goal) -> &'static str {
    match goal {
        Goal::Minimize => "minimize",
        Goal::Maximize => "maximize",
    }
}

fn keep(raw: &RawStopper, path: &str, problems: &mut Problems) -> Option<f64> {
    match raw.keep {
        Some(keep) if keep > 0.0 && keep < 100.0 => Some(keep),
        Some(keep) if raw.rule == RawRule::Percentile => {
            problems.add(
                format!("{path}.keep"),
                format!("must be between 0 and 100, exclusive, got {keep}"),
            );
            None
        }
        None if raw.rule == RawRule::Percentile => {
            problems.add(
                path,
                "the key \"keep\" is missing: the share of trials that is kept, such as 25",
            );
            None
        }
        _ => Some(50.0),
    }
}

fn baseline(raw: &RawStopper, objectives: &RawObjectives, path: &str, problems: &mut Problems) -> Baseline {
    let given: Vec<&str> = [
        ("trial", raw.trial.is_some()),
        ("constant", raw.constant.is_some()),
        ("curve", !raw.curve.is_empty()),
    ]
    .into_iter()
    .filter_map(|(key, given)| given.then_some(key))
    .collect();
    if given.len() > 1 {
        problems.add(
            path,
            format!(
                "takes one of trial, constant and curve, got {}",
                given.join(" and ")
            ),
        );
    }
    if raw.curve.len() > MAX_CURVE {
        problems.add(
            format!("{path}.curve"),
            format!("has {} points, at most {MAX_CURVE} are allowed", raw.curve.len()),
        );
    }
    for (index, (step, value)) in raw.curve.iter().enumerate().take(MAX_CURVE) {
        let path = format!("{path}.curve[{index}]");
        problems.at_least(&path, Some(*step), 0);
        problems.finite(&path, Some(*value));
        if index > 0 && raw.curve[index - 1].0 >= *step {
            problems.add(
                path,
                format!("steps must grow, {step} comes after {}", raw.curve[index - 1].0),
            );
        }
    }
    if given.is_empty() && !objectives.more.is_empty() {
        problems.add(
            path,
            "compares with the best finished trial, which a study of several objectives does not have; give trial, constant or curve",
        );
    }
    match (raw.trial, raw.constant) {
        (Some(trial), _) => Baseline::Trial(TrialNumber(trial)),
        (None, Some(constant)) => Baseline::Constant(constant),
        (None, None) if raw.curve.is_empty() => Baseline::Best,
        (None, None) => Baseline::Curve(raw.curve.clone()),
    }
}

/// Refuses rungs and brackets of successive halving that do not fit each other. What is wrong with one number alone is said elsewhere.
fn check_rungs(raw: &RawStopper, last_step: Option<i64>, path: &str, problems: &mut Problems) {
    let min_steps = raw.min_steps.unwrap_or(MIN_STEPS);
    let reduction = raw.reduction.unwrap_or(REDUCTION);
    let brackets = raw.brackets.unwrap_or(1);
    if min_steps < 1 || reduction < 2 || brackets < 1 {
        return;
    }
    let Some(max_steps) = raw.max_steps.or(last_step) else {
        if brackets > 1 {
            problems.add(
                format!("{path}.brackets"),
                format!(
                    "is {brackets}, but how trials are divided between brackets depends on the number of rungs, which have no end: \
                     give max_steps or trial.steps.max, or leave it out"
                ),
            );
        }
        return;
    };
    let given = if raw.max_steps.is_some() {
        "max_steps"
    } else {
        "trial.steps.max"
    };
    let steps: Vec<String> = rungs(min_steps, reduction, Some(max_steps))
        .map(|step| step.to_string())
        .collect();
    if steps.is_empty() {
        problems.add(
            format!("{path}.min_steps"),
            format!("is {min_steps}, but rungs lie below {given}, which is {max_steps}: there would be none, so give less"),
        );
    } else if brackets as usize > steps.len() {
        problems.add(
            format!("{path}.brackets"),
            format!(
                "must be at most {}, the number of rungs (at {}) below {given}, which is {max_steps}, got {brackets}; each bracket \
                 begins a rung later",
                steps.len(),
                steps.join(", "),
            ),
        );
    }
}

/// The fewest steps whose signed-rank test can have a p-value below `p`, which is positive: that of n steps is 2^-n at least.
fn needed_steps(p: f64) -> i64 {
    let (mut steps, mut least) = (0, 1.0);
    while least >= p {
        least /= 2.0;
        steps += 1;
    }
    steps
}

/// Steps in common that `wilcoxon` waits for, unless the study says.
pub(in crate::study) fn common_steps(p: f64) -> i64 {
    COMMON_STEPS.max(if p > 0.0 { needed_steps(p) } else { 0 })
}

fn check_p_value(p: f64, min_steps: Option<i64>, path: &str, problems: &mut Problems) {
    if !(p > 0.0 && p <= 0.5) {
        problems.add(
            format!("{path}.p"),
            format!("must be above 0 and at most 0.5, got {p}; 0.1 is usual"),
        );
    } else if let Some(min_steps) = min_steps.filter(|steps| (1..needed_steps(p)).contains(steps)) {
        problems.add(
            format!("{path}.min_steps"),
            format!(
                "must be at least {} for p: {p}, got {min_steps}, with which no p-value is so small",
                needed_steps(p)
            ),
        );
    }
}

fn check_numbers(raw: &RawStopper, path: &str, problems: &mut Problems) {
    let path = |key: &str| format!("{path}.{key}");
    problems.at_least(&path("warmup_steps"), raw.warmup_steps, 0);
    problems.at_least(&path("min_trials"), raw.min_trials, 1);
    problems.at_least(&path("interval"), raw.interval, 1);
    problems.at_least(&path("after_step"), raw.after_step, 0);
    problems.at_least(&path("patience"), raw.patience, 1);
    problems.at_least(&path("trial"), raw.trial, 1);
    problems.at_least(&path("min_steps"), raw.min_steps, 1);
    problems.at_least(&path("reduction"), raw.reduction, 2);
    problems.at_least(&path("brackets"), raw.brackets, 1);
    if raw.rule == RawRule::Curve {
        problems.at_least(&path("max_steps"), raw.max_steps, 2);
    }
    problems.at_least(&path("min_delta"), raw.min_delta, 0.0);
    problems.at_least(&path("tolerance"), raw.tolerance, 0.0);
    for (key, value) in [
        ("above", raw.above),
        ("below", raw.below),
        ("min_delta", raw.min_delta),
        ("tolerance", raw.tolerance),
        ("constant", raw.constant),
    ] {
        problems.finite(&path(key), value);
    }
    if let Some(probability) = raw.probability.filter(|p| !(*p > 0.0 && *p < 1.0)) {
        problems.add(
            path("probability"),
            format!("must be between 0 and 1, exclusive, got {probability}"),
        );
    }
    if let Some(factor) = raw.factor.filter(|factor| !(factor.is_finite() && *factor > 0.0)) {
        problems.add(
            path("factor"),
            format!("must be above 0 and finite, got {factor}"),
        );
    }
}

/// Refuses keys that belong to other rules.
fn refuse_other_keys(raw: &RawStopper, path: &str, problems: &mut Problems) {
    use RawRule::{Asha, BelowBaseline, Curve, Diverging, Median, Percentile, Plateau, Threshold, Wilcoxon};
    let keys: [(&str, bool, &[RawRule]); 21] = [
        (
            "goal",
            raw.goal.is_some(),
            &[
                Median,
                Percentile,
                Plateau,
                Diverging,
                BelowBaseline,
                Asha,
                Curve,
                Wilcoxon,
            ],
        ),
        (
            "warmup_steps",
            raw.warmup_steps.is_some(),
            &[Median, Percentile, Plateau, BelowBaseline, Curve],
        ),
        (
            "min_trials",
            raw.min_trials.is_some(),
            &[Median, Percentile, Curve],
        ),
        ("interval", raw.interval.is_some(), &[Median, Percentile]),
        ("keep", raw.keep.is_some(), &[Percentile]),
        ("above", raw.above.is_some(), &[Threshold]),
        ("below", raw.below.is_some(), &[Threshold]),
        ("after_step", raw.after_step.is_some(), &[Threshold]),
        ("patience", raw.patience.is_some(), &[Plateau, Diverging]),
        ("min_delta", raw.min_delta.is_some(), &[Plateau]),
        ("factor", raw.factor.is_some(), &[Diverging]),
        ("trial", raw.trial.is_some(), &[BelowBaseline]),
        ("constant", raw.constant.is_some(), &[BelowBaseline]),
        ("curve", !raw.curve.is_empty(), &[BelowBaseline]),
        ("tolerance", raw.tolerance.is_some(), &[BelowBaseline]),
        ("min_steps", raw.min_steps.is_some(), &[Asha, Wilcoxon]),
        ("reduction", raw.reduction.is_some(), &[Asha]),
        ("max_steps", raw.max_steps.is_some(), &[Asha, Curve]),
        ("brackets", raw.brackets.is_some(), &[Asha]),
        ("probability", raw.probability.is_some(), &[Curve]),
        ("p", raw.p.is_some(), &[Wilcoxon]),
    ];
    for (key, given, rules) in keys {
        if given && !rules.contains(&raw.rule) {
            let takers: Vec<_> = rules.iter().map(|rule| rule.name()).collect();
            let message = format!(
                "{} does not take {key:?}, only {} does",
                raw.rule.name(),
                takers.join(" or ")
            );
            problems.add(format!("{path}.{key}"), message);
        }
    }
}
