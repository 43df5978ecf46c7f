//! The registry: from what a study asks for to a strategy, and the choice that `auto` makes.

use std::num::NonZeroU32;

use tunesmith_common::space::Dimension;
use tunesmith_common::study::{Acquisition, Schedule, StrategyName, StudySpec, rungs};

use super::SearchStrategy;
use super::baseline::Baseline;
use super::cmaes::Cmaes;
use super::evolution::Evolution;
use super::gp::Gp;
use super::grid::Grid;
use super::highest::HighestRung;
use super::initial::Initial;
use super::manual::Manual;
use super::nsga2::Nsga2;
use super::random::Random;
use super::sobol::Sobol;
use super::tpe::Tpe;
use super::untried::Untried;

/// Combinations up to which a space without a budget of trials is searched completely.
const SMALL_GRID: u128 = 1_000;
/// Parameters, and trials, up to which the Gaussian process is worth its time.
const MOST_DIMENSIONS: usize = 200;
const MOST_TRIALS: u64 = 10_000;
/// Objectives up to which it is.
const MOST_OBJECTIVES: usize = 4;

/// The strategy that a study asks for, and what its owner should know about it: which one `auto` chose and why. The note is
/// empty if nothing was left to choose.
#[must_use]
pub fn build(spec: &StudySpec) -> (Box<dyn SearchStrategy>, String) {
    let (name, note) = choice(spec);
    let mut strategy: Box<dyn SearchStrategy> = match name {
        StrategyName::Manual => Box::new(Manual),
        StrategyName::Grid { shuffle, points } => Box::new(Grid::new(shuffle, points.get())),
        StrategyName::Random => Box::new(Random),
        StrategyName::Tpe => Box::new(Tpe::new(&spec.space)),
        StrategyName::Cmaes => Box::new(Cmaes::new(&spec.space)),
        StrategyName::Evolution => Box::new(Evolution::new(&spec.space)),
        StrategyName::Nsga2 => Box::new(Nsga2::new(&spec.space)),
        StrategyName::Gp { acquisition } => Box::new(Gp::new(&spec.space, acquisition)),
        // `auto` has been replaced by its choice.
        StrategyName::Auto | StrategyName::Sobol => Box::new(Sobol::new(spec.space.dimensions().len())),
    };
    if let (StrategyName::Tpe, Some(Schedule::Halving(halving))) = (name, &spec.strategy.schedule) {
        let rungs = rungs(halving.min_steps, halving.reduction, Some(halving.max_steps)).collect();
        strategy = Box::new(HighestRung {
            then: strategy,
            rungs,
        });
    }
    if matches!(name, StrategyName::Random | StrategyName::Sobol) && !spec.strategy.history.is_empty() {
        strategy = Box::new(Untried { then: strategy });
    }
    if spec.strategy.random_share > 0.0 {
        strategy = Box::new(Baseline {
            share: spec.strategy.random_share,
            then: strategy,
        });
    }
    if !spec.strategy.initial.is_empty() {
        strategy = Box::new(Initial {
            points: spec.strategy.initial.clone(),
            then: strategy,
        });
    }
    (strategy, note)
}

/// The strategy that [`build`] makes, `auto` replaced by its choice, and the note.
#[must_use]
pub fn choice(spec: &StudySpec) -> (StrategyName, String) {
    match spec.strategy.name {
        StrategyName::Auto => choose(spec),
        name => (name, String::new()),
    }
}

/// A shuffled grid where every combination can be tried, else the Gaussian process, or where that would be too slow TPE for one objective and
/// NSGA-II for several.
fn choose(spec: &StudySpec) -> (StrategyName, String) {
    let objectives = spec.objectives().count();
    let combinations = match combinations(spec) {
        Ok((grid, why)) => return (grid, format!("auto chose grid in random order: {why}")),
        Err(why) => why,
    };
    let (cheap, cheap_name) = if objectives > 1 {
        (StrategyName::Nsga2, "nsga2")
    } else {
        (StrategyName::Tpe, "tpe")
    };
    let dimensions = spec.space.dimensions().len();
    if objectives > MOST_OBJECTIVES {
        let why = format!(
            "with {objectives} objectives it keeps more of them apart than gp, which is for up to {MOST_OBJECTIVES}"
        );
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    if dimensions > MOST_DIMENSIONS {
        let why = format!(
            "with {dimensions} parameters it is faster than gp, which is for up to {MOST_DIMENSIONS}"
        );
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    if let Some(trials) = spec.budget.trials
        && trials > MOST_TRIALS
    {
        let why = format!("with {trials} trials it is faster than gp, which is for up to {MOST_TRIALS}");
        return (
            cheap,
            format!("auto chose {cheap_name}: {combinations}, and {why}"),
        );
    }
    (
        StrategyName::Gp {
            acquisition: Acquisition::default(),
        },
        format!("auto chose gp: {combinations}, and it learns most from each trial"),
    )
}

/// A grid of all combinations, and why it will do; or why it will not.
fn combinations(spec: &StudySpec) -> Result<(StrategyName, String), String> {
    let mut levels = 1;
    for dimension in spec.space.dimensions() {
        match *dimension {
            Dimension::Continuous => return Err("the space has continuous parameters".to_owned()),
            Dimension::Levels(count) | Dimension::Categorical(count) => levels = count.max(levels),
        }
    }
    let Some(points) = u32::try_from(levels).ok().and_then(NonZeroU32::new) else {
        return Err("the space has too many combinations to try them all".to_owned());
    };
    let (limit, against) = match spec.budget.trials {
        Some(trials) => (u128::from(trials), format!("the budget of {trials} trials")),
        None => (
            SMALL_GRID,
            format!("the {SMALL_GRID} that are tried completely without a budget of trials"),
        ),
    };
    match spec.space.cells(points.get()) {
        Some(cells) if cells <= limit => {
            let grid = StrategyName::Grid {
                shuffle: true,
                points,
            };
            Ok((
                grid,
                format!("the space has {cells} combinations, within {against}"),
            ))
        }
        Some(cells) => Err(format!("the space has {cells} combinations, more than {against}")),
        None => Err(format!("the space has more combinations than {against}")),
    }
}
