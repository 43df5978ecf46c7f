//! With more results than one model can hold: which of them it holds, and where it is trusted.
//!
//! In the spirit of trust regions for Bayesian optimisation (Eriksson et al. 2019, "Scalable global optimization via local Bayesian
//! optimization"): the model has the results around the best one, the best ones, and a sample of all; it is searched in a box around
//! the best one that grows with successes and shrinks with failures. All of this is a function of the history, and costs the same for
//! each proposal whatever the history's length, but for a few numbers looked at per result.

use tunesmith_common::space::{Dimension, Space};

use super::features::{Layout, Points};
use crate::rng::mix;

/// Results from which on the model holds some of them only.
pub(crate) const FROM: usize = 1_200;
/// Results after which the choice is made anew. Those that come in between are all in the model.
const STEP: usize = 100;
/// How many are chosen: near the best, the best, and a sample of all.
const NEAR: usize = 400;
const BEST: usize = 50;
const SAMPLE: usize = 200;

/// Widths of the box, as shares of the space: at the beginning, and at most and at least.
const FIRST_WIDTH: f64 = 0.8;
const MOST_WIDTH: f64 = 1.6;
const LEAST_WIDTH: f64 = 0.8 / 128.0;
/// Successes in a row after which the box doubles; failures in a row after which it is halved are as many as parameters, but at least these.
const SUCCESSES: usize = 3;
const FAILURES: usize = 5;
/// Longest length scale that shapes the box: longer ones all mean that the parameter does not matter.
const LONGEST: f64 = 2.0;

/// How many of the first of `n` results are chosen from. `n` is at least [`FROM`].
pub(crate) fn seen(n: usize) -> usize {
    n - (n - FROM) % STEP
}

/// Which of some results the model holds, ascending. `value` is infinite for those that have none.
pub(crate) fn choose(
    layout: &Layout,
    seed: u64,
    rows: &[&[f64]],
    value: impl Fn(usize) -> f64,
) -> Vec<usize> {
    let n = rows.len();
    let smallest = |count: usize, key: &dyn Fn(usize) -> f64| {
        let mut order: Vec<usize> = (0..n).collect();
        if count < n {
            order.select_nth_unstable_by(count, |&a, &b| key(a).total_cmp(&key(b)).then(a.cmp(&b)));
            order.truncate(count);
        }
        order
    };
    let best = smallest(BEST, &value);
    let Some(&centre) = best
        .iter()
        .min_by(|&&a, &&b| value(a).total_cmp(&value(b)).then(a.cmp(&b)))
    else {
        return Vec::new();
    };
    let points = Points::from_rows(layout, rows.iter().copied());
    let mut distances = vec![0.0; n];
    points.distances(
        layout,
        &vec![1.0; layout.groups().len()],
        centre,
        &points,
        &mut distances,
    );
    let mut chosen = smallest(NEAR, &|k| distances[k]);
    chosen.extend(best);
    // Those of the smallest hashes: a result stays in the sample until others push it out.
    let mut hashes: Vec<(u64, usize)> = (0..n).map(|k| (mix(seed ^ mix(k as u64)), k)).collect();
    hashes.sort_unstable();
    chosen.extend(hashes.into_iter().take(SAMPLE).map(|(_, k)| k));
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

/// Width of the box after these outcomes, in the order in which they came; infinite for those that have none. Those of which
/// `counts` is false may be successes, but are no failures.
pub(crate) fn width(outcomes: impl Iterator<Item = (f64, bool)>, parameters: usize) -> f64 {
    let patience = parameters.max(FAILURES);
    let (mut best, mut width) = (f64::INFINITY, FIRST_WIDTH);
    let (mut successes, mut failures) = (0, 0);
    for (k, (value, counts)) in outcomes.enumerate() {
        let better = value < best;
        best = best.min(value);
        if k < FROM || !(better || counts) {
            continue;
        }
        (successes, failures) = if better {
            (successes + 1, 0)
        } else {
            (0, failures + 1)
        };
        if successes == SUCCESSES {
            (successes, width) = (0, (2.0 * width).min(MOST_WIDTH));
        } else if failures == patience {
            (failures, width) = (0, 0.5 * width);
            if width < LEAST_WIDTH {
                width = FIRST_WIDTH;
            }
        }
    }
    width
}

/// A box in the encoded space: the lowest coordinates, shape `(d,)`, and how far it reaches from there. All of it where a
/// parameter has no order.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pub(crate) low: Vec<f64>,
    pub(crate) extent: Vec<f64>,
}

impl Region {
    /// All of a space.
    pub(crate) fn whole(space: &Space) -> Self {
        let d = space.dimensions().len();
        Self {
            low: vec![0.0; d],
            extent: vec![1.0; d],
        }
    }

    /// Around a point, wider along parameters that matter less. `weights` are the model's, one for each group.
    pub(crate) fn around(
        space: &Space,
        layout: &Layout,
        centre: &[f64],
        weights: &[f64],
        width: f64,
    ) -> Self {
        let mut region = Self::whole(space);
        let logs: Vec<f64> = weights
            .iter()
            .map(|weight| (1.0 / weight.sqrt()).min(LONGEST).ln())
            .collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        for (group, log) in layout.groups().iter().zip(logs) {
            let x = centre[group.dimension];
            let least = match space.dimensions()[group.dimension] {
                Dimension::Categorical(_) => continue,
                Dimension::Levels(levels) => 1.5 / levels as f64,
                Dimension::Continuous => 0.0,
            };
            if x.is_nan() {
                continue;
            }
            let half = (0.5 * width * (log - mean).exp()).max(least);
            let (low, high) = ((x - half).max(0.0), (x + half).min(1.0));
            region.low[group.dimension] = low;
            region.extent[group.dimension] = high - low;
        }
        region
    }

    /// Where `share` of the way through the box lies; a share is in [0, 1).
    pub(crate) fn at(&self, dimension: usize, share: f64) -> f64 {
        (self.low[dimension] + share * self.extent[dimension]).min(1.0 - f64::EPSILON / 2.0)
    }

    pub(crate) fn clamp(&self, dimension: usize, x: f64) -> f64 {
        let low = self.low[dimension];
        x.clamp(low, (low + self.extent[dimension]).min(1.0 - f64::EPSILON))
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::space::{Domain, Parameter, Scale};

    use super::*;

    fn square() -> Space {
        let parameter = |name: &str| Parameter {
            name: name.parse().unwrap(),
            domain: Domain::Float {
                low: 0.0,
                high: 1.0,
                scale: Scale::Linear,
                step: None,
            },
            conditions: Vec::new(),
        };
        Space::new(vec![parameter("x"), parameter("y")], Vec::new()).unwrap()
    }

    /// So many points all over the square, and their distances from a corner.
    fn results(n: usize) -> (Vec<[f64; 2]>, Vec<f64>) {
        let at = |k: usize, salt: u64| crate::rng::unit(mix(salt ^ mix(k as u64)));
        let rows: Vec<[f64; 2]> = (0..n).map(|k| [at(k, 1), at(k, 2)]).collect();
        let values = rows.iter().map(|row| row[0].hypot(row[1])).collect();
        (rows, values)
    }

    fn chosen(n: usize, seed: u64) -> Vec<usize> {
        let (rows, values) = results(n);
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        choose(&Layout::new(&square()), seed, &rows, |k| values[k])
    }

    #[test]
    fn the_choice_is_no_larger_for_more_results_and_holds_the_best_the_near_and_some_of_all() {
        for n in [1_200, 5_000, 40_000] {
            let chosen = chosen(n, 7);
            assert!(chosen.is_sorted_by(|a, b| a < b) && chosen.len() <= NEAR + BEST + SAMPLE);
            let (rows, values) = results(n);
            let mut order: Vec<usize> = (0..n).collect();
            order.sort_by(|&a, &b| values[a].total_cmp(&values[b]));
            assert!(order[..BEST].iter().all(|k| chosen.contains(k)));
            let best = rows[order[0]];
            let distance = |k: usize| (rows[k][0] - best[0]).hypot(rows[k][1] - best[1]);
            order.sort_by(|&a, &b| distance(a).total_cmp(&distance(b)));
            assert!(order[..NEAR].iter().all(|k| chosen.contains(k)));
            // The near ones lie in one corner; the sample does not.
            let far = chosen
                .iter()
                .filter(|&&k| rows[k][0] > 0.5 || rows[k][1] > 0.5)
                .count();
            assert!(far > SAMPLE / 4, "{far} of {n}");
        }
        assert_ne!(chosen(5_000, 7), chosen(5_000, 8), "the sample is the seed's");
    }

    #[test]
    fn results_that_failed_are_no_centre() {
        let rows: Vec<[f64; 2]> = (0..2_000)
            .map(|k| [if k < 1_000 { 0.1 } else { 0.9 }, 1e-6 * k as f64])
            .collect();
        let rows: Vec<&[f64]> = rows.iter().map(|row| &row[..]).collect();
        let chosen = choose(&Layout::new(&square()), 1, &rows, |k| {
            if k == 1_500 { 0.0 } else { f64::INFINITY }
        });
        assert!(chosen.contains(&1_500));
        assert!(chosen.iter().filter(|&&k| k >= 1_000).count() > NEAR);
    }

    #[test]
    fn the_choice_is_made_anew_in_steps() {
        let seen: Vec<usize> = [FROM, FROM + 1, FROM + STEP - 1, FROM + STEP, 98_765]
            .into_iter()
            .map(seen)
            .collect();
        assert_eq!(seen, [1_200, 1_200, 1_200, 1_300, 98_700]);
    }

    #[test]
    fn the_box_grows_with_successes_and_shrinks_with_failures() {
        let before = std::iter::repeat_n((1.0, true), FROM);
        let after = |outcomes: &[(f64, bool)]| width(before.clone().chain(outcomes.iter().copied()), 2);
        let same = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{a} {b}");
        same(after(&[]), FIRST_WIDTH);
        same(after(&[(0.9, true), (0.8, true)]), FIRST_WIDTH);
        same(after(&[(0.9, true), (0.8, true), (0.7, true)]), 2.0 * FIRST_WIDTH);
        same(
            after(&[(0.9, true), (0.8, true), (1.0, true), (0.7, true)]),
            FIRST_WIDTH,
        );
        same(after(&[(1.0, true); 5]), 0.5 * FIRST_WIDTH);
        same(after(&[(1.0, true); 10]), 0.25 * FIRST_WIDTH);
        same(after(&[(1.0, false); 50]), FIRST_WIDTH);
        // At its least it begins again.
        same(after(&[(1.0, true); 35]), LEAST_WIDTH);
        same(after(&[(1.0, true); 40]), FIRST_WIDTH);
        // Successes do not make it wider than the space.
        let better: Vec<(f64, bool)> = (0..30).map(|k| (0.9 - 0.01 * f64::from(k), true)).collect();
        same(after(&better), MOST_WIDTH);
    }

    #[test]
    fn the_box_lies_around_the_centre_and_is_wider_where_less_depends_on_it() {
        let space = square();
        let layout = Layout::new(&space);
        // Length scales 1 / 2 and 1 / 8.
        let region = Region::around(&space, &layout, &[0.5, 0.95], &[4.0, 64.0], 0.2);
        assert!((region.low[0] - 0.3).abs() < 1e-12 && (region.extent[0] - 0.4).abs() < 1e-12);
        assert!((region.low[1] - 0.9).abs() < 1e-12 && (region.extent[1] - 0.1).abs() < 1e-12);
        assert!((region.at(0, 0.25) - 0.4).abs() < 1e-12 && region.at(1, 1.0) < 1.0);
        assert!((region.clamp(0, 0.1) - 0.3).abs() < 1e-12 && region.clamp(1, 2.0) < 1.0);
        // Nothing is known of parameters that are inactive at the centre.
        let region = Region::around(&space, &layout, &[f64::NAN, 0.5], &[4.0, 4.0], 0.2);
        assert!(region.low[0].abs() < 1e-12 && (region.extent[0] - 1.0).abs() < 1e-12);
    }
}
