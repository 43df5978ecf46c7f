//! Tree-structured Parzen estimator: cheap at any number of trials, at home in deep conditional spaces.
//!
//! The trials are split into the best few and the others. Each part is a mixture of one kernel for each trial, over all parameters
//! together; points are drawn from the mixture of the good ones, and the one whose density there is largest against the density
//! among the others is proposed (Bergstra et al. 2011; multivariate as in Falkner, Klein and Hutter 2018; settings after Watanabe
//! 2023, "Tree-structured Parzen estimator: understanding its algorithm components and their roles").
//!
//! * A parameter that is inactive in a trial is uniform in that trial's kernel, so that each kernel is a distribution over the
//!   whole conditional space and no grouping of trials is needed.
//! * Trials that run count among the others (a constant liar), trials that failed are the worst of them.
//! * The others are thinned to at most [`MOST_OTHERS`] kernels, and what is known of the history is kept, so that the cost stays flat.

use tunesmith_common::space::{Dimension, Space};

use self::known::Known;
use self::mixture::Mixture;
use super::SearchStrategy;
use super::memory::Memory;
use super::random::draw;
use super::sobol::Sobol;
use super::tried::Tried;
use super::untried::spread;
use super::view::{Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, purpose_rng};

mod known;
mod mixture;
mod numbers;

/// Trials before the first model.
const STARTUP: usize = 10;
/// Kernels of the other trials.
const MOST_OTHERS: usize = 400;
/// Points drawn for each proposal.
const CANDIDATES: usize = 48;
/// Draws at most for these, where constraints refuse some.
const MOST_DRAWS: usize = 40 * CANDIDATES;

/// The strategy.
#[derive(Debug)]
pub(super) struct Tpe {
    sobol: Sobol,
    /// Whether there are points without a continuous parameter: others are never drawn twice, and need not be remembered.
    repeats: bool,
}

impl Tpe {
    pub(super) fn new(space: &Space) -> Self {
        let dimensions = space.dimensions();
        let mut all = dimensions.iter().enumerate();
        Self {
            sobol: Sobol::new(dimensions.len()),
            repeats: !all
                .any(|(k, dimension)| *dimension == Dimension::Continuous && !space.is_conditional(k)),
        }
    }

    fn suggest(
        &self,
        view: &StudyView<'_>,
        known: &mut Known,
        tried: &mut Tried,
    ) -> Result<Suggestion, StrategyError> {
        known.read(view.finished);
        if self.repeats {
            tried.read(view.finished);
        }
        if known.results() < STARTUP {
            return spread(&self.sobol, view);
        }
        let (good, others) = known.parts(view.finished, MOST_OTHERS);
        let point = |place: usize| &view.finished[place].encoded[..];
        let good: Vec<&[f64]> = good.into_iter().map(point).collect();
        let others = others.into_iter().map(point);
        let others: Vec<&[f64]> = others
            .chain(view.running.iter().map(|running| running.encoded))
            .collect();
        let dimensions = view.space.dimensions();
        let good = Mixture::new(dimensions, &good);
        let others = Mixture::new(dimensions, &others);
        let mut candidates = candidates(view, &good, tried);
        let scores = good.log_densities(&candidates).into_iter();
        let scores = scores
            .zip(others.log_densities(&candidates))
            .map(|(good, others)| good - others);
        // The first of the largest.
        let best = scores
            .enumerate()
            .reduce(|best, next| if next.1 > best.1 { next } else { best });
        match best {
            Some((best, _)) => {
                let encoded = candidates.swap_remove(best);
                let params = view.space.decode(&encoded);
                Ok(Suggestion::new(view.space, params, encoded))
            }
            None => {
                let mut suggestion = draw(view.space, view.seed, view.next, Purpose::Replacement)?;
                "drawn at random, since the constraints refuse what the model proposes"
                    .clone_into(&mut suggestion.note);
                Ok(suggestion)
            }
        }
    }
}

impl SearchStrategy for Tpe {
    fn name(&self) -> &'static str {
        "tpe"
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let (known, tried) = memory.of::<(Known, Tried)>();
        one_by_one(view, count, |view| self.suggest(view, known, tried))
    }
}

/// Snapped points from a mixture that satisfy the constraints and were not tried. If all that are drawn were tried, those; none if the constraints
/// refuse all.
fn candidates(view: &StudyView<'_>, mixture: &Mixture, tried: &Tried) -> Vec<Vec<f64>> {
    let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
    let constrained = !view.space.constraints().is_empty();
    let (mut new, mut again) = (Vec::with_capacity(CANDIDATES), Vec::new());
    for _ in 0..MOST_DRAWS {
        if new.len() == CANDIDATES {
            break;
        }
        let latent = mixture.sample(&mut rng);
        let mut encoded = vec![0.0; latent.len()];
        view.space.snap(&latent, &mut encoded);
        if constrained && !view.space.satisfies(&view.space.decode(&encoded)) {
            continue;
        }
        if !tried.has(&encoded, view.running) {
            new.push(encoded);
        } else if again.len() < CANDIDATES {
            again.push(encoded);
        }
    }
    if new.is_empty() { again } else { new }
}

#[cfg(test)]
mod tests;
