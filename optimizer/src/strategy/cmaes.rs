//! CMA-ES: cheap, and strong where hundreds of trials or more go to parameters that are mostly numbers.
//!
//! A normal distribution over the numbers ([`crate::cma`]) and one over each parameter without an order learn from the results in
//! populations: so many results in the order in which they came, ranked. Trials are drawn from what was learnt from the populations
//! before. It begins around the better half of a few points spread over the space, and begins again elsewhere with twice the
//! population where it has converged (Auger and Hansen 2005, "A restart CMA evolution strategy with increasing population size").
//!
//! * Nothing waits for a population to be complete. A result whose trial was drawn from the distribution as it is now counts with the
//!   step that led to it, which its number and the study's seed tell. One of an older distribution or of a person counts with the
//!   step that would lead to its point, shortened to the length of the distribution's own (Hansen 2011, "Injecting external
//!   solutions into CMA-ES").
//! * Levels have a margin after Hamano et al. 2022, "CMA-ES with margin", in a simple form: what is drawn is never narrower than
//!   [`MARGIN`] levels, and the mean stays between the centres of the outer ones. So no level is ever out of reach of its neighbours.
//! * A parameter that was inactive stands at the mean: it is no reason to go anywhere.
//! * The results of other studies that this one learns from come in no order that means anything: the best of them are what the search begins
//!   around, and the others are left aside.
//! * Two trials in a row are mirror images of one another (Brockhoff et al. 2010, "Mirrored sampling and sequential selection for
//!   evolution strategies"), which evens out a small population.
//!
//! # Invariants
//!
//! * What is learnt is a fold over the history in its order. So it is the same whether it was kept or made again.

use std::collections::VecDeque;

use ndarray::Array1;
use rand_chacha::ChaCha8Rng;
use tunesmith_common::TrialNumber;
use tunesmith_common::space::{Dimension, Domain, Parameter, Space};

use super::SearchStrategy;
use super::memory::Memory;
use super::sobol::Sobol;
use super::standing::{badnesses, best_of, progress};
use super::tried::{Prefix, Tried, counts, mirrored};
use super::untried::spread;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::cma::{Categories, Gaussian, Weights};
use crate::rng::{Purpose, normal, purpose_rng, uniform};

/// Results before the first distribution.
const STARTUP: usize = 10;
/// Standard deviation of the numbers at first, as a share of their range.
const SIGMA: f64 = 0.15;
/// The same where it begins again: anywhere.
const SIGMA_AGAIN: f64 = 0.3;
/// Least standard deviation of a parameter that has levels, in levels: one draw in twenty leaves the level that the mean is in the
/// middle of.
const MARGIN: f64 = 0.25;
/// Numbers up to which the covariance matrix is a full one.
const MOST_FULL: usize = 64;
/// Draws for a point that is new where points can be the same, and for one that satisfies the constraints, if there are any.
const TRIES: usize = 8;
const CONSTRAINED_TRIES: usize = 100;
/// Where a search has converged: standard deviations below this, a covariance matrix stretched more than this, ...
const LEAST_DEVIATION: f64 = 1e-4;
const MOST_STRETCH: f64 = 1e7;
/// ... or the best of each of the last populations the same within so many parts: of so many of them, and of so many results for
/// each number.
const SAME: f64 = 1e-9;
const FLAT_POPULATIONS: usize = 10;
const FLAT_RESULTS: usize = 30;
/// Results before a population that it is ranked among, if there are several objectives.
const COMPARED: usize = 100;
/// Populations are doubled this often at most.
const MOST_DOUBLINGS: u64 = 7;

/// The strategy.
#[derive(Debug)]
pub(super) struct Cmaes {
    sobol: Sobol,
    dimensions: usize,
    /// Where the parameters are that are numbers, with their levels if they have some.
    numbers: Vec<(usize, Option<u64>)>,
    /// Where those without an order are, with their categories.
    choices: Vec<(usize, usize)>,
    /// Draws for one trial at most.
    tries: usize,
}

/// What is kept between proposals.
#[derive(Debug, Default)]
struct Known {
    tried: Tried,
    learnt: Learnt,
}

/// What the results so far have taught.
#[derive(Debug, Default)]
struct Learnt {
    read: Prefix,
    /// Results of this study that count, and the highest number of all trials.
    results: u64,
    highest: u64,
    /// The first results.
    startup: Vec<FinishedTrial>,
    /// None before there are enough of them.
    search: Option<Search>,
    restarts: u64,
}

/// One search, from a start to where it converges.
#[derive(Debug)]
struct Search {
    gaussian: Gaussian,
    categories: Vec<Categories>,
    /// How much wider than `gaussian` is drawn in each number, so that no level is out of reach. Shape `(n,)`.
    widened: Array1<f64>,
    weights: Weights,
    /// Results of the next population.
    population: Vec<Sample>,
    /// The best of each of the last populations, newest first.
    bests: VecDeque<f64>,
    /// Results of the search before that may still come. They say nothing about this one.
    left_over: u64,
}

/// A result: a point, and where in the history it stands.
#[derive(Debug)]
struct Sample {
    place: usize,
    /// See [`Gaussian::update`].
    step: Array1<f64>,
    /// One for each of [`Cmaes::choices`], if it is active.
    categories: Vec<Option<usize>>,
}

impl Cmaes {
    pub(super) fn new(space: &Space) -> Self {
        let (mut numbers, mut choices) = (Vec::new(), Vec::new());
        for (place, dimension) in space.dimensions().iter().enumerate() {
            match *dimension {
                Dimension::Continuous => numbers.push((place, None)),
                Dimension::Levels(count) if count > 1 => numbers.push((place, Some(count))),
                Dimension::Categorical(count) if count > 1 => {
                    choices.push((place, usize::try_from(count).unwrap_or(usize::MAX)));
                }
                Dimension::Levels(_) | Dimension::Categorical(_) => {}
            }
        }
        Self {
            sobol: Sobol::new(space.dimensions().len()),
            dimensions: space.dimensions().len(),
            numbers,
            choices,
            tries: tries(space),
        }
    }

    /// Results in a population: a few for one parameter, and more with the logarithm of their number.
    fn population(&self, restarts: u64) -> usize {
        // Exact for the at most 1,000 parameters of a space: the whole part of 3 ln(k).
        let parameters = (self.numbers.len() + self.choices.len()).max(1) as f64;
        let grown = (1..)
            .take_while(|k| f64::from(*k) <= 3.0 * parameters.ln())
            .count();
        (2 + grown).max(4) << restarts.min(MOST_DOUBLINGS)
    }

    fn search(&self, mean: Array1<f64>, sigma: f64, restarts: u64) -> Search {
        let n = self.numbers.len();
        let diagonal = n > MOST_FULL;
        let mut search = Search {
            gaussian: Gaussian::new(mean, sigma, diagonal),
            categories: self
                .choices
                .iter()
                .map(|(_, count)| Categories::new(*count, self.choices.len()))
                .collect(),
            widened: Array1::ones(n),
            weights: Weights::new(n, self.population(restarts), diagonal),
            population: Vec::new(),
            bests: VecDeque::new(),
            left_over: 0,
        };
        self.keep_margin(&mut search);
        search
    }

    /// The search that begins around the better half of the first results.
    fn first_search(&self, startup: &[FinishedTrial]) -> Search {
        let trials: Vec<&FinishedTrial> = startup.iter().collect();
        let mut startup: Vec<(f64, &FinishedTrial)> = badnesses(&trials).into_iter().zip(trials).collect();
        startup.sort_by(|a, b| a.0.total_cmp(&b.0));
        let weights = Weights::new(self.numbers.len(), startup.len(), false);
        let good = || {
            let points = startup.iter().map(|(_, trial)| &trial.encoded);
            weights.good().iter().zip(points)
        };
        let mean = self.numbers.iter().map(|(k, _)| {
            let middle = 0.5;
            good()
                .map(|(weight, point)| weight * if point[*k].is_nan() { middle } else { point[*k] })
                .sum()
        });
        let mut search = self.search(mean.collect(), SIGMA, 0);
        for (categories, choice) in search.categories.iter_mut().zip(&self.choices) {
            categories.learn(good().filter_map(|(weight, point)| Some((category(*choice, point)?, *weight))));
        }
        search
    }

    /// Learns from the results that are new since the last time.
    fn learn(&self, view: &StudyView<'_>, learnt: &mut Learnt) {
        let others = view.of_others();
        if !learnt.read.is_of(view.finished) || learnt.read.length < others.len() {
            *learnt = Learnt::default();
            learnt.startup.extend(best_of(others, STARTUP).cloned());
            self.begin(learnt);
        }
        for place in learnt.read.length.max(others.len())..view.finished.len() {
            let trial = &view.finished[place];
            learnt.highest = learnt.highest.max(trial.trial.0);
            if !counts(trial) {
                continue;
            }
            learnt.results += 1;
            match &mut learnt.search {
                Some(search) => {
                    if self.learn_result(view, search, place) {
                        self.restart(view.seed, learnt);
                    }
                }
                None => {
                    learnt.startup.push(trial.clone());
                    self.begin(learnt);
                }
            }
        }
        learnt.read = Prefix::of(view.finished);
    }

    /// Begins the first search once there are enough results.
    fn begin(&self, learnt: &mut Learnt) {
        if learnt.startup.len() >= STARTUP {
            learnt.search = Some(self.first_search(&learnt.startup));
            learnt.startup.clear();
        }
    }

    /// Takes in one result. True if the search ends with it.
    fn learn_result(&self, view: &StudyView<'_>, search: &mut Search, place: usize) -> bool {
        let trial = &view.finished[place];
        let step = match self.own_step(view, search, trial) {
            Some(step) => {
                search.left_over = 0;
                step
            }
            None if search.left_over > 0 => {
                search.left_over -= 1;
                return false;
            }
            None => self.foreign_step(search, &trial.encoded),
        };
        search.population.push(Sample {
            place,
            step,
            categories: self
                .choices
                .iter()
                .map(|choice| category(*choice, &trial.encoded))
                .collect(),
        });
        search.population.len() == search.weights.ranks.len() && !self.update(search, view.finished)
    }

    /// Learns from a complete population. False if the search has converged, or has nothing left to go by.
    fn update(&self, search: &mut Search, finished: &[FinishedTrial]) -> bool {
        let population = ranked(std::mem::take(&mut search.population), finished);
        for (k, categories) in search.categories.iter_mut().enumerate() {
            let good = search.weights.good().iter().zip(&population);
            categories.learn(good.filter_map(|(weight, sample)| Some((sample.categories[k]?, *weight))));
        }
        let best = population
            .first()
            .map_or(f64::INFINITY, |sample| progress(&finished[sample.place]));
        let steps: Vec<Array1<f64>> = population.into_iter().map(|sample| sample.step).collect();
        if !self.numbers.is_empty() && !search.gaussian.update(&steps, &search.weights) {
            return false;
        }
        self.keep_margin(search);
        let populations = FLAT_POPULATIONS + (FLAT_RESULTS * self.numbers.len().max(1)).div_ceil(steps.len());
        search.bests.push_front(best);
        search.bests.truncate(populations);
        let is_small = |(deviation, widened): (f64, &f64)| deviation * widened < LEAST_DEVIATION;
        let converged = !self.numbers.is_empty()
            && search
                .gaussian
                .deviations()
                .into_iter()
                .zip(&search.widened)
                .all(is_small);
        let flat = search.bests.len() == populations && is_flat(&search.bests);
        !(converged || flat || search.gaussian.stretch() > MOST_STRETCH)
    }

    /// The next search, at random.
    fn restart(&self, seed: u64, learnt: &mut Learnt) {
        learnt.restarts += 1;
        let mut rng = purpose_rng(seed, TrialNumber(learnt.restarts), Purpose::Restart);
        let mean = Array1::from_shape_simple_fn(self.numbers.len(), || uniform(&mut rng));
        learnt.search = Some(Search {
            left_over: learnt.highest.saturating_sub(learnt.results),
            ..self.search(mean, SIGMA_AGAIN, learnt.restarts)
        });
    }

    /// Widens what is drawn, and keeps the mean away from the ends, so that levels stay within reach.
    fn keep_margin(&self, search: &mut Search) {
        let deviations = search.gaussian.deviations();
        for (k, (_, levels)) in self.numbers.iter().enumerate() {
            let Some(levels) = levels else { continue };
            let level = 1.0 / *levels as f64;
            search.widened[k] = (MARGIN * level / deviations[k]).max(1.0);
            search.gaussian.mean[k] = search.gaussian.mean[k].clamp(0.5 * level, 1.0 - 0.5 * level);
        }
    }

    /// The step that led to a trial's point, if it was drawn from this distribution.
    fn own_step(&self, view: &StudyView<'_>, search: &Search, trial: &FinishedTrial) -> Option<Array1<f64>> {
        let mut draws = self.draws(view, search, trial.trial);
        let mut snapped = vec![0.0; self.dimensions];
        for _ in 0..self.tries {
            let (latent, mut step) = draws.next();
            view.space.snap(&latent, &mut snapped);
            let mut both = snapped.iter().zip(&trial.encoded);
            // What was decoded and encoded again is the same within the rounding of scales.
            if both.all(|(a, b)| (a.is_nan() && b.is_nan()) || (a - b).abs() < 1e-9) {
                for ((k, _), x) in self.numbers.iter().zip(&mut step) {
                    if snapped[*k].is_nan() {
                        *x = 0.0;
                    }
                }
                return Some(step);
            }
        }
        None
    }

    /// A step towards any other point.
    fn foreign_step(&self, search: &Search, encoded: &[f64]) -> Array1<f64> {
        let towards = self.numbers.iter().enumerate().map(|(k, (place, _))| {
            let distance = encoded[*place] - search.gaussian.mean[k];
            if distance.is_nan() {
                0.0
            } else {
                distance / (search.gaussian.sigma * search.widened[k])
            }
        });
        let mut step = towards.collect();
        search.gaussian.clip(&mut step);
        step
    }

    fn draws<'a>(&'a self, view: &StudyView<'_>, search: &'a Search, trial: TrialNumber) -> Draws<'a> {
        Draws {
            strategy: self,
            search,
            numbers: purpose_rng(view.seed, TrialNumber(trial.0 / 2), Purpose::Search),
            sign: if trial.0.is_multiple_of(2) { 1.0 } else { -1.0 },
            choices: purpose_rng(view.seed, trial, Purpose::Choice),
        }
    }

    fn suggest(&self, view: &StudyView<'_>, known: &mut Known) -> Result<Suggestion, StrategyError> {
        known.tried.read(view.finished);
        self.learn(view, &mut known.learnt);
        let Some(search) = &known.learnt.search else {
            return spread(&self.sobol, view);
        };
        let mut draws = self.draws(view, search, view.next);
        let refused = "drawn at random, since the constraints refuse what the distribution gives";
        // Where all was tried, the distribution has little left.
        known
            .tried
            .first_new(view, self.tries, refused, |_| draws.next().0)
    }
}

impl SearchStrategy for Cmaes {
    fn name(&self) -> &'static str {
        "cmaes"
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

/// A trial's draws from a distribution, one after the other.
struct Draws<'a> {
    strategy: &'a Cmaes,
    search: &'a Search,
    numbers: ChaCha8Rng,
    /// Of the numbers: two trials in a row have the same stream, and opposite signs.
    sign: f64,
    choices: ChaCha8Rng,
}

impl Draws<'_> {
    /// A latent point, shape `(d,)`, and the step that leads there. A step beyond an end of a range is reflected there.
    fn next(&mut self) -> (Vec<f64>, Array1<f64>) {
        let Search {
            gaussian,
            categories,
            widened,
            ..
        } = self.search;
        let mut latent = vec![0.5; self.strategy.dimensions];
        for ((place, count), categories) in self.strategy.choices.iter().zip(categories) {
            let category = categories.pick(uniform(&mut self.choices));
            latent[*place] = (category as f64 + 0.5) / *count as f64;
        }
        let normals = widened.mapv(|_| self.sign * normal(&mut self.numbers));
        let mut step = gaussian.step(&normals);
        for (k, (place, _)) in self.strategy.numbers.iter().enumerate() {
            let scale = gaussian.sigma * widened[k];
            let x = gaussian.mean[k] + scale * step[k];
            latent[*place] = mirrored(x);
            if !(0.0..=1.0).contains(&x) {
                step[k] = (latent[*place] - gaussian.mean[k]) / scale;
            }
        }
        (latent, step)
    }
}

fn tries(space: &Space) -> usize {
    if !space.constraints().is_empty() {
        return CONSTRAINED_TRIES;
    }
    // Two draws of a number of 53 bits are never the same.
    let is_fine = |parameter: &Parameter| {
        parameter.conditions.is_empty() && matches!(parameter.domain, Domain::Float { step: None, .. })
    };
    if space.parameters().iter().any(is_fine) {
        1
    } else {
        TRIES
    }
}

/// A population in the order in which it is to be learnt from. A few results with several objectives dominate one another seldom, so these are
/// ranked among those before them.
fn ranked(population: Vec<Sample>, finished: &[FinishedTrial]) -> Vec<Sample> {
    let several = population
        .iter()
        .any(|sample| !finished[sample.place].others.is_empty());
    let (Some(first), Some(last)) = (population.first(), population.last()) else {
        return population;
    };
    let from = if several {
        first.place.min(last.place.saturating_sub(COMPARED))
    } else {
        first.place
    };
    let places: Vec<usize> = (from..=last.place)
        .filter(|&place| counts(&finished[place]))
        .collect();
    let trials: Vec<&FinishedTrial> = places.iter().map(|&place| &finished[place]).collect();
    let badness = badnesses(&trials);
    let of = |sample: &Sample| {
        places
            .binary_search(&sample.place)
            .map_or(f64::INFINITY, |k| badness[k])
    };
    let mut ranked: Vec<(f64, Sample)> = population
        .into_iter()
        .map(|sample| (of(&sample), sample))
        .collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0));
    ranked.into_iter().map(|(_, sample)| sample).collect()
}

/// The value of a parameter without an order, from its place and the number of its values; None if it is inactive.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` drops the fraction and saturates, which is meant"
)]
fn category((place, count): (usize, usize), encoded: &[f64]) -> Option<usize> {
    let x = encoded[place];
    (!x.is_nan()).then(|| ((x * count as f64) as usize).min(count - 1))
}

/// Whether the values, none of which is `-infinity`, are the same within [`SAME`].
fn is_flat(values: &VecDeque<f64>) -> bool {
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let range = most - least;
    least.is_infinite() || (range.is_finite() && range <= SAME * least.abs().max(most.abs()))
}

#[cfg(test)]
mod tests;
