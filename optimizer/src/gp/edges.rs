//! How much of a point's neighbourhood lies inside the space.
//!
//! A model knows least at the edges of a space, and the more parameters there are, the more edges there are: expected improvement draws many
//! trials there, though half of what such a trial tells is about what lies outside. (Siivola, Vehtari, Vanhatalo, González and Andersen 2018,
//! "Correcting boundary over-exploration deficiencies in Bayesian optimization with virtual derivative sign observations", see the same and tell
//! the model which way is down.) Here an improvement counts by the square of the share of the neighbourhood that lies inside, which is that of a
//! logistic distribution around the point, along each number by itself.
//!
//! An optimum may lie at an edge. So only what lies further out than usual counts less, and what is usual is, geometrically, the mean of a point in
//! the middle and of the best results.

use super::features::{Kind, Layout, Points};

/// The distribution's scale in length scales: its deviation is about half of one.
const SCALE: f64 = 0.3;
/// Scales beyond which all points have as good as the same share.
const WIDEST: f64 = 6.0;
/// Of the share, by which an improvement counts.
const POWER: f64 = 2.0;
/// Results of which the usual is made.
const USUAL: usize = 3;

/// The edges of a space as a model sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Edges {
    numbers: Vec<Number>,
}

/// A number that is always active.
#[derive(Clone, Debug)]
struct Number {
    dimension: usize,
    column: usize,
    near: Near,
    /// Below the middle, and above it.
    usual: [Usual; 2],
}

#[derive(Clone, Copy, Debug)]
struct Usual {
    share: f64,
    /// How far from the edge it is.
    depth: f64,
}

/// What is near a number: a logistic distribution.
#[derive(Clone, Copy, Debug)]
struct Near {
    scale: f64,
    /// exp(-1 / scale).
    across: f64,
}

impl Edges {
    /// For a model with these inverse squared length scales, one for each group, and the best results, encoded, the best first.
    pub(crate) fn new(layout: &Layout, weights: &[f64], best: &[&[f64]]) -> Self {
        let best = &best[..USUAL.min(best.len())];
        let numbers = layout.groups().iter().zip(weights).filter_map(|(group, weight)| {
            let scale = SCALE / weight.sqrt();
            if group.kind != Kind::Plain || scale > WIDEST {
                return None;
            }
            let near = Near {
                scale,
                across: (-1.0 / scale).exp(),
            };
            let usual = [false, true].map(|is_above| {
                let of_best = best.iter().map(|best| best[group.dimension]).map(|x| {
                    let x = if (x > 0.5) == is_above { x } else { 0.5 };
                    near.inside(x).ln()
                });
                let log = (near.inside(0.5).ln() + of_best.sum::<f64>()) / (1 + best.len()) as f64;
                near.usual(log.exp())
            });
            Some(Number {
                dimension: group.dimension,
                column: group.column,
                near,
                usual,
            })
        });
        Self {
            numbers: numbers.collect(),
        }
    }

    /// The logarithm of what counts at the `i`-th of `points`, that is of the square of the share, as a part of the usual one: 0 where it is not less.
    pub(crate) fn log_factor(&self, points: &Points, i: usize) -> f64 {
        // Each factor is a half at least: the product of a thousand still is a number.
        let shares = self
            .numbers
            .iter()
            .map(|number| number.share(points.column(number.column)[i]));
        POWER * shares.product::<f64>().ln()
    }

    /// The same at an encoded point. Calls `slope` with each dimension along which it changes, and its derivative.
    pub(crate) fn log_factor_with_slopes(&self, encoded: &[f64], mut slope: impl FnMut(usize, f64)) -> f64 {
        let shares = self.numbers.iter().map(|number| {
            let x = encoded[number.dimension];
            let share = number.share(x);
            if share < 1.0 {
                slope(number.dimension, POWER * number.near.log_inside_slope(x));
            }
            share.ln()
        });
        POWER * shares.sum::<f64>()
    }
}

impl Number {
    fn share(&self, x: f64) -> f64 {
        let usual = self.usual[usize::from(x > 0.5)];
        if x.min(1.0 - x) >= usual.depth {
            1.0
        } else {
            self.near.inside(x) / usual.share
        }
    }
}

impl Near {
    /// The share that lies between 0 and 1.
    fn inside(self, x: f64) -> f64 {
        let Some((near, far)) = self.tails(x) else {
            return 1.0;
        };
        (1.0 - self.across) / ((1.0 + near) * (1.0 + far))
    }

    /// Where so much lies inside: with the odds a beyond the nearer edge, those beyond the other are b = exp(-1 / scale) / a, and
    /// (1 + a) (1 + b) = (1 - a b) / share is a quadratic equation for a.
    fn usual(self, share: f64) -> Usual {
        let sum = (1.0 - self.across) / share - 1.0 - self.across;
        let near = 0.5 * (sum + (sum * sum - 4.0 * self.across).max(0.0).sqrt());
        // Near the middle the equation loses its digits, and where all lies inside a is 0.
        let depth = -self.scale * near.ln();
        Usual {
            share,
            depth: if depth.is_finite() {
                depth.clamp(0.0, 0.5)
            } else {
                0.5
            },
        }
    }

    /// The derivative of its logarithm.
    fn log_inside_slope(self, x: f64) -> f64 {
        let Some((near, far)) = self.tails(x) else {
            return 0.0;
        };
        let inwards = (near / (1.0 + near) - far / (1.0 + far)) / self.scale;
        if x > 0.5 { -inwards } else { inwards }
    }

    /// The odds of what lies beyond the nearer edge, and beyond the other one. None where both are as good as 0.
    fn tails(self, x: f64) -> Option<(f64, f64)> {
        /// Scales from an edge beyond which exp says nothing beside 1.
        const NOTHING: f64 = 40.0;
        let to_edge = x.min(1.0 - x) / self.scale;
        (to_edge < NOTHING).then(|| {
            let near = (-to_edge).exp();
            (near, self.across / near)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::cube;
    use super::*;

    const SCALES: [f64; 5] = [1e-3, 0.03, 0.15, 0.6, 5.0];

    fn near(scale: f64) -> Near {
        Near {
            scale,
            across: (-1.0 / scale).exp(),
        }
    }

    #[test]
    fn what_lies_inside_is_that_of_a_logistic_distribution() {
        let cumulative = |z: f64| 1.0 / (1.0 + (-z).exp());
        for scale in SCALES {
            for x in [0.0, 1e-3, 0.1, 0.4, 0.5, 0.77, 0.999, 1.0] {
                let expected = cumulative((1.0 - x) / scale) - cumulative(-x / scale);
                let found = near(scale).inside(x);
                assert!(
                    (found - expected).abs() < 1e-12,
                    "{scale} {x}: {found} {expected}"
                );
                let h = 1e-6 * scale;
                if h < x && x < 1.0 - h && (x - 0.5).abs() > h {
                    let numeric =
                        (near(scale).inside(x + h).ln() - near(scale).inside(x - h).ln()) / (2.0 * h);
                    let slope = near(scale).log_inside_slope(x);
                    assert!(
                        (slope - numeric).abs() < 1e-6 / scale,
                        "{scale} {x}: {slope} {numeric}"
                    );
                }
            }
        }
    }

    #[test]
    fn points_count_less_the_further_out_they_lie_unless_the_best_results_do() {
        let layout = Layout::new(&cube(2));
        let factor = |weights: &[f64], best: &[&[f64]], at: &[f64]| {
            let edges = Edges::new(&layout, weights, best);
            let factor = edges.log_factor(&Points::from_rows(&layout, [at]), 0);
            let alone = edges.log_factor_with_slopes(at, |_, _| ());
            assert!((factor - alone).abs() < 1e-12);
            factor
        };
        let (quarter, short) = (0.25_f64.ln(), [400.0, 400.0]);
        assert!(factor(&short, &[], &[0.5, 0.3]).abs() < 1e-3);
        // Half of what is near an edge lies outside, three quarters of what is near a corner.
        assert!((factor(&short, &[], &[0.0, 0.5]) - quarter).abs() < 1e-6);
        assert!((factor(&short, &[], &[0.0, 1.0]) - 2.0 * quarter).abs() < 1e-6);
        // A parameter that does not matter has no edges.
        assert!(factor(&[400.0, 1e-6], &[], &[0.5, 1.0]).abs() < 1e-12);
        // With one of two at the edge the usual is between them; that says nothing of the other edge.
        let at_edge: &[f64] = &[0.0, 0.5];
        assert!((factor(&short, &[at_edge], &[0.0, 0.5]) - 0.5 * quarter).abs() < 1e-6);
        assert!((factor(&short, &[at_edge], &[1.0, 0.5]) - quarter).abs() < 1e-6);
        let three = [at_edge, at_edge, at_edge, &[0.5, 0.5]];
        assert!((factor(&short, &three, &[0.0, 0.5]) - 0.25 * quarter).abs() < 1e-6);
        // Further inside than usual is not better than usual.
        assert!(factor(&short, &three, &[0.2, 0.5]).abs() < 1e-12);
        // The usual is where the best results are, with long length scales, too, of which the middle has neither edge far away.
        for weight in [400.0, 4.0, 0.25] {
            for x in [0.02, 0.1, 0.4, 0.97] {
                let edges = Edges::new(&layout, &[weight; 2], &[&[x, 0.5]]);
                let usual = edges.numbers[0].usual[usize::from(x > 0.5)];
                let near = edges.numbers[0].near;
                let expected = (near.inside(x) * near.inside(0.5)).sqrt();
                assert!((usual.share - expected).abs() < 1e-12);
                assert!(
                    (near.inside(usual.depth) / usual.share - 1.0).abs() < 1e-6,
                    "{weight} {x}"
                );
            }
        }
    }

    #[test]
    fn a_corner_of_a_thousand_numbers_still_counts() {
        let layout = Layout::new(&cube(1000));
        let edges = Edges::new(&layout, &[400.0; 1000], &[]);
        let factor = edges.log_factor(&Points::from_rows(&layout, [&[0.0; 1000][..]]), 0);
        assert!((factor - 1000.0 * 0.25_f64.ln()).abs() < 1e-3, "{factor}");
    }
}
