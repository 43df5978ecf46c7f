//! A Gaussian process conditioned on outcomes: mean and variance anywhere, and their gradients.
//!
//! The points come first, the outcomes after them ([`Posterior::condition`]), since outcomes are scaled anew whenever one is added and the
//! costly part, a factor of the covariance matrix, depends on the points alone. Points that are appended leave the factor of those
//! before them as it was: appending and going back cost O(n^2).

use ndarray::{Array1, Array2, ArrayView1, Axis, s};

use super::features::{Kind, Layout, Points};
use super::fit::{Hyper, LEAST_NOISE};
use super::trend::Trend;
use crate::lapack;

/// Variance below which a prediction counts as certain, as a share of the amplitude.
const LEAST_VARIANCE: f64 = 1e-12;

/// The posterior.
#[derive(Clone, Debug)]
pub(crate) struct Posterior {
    hyper: Hyper,
    /// In the outcomes' units.
    trend: Trend,
    points: Points,
    mean: f64,
    /// By rows: inverse of the covariance's lower Cholesky factor in its upper left corner of shape `(n, n)`; there may be room for more.
    inverse_factor: Array2<f64>,
    /// Its rows' sums, shape `(n,)`.
    row_sums: Vec<f64>,
    /// Inverse covariance times what outcomes differ from the mean, shape `(n,)`.
    alpha: Array1<f64>,
}

impl Posterior {
    /// The process at these points, its outcomes still to come. None if the covariance matrix has no Cholesky factor even with
    /// more noise.
    pub(crate) fn new(layout: &Layout, points: Points, hyper: Hyper) -> Option<Self> {
        let n = points.len();
        let trend = Trend::new(layout, hyper.amplitude * hyper.trend);
        let mut covariance = trend.among(layout, &points);
        let mut row = vec![0.0; n];
        for i in 0..n {
            points.distances(layout, &hyper.weights, i, &points, &mut row[..=i]);
            for j in 0..i {
                let value = hyper.amplitude * hyper.kernel.value(row[j]);
                covariance[(i, j)] += value;
                covariance[(j, i)] += value;
            }
            covariance[(i, i)] += hyper.amplitude + hyper.noise;
        }
        let factor = lapack::cholesky(&covariance).or_else(|| {
            let more = 1e4 * LEAST_NOISE * hyper.amplitude.max(1.0);
            covariance.diag_mut().mapv_inplace(|x| x + more);
            lapack::cholesky(&covariance)
        });
        let inverse_factor = lapack::inverse_of_lower(&factor?);
        if inverse_factor.iter().any(|x| !x.is_finite()) {
            return None;
        }
        Some(Self {
            hyper,
            trend,
            points,
            mean: 0.0,
            row_sums: inverse_factor.sum_axis(Axis(1)).to_vec(),
            inverse_factor,
            alpha: Array1::zeros(n),
        })
    }

    /// The model's inverse squared length scales, one for each group.
    pub(crate) fn weights(&self) -> &[f64] {
        &self.hyper.weights
    }

    /// The function's variance beside its trend where nothing is known.
    pub(crate) fn amplitude(&self) -> f64 {
        self.hyper.amplitude
    }

    /// The noise's variance as a share of the amplitude.
    pub(crate) fn noise_share(&self) -> f64 {
        self.hyper.noise / self.hyper.amplitude
    }

    pub(crate) fn len(&self) -> usize {
        self.points.len()
    }

    /// What the inverse factor makes of a vector of shape `(n,)`, and what its transpose makes of that: the inverse covariance times
    /// the vector. In one pass over the factor, which for many points is larger than a processor's caches.
    fn solve(&self, vector: &[f64], whitened: &mut Vec<f64>, solved: &mut Vec<f64>) {
        whitened.clear();
        solved.clear();
        solved.resize(vector.len(), 0.0);
        let rows = self.inverse_factor.rows().into_iter().take(vector.len());
        for (i, row) in rows.enumerate() {
            let Some(row) = row.to_slice().map(|row| &row[..=i]) else {
                unreachable!("the inverse factor lies by rows");
            };
            let white = dot(row, &vector[..=i]);
            for (sum, x) in solved.iter_mut().zip(row) {
                *sum += white * x;
            }
            whitened.push(white);
        }
    }

    /// Covariances of the function at point `i` of `at` with it at each of `with`, written to `out`.
    fn covariances(&self, layout: &Layout, at: &Points, i: usize, with: &Points, out: &mut [f64]) {
        at.distances(layout, &self.hyper.weights, i, with, out);
        for value in &mut *out {
            *value = self.hyper.amplitude * self.hyper.kernel.value(*value);
        }
        self.trend.add(layout, at, i, with, out);
    }

    /// The function's variance at point `i` of `at` where nothing is known.
    fn prior_variance(&self, layout: &Layout, at: &Points, i: usize) -> f64 {
        self.hyper.amplitude + self.trend.variance(layout, at, i)
    }

    /// Appends a point. Its outcome is taken to be what the model expects there, until [`Self::condition`] says otherwise: the mean
    /// stays as it is everywhere, the variance around the point shrinks. Returns that outcome.
    pub(crate) fn append(&mut self, layout: &Layout, encoded: &[f64]) -> f64 {
        let n = self.len();
        let at = Points::from_rows(layout, [encoded]);
        let mut covariance = vec![0.0; n];
        self.covariances(layout, &at, 0, &self.points, &mut covariance);
        let expected = self.mean + ArrayView1::from(&covariance).dot(&self.alpha);
        let (mut whitened, mut last) = (Vec::new(), Vec::new());
        self.solve(&covariance, &mut whitened, &mut last);
        let total = self.prior_variance(layout, &at, 0) + self.hyper.noise;
        let left = (total - dot(&whitened, &whitened)).max(LEAST_NOISE * total);
        let corner = 1.0 / left.sqrt();
        for x in &mut last {
            *x *= -corner;
        }
        if self.inverse_factor.nrows() == n {
            let mut roomier = Array2::zeros((n + n / 8 + 8, n + n / 8 + 8));
            roomier.slice_mut(s![..n, ..n]).assign(&self.inverse_factor);
            self.inverse_factor = roomier;
        }
        self.row_sums.push(last.iter().sum::<f64>() + corner);
        self.inverse_factor
            .slice_mut(s![n, ..n])
            .assign(&ArrayView1::from(&last));
        self.inverse_factor.slice_mut(s![..=n, n]).fill(0.0);
        self.inverse_factor[(n, n)] = corner;
        self.points.push(layout, encoded);
        let mut alpha = std::mem::take(&mut self.alpha).to_vec();
        alpha.push(0.0);
        self.alpha = Array1::from(alpha);
        expected
    }

    /// Forgets all points but the first `n`. Their outcomes are to be given again.
    pub(crate) fn truncate(&mut self, n: usize) {
        self.points.truncate(n);
        self.row_sums.truncate(n);
        self.alpha = Array1::zeros(self.points.len());
    }

    /// Conditions on the outcomes of all points. False if they are not usable.
    pub(crate) fn condition(&mut self, outcomes: &[f64]) -> bool {
        // The best constant mean: generalised least squares. Its whitened ones are the sums of the rows.
        let (mut whitened, mut solved) = (Vec::new(), Vec::new());
        self.solve(outcomes, &mut whitened, &mut solved);
        let ones = &self.row_sums;
        let mean = dot(ones, &whitened) / dot(ones, ones);
        let centred: Vec<f64> = outcomes.iter().map(|y| y - mean).collect();
        self.solve(&centred, &mut whitened, &mut solved);
        let alpha = Array1::from(solved);
        if !mean.is_finite() || alpha.iter().any(|a| !a.is_finite()) {
            return false;
        }
        self.mean = mean;
        self.alpha = alpha;
        true
    }

    /// Mean and variance of the function, without noise, at each of `at`.
    pub(crate) fn predict(&self, layout: &Layout, at: &Points) -> Vec<(f64, f64)> {
        /// Points whose covariances are held at once.
        const BLOCK: usize = 256;
        /// Rows of the triangular factor that are multiplied at once, up to their last entry that is not 0.
        const ROWS: usize = 128;
        let n = self.len();
        let mut predictions = Vec::with_capacity(at.len());
        let mut covariances = Array2::<f64>::zeros((BLOCK.min(at.len()), n));
        for start in (0..at.len()).step_by(BLOCK) {
            let rows = BLOCK.min(at.len() - start);
            let mut block = covariances.slice_mut(s![..rows, ..]);
            for (i, mut row) in (start..).zip(block.rows_mut()) {
                if let Some(row) = row.as_slice_mut() {
                    self.covariances(layout, at, i, &self.points, row);
                }
            }
            let means = block.dot(&self.alpha);
            let mut explained = vec![0.0; rows];
            for first in (0..n).step_by(ROWS) {
                let end = n.min(first + ROWS);
                let factor = self.inverse_factor.slice(s![first..end, ..end]);
                let whitened = block.slice(s![.., ..end]).dot(&factor.t());
                for (sum, whitened) in explained.iter_mut().zip(whitened.rows()) {
                    *sum += whitened.dot(&whitened);
                }
            }
            predictions.extend(
                (start..)
                    .zip(means.iter().zip(explained))
                    .map(|(i, (mean, explained))| {
                        let variance = self.left_variance(self.prior_variance(layout, at, i), explained);
                        (self.mean + mean, variance)
                    }),
            );
        }
        predictions
    }

    /// Mean of the function at each of `at`, shape `(m,)`, and its covariance among them, shape `(m, m)`. Without noise.
    pub(crate) fn joint(&self, layout: &Layout, at: &Points) -> (Array1<f64>, Array2<f64>) {
        let (m, n) = (at.len(), self.len());
        let covariances = |with: &Points| {
            let mut all = Array2::<f64>::zeros((m, with.len()));
            for (i, mut row) in all.rows_mut().into_iter().enumerate() {
                if let Some(row) = row.as_slice_mut() {
                    self.covariances(layout, at, i, with, row);
                }
            }
            all
        };
        let known = covariances(&self.points);
        let mean = known.dot(&self.alpha) + self.mean;
        let whitened = known.dot(&self.inverse_factor.slice(s![..n, ..n]).t());
        (mean, covariances(at) - whitened.dot(&whitened.t()))
    }

    /// Mean of the function at each of `at`, which costs less than its variance.
    pub(crate) fn means(&self, layout: &Layout, at: &Points) -> Vec<f64> {
        let mut row = vec![0.0; self.len()];
        let mean = |i| {
            self.covariances(layout, at, i, &self.points, &mut row);
            self.mean + ArrayView1::from(&row).dot(&self.alpha)
        };
        (0..at.len()).map(mean).collect()
    }

    /// Means at the points known.
    pub(crate) fn fitted(&self, outcomes: &[f64]) -> Vec<f64> {
        // K alpha = y - m - noise alpha.
        let noise = self.hyper.noise;
        outcomes
            .iter()
            .zip(&self.alpha)
            .map(|(y, alpha)| y - noise * alpha)
            .collect()
    }

    fn left_variance(&self, prior: f64, explained: f64) -> f64 {
        (prior - explained).max(LEAST_VARIANCE * self.hyper.amplitude)
    }

    /// Mean and variance at one point with their gradients with respect to the encoded coordinates of the plain and arc groups.
    /// The gradients have shape `(d,)`, 0 for categories and inactive parameters.
    pub(crate) fn predict_with_gradient(
        &self,
        layout: &Layout,
        encoded: &[f64],
        mean_gradient: &mut [f64],
        variance_gradient: &mut [f64],
        scratch: &mut Scratch,
    ) -> (f64, f64) {
        let n = self.len();
        let amplitude = self.hyper.amplitude;
        scratch.row.resize(n, 0.0);
        scratch.slopes.resize(n, 0.0);
        let at = Points::from_rows(layout, [encoded]);
        at.distances(layout, &self.hyper.weights, 0, &self.points, &mut scratch.row);
        for (value, slope) in scratch.row.iter_mut().zip(&mut scratch.slopes) {
            let (k, k_slope) = self.hyper.kernel.both(*value);
            *value = amplitude * k;
            *slope = amplitude * k_slope;
        }
        self.trend.add(layout, &at, 0, &self.points, &mut scratch.row);
        let covariance = ArrayView1::from(&scratch.row[..]);
        let mean = self.mean + covariance.dot(&self.alpha);
        self.solve(&scratch.row, &mut scratch.whitened, &mut scratch.pull);
        let explained = dot(&scratch.whitened, &scratch.whitened);
        let variance = self.left_variance(self.prior_variance(layout, &at, 0), explained);
        mean_gradient.fill(0.0);
        variance_gradient.fill(0.0);
        for group in layout.groups().iter().filter(|group| group.kind == Kind::Plain) {
            // What the covariances were has been used.
            let (x, known, slopes) = (
                encoded[group.dimension],
                self.points.column(group.column),
                &mut scratch.row,
            );
            let of_variance = self.trend.slopes(x, known, slopes);
            mean_gradient[group.dimension] = ArrayView1::from(&slopes[..]).dot(&self.alpha);
            variance_gradient[group.dimension] = of_variance - 2.0 * dot(slopes, &scratch.pull);
        }
        // Each point's share in the slopes of mean and variance.
        for ((slope, pull), alpha) in scratch.slopes.iter_mut().zip(&mut scratch.pull).zip(&self.alpha) {
            *pull *= *slope;
            *slope *= alpha;
        }
        for (group, weight) in layout.groups().iter().zip(&self.hyper.weights) {
            if matches!(group.kind, Kind::Category | Kind::Fidelity) {
                continue;
            }
            let x = encoded[group.dimension];
            if x.is_nan() {
                continue;
            }
            let derivatives = &mut scratch.row;
            match group.kind {
                Kind::Plain => {
                    for (derivative, y) in derivatives.iter_mut().zip(self.points.column(group.column)) {
                        *derivative = 2.0 * (x - y);
                    }
                }
                Kind::Arc => {
                    let (sin, cos) = x.sin_cos();
                    let others = self.points.column(group.column).iter();
                    let others = others.zip(self.points.column(group.column + 1));
                    for (derivative, (other_cos, other_sin)) in derivatives.iter_mut().zip(others) {
                        // |(cos x, sin x) - o|^2 changes by 2 (sin x o_1 - cos x o_2); not at all towards the centre.
                        *derivative = 2.0 * (sin * other_cos - cos * other_sin);
                    }
                }
                Kind::Category | Kind::Fidelity => {}
            }
            let along_mean = dot(derivatives, &scratch.slopes);
            let along_variance = dot(derivatives, &scratch.pull);
            mean_gradient[group.dimension] += weight * along_mean;
            variance_gradient[group.dimension] -= 2.0 * weight * along_variance;
        }
        (mean, variance)
    }
}

/// Memory that predictions with gradients use again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    row: Vec<f64>,
    slopes: Vec<f64>,
    whitened: Vec<f64>,
    pull: Vec<f64>,
}

/// Scalar product, in an order that lets processors do several terms at once.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    ArrayView1::from(a).dot(&ArrayView1::from(b))
}
