//! What proposes points, and how long trials are trained.

use std::num::NonZeroU32;

use super::{Problems, REDUCTION, population};
use crate::space::Space;
use crate::study::raw::{RawObjectives, RawStrategy, RawStrategyName};
use crate::study::spec::{Halving, HalvingName, Schedule, StrategyName, rungs};

/// Values per dimension of a grid, if the study does not say.
const DEFAULT_POINTS: u32 = 10;
/// Strategies that can choose the points of trials which are trained in stages.
const SAMPLERS: [RawStrategyName; 4] = [
    RawStrategyName::Random,
    RawStrategyName::Sobol,
    RawStrategyName::Gp,
    RawStrategyName::Tpe,
];

/// Brackets, if the study does not say.
pub(in crate::study) fn default_brackets(name: HalvingName, rungs: u32) -> u32 {
    match name {
        HalvingName::Asha => 1,
        HalvingName::Hyperband | HalvingName::Bohb => rungs,
    }
}

/// What proposes points: the strategy itself, or the sampler of one that is about how long trials are trained.
pub(super) fn proposer(raw: &RawStrategy, problems: &mut Problems) -> StrategyName {
    let points = NonZeroU32::new(raw.points.unwrap_or(DEFAULT_POINTS));
    if points.is_none() {
        problems.add("strategy.points", "must be at least 1, got 0");
    }
    let name = sampler(raw, problems);
    for (key, given, strategy) in [
        ("shuffle", raw.shuffle.is_some(), RawStrategyName::Grid),
        ("points", raw.points.is_some(), RawStrategyName::Grid),
        ("acquisition", raw.acquisition.is_some(), RawStrategyName::Gp),
    ] {
        if given && name != strategy {
            problems.add(
                format!("strategy.{key}"),
                format!("only the strategy {} takes {key:?}", strategy.name()),
            );
        }
    }
    match name {
        // A sampler that cannot be one was refused.
        RawStrategyName::Auto
        | RawStrategyName::Asha
        | RawStrategyName::Hyperband
        | RawStrategyName::Bohb
        | RawStrategyName::Pbt
        | RawStrategyName::Pb2 => StrategyName::Auto,
        RawStrategyName::Replay => StrategyName::Manual,
        RawStrategyName::Manual => StrategyName::Manual,
        RawStrategyName::Grid => StrategyName::Grid {
            shuffle: raw.shuffle.unwrap_or(false),
            points: points.unwrap_or(NonZeroU32::MIN),
        },
        RawStrategyName::Random => StrategyName::Random,
        RawStrategyName::Sobol => StrategyName::Sobol,
        RawStrategyName::Gp => StrategyName::Gp {
            acquisition: raw.acquisition.unwrap_or_default(),
        },
        RawStrategyName::Tpe => StrategyName::Tpe,
        RawStrategyName::Cmaes => StrategyName::Cmaes,
        RawStrategyName::Evolution => StrategyName::Evolution,
        RawStrategyName::Nsga2 => StrategyName::Nsga2,
    }
}

/// Which name of successive halving this is, if it is one.
fn halving_name(name: RawStrategyName) -> Option<HalvingName> {
    match name {
        RawStrategyName::Asha => Some(HalvingName::Asha),
        RawStrategyName::Hyperband => Some(HalvingName::Hyperband),
        RawStrategyName::Bohb => Some(HalvingName::Bohb),
        _ => None,
    }
}

/// The strategy that proposes points.
fn sampler(raw: &RawStrategy, problems: &mut Problems) -> RawStrategyName {
    let Some(halving) = halving_name(raw.name) else {
        return population::sampler(raw, problems);
    };
    let default = match halving {
        HalvingName::Asha | HalvingName::Hyperband => RawStrategyName::Random,
        HalvingName::Bohb => RawStrategyName::Tpe,
    };
    let sampler = raw.sampler.unwrap_or(default);
    if !SAMPLERS.contains(&sampler) {
        let names = SAMPLERS.map(RawStrategyName::name);
        problems.add(
            "strategy.sampler",
            format!(
                "{} cannot choose the points of {}, use one of {}",
                sampler.name(),
                halving.name(),
                names.join(", ")
            ),
        );
    }
    sampler
}

/// Trials that are compared while they are trained are so by one objective.
fn one_objective(name: RawStrategyName, objectives: &RawObjectives, problems: &mut Problems) {
    if !objectives.more.is_empty() {
        problems.add(
            "strategy.name",
            format!(
                "{} compares trials by one objective, this study has {}; use nsga2 or gp, or make all but one of them constraints, such as \
                 {{metric: mem_gb, at_most: 16}}",
                name.name(),
                objectives.more.len() + 1
            ),
        );
    }
}

/// How long trials are trained, if that depends on how they do.
pub(super) fn schedule(
    raw: &RawStrategy,
    objectives: &RawObjectives,
    space: Option<&Space>,
    last_step: Option<i64>,
    problems: &mut Problems,
) -> Option<Schedule> {
    population::refuse_others(raw, problems);
    let Some(name) = halving_name(raw.name) else {
        let takes_steps = population::is_one(raw.name);
        for (key, given) in [
            ("sampler", raw.sampler.is_some()),
            ("max_steps", raw.max_steps.is_some()),
        ] {
            if given && !takes_steps {
                problems.add(
                    format!("strategy.{key}"),
                    format!("only the strategies asha, hyperband, bohb, pbt and pb2 take {key:?}"),
                );
            }
        }
        for (key, given) in [
            ("min_steps", raw.min_steps.is_some()),
            ("reduction", raw.reduction.is_some()),
            ("brackets", raw.brackets.is_some()),
        ] {
            if given {
                problems.add(
                    format!("strategy.{key}"),
                    format!(
                        "only the strategies asha, hyperband and bohb take {key:?}; for the rule that stops trials and never lets them go on, \
                         write it under early_stopping"
                    ),
                );
            }
        }
        return match raw.name {
            RawStrategyName::Pbt | RawStrategyName::Pb2 => {
                one_objective(raw.name, objectives, problems);
                population::check(raw, space, last_step, problems).map(Schedule::Population)
            }
            RawStrategyName::Replay => {
                population::segments(raw, space, last_step, problems).map(Schedule::Replay)
            }
            _ => None,
        };
    };
    one_objective(raw.name, objectives, problems);
    let min_steps = raw.min_steps.unwrap_or(1);
    if min_steps < 1 {
        problems.add(
            "strategy.min_steps",
            format!("must be at least 1, got {min_steps}"),
        );
    }
    let reduction = raw.reduction.unwrap_or(REDUCTION);
    if reduction < 2 {
        problems.add(
            "strategy.reduction",
            format!("must be at least 2, got {reduction}; 3 lets one trial in three go on"),
        );
    }
    let Some(max_steps) = raw.max_steps.or(last_step) else {
        problems.add(
            "strategy.max_steps",
            format!(
                "is missing: {} needs to know the last step of a training; give it here, or as trial.steps.max",
                name.name()
            ),
        );
        return None;
    };
    if max_steps <= min_steps {
        problems.add(
            "strategy.max_steps",
            format!("must be above min_steps, which is {min_steps}, got {max_steps}"),
        );
    }
    let count = u32::try_from(rungs(min_steps, reduction, Some(max_steps)).count()).unwrap_or(u32::MAX);
    let brackets = raw.brackets.unwrap_or_else(|| default_brackets(name, count));
    if !(1..=count.max(1)).contains(&brackets) {
        problems.add(
            "strategy.brackets",
            format!("must be from 1 to {count}, as many as there are rungs before step {max_steps}, got {brackets}"),
        );
    }
    Some(Schedule::Halving(Halving {
        name,
        min_steps,
        reduction,
        max_steps,
        brackets,
    }))
}
