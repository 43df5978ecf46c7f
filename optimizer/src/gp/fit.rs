//! Fitting a Gaussian process's hyperparameters: the maximum of their posterior, by gradients.
//!
//! The model: a constant mean; covariance `s2 k(sum_k D_k / l_k^2)` with a [`Kernel`] `k` of the squared distances D_k of [`super::features`]; that of
//! a [`Trend`] and independent noise, both as a share of `s2`. Mean and `s2` are always the best ones for the other parameters (variable projection, Golub and Pereyra 1973): the descent
//! is over these alone, and does not have to follow the narrow valley along which `s2` and a length scale grow together. Priors on the logarithms are normal:
//!
//! * length scales around the width of the space, whatever the number of parameters: most functions of many parameters depend on few of
//!   them, and the data say on which (unlike Hvarfner, Hellsten and Nardi 2024, who let all of them grow with it);
//! * amplitude around that of the standardised outcomes;
//! * noise small but not excluded;
//! * the trend small beside what varies from place to place, but not if the data say otherwise.

use ndarray::{Array1, Array2};

use super::features::{Layout, Points};
use super::kernel::Kernel;
use super::trend::Trend;
use crate::lapack;
use crate::lbfgs::{Limits, minimize};

/// Smallest variance of the noise, as a share of the function's: keeps the matrices well conditioned.
pub(crate) const LEAST_NOISE: f64 = 1e-8;
/// Range of logarithms of hyperparameters.
const LOG_RANGE: (f64, f64) = (-18.5, 12.0);

/// Hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hyper {
    pub(crate) kernel: Kernel,
    /// Inverse squared length scale of each group.
    pub(crate) weights: Vec<f64>,
    /// Variance of the function beside its trend.
    pub(crate) amplitude: f64,
    /// Variance of the noise.
    pub(crate) noise: f64,
    /// Variance of the trend ([`Trend::new`]), as a share of the amplitude.
    pub(crate) trend: f64,
}

/// Priors, normal in the logarithm: mean and standard deviation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priors {
    pub(crate) length: (f64, f64),
    pub(crate) amplitude: (f64, f64),
    pub(crate) noise: (f64, f64),
    pub(crate) trend: (f64, f64),
}

impl Default for Priors {
    fn default() -> Self {
        Self {
            length: (0.0, 1.0),
            amplitude: (0.0, 1.0),
            noise: (-9.0, 3.0),
            trend: (-3.0, 2.0),
        }
    }
}

/// Evaluations of a descent at most: from where the priors suggest, and from near the optimum.
const EVALUATIONS: (usize, usize) = (40, 20);
/// Results up to which a descent goes on until nothing that counts is left: it costs little, and with few results a small difference shows.
const EXACT: usize = 40;
/// Logarithm of the noise's share of the amplitude that a descent begins with.
const FIRST_NOISE: f64 = -4.5;

/// Fits hyperparameters to outcomes of mean about 0 and variance about 1. Also the logarithm of the posterior there.
///
/// `near` are hyperparameters to begin with instead of those that the priors suggest: several beginnings hardly ever lead to different optima, since the
/// amplitude is always the best one for the others. None if the covariance matrix cannot be used where the descent begins.
pub(crate) fn fit(
    layout: &Layout,
    points: &Points,
    outcomes: &[f64],
    kernel: Kernel,
    priors: &Priors,
    near: Option<&Hyper>,
) -> Option<(Hyper, f64)> {
    let mut problem = Problem::new(layout, points, outcomes, kernel, priors);
    let limits = Limits {
        evaluations: if near.is_none() {
            EVALUATIONS.0
        } else {
            EVALUATIONS.1
        },
        gradient: 1e-3,
        improvement: if points.len() <= EXACT { 1e-3 } else { 3e-2 },
        first_step: 0.5,
    };
    let start = near.map_or_else(
        || {
            let lengths = std::iter::repeat_n(priors.length.0, layout.groups().len());
            lengths.chain([FIRST_NOISE, priors.trend.0]).collect()
        },
        pack,
    );
    let mut seen: Vec<(f64, f64)> = Vec::new();
    let best = minimize(&start, LOG_RANGE, limits, |theta, gradient| {
        let (value, scale) = problem.evaluate(theta, None, gradient)?;
        seen.push((value, scale));
        Some(value)
    })?;
    let (value, scale) = seen
        .into_iter()
        .find(|(value, _)| value.total_cmp(&best.value).is_eq())?;
    Some((unpack(&best.x, scale, kernel), -value))
}

fn pack(hyper: &Hyper) -> Vec<f64> {
    let lengths = hyper.weights.iter().map(|weight| -0.5 * weight.ln());
    let noise = (hyper.noise / hyper.amplitude - LEAST_NOISE).max(LEAST_NOISE);
    lengths.chain([noise.ln(), hyper.trend.ln()]).collect()
}

fn unpack(theta: &[f64], scale: f64, kernel: Kernel) -> Hyper {
    let groups = theta.len() - 2;
    Hyper {
        kernel,
        weights: theta[..groups]
            .iter()
            .map(|length| (-2.0 * length).exp())
            .collect(),
        amplitude: scale.exp(),
        noise: scale.exp() * (theta[groups].exp() + LEAST_NOISE),
        trend: theta[groups + 1].exp(),
    }
}

/// The negative logarithm of the posterior of the hyperparameters, with its gradient.
pub(crate) struct Problem<'a> {
    layout: &'a Layout,
    points: &'a Points,
    outcomes: Array1<f64>,
    kernel: Kernel,
    priors: &'a Priors,
    row: Vec<f64>,
    /// Covariances of a trend of variance 1, shape `(n, n)`.
    trend: Array2<f64>,
    /// Slope of the kernel for each pair, shape `(n, n)`.
    slopes: Array2<f64>,
}

impl<'a> Problem<'a> {
    pub(crate) fn new(
        layout: &'a Layout,
        points: &'a Points,
        outcomes: &[f64],
        kernel: Kernel,
        priors: &'a Priors,
    ) -> Self {
        let n = points.len();
        Self {
            layout,
            points,
            outcomes: Array1::from(outcomes.to_vec()),
            kernel,
            priors,
            row: vec![0.0; n],
            trend: Trend::new(layout, 1.0).among(layout, points),
            slopes: Array2::zeros((n, n)),
        }
    }

    /// The value at `theta`, the logarithms of the length scales and of the noise's and the trend's share of the amplitude, and the logarithm of the amplitude: the best one
    /// for `theta`, or `scale`.
    pub(crate) fn evaluate(
        &mut self,
        theta: &[f64],
        scale: Option<f64>,
        gradient: &mut [f64],
    ) -> Option<(f64, f64)> {
        let n = self.points.len();
        let groups = theta.len() - 2;
        // Of what is in units of the amplitude.
        let hyper = unpack(theta, 0.0, self.kernel);
        let mut covariance = &self.trend * hyper.trend;
        for i in 0..n {
            self.points
                .distances(self.layout, &hyper.weights, i, self.points, &mut self.row[..=i]);
            for j in 0..i {
                let (value, slope) = self.kernel.both(self.row[j]);
                covariance[(i, j)] += value;
                covariance[(j, i)] += value;
                self.slopes[(i, j)] = slope;
                self.slopes[(j, i)] = slope;
            }
            covariance[(i, i)] += 1.0 + hyper.noise;
        }
        let (inverse, log_root) = lapack::inverse(covariance)?;

        let ones = inverse.sum_axis(ndarray::Axis(1));
        let mean = ones.dot(&self.outcomes) / ones.sum();
        let centred = &self.outcomes - mean;
        let alpha = inverse.dot(&centred);
        let (count, squares, noise) = (n as f64, centred.dot(&alpha), theta[groups]);
        let scale = scale.unwrap_or_else(|| self.best_scale(squares, noise));
        let amplitude = scale.exp();
        let mut value =
            0.5 * squares / amplitude + log_root + 0.5 * count * (scale + (2.0 * std::f64::consts::PI).ln());

        // 1/2 sum of (K^-1 - alpha alpha^T) times the derivative of K. That by the amplitude is 0 where it is the best one.
        let mut outer = inverse;
        for (mut row, a) in outer.rows_mut().into_iter().zip(&alpha) {
            row.scaled_add(-a / amplitude, &alpha);
        }
        gradient[groups] = 0.5 * noise.exp() * outer.diag().sum();
        let by_trend: f64 = outer.iter().zip(&self.trend).map(|(a, b)| a * b).sum();
        gradient[groups + 1] = 0.5 * hyper.trend * by_trend;
        outer *= &self.slopes;
        let sums = self.points.weighted_sums(self.layout, &outer);
        for k in 0..groups {
            gradient[k] = -hyper.weights[k] * sums[k];
        }

        let priors = self.priors;
        let mut believe = |x: f64, (mean, deviation): (f64, f64)| {
            let z = (x - mean) / deviation;
            value += 0.5 * z * z;
            z / deviation
        };
        for (theta, gradient) in theta.iter().zip(gradient.iter_mut()).take(groups) {
            *gradient += believe(*theta, priors.length);
        }
        believe(scale, priors.amplitude);
        gradient[groups] += believe(scale + noise, priors.noise);
        gradient[groups + 1] += believe(theta[groups + 1], priors.trend);
        Some((value, scale))
    }

    /// The logarithm of the best amplitude, by Newton's method, where `squares` is what the outcomes come to in units of it, and `noise` the logarithm of the
    /// noise's share: all that depends on it is convex.
    fn best_scale(&self, squares: f64, noise: f64) -> f64 {
        const STEPS: usize = 30;
        let half = 0.5 * self.points.len() as f64;
        let priors = [
            self.priors.amplitude,
            (self.priors.noise.0 - noise, self.priors.noise.1),
        ];
        let mut scale = (0.5 * squares / half).ln().clamp(LOG_RANGE.0, LOG_RANGE.1);
        for _ in 0..STEPS {
            let fit = 0.5 * squares * (-scale).exp();
            let (mut slope, mut curvature) = (half - fit, fit);
            for (mean, deviation) in priors {
                slope += (scale - mean) / (deviation * deviation);
                curvature += 1.0 / (deviation * deviation);
            }
            let step = slope / curvature;
            scale = (scale - step).clamp(LOG_RANGE.0, LOG_RANGE.1);
            if step.abs() < 1e-10 {
                break;
            }
        }
        scale
    }
}
