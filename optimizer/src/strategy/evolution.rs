//! Regularised evolution: cheap at any number of trials, at home in spaces of choices and conditions, such as architectures.
//!
//! The population is the newest results. For each proposal some of them are drawn, the best of these is the parent, and a mutation
//! of it is tried (Real, Aggarwal, Huang and Le 2019, "Regularized evolution for image classifier architecture search"). A result
//! leaves the population when it is old, however good it is, so that what stays must be found good again and again: luck and noise
//! do not survive. Before there are enough results, points are spread over the space. The best results of other studies that this one learns
//! from are members until there are enough of its own, the worst of them leaving first.
//!
//! # Invariants
//!
//! * What is kept between proposals answers only whether a point was tried.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::{Dimension, Space};

use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::standing::{badnesses, best_of};
use super::tried::{Tried, changed, counts, varies};
use super::untried::spread;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, below, normal, purpose_rng, uniform};

/// Results before the first mutation, and those that make up the population.
const STARTUP: usize = 10;
const POPULATION: usize = 50;
/// Members drawn for a parent, some of them more than once: the best of all is among them with a chance of six sevenths. The paper
/// has thousands of trials and draws a quarter of the population; with tens or hundreds, following the best pays.
const DRAWN: usize = 100;
/// Chance of changing one more parameter.
const ANOTHER: f64 = 0.5;
/// Standard deviations of the change of a number, as shares of its range: from fine to coarse, each order of magnitude as likely as
/// any other.
const FINEST: f64 = 0.03;
const COARSEST: f64 = 0.4;
/// Mutations tried for a point that is new and satisfies the constraints; after so many of them one more parameter is changed at least.
const TRIES: usize = 64;
const TRIES_EACH: usize = 8;
/// Points tried after these, anywhere.
const RANDOM_TRIES: usize = 32;

/// The strategy.
#[derive(Debug)]
pub(super) struct Evolution {
    sobol: Sobol,
}

impl Evolution {
    pub(super) fn new(space: &Space) -> Self {
        Self {
            sobol: Sobol::new(space.dimensions().len()),
        }
    }

    fn suggest(&self, view: &StudyView<'_>, tried: &mut Tried) -> Result<Suggestion, StrategyError> {
        let others = view.of_others();
        let own = view.finished[others.len()..].iter().rev();
        let mut population: Vec<&FinishedTrial> =
            own.filter(|trial| counts(trial)).take(POPULATION).collect();
        population.extend(best_of(others, POPULATION - population.len()));
        if population.len() < STARTUP {
            return spread(&self.sobol, view);
        }
        tried.read(view.finished);
        let space = view.space;
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
        let parent = &parent(&population, &mut rng).encoded;
        let refused = "drawn at random, since the constraints refuse every point tried";
        tried.first_new(view, TRIES + RANDOM_TRIES, refused, |attempt| {
            if attempt < TRIES {
                mutant(space, parent, 1 + attempt / TRIES_EACH, &mut rng)
            } else {
                parent.iter().map(|_| uniform(&mut rng)).collect()
            }
        })
    }
}

impl SearchStrategy for Evolution {
    fn name(&self) -> &'static str {
        "evolution"
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let tried: &mut Tried = memory.of();
        one_by_one(view, count, |view| self.suggest(view, tried))
    }
}

/// The best of some drawn from the population, which has the newest first; the newest of those that are equally good.
fn parent<'a>(population: &[&'a FinishedTrial], rng: &mut ChaCha8Rng) -> &'a FinishedTrial {
    let badness = badnesses(population);
    let mut best = below(population.len(), rng);
    for _ in 1..DRAWN {
        let other = below(population.len(), rng);
        let order = badness[other].total_cmp(&badness[best]);
        if order.then(other.cmp(&best)).is_lt() {
            best = other;
        }
    }
    population[best]
}

/// A changed parent, shape `(d,)`: `least` of its active parameters or more are changed, if there are as many. Those that are inactive
/// in the parent are drawn at random, for where the change makes them active.
fn mutant(space: &Space, parent: &[f64], least: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let dimensions = space.dimensions();
    let mut latent = Vec::with_capacity(parent.len());
    let mut open = Vec::new();
    for (k, x) in parent.iter().enumerate() {
        latent.push(if x.is_nan() { uniform(rng) } else { *x });
        if !x.is_nan() && varies(dimensions[k]) {
            open.push(k);
        }
    }
    let mut changed = 0;
    while !open.is_empty() && (changed < least || uniform(rng) < ANOTHER) {
        let k = open.swap_remove(below(open.len(), rng));
        latent[k] = mutated(dimensions[k], latent[k], rng);
        changed += 1;
    }
    latent
}

/// Another place for a parameter: near or far for a number, the next level at least, any other category.
fn mutated(dimension: Dimension, x: f64, rng: &mut ChaCha8Rng) -> f64 {
    changed(dimension, x, rng, |rng| {
        COARSEST * (FINEST / COARSEST).powf(uniform(rng)) * normal(rng)
    })
}

#[cfg(test)]
mod tests;
