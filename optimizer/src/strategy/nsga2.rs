//! NSGA-II: cheap at any number of trials, for several objectives at once.
//!
//! Parents are drawn from the best results so far by front and crowding (Deb, Pratap, Agarwal and Meyarivan 2002, "A fast and elitist multiobjective
//! genetic algorithm: NSGA-II"), those that violate a measured constraint after all that do not ([`super::standing`]). A child is a cross of two of
//! them, changed a little. Before there are enough results, points are spread over the space.
//!
//! * Nothing waits for a generation to be complete. The survivors are chosen after every [`GENERATION`] results in the order in which they
//!   came, from the survivors before and these; in between, the results that came since compete with them for each child. So what is known
//!   counts at once, and no good result is lost but to more crowded ones.
//! * With few results only the better part of them are parents: generations that teach by survival alone take more trials than trainings
//!   allow.
//! * Numbers are crossed and changed as in the paper's code (simulated binary crossover, Deb and Agrawal 1995; polynomial mutation), levels
//!   move by one at least, categories are taken from either parent, and become any other one. A parameter that is inactive in one parent
//!   comes from the other, and is drawn at random where it is inactive in both.
//!
//! # Invariants
//!
//! * What is kept between proposals is a fold over the history in its order. So it is the same whether it was kept or made again.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::{Dimension, Space};

use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::standing::{Standing, standings};
use super::tried::{Prefix, Tried, changed, counts, mirrored, varies};
use super::untried::spread;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, below, purpose_rng, uniform};

/// Results before the first child.
const STARTUP: usize = 12;
/// Results that survive, and after how many new ones they are chosen.
const SURVIVORS: usize = 50;
const GENERATION: usize = 25;
/// One of so many results is a parent, within these.
const ONE_PARENT_OF: usize = 6;
const PARENTS: (usize, usize) = (8, SURVIVORS);
/// Chances that a child has two parents, and that a parameter is then crossed.
const CROSSED: f64 = 0.9;
const EACH_CROSSED: f64 = 0.5;
/// How near children stay to their parents (the larger the nearer): distribution indices of crossover and mutation. Farther than in the paper, which has
/// tens of thousands of trials to go there step by step.
const CROSSOVER_INDEX: f64 = 3.0;
const MUTATION_INDEX: f64 = 5.0;
/// Children tried for a point that is new and satisfies the constraints; after so many of them one more parameter is changed at least.
const TRIES: usize = 64;
const TRIES_EACH: usize = 8;
/// Points tried after these, anywhere.
const RANDOM_TRIES: usize = 32;

/// The strategy.
#[derive(Debug)]
pub(super) struct Nsga2 {
    sobol: Sobol,
}

/// What is kept between proposals.
#[derive(Debug, Default)]
struct Known {
    tried: Tried,
    read: Prefix,
    /// Results so far.
    results: usize,
    /// Places in the history, of the survivors and of the results that came after they were chosen.
    survivors: Vec<usize>,
    newest: Vec<usize>,
}

impl Known {
    /// Brings it up to date with a history.
    fn read(&mut self, finished: &[FinishedTrial]) {
        self.tried.read(finished);
        if !self.read.is_of(finished) {
            (self.read, self.results) = (Prefix::default(), 0);
            self.survivors.clear();
            self.newest.clear();
        }
        for (place, trial) in finished.iter().enumerate().skip(self.read.length) {
            if !counts(trial) {
                continue;
            }
            self.results += 1;
            self.newest.push(place);
            if self.newest.len() == GENERATION {
                self.survivors = self.best(finished, SURVIVORS);
                self.newest.clear();
            }
        }
        self.read = Prefix::of(finished);
    }

    /// So many of the survivors and the newest results, the best first, and the newer first of those that are equally good. Those that failed are
    /// among them only if there are no others.
    fn best(&self, finished: &[FinishedTrial], most: usize) -> Vec<usize> {
        let pool: Vec<usize> = self.survivors.iter().chain(&self.newest).copied().collect();
        let trials: Vec<&FinishedTrial> = pool.iter().map(|&place| &finished[place]).collect();
        let standings = standings(&trials);
        let mut order: Vec<usize> = (0..pool.len()).collect();
        order.sort_by(|&a, &b| standings[a].order(&standings[b]).then(pool[b].cmp(&pool[a])));
        let sound = order
            .iter()
            .take_while(|&&k| standings[k].rank < Standing::WORST)
            .count();
        order.truncate(if sound > 0 { most.min(sound) } else { most });
        order.into_iter().map(|k| pool[k]).collect()
    }
}

impl Nsga2 {
    pub(super) fn new(space: &Space) -> Self {
        Self {
            sobol: Sobol::new(space.dimensions().len()),
        }
    }

    fn suggest(&self, view: &StudyView<'_>, known: &mut Known) -> Result<Suggestion, StrategyError> {
        known.read(view.finished);
        if known.results < STARTUP {
            return spread(&self.sobol, view);
        }
        let space = view.space;
        let count = (known.results / ONE_PARENT_OF).clamp(PARENTS.0, PARENTS.1);
        let places = known.best(view.finished, count);
        let parents: Vec<&[f64]> = places
            .iter()
            .map(|&place| &view.finished[place].encoded[..])
            .collect();
        let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
        let refused = "drawn at random, since the constraints refuse every point tried";
        known
            .tried
            .first_new(view, TRIES + RANDOM_TRIES, refused, |attempt| {
                if attempt < TRIES {
                    let (one, other) = (chosen(&parents, &mut rng), chosen(&parents, &mut rng));
                    child(space, one, other, attempt / TRIES_EACH, &mut rng)
                } else {
                    space.dimensions().iter().map(|_| uniform(&mut rng)).collect()
                }
            })
    }
}

impl SearchStrategy for Nsga2 {
    fn name(&self) -> &'static str {
        "nsga2"
    }

    /// After a restart, all results are gone through again.
    fn is_costly(&self) -> bool {
        true
    }

    fn propose(
        &self,
        view: &StudyView<'_>,
        count: usize,
        memory: &mut Memory,
    ) -> Result<Proposal, StrategyError> {
        let known: &mut Known = memory.of();
        one_by_one(view, count, |view| self.suggest(view, known))
    }
}

/// The better of two drawn from the parents, which has the best first.
fn chosen<'a>(parents: &[&'a [f64]], rng: &mut ChaCha8Rng) -> &'a [f64] {
    let (a, b) = (below(parents.len(), rng), below(parents.len(), rng));
    parents[a.min(b)]
}

/// A child of two parents, shape `(d,)`: each of its active parameters is changed with a chance of one in their number, and `least` of them
/// are at least, if there are as many.
fn child(space: &Space, one: &[f64], other: &[f64], least: usize, rng: &mut ChaCha8Rng) -> Vec<f64> {
    let dimensions = space.dimensions();
    let is_crossed = uniform(rng) < CROSSED;
    let mut open = Vec::new();
    let mut latent: Vec<f64> = Vec::with_capacity(one.len());
    for (k, (&x, &y)) in one.iter().zip(other).enumerate() {
        if (!x.is_nan() || (is_crossed && !y.is_nan())) && varies(dimensions[k]) {
            open.push(k);
        }
        latent.push(match (x.is_nan(), y.is_nan()) {
            (true, true) => uniform(rng),
            (true, false) => y,
            (false, false) if is_crossed && uniform(rng) < EACH_CROSSED => crossed(dimensions[k], x, y, rng),
            (false, _) => x,
        });
    }
    let chance = 1.0 / open.len().max(1) as f64;
    let mut done = 0;
    while let Some(last) = open.len().checked_sub(1) {
        let k = open.swap_remove(below(last + 1, rng));
        if done < least || uniform(rng) < chance {
            latent[k] = changed(dimensions[k], latent[k], rng, polynomial);
            done += 1;
        }
    }
    latent
}

/// A value between or around those of two parents; one of them where there is no order.
fn crossed(dimension: Dimension, x: f64, y: f64, rng: &mut ChaCha8Rng) -> f64 {
    if let Dimension::Categorical(_) = dimension {
        return if uniform(rng) < 0.5 { x } else { y };
    }
    let u = uniform(rng);
    let power = 1.0 / (CROSSOVER_INDEX + 1.0);
    let spread = if u < 0.5 {
        (2.0 * u).powf(power)
    } else {
        (2.0 * (1.0 - u)).powf(-power)
    };
    let side = if uniform(rng) < 0.5 { -spread } else { spread };
    mirrored(0.5 * (x + y) + 0.5 * side * (x - y))
}

/// A step of the polynomial mutation, as a share of the range.
fn polynomial(rng: &mut ChaCha8Rng) -> f64 {
    let u = uniform(rng);
    let power = 1.0 / (MUTATION_INDEX + 1.0);
    if u < 0.5 {
        (2.0 * u).powf(power) - 1.0
    } else {
        1.0 - (2.0 * (1.0 - u)).powf(power)
    }
}

#[cfg(test)]
mod tests;
