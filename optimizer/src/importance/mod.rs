//! Which parameters matter, by functional ANOVA over a random forest (Hutter, Hoos and Leyton-Brown 2014, "An efficient approach for assessing
//! hyperparameter importance").
//!
//! A forest is fitted to the results. Of each of its trees it can be said exactly which share of its variance over the whole space comes from one
//! parameter, whatever the others are (its main effect), and which from two that act together. Mean and standard deviation of these shares over the
//! trees are the answer. Where we differ from the paper, and why:
//!
//! * **Ranks.** The forest is fitted to the ranks of the results, not to their values: a few results that are far worse than all others would have
//!   nearly all of the variance, and the answer would tell only what avoids these. So no monotone change of the objective changes the answer, and trials
//!   that diverged (NaN, infinite) are results like others: worse than all.
//! * **Near the good results** ([`Settings::best`] below 1). Over the whole space the parameter matters most that has the worst values to offer, though
//!   nobody would take these. So each parameter can be varied as it varies among the best share of the results instead (a histogram of these), and all
//!   results outside of it count as equally bad. That is what PED-ANOVA asks by its local importance (Watanabe, Bansal and Hutter 2023, "PED-ANOVA:
//!   efficiently quantifying hyperparameter importance in arbitrary subspaces"); its estimate, a divergence of one-dimensional densities, knows nothing of
//!   parameters that act together, nor how far to trust it, which a forest tells.
//! * **Conditions.** A parameter that is active under conditions only is looked at within these: its parents are confined to the values that make it
//!   active, and shares are those of the variance there. So `momentum` has the share that it has of SGD's results, however rarely SGD was tried. With
//!   the parents confined, the dimensions are still independent, which the decomposition needs. In trees an inactive parameter does not exist ([`tree`]).
//! * **How far to trust it.** `explained` compares results with what trees say of them that have not seen them (out of bag): where these have nothing to do
//!   with each other, shares are noise. It is the squared correlation, which is the R^2 of what the trees say after it was stretched to fit. The
//!   plain R^2 would be unfair to the best: seen among all, noise made them look good, and their prediction is worse than they are by about the same for each.
//!
//! Constraints are not looked at: shares are over the space as it is declared. So are measured ones: what matters for a metric is asked here.

mod anova;
mod part;
mod tree;

#[cfg(test)]
mod tests;

use tunesmith_common::TrialNumber;
use tunesmith_common::space::{Dimension, Space};

use anova::Spread;
use part::{Margin, Part};
use tree::{Data, Layout, Tree};

use crate::rng::{Purpose, below, purpose_rng};

/// Results, or results among the best, from which on there is an answer. With fewer, chance alone explains a fifth now and then.
pub const LEAST_RESULTS: usize = 20;
/// Results that a forest is fitted to at most; of more, as many spread evenly over them.
pub const MOST_RESULTS: usize = 2_000;
/// Trees of a forest.
const TREES: u64 = 64;
/// Parameters that are looked at in pairs: those that the trees split by with the most success.
const MOST_PAIRED: usize = 8;
/// Bins of a parameter's histogram among the best, at most.
const MOST_BINS: u64 = 16;

/// One result.
#[derive(Clone, Copy, Debug)]
pub struct Observed<'a> {
    /// Its point in the encoded space, shape `(d,)`: each coordinate in [0, 1), NaN where the parameter is inactive.
    pub point: &'a [f64],
    /// Its value; smaller is better. What is not finite is worse than all that is.
    pub value: f64,
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// The share of the results, best first, among which parameters are varied; above 0, and 1 for the whole space.
    pub best: f64,
    /// Seed of the forest.
    pub seed: u64,
}

/// Which parameters matter.
#[derive(Clone, Debug, PartialEq)]
pub struct Importance {
    /// Results that the forest was fitted to.
    pub results: usize,
    /// How many of them count as the best.
    pub best: usize,
    /// Share of the variance of results, of those among the best if not all are asked for, that trees explain which have not seen them: from 0 to 1.
    pub explained: f64,
    /// Each parameter that varies, in order of the space.
    pub parameters: Vec<Effect>,
    /// Pairs of those that matter most; those that are never active together are left out.
    pub pairs: Vec<PairEffect>,
}

/// A share of the variance, from 0 to 1: its mean over the trees, and their standard deviation.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Share {
    /// Mean.
    pub mean: f64,
    /// Standard deviation of one tree.
    pub deviation: f64,
}

/// What a parameter does alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Effect {
    /// Its place in the space.
    pub parameter: usize,
    /// Of the variance where it is active.
    pub share: Share,
    /// Results in which it was active.
    pub active: usize,
}

/// What two parameters do together, beyond what each does alone.
#[derive(Clone, Debug, PartialEq)]
pub struct PairEffect {
    /// Their places in the space, ascending.
    pub parameters: [usize; 2],
    /// Of the variance where both are active.
    pub share: Share,
}

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum ImportanceError {
    /// Too few results.
    #[error("there are {results} results, and at least {LEAST_RESULTS} are needed")]
    TooFew {
        /// Those there are.
        results: usize,
    },
    /// Too few results among the best.
    #[error(
        "the best {best} of {results} results are too few, at least {LEAST_RESULTS} are needed: ask for a larger share, or for all"
    )]
    TooFewBest {
        /// How many are among the best.
        best: usize,
        /// Those there are.
        results: usize,
    },
    /// Nothing to explain.
    #[error("all {results} results are equal")]
    AllEqual {
        /// Those there are.
        results: usize,
    },
    /// Nothing to explain it by.
    #[error("no parameter has more than one value")]
    NothingVaries,
}

/// Which parameters matter for the values of some results. The same arguments give the same answer, bit for bit.
///
/// Takes time in proportion to the number of parameters and, up to [`MOST_RESULTS`], of results: about a second at most for 20 parameters.
///
/// # Errors
/// If there are too few results, or nothing to be explained.
///
/// # Panics
/// If a point has another number of coordinates than the space has parameters.
pub fn importance(
    space: &Space,
    results: &[Observed<'_>],
    settings: Settings,
) -> Result<Importance, ImportanceError> {
    let layout = Layout::new(space);
    let taken = results.len().min(MOST_RESULTS);
    let results: Vec<Observed<'_>> = (0..taken)
        .map(|place| results[place * results.len() / taken])
        .collect();
    if results.len() < LEAST_RESULTS {
        return Err(ImportanceError::TooFew {
            results: results.len(),
        });
    }
    if layout.varying().is_empty() {
        return Err(ImportanceError::NothingVaries);
    }
    let mut values = ranks(&results);
    if values.iter().all(|rank| rank.total_cmp(&values[0]).is_eq()) {
        return Err(ImportanceError::AllEqual {
            results: results.len(),
        });
    }
    let is_best = best_of(&values, settings.best);
    let best = is_best.iter().filter(|best| **best).count();
    if best < LEAST_RESULTS {
        return Err(ImportanceError::TooFewBest {
            best,
            results: results.len(),
        });
    }
    let worst_of_best = values
        .iter()
        .zip(&is_best)
        .filter(|(_, best)| **best)
        .map(|(rank, _)| *rank)
        .fold(0.0, f64::max);
    for value in &mut values {
        *value = value.min(worst_of_best);
    }
    let points: Vec<&[f64]> = results.iter().map(|result| result.point).collect();
    let data = Data {
        layout: &layout,
        points: &points,
        values: &values,
    };
    let forest = Forest::grow(data, settings.seed);
    let good: Vec<&[f64]> = points
        .iter()
        .zip(&is_best)
        .filter(|(_, best)| **best)
        .map(|(point, _)| *point)
        .collect();
    let margins: Vec<Margin> = (0..space.dimensions().len())
        .map(|dimension| {
            if best == results.len() || !layout.varying().contains(&dimension) {
                Margin::uniform()
            } else {
                histogram(layout.dimension(dimension), dimension, &good)
            }
        })
        .collect();
    let mut asked: Vec<Vec<usize>> = layout
        .varying()
        .iter()
        .map(|parameter| vec![*parameter])
        .collect();
    let paired = forest.most_used(layout.varying());
    for (place, first) in paired.iter().enumerate() {
        asked.extend(paired[place + 1..].iter().map(|second| vec![*first, *second]));
    }
    let shares = forest.shares(&layout, &margins, &asked);
    let active = |parameter: usize| points.iter().filter(|point| !point[parameter].is_nan()).count();
    let (mut parameters, mut pairs) = (Vec::new(), Vec::new());
    for (about, share) in asked.iter().zip(shares) {
        match about[..] {
            [parameter] => {
                let share = share.unwrap_or_default();
                parameters.push(Effect {
                    parameter,
                    share,
                    active: active(parameter),
                });
            }
            [first, second] => pairs.extend(share.map(|share| PairEffect {
                parameters: [first, second],
                share,
            })),
            _ => {}
        }
    }
    Ok(Importance {
        results: results.len(),
        best,
        explained: forest.explained(data, &is_best),
        parameters,
        pairs,
    })
}

/// The place of each value among all, from 0 for the best to 1; equal ones share theirs.
fn ranks(results: &[Observed<'_>]) -> Vec<f64> {
    let value = |index: usize| {
        let value = results[index].value;
        if value.is_finite() { value } else { f64::INFINITY }
    };
    let mut order: Vec<usize> = (0..results.len()).collect();
    order.sort_by(|a, b| value(*a).total_cmp(&value(*b)));
    let last = results.len().saturating_sub(1).max(1) as f64;
    let mut ranks = vec![0.0; results.len()];
    let mut from = 0;
    while from < order.len() {
        let equal = order[from..]
            .iter()
            .take_while(|index| value(**index) <= value(order[from]))
            .count();
        for index in &order[from..from + equal] {
            ranks[*index] = (from as f64 + (equal - 1) as f64 / 2.0) / last;
        }
        from += equal;
    }
    ranks
}

/// Which ranks are among the best share; those that are equal to one of them are, too, unless that would be all.
fn best_of(ranks: &[f64], share: f64) -> Vec<bool> {
    let mut sorted = ranks.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = ((0..sorted.len())
        .take_while(|place| (*place as f64) < share * sorted.len() as f64 - 1e-9)
        .count())
    .max(1)
        - 1;
    ranks.iter().map(|rank| *rank <= sorted[last]).collect()
}

/// How a parameter's values are distributed among some points; where it is inactive tells nothing.
fn histogram(dimension: Dimension, index: usize, points: &[&[f64]]) -> Margin {
    let bins = match dimension {
        Dimension::Categorical(count) => count,
        Dimension::Levels(count) => count.min(MOST_BINS),
        Dimension::Continuous => MOST_BINS,
    };
    Margin::of(
        points.iter().map(|point| point[index]),
        usize::try_from(bins).unwrap_or(1),
    )
}

/// Trees, and for each which results it has seen.
struct Forest {
    trees: Vec<Tree>,
    seen: Vec<Vec<bool>>,
}

impl Forest {
    fn grow(data: Data<'_>, seed: u64) -> Self {
        let count = data.points.len();
        let mut forest = Self {
            trees: Vec::new(),
            seen: Vec::new(),
        };
        for number in 0..TREES {
            let mut rng = purpose_rng(seed, TrialNumber(number), Purpose::Tree);
            let drawn: Vec<usize> = (0..count).map(|_| below(count, &mut rng)).collect();
            let mut seen = vec![false; count];
            for index in &drawn {
                seen[*index] = true;
            }
            forest.trees.push(Tree::grow(data, drawn, &mut rng));
            forest.seen.push(seen);
        }
        forest
    }

    /// See [`Importance::explained`].
    fn explained(&self, data: Data<'_>, counts: &[bool]) -> f64 {
        let mut pairs: Vec<(f64, f64)> = Vec::new();
        for (index, point) in data.points.iter().enumerate().filter(|(index, _)| counts[*index]) {
            let unseen = self.trees.iter().zip(&self.seen).filter(|(_, seen)| !seen[index]);
            let said: Vec<f64> = unseen.map(|(tree, _)| tree.predict(point)).collect();
            if !said.is_empty() {
                pairs.push((said.iter().sum::<f64>() / said.len() as f64, data.values[index]));
            }
        }
        let count = pairs.len().max(1) as f64;
        let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / count;
        let (said, value) = (mean(|pair| pair.0), mean(|pair| pair.1));
        let sum = |of: &dyn Fn(f64, f64) -> f64| {
            pairs
                .iter()
                .map(|pair| of(pair.0 - said, pair.1 - value))
                .sum::<f64>()
        };
        let (both, of_said, of_values) = (sum(&|a, b| a * b), sum(&|a, _| a * a), sum(&|_, b| b * b));
        // Those that are said to be better are worse: that explains nothing.
        if both > 0.0 {
            (both * both / (of_said * of_values)).min(1.0)
        } else {
            0.0
        }
    }

    /// The shares of single parameters and of pairs. None for those that cannot vary.
    fn shares(&self, layout: &Layout, margins: &[Margin], asked: &[Vec<usize>]) -> Vec<Option<Share>> {
        // Those that are active under the same conditions are looked at together.
        let mut groups: Vec<(Confined, Vec<usize>)> = Vec::new();
        for (place, parameters) in asked.iter().enumerate() {
            let Some(confined) = confinement(layout, parameters) else {
                continue;
            };
            match groups.iter_mut().find(|(known, _)| *known == confined) {
                Some((_, places)) => places.push(place),
                None => groups.push((confined, vec![place])),
            }
        }
        let mut shares = vec![None; asked.len()];
        for (confined, places) in groups {
            let mut margins = margins.to_vec();
            for (parent, part) in &confined {
                margins[*parent] = margins[*parent].within(part);
            }
            let mut of_trees = vec![Vec::with_capacity(self.trees.len()); places.len()];
            for tree in &self.trees {
                let spread = Spread::new(tree, &margins);
                // A tree that says the same everywhere has nothing to divide.
                if spread.variance <= 0.0 {
                    continue;
                }
                for (place, found) in places.iter().zip(&mut of_trees) {
                    let variance = match asked[*place][..] {
                        [first, second] => spread.of_two(first, second),
                        [parameter, ..] => spread.of_one(parameter),
                        [] => 0.0,
                    };
                    found.push((variance / spread.variance).min(1.0));
                }
            }
            for (place, found) in places.iter().zip(of_trees) {
                shares[*place] = Some(Share::of(&found));
            }
        }
        shares
    }

    /// The parameters whose splits gained most, in order of the space.
    fn most_used(&self, varying: &[usize]) -> Vec<usize> {
        let gain = |parameter: &usize| self.trees.iter().map(|tree| tree.gains[*parameter]).sum::<f64>();
        let mut order: Vec<(usize, f64)> = varying
            .iter()
            .map(|parameter| (*parameter, gain(parameter)))
            .collect();
        order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut most: Vec<usize> = order
            .into_iter()
            .take(MOST_PAIRED)
            .map(|(parameter, _)| parameter)
            .collect();
        most.sort_unstable();
        most
    }
}

/// Where some parameters have to lie.
type Confined = Vec<(usize, Part)>;

/// Where a parameter, or each of two, is active: where its parents have to lie. None if they cannot vary there.
fn confinement(layout: &Layout, parameters: &[usize]) -> Option<Confined> {
    let mut confined = Confined::new();
    for (parent, part) in parameters
        .iter()
        .flat_map(|parameter| layout.active_where(*parameter))
    {
        match confined.iter_mut().find(|(known, _)| *known == parent) {
            Some((_, known)) => *known = known.and(&part),
            None => confined.push((parent, part)),
        }
    }
    confined.sort_by_key(|(parent, _)| *parent);
    let has_one_value = |parent: usize, part: &Part| match layout.dimension(parent) {
        Dimension::Continuous => false,
        Dimension::Levels(count) | Dimension::Categorical(count) => {
            Margin::uniform().mass(part) * (count as f64) < 1.5
        }
    };
    let is_fixed = |(parent, part): &(usize, Part)| {
        part.is_empty() || parameters.contains(parent) && has_one_value(*parent, part)
    };
    (!confined.iter().any(is_fixed)).then_some(confined)
}

impl Share {
    fn of(shares: &[f64]) -> Self {
        let count = shares.len().max(1) as f64;
        let mean = shares.iter().sum::<f64>() / count;
        let squares: f64 = shares.iter().map(|share| (share - mean) * (share - mean)).sum();
        Self {
            mean,
            deviation: (squares / (count - 1.0).max(1.0)).sqrt(),
        }
    }
}
