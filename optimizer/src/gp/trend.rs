//! A trend over the whole space, which a model holds beside what varies from place to place.
//!
//! Results of trainings often get worse on all sides of the best ones, or in one direction throughout. A process whose correlations end a length scale away
//! has to learn that everywhere anew; a polynomial has not. So each number that is always active has two terms, linear and quadratic (the first two
//! Legendre polynomials but for their factors), whose coefficients are normal and independent, as a covariance that is added to the kernel's (explicit
//! basis functions: Rasmussen and Williams 2006, section 2.7). Their variance, as a share of the function's divided by the number of groups, is fitted.

use ndarray::Array2;

use super::features::{Kind, Layout, Points};

/// Terms of each number.
pub(crate) const TERMS: usize = 2;
/// Mean of a line's square over the space, from which the parabola counts.
const MEAN: f64 = 1.0 / 3.0;

/// The terms at an encoded number, from 0 to 1.
pub(crate) fn terms(x: f64) -> [f64; TERMS] {
    let z = 2.0 * x - 1.0;
    [z, z * z - MEAN]
}

/// Their derivatives.
fn slopes(x: f64) -> [f64; TERMS] {
    [2.0, 4.0 * (2.0 * x - 1.0)]
}

/// A trend, by what it adds to covariances.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Trend {
    /// Variance of a coefficient.
    variance: f64,
}

impl Trend {
    /// Of `variance` divided by the number of groups for each coefficient.
    pub(crate) fn new(layout: &Layout, variance: f64) -> Self {
        Self {
            variance: variance / layout.groups().len().max(1) as f64,
        }
    }

    /// Adds the covariances of point `i` of `at` with each of `known` to `out`.
    pub(crate) fn add(self, at: &Points, i: usize, known: &Points, out: &mut [f64]) {
        for (ours, theirs) in at.terms().iter().zip(known.terms()) {
            let factor = self.variance * ours[i];
            for (sum, term) in out.iter_mut().zip(theirs) {
                *sum += factor * term;
            }
        }
    }

    /// The covariances among points, shape `(n, n)`.
    pub(crate) fn among(self, points: &Points) -> Array2<f64> {
        let terms = points.terms();
        let all = Array2::from_shape_fn((points.len(), terms.len()), |(i, k)| terms[k][i]);
        all.dot(&all.t()) * self.variance
    }

    /// The variance at point `i` of `at`.
    pub(crate) fn variance(self, at: &Points, i: usize) -> f64 {
        self.variance * at.terms().iter().map(|term| term[i] * term[i]).sum::<f64>()
    }

    /// Calls `add` with each dimension along which there is a trend, the derivative of what the covariances with `known`, times each of `factors`, come to,
    /// and that of the variance.
    pub(crate) fn slopes<const N: usize>(
        self,
        layout: &Layout,
        encoded: &[f64],
        known: &Points,
        factors: [&[f64]; N],
        mut add: impl FnMut(usize, [f64; N], f64),
    ) {
        let plain = layout.groups().iter().filter(|group| group.kind == Kind::Plain);
        for (group, theirs) in plain.zip(known.terms().chunks_exact(TERMS)) {
            let x = encoded[group.dimension];
            let (terms, slopes) = (terms(x), slopes(x));
            let sums = factors.map(|factors| {
                let of_term = |(slope, theirs): (f64, &Vec<f64>)| {
                    let both = theirs.iter().zip(factors);
                    slope * both.map(|(term, factor)| term * factor).sum::<f64>()
                };
                self.variance * slopes.into_iter().zip(theirs).map(of_term).sum::<f64>()
            });
            let own: f64 = terms.iter().zip(slopes).map(|(term, slope)| term * slope).sum();
            add(group.dimension, sums, 2.0 * self.variance * own);
        }
    }
}
