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
//! * The others are thinned to at most [`MOST_OTHERS`] kernels, so that the cost stays flat.

use rand_chacha::ChaCha8Rng;
use tunesmith_common::space::{Dimension, Space};

use super::SearchStrategy;
use super::memory::Memory;
use super::random::draw;
use super::sobol::Sobol;
use super::standing::badnesses;
use super::tried::counts;
use super::view::{FinishedTrial, Proposal, StrategyError, StudyView, Suggestion, one_by_one};
use crate::rng::{Purpose, below, normal, purpose_rng, uniform};

/// Trials before the first model.
const STARTUP: usize = 10;
/// One of so many trials is good, and how many are at most.
const ONE_GOOD_OF: usize = 10;
const MOST_GOOD: usize = 25;
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
}

impl Tpe {
    pub(super) fn new(space: &Space) -> Self {
        Self {
            sobol: Sobol::new(space.dimensions().len()),
        }
    }

    fn suggest(&self, view: &StudyView<'_>) -> Result<Suggestion, StrategyError> {
        let (places, results): (Vec<usize>, Vec<&FinishedTrial>) = view
            .finished
            .iter()
            .enumerate()
            .filter(|(_, trial)| counts(trial))
            .unzip();
        let mut ranked: Vec<(f64, usize)> = badnesses(&results).into_iter().zip(places).collect();
        if ranked.len() < STARTUP {
            return self.sobol.suggest(view);
        }
        let good = ranked.len().div_ceil(ONE_GOOD_OF).min(MOST_GOOD);
        let order = |a: &(f64, usize), b: &(f64, usize)| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1));
        ranked.select_nth_unstable_by(good - 1, order);
        let (best, rest) = ranked.split_at_mut(good);
        best.sort_unstable_by(order);
        rest.sort_unstable_by_key(|(_, index)| *index);
        let good: Vec<&[f64]> = best
            .iter()
            .map(|(_, index)| &view.finished[*index].encoded[..])
            .collect();
        let mut others: Vec<&[f64]> = thinned(rest.len(), MOST_OTHERS)
            .map(|k| &view.finished[rest[k].1].encoded[..])
            .collect();
        others.extend(view.running.iter().map(|running| running.encoded));
        let dimensions = view.space.dimensions();
        let good = Mixture::new(dimensions, &good);
        let others = Mixture::new(dimensions, &others);

        let mut rng = purpose_rng(view.seed, view.next, Purpose::Search);
        let mut encoded = vec![0.0; dimensions.len()];
        let mut best: Option<(f64, Vec<f64>)> = None;
        let mut candidates = 0;
        for _ in 0..MOST_DRAWS {
            let latent = good.sample(&mut rng);
            view.space.snap(&latent, &mut encoded);
            let constrained = !view.space.constraints().is_empty();
            if constrained && !view.space.satisfies(&view.space.decode(&encoded)) {
                continue;
            }
            let score = good.log_density(&encoded) - others.log_density(&encoded);
            if best.as_ref().is_none_or(|(known, _)| score > *known) {
                best = Some((score, encoded.clone()));
            }
            candidates += 1;
            if candidates == CANDIDATES {
                break;
            }
        }
        match best {
            Some((_, encoded)) => {
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

    fn propose(&self, view: &StudyView<'_>, count: usize, _: &mut Memory) -> Result<Proposal, StrategyError> {
        one_by_one(view, count, |view| self.suggest(view))
    }
}

/// At most `most` of the numbers below `count`: the newest quarter, and the rest spread evenly over the older ones.
fn thinned(count: usize, most: usize) -> impl Iterator<Item = usize> {
    let newest = count.min(most / 4);
    let older = count - newest;
    let kept = older.min(most - newest);
    (0..kept)
        .map(move |k| k * older / kept.max(1))
        .chain(older..count)
}

/// One parameter's kernel in one component.
#[derive(Clone, Copy, Debug)]
enum Kernel {
    /// Nothing is known: uniform.
    Uniform,
    /// A normal density cut off at 0 and 1; the last number is the logarithm of its largest value.
    Normal { centre: f64, width: f64, top: f64 },
    /// The same over levels of a width, where the density is the mean over the level.
    Levels {
        centre: f64,
        width: f64,
        step: f64,
        total: f64,
    },
    /// The trial's category with probability `stay`, else any; `own` and `others` are logarithms of densities.
    Category {
        centre: f64,
        stay: f64,
        own: f64,
        others: f64,
    },
}

/// A mixture over the encoded space: one component for each trial, and one that is uniform.
#[derive(Debug)]
struct Mixture {
    /// Shape `(n + 1, d)`, by rows.
    kernels: Vec<Kernel>,
    dimensions: usize,
}

impl Mixture {
    fn new(dimensions: &[Dimension], points: &[&[f64]]) -> Self {
        let d = dimensions.len();
        let mut kernels = vec![Kernel::Uniform; (points.len() + 1) * d];
        for (k, dimension) in dimensions.iter().enumerate() {
            let mut active: Vec<(f64, usize)> = points
                .iter()
                .enumerate()
                .filter_map(|(i, point)| (!point[k].is_nan()).then_some((point[k], i)))
                .collect();
            active.sort_unstable_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
            for (place, &(x, i)) in active.iter().enumerate() {
                kernels[i * d + k] = kernel(*dimension, x, width(&active, place), active.len() as f64);
            }
        }
        Self {
            kernels,
            dimensions: d,
        }
    }

    fn components(&self) -> usize {
        self.kernels.len() / self.dimensions.max(1)
    }

    /// A latent point: a number in [0, 1) for every parameter.
    fn sample(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let component = below(self.components(), rng) * self.dimensions;
        let kernels = &self.kernels[component..component + self.dimensions];
        kernels.iter().map(|kernel| kernel.sample(rng)).collect()
    }

    /// Logarithm of the density at a snapped point.
    fn log_density(&self, encoded: &[f64]) -> f64 {
        let mut largest = f64::NEG_INFINITY;
        let mut sum = 0.0;
        for kernels in self.kernels.chunks_exact(self.dimensions.max(1)) {
            let mut log = 0.0;
            for (kernel, x) in kernels.iter().zip(encoded) {
                if !x.is_nan() {
                    log += kernel.log_density(*x);
                }
            }
            if log > largest {
                sum = sum * (largest - log).exp() + 1.0;
                largest = log;
            } else {
                sum += (log - largest).exp();
            }
        }
        largest + (sum / self.components() as f64).ln()
    }
}

/// Width of a trial's kernel: the distance to the farther of its two neighbours, within bounds that shrink with their number
/// (Bergstra et al. 2011; the lower bound keeps a crowd from narrowing the search too soon).
fn width(sorted: &[(f64, usize)], place: usize) -> f64 {
    let x = sorted[place].0;
    let below = place.checked_sub(1).map(|place| x - sorted[place].0);
    let above = sorted.get(place + 1).map(|above| above.0 - x);
    let farther = match (below, above) {
        (Some(below), Some(above)) => below.max(above),
        (Some(only), None) | (None, Some(only)) => only,
        (None, None) => x.max(1.0 - x),
    };
    let least = 1.0 / (sorted.len() as f64 + 2.0).min(100.0);
    farther.clamp(least, 1.0)
}

/// The kernel of a trial at `x`, of a width, among `n` trials that have the parameter.
fn kernel(dimension: Dimension, x: f64, width: f64, n: f64) -> Kernel {
    match dimension {
        Dimension::Continuous => {
            let total = between(x, width, 0.0, 1.0);
            Kernel::Normal {
                centre: x,
                width,
                top: -(width * (2.0 * std::f64::consts::PI).sqrt() * total).ln(),
            }
        }
        Dimension::Levels(count) => {
            let step = 1.0 / count.max(1) as f64;
            let width = width.max(0.5 * step);
            Kernel::Levels {
                centre: x,
                width,
                step,
                total: between(x, width, 0.0, 1.0),
            }
        }
        Dimension::Categorical(count) => {
            let count = count.max(1) as f64;
            // As if each category had been seen once, in all trials together.
            let stay = n / (n + count);
            Kernel::Category {
                centre: x,
                stay,
                own: (stay * count + 1.0 - stay).ln(),
                others: (1.0 - stay).ln(),
            }
        }
    }
}

/// Probability of a normal variable between two bounds.
fn between(centre: f64, width: f64, low: f64, high: f64) -> f64 {
    crate::normal::cumulative((high - centre) / width) - crate::normal::cumulative((low - centre) / width)
}

impl Kernel {
    fn sample(self, rng: &mut ChaCha8Rng) -> f64 {
        match self {
            Self::Uniform => uniform(rng),
            Self::Normal { centre, width, .. } | Self::Levels { centre, width, .. } => {
                for _ in 0..32 {
                    let x = centre + width * normal(rng);
                    if (0.0..1.0).contains(&x) {
                        return x;
                    }
                }
                uniform(rng)
            }
            Self::Category { centre, stay, .. } => {
                if uniform(rng) < stay {
                    centre
                } else {
                    uniform(rng)
                }
            }
        }
    }

    /// Relative to the uniform distribution.
    fn log_density(self, x: f64) -> f64 {
        match self {
            Self::Uniform => 0.0,
            Self::Normal { centre, width, top } => {
                let z = (x - centre) / width;
                top - 0.5 * z * z
            }
            Self::Levels {
                centre,
                width,
                step,
                total,
            } => {
                let mass = between(centre, width, x - 0.5 * step, x + 0.5 * step) / total;
                mass.max(f64::MIN_POSITIVE).ln() - step.ln()
            }
            Self::Category {
                centre, own, others, ..
            } => {
                if (x - centre).abs() < 1e-12 {
                    own
                } else {
                    others
                }
            }
        }
    }
}
