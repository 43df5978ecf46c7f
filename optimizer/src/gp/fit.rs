//! Fitting a Gaussian process's hyperparameters: the maximum of their posterior, by gradients.
//!
//! The model: a constant mean, which is always the best one for the other parameters; covariance `s2 k(sum_k D_k / l_k^2)` with a [`Kernel`] `k` of
//! the squared distances D_k of [`super::features`]; independent noise. Priors on the logarithms are normal:
//!
//! * length scales around the width of the space, whatever the number of parameters: most functions of many parameters depend on few of
//!   them, and the data say on which (unlike Hvarfner, Hellsten and Nardi 2024, who let all of them grow with it);
//! * amplitude around that of the standardised outcomes;
//! * noise small but not excluded.

use ndarray::{Array1, Array2};

use super::features::{Layout, Points};
use super::kernel::Kernel;
use crate::lapack;
use crate::lbfgs::{Limits, minimize};

/// Smallest variance of the noise, as a share of the outcomes' variance: keeps the matrices well conditioned.
pub(crate) const LEAST_NOISE: f64 = 1e-8;
/// Range of logarithms of hyperparameters.
const LOG_RANGE: (f64, f64) = (-18.5, 12.0);

/// Hyperparameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Hyper {
    pub(crate) kernel: Kernel,
    /// Inverse squared length scale of each group.
    pub(crate) weights: Vec<f64>,
    /// Variance of the function.
    pub(crate) amplitude: f64,
    /// Variance of the noise.
    pub(crate) noise: f64,
}

/// Priors, normal in the logarithm: mean and standard deviation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Priors {
    pub(crate) length: (f64, f64),
    pub(crate) amplitude: (f64, f64),
    pub(crate) noise: (f64, f64),
}

impl Default for Priors {
    fn default() -> Self {
        Self {
            length: (0.0, 1.0),
            amplitude: (0.0, 1.0),
            noise: (-9.0, 3.0),
        }
    }
}

/// How much work a fit may be.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Descents.
    pub(crate) starts: usize,
    /// Evaluations of each descent.
    pub(crate) evaluations: usize,
}

/// Fits hyperparameters to outcomes of mean about 0 and variance about 1. Also the logarithm of the posterior there.
///
/// `near` are hyperparameters to begin with instead of those that the priors suggest. None if no start has a usable covariance
/// matrix.
pub(crate) fn fit(
    layout: &Layout,
    points: &Points,
    outcomes: &[f64],
    kernel: Kernel,
    priors: &Priors,
    near: Option<&Hyper>,
    effort: Effort,
) -> Option<(Hyper, f64)> {
    let groups = layout.groups().len();
    let mut problem = Problem::new(layout, points, outcomes, kernel, priors);
    let mut starts: Vec<(f64, Vec<f64>)> = Vec::new();
    let mut consider = |theta: Vec<f64>| {
        let mut gradient = vec![0.0; groups + 2];
        if let Some(value) = problem.evaluate(&theta, &mut gradient) {
            starts.push((value, theta));
        }
    };
    match near {
        Some(near) => consider(pack(near)),
        None => {
            for shift in [-1.0, 0.0, 1.0] {
                for noise in [-9.0, -3.0] {
                    let mut theta = vec![priors.length.0 + shift; groups];
                    theta.extend([0.0, noise]);
                    consider(theta);
                }
            }
        }
    }
    starts.sort_by(|a, b| a.0.total_cmp(&b.0));
    let limits = Limits {
        evaluations: effort.evaluations,
        gradient: 1e-3,
        improvement: 1e-3,
        first_step: 0.5,
    };
    let descents = starts.into_iter().take(effort.starts).filter_map(|(_, theta)| {
        minimize(&theta, LOG_RANGE, limits, |theta, gradient| {
            problem.evaluate(theta, gradient)
        })
    });
    let best = descents.min_by(|a, b| a.value.total_cmp(&b.value))?;
    Some((unpack(&best.x, kernel), -best.value))
}

fn pack(hyper: &Hyper) -> Vec<f64> {
    let lengths = hyper.weights.iter().map(|weight| -0.5 * weight.ln());
    let noise = (hyper.noise - LEAST_NOISE).max(LEAST_NOISE);
    lengths.chain([hyper.amplitude.ln(), noise.ln()]).collect()
}

fn unpack(theta: &[f64], kernel: Kernel) -> Hyper {
    let groups = theta.len() - 2;
    Hyper {
        kernel,
        weights: theta[..groups]
            .iter()
            .map(|length| (-2.0 * length).exp())
            .collect(),
        amplitude: theta[groups].exp(),
        noise: theta[groups + 1].exp() + LEAST_NOISE,
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
    /// Slope of the kernel for each pair, shape `(n, n)`.
    slopes: Array2<f64>,
    correlation: Array2<f64>,
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
            slopes: Array2::zeros((n, n)),
            correlation: Array2::zeros((n, n)),
        }
    }

    /// `theta`: logarithms of the length scales, then of amplitude and noise.
    pub(crate) fn evaluate(&mut self, theta: &[f64], gradient: &mut [f64]) -> Option<f64> {
        let n = self.points.len();
        let groups = theta.len() - 2;
        let hyper = unpack(theta, self.kernel);
        for i in 0..n {
            self.points
                .distances(self.layout, &hyper.weights, i, self.points, &mut self.row[..=i]);
            for j in 0..i {
                let (value, slope) = self.kernel.both(self.row[j]);
                self.correlation[(i, j)] = value;
                self.correlation[(j, i)] = value;
                self.slopes[(i, j)] = slope;
                self.slopes[(j, i)] = slope;
            }
            self.correlation[(i, i)] = 1.0;
        }
        let mut covariance = &self.correlation * hyper.amplitude;
        for i in 0..n {
            covariance[(i, i)] += hyper.noise;
        }
        let (inverse, log_root) = lapack::inverse(covariance)?;

        let ones = inverse.sum_axis(ndarray::Axis(1));
        let mean = ones.dot(&self.outcomes) / ones.sum();
        let centred = &self.outcomes - mean;
        let alpha = inverse.dot(&centred);
        let count = n as f64;
        let mut value =
            0.5 * centred.dot(&alpha) + log_root + 0.5 * count * (2.0 * std::f64::consts::PI).ln();

        // 1/2 sum of (K^-1 - alpha alpha^T) times the derivative of K.
        let mut outer = inverse;
        for (mut row, a) in outer.rows_mut().into_iter().zip(&alpha) {
            row.scaled_add(-a, &alpha);
        }
        let noise_share = hyper.noise - LEAST_NOISE;
        gradient[groups + 1] = 0.5 * noise_share * outer.diag().sum();
        gradient[groups] = 0.5 * hyper.amplitude * sum_of_products(&outer, &self.correlation);
        outer *= &self.slopes;
        let sums = self.points.weighted_sums(self.layout, &outer);
        for k in 0..groups {
            gradient[k] = -hyper.weights[k] * hyper.amplitude * sums[k];
        }

        let priors = self.priors;
        let each = std::iter::repeat_n(priors.length, groups).chain([priors.amplitude, priors.noise]);
        for ((theta, gradient), (mean, deviation)) in theta.iter().zip(gradient.iter_mut()).zip(each) {
            let z = (theta - mean) / deviation;
            value += 0.5 * z * z;
            *gradient += z / deviation;
        }
        Some(value)
    }
}

fn sum_of_products(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.rows().into_iter().zip(b.rows()).map(|(a, b)| a.dot(&b)).sum()
}
