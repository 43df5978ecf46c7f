//! The registry: from what a study asks for to a strategy, and the choice that `auto` makes.

use std::num::NonZeroU32;

use tunesmith_common::space::Dimension;
use tunesmith_common::study::{StrategyName, StudySpec};

use super::SearchStrategy;
use super::gp::Gp;
use super::grid::Grid;
use super::initial::Initial;
use super::manual::Manual;
use super::random::Random;
use super::sobol::Sobol;
use super::tpe::Tpe;

/// Combinations up to which a space without a budget of trials is searched completely.
const SMALL_GRID: u128 = 10_000;

/// The strategy that a study asks for, and what its owner should know about it: which one `auto` chose and why. The note is
/// empty if nothing was left to choose.
#[must_use]
pub fn build(spec: &StudySpec) -> (Box<dyn SearchStrategy>, String) {
    let (name, note) = match spec.strategy.name {
        StrategyName::Auto => choose(spec),
        name => (name, String::new()),
    };
    let strategy: Box<dyn SearchStrategy> = match name {
        StrategyName::Manual => Box::new(Manual),
        StrategyName::Grid { shuffle, points } => Box::new(Grid::new(shuffle, points.get())),
        StrategyName::Random => Box::new(Random),
        StrategyName::Tpe => Box::new(Tpe::new(&spec.space)),
        StrategyName::Gp { acquisition } => Box::new(Gp::new(&spec.space, acquisition)),
        StrategyName::Auto | StrategyName::Sobol => Box::new(Sobol::new(spec.space.dimensions().len())),
    };
    if spec.strategy.initial.is_empty() {
        return (strategy, note);
    }
    (
        Box::new(Initial {
            points: spec.strategy.initial.clone(),
            then: strategy,
        }),
        note,
    )
}

/// A shuffled grid where every combination can be tried, else Sobol.
fn choose(spec: &StudySpec) -> (StrategyName, String) {
    let sobol = |why: &str| (StrategyName::Sobol, format!("auto chose sobol: {why}"));
    let mut levels = 1;
    for dimension in spec.space.dimensions() {
        match *dimension {
            Dimension::Continuous => return sobol("the space has continuous parameters"),
            Dimension::Levels(count) | Dimension::Categorical(count) => levels = count.max(levels),
        }
    }
    let Some(points) = u32::try_from(levels).ok().and_then(NonZeroU32::new) else {
        return sobol("the space has too many combinations to try them all");
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
            let name = StrategyName::Grid {
                shuffle: true,
                points,
            };
            (
                name,
                format!(
                    "auto chose grid in random order: the space has {cells} combinations, within {against}"
                ),
            )
        }
        Some(cells) => sobol(&format!(
            "the space has {cells} combinations, more than {against}"
        )),
        None => sobol(&format!("the space has more combinations than {against}")),
    }
}
