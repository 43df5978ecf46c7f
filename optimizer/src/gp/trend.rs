//! A trend over the whole space, which a model holds beside what varies from place to place.
//!
//! Results of trainings often get worse on all sides of the best ones, or in one direction throughout. A process whose correlations end a length scale away
//! has to learn that everywhere anew; a polynomial has not. So each number that is always active has two terms, linear and quadratic (the first two
//! Legendre polynomials but for their factors), whose coefficients are normal and independent, as a covariance that is added to the kernel's (explicit
//! basis functions: Rasmussen and Williams 2006, section 2.7). Their variance, as a share of the function's divided by the number of groups, is fitted.

use ndarray::Array2;

use super::features::{Group, Kind, Layout, Points};

/// Mean of a line's square over the space, from which the parabola counts.
const MEAN: f64 = 1.0 / 3.0;

/// Line and parabola at an encoded number, from 0 to 1.
fn terms(x: f64) -> (f64, f64) {
    let line = 2.0 * x - 1.0;
    (line, line * line - MEAN)
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
    pub(crate) fn add(self, layout: &Layout, at: &Points, i: usize, known: &Points, out: &mut [f64]) {
        for group in plain(layout) {
            let (line, parabola) = terms(at.column(group.column)[i]);
            let (line, parabola) = (self.variance * line, self.variance * parabola);
            for (sum, x) in out.iter_mut().zip(known.column(group.column)) {
                let (known_line, known_parabola) = terms(*x);
                *sum += line * known_line + parabola * known_parabola;
            }
        }
    }

    /// The covariances among points, shape `(n, n)`.
    pub(crate) fn among(self, layout: &Layout, points: &Points) -> Array2<f64> {
        let columns: Vec<&[f64]> = plain(layout).map(|group| points.column(group.column)).collect();
        let all = Array2::from_shape_fn((points.len(), 2 * columns.len()), |(i, k)| {
            let (line, parabola) = terms(columns[k / 2][i]);
            if k % 2 == 0 { line } else { parabola }
        });
        all.dot(&all.t()) * self.variance
    }

    /// The variance at point `i` of `at`.
    pub(crate) fn variance(self, layout: &Layout, at: &Points, i: usize) -> f64 {
        let squares = plain(layout).map(|group| {
            let (line, parabola) = terms(at.column(group.column)[i]);
            line * line + parabola * parabola
        });
        self.variance * squares.sum::<f64>()
    }

    /// Writes the derivatives by a number at `x` of its covariances with numbers `known` to `out`, and returns that of its variance.
    pub(crate) fn slopes(self, x: f64, known: &[f64], out: &mut [f64]) -> f64 {
        let (line, parabola) = terms(x);
        let (by_line, by_parabola) = (2.0 * self.variance, 4.0 * line * self.variance);
        for (slope, x) in out.iter_mut().zip(known) {
            let (known_line, known_parabola) = terms(*x);
            *slope = by_line * known_line + by_parabola * known_parabola;
        }
        2.0 * (by_line * line + by_parabola * parabola)
    }
}

/// Those that have a trend.
fn plain(layout: &Layout) -> impl Iterator<Item = &Group> {
    layout.groups().iter().filter(|group| group.kind == Kind::Plain)
}
