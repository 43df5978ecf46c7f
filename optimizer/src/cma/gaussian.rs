//! The distribution of the numeric parameters, and its update.

use ndarray::{Array1, Array2};

use super::Weights;
use crate::lapack;

/// Largest growth of sigma's logarithm in one update (Hansen 2011, "Injecting external solutions into CMA-ES").
const LARGEST_GROWTH: f64 = 1.0;
/// Tenths of what there is to learn of C after which its eigenvectors are computed again (tutorial, section B.2).
const STALE_SHARE: f64 = 10.0;

/// A normal distribution of mean `mean` and covariance `sigma^2 C` in n dimensions, possibly none.
#[derive(Clone, Debug)]
pub(crate) struct Gaussian {
    /// Shape `(n,)`.
    pub(crate) mean: Array1<f64>,
    /// Positive.
    pub(crate) sigma: f64,
    shape: Shape,
    /// Paths of the mean, shape `(n,)`: the one that decides on sigma, in whitened coordinates, and the one that stretches C.
    path_sigma: Array1<f64>,
    path: Array1<f64>,
    /// Updates so far, and since the eigenvectors were computed.
    updates: i32,
    stale: f64,
}

/// C.
#[derive(Clone, Debug)]
enum Shape {
    /// Shape `(n,)`: variances.
    Diagonal(Array1<f64>),
    Full {
        /// Shape `(n, n)`.
        covariance: Array2<f64>,
        /// Eigenvectors in its columns, and the roots of their eigenvalues: those of `covariance`, or of what it was a few
        /// updates ago.
        basis: Array2<f64>,
        roots: Array1<f64>,
    },
}

impl Gaussian {
    /// With the identity as C.
    pub(crate) fn new(mean: Array1<f64>, sigma: f64, diagonal: bool) -> Self {
        let n = mean.len();
        let shape = if diagonal {
            Shape::Diagonal(Array1::ones(n))
        } else {
            Shape::Full {
                covariance: Array2::eye(n),
                basis: Array2::eye(n),
                roots: Array1::ones(n),
            }
        };
        Self {
            mean,
            sigma,
            shape,
            path_sigma: Array1::zeros(n),
            path: Array1::zeros(n),
            updates: 0,
            stale: 0.0,
        }
    }

    /// Standard deviation in each dimension, shape `(n,)`.
    pub(crate) fn deviations(&self) -> Array1<f64> {
        let variances = match &self.shape {
            Shape::Diagonal(variances) => variances.view(),
            Shape::Full { covariance, .. } => covariance.diag(),
        };
        variances.mapv(|variance| self.sigma * variance.sqrt())
    }

    /// Ratio of the largest to the smallest standard deviation in any direction; 0 without dimensions.
    pub(crate) fn stretch(&self) -> f64 {
        let (mut least, mut most) = (f64::INFINITY, 0.0_f64);
        let mut see = |deviation: f64| {
            least = least.min(deviation);
            most = most.max(deviation);
        };
        match &self.shape {
            Shape::Diagonal(variances) => variances.iter().for_each(|variance| see(variance.sqrt())),
            Shape::Full { roots, .. } => roots.iter().for_each(|root| see(*root)),
        }
        most / least
    }

    /// A step of covariance C, from independent standard normal numbers; both of shape `(n,)`.
    pub(crate) fn step(&self, normals: &Array1<f64>) -> Array1<f64> {
        match &self.shape {
            Shape::Diagonal(variances) => normals * &variances.mapv(f64::sqrt),
            Shape::Full { basis, roots, .. } => basis.dot(&(normals * roots)),
        }
    }

    /// `C^(-1/2)` times a step: of unit covariance.
    fn whitened(&self, step: &Array1<f64>) -> Array1<f64> {
        match &self.shape {
            Shape::Diagonal(variances) => step / &variances.mapv(f64::sqrt),
            Shape::Full { basis, roots, .. } => basis.dot(&(basis.t().dot(step) / roots)),
        }
    }

    /// Shortens a step that is not one of this distribution's own to a length that nearly all of those stay below (Hansen 2011,
    /// section 3): it shows a direction, and cannot tear the distribution away.
    pub(crate) fn clip(&self, step: &mut Array1<f64>) {
        let n = step.len() as f64;
        let length = norm(&self.whitened(step));
        let longest = n.sqrt() + 2.0 * n / (n + 2.0);
        if length > longest {
            *step *= longest / length;
        }
    }

    /// Learns from steps ranked from the best to the worst, each of shape `(n,)`, as many as there are weights. A step is the
    /// sample's distance from the mean, divided by sigma.
    ///
    /// False if no distribution is left, for want of digits: it must not be used any more.
    pub(crate) fn update(&mut self, steps: &[Array1<f64>], weights: &Weights) -> bool {
        let n = self.mean.len() as f64;
        self.updates = self.updates.saturating_add(1);
        let mut shift = Array1::<f64>::zeros(self.mean.len());
        for (step, weight) in steps.iter().zip(weights.good()) {
            shift.scaled_add(*weight, step);
        }
        self.mean.scaled_add(self.sigma, &shift);

        let rate = weights.rate_sigma;
        let whitened = self.whitened(&shift);
        self.path_sigma *= 1.0 - rate;
        self.path_sigma
            .scaled_add((rate * (2.0 - rate) * weights.effective).sqrt(), &whitened);
        let length = norm(&self.path_sigma) / expected_length(n);

        // A path that is long because sigma is too small must not stretch C as well.
        let settled = (1.0 - (1.0 - rate).powi(self.updates.saturating_mul(2))).sqrt();
        let stalled = length / settled >= 1.4 + 2.0 / (n + 1.0);
        let rate = weights.rate_path;
        self.path *= 1.0 - rate;
        if !stalled {
            self.path
                .scaled_add((rate * (2.0 - rate) * weights.effective).sqrt(), &shift);
        }
        self.learn_shape(steps, weights, stalled);
        let growth = weights.rate_sigma / weights.damping * (length - 1.0);
        self.sigma *= growth.min(LARGEST_GROWTH).exp();
        self.refresh(weights) && self.sigma.is_finite() && self.sigma > 0.0
    }

    /// The update of C: from the path, and from the steps.
    fn learn_shape(&mut self, steps: &[Array1<f64>], weights: &Weights, stalled: bool) {
        let n = self.mean.len() as f64;
        let scales = steps.iter().zip(&weights.ranks).map(|(step, weight)| {
            // Bad steps count by their direction only, or a long one could make a variance negative.
            let length = if *weight < 0.0 {
                norm(&self.whitened(step))
            } else {
                n.sqrt()
            };
            weights.rate_ranks * weight * n / (length * length).max(f64::MIN_POSITIVE)
        });
        let scales: Vec<f64> = scales.collect();
        let variance_lost = if stalled {
            weights.rate_one * weights.rate_path * (2.0 - weights.rate_path)
        } else {
            0.0
        };
        let kept =
            1.0 + variance_lost - weights.rate_one - weights.rate_ranks * weights.ranks.iter().sum::<f64>();
        let parts = steps.iter().zip(scales).chain([(&self.path, weights.rate_one)]);
        match &mut self.shape {
            Shape::Diagonal(variances) => {
                *variances *= kept;
                for (step, scale) in parts {
                    variances.zip_mut_with(step, |variance, x| *variance += scale * x * x);
                }
            }
            Shape::Full { covariance, .. } => {
                *covariance *= kept;
                for (step, scale) in parts {
                    for (mut row, x) in covariance.outer_iter_mut().zip(step) {
                        row.scaled_add(scale * x, step);
                    }
                }
            }
        }
        self.stale += 1.0;
    }

    /// Computes the eigenvectors if C has changed enough. False if it is no covariance matrix any more.
    fn refresh(&mut self, weights: &Weights) -> bool {
        let n = self.mean.len() as f64;
        match &mut self.shape {
            Shape::Diagonal(variances) => variances.iter().all(|x| x.is_finite() && *x > 0.0),
            Shape::Full {
                covariance,
                basis,
                roots,
            } => {
                if self.stale * (weights.rate_one + weights.rate_ranks) * n * STALE_SHARE < 1.0 {
                    return true;
                }
                self.stale = 0.0;
                let Some((values, vectors)) = lapack::eigenvectors(covariance) else {
                    return false;
                };
                *roots = values.mapv(f64::sqrt);
                *basis = vectors;
                values.iter().all(|x| x.is_finite() && *x > 0.0)
            }
        }
    }

    #[cfg(test)]
    pub(super) fn covariance(&self) -> Array2<f64> {
        match &self.shape {
            Shape::Diagonal(variances) => Array2::from_diag(variances),
            Shape::Full { covariance, .. } => covariance.clone(),
        }
    }
}

/// Expected length of a vector of n independent standard normal numbers.
fn expected_length(n: f64) -> f64 {
    (0.5 * 2f64.ln() + libm::lgamma(0.5 * (n + 1.0)) - libm::lgamma(0.5 * n)).exp()
}

fn norm(vector: &Array1<f64>) -> f64 {
    vector.dot(vector).sqrt()
}
