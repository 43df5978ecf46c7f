//! The registry: from what a study asks for to a strategy.

use tunesmith_common::study::{Schedule, StrategyName, StudySpec, rungs};

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

/// The strategy that a study asks for, or that `auto` chooses for it ([`StudySpec::chosen_strategy`]).
#[must_use]
pub fn build(spec: &StudySpec) -> Box<dyn SearchStrategy> {
    let (name, _) = spec.chosen_strategy();
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
    strategy
}
