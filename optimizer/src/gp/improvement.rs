//! The expected hypervolume improvement: by how much a result is expected to enlarge what a front dominates.
//!
//! What no point of the front dominates is cut into disjoint boxes ([`crate::pareto::boxes`]). In each of them a result y adds the
//! product over the objectives of `(u - y)+ - (l - y)+` with the box's ends l and u. The models of the objectives are independent, so
//! that the expectation is the sum over the boxes of products of `psi(u) - psi(l)`, where `psi(a) = E (a - y)+ = s h((a - m) / s)`
//! with h the standard expected improvement: exact for any number of objectives (Emmerich, Deutz and Klinkenberg 2011; Yang, Emmerich,
//! Deutz and Back 2019).
//!
//! Its logarithm is what is made largest (Ament et al. 2023, "Unexpected improvements to expected improvement"): plain sums where they keep
//! their digits, logarithms of every factor where they would not.

use crate::normal::{cumulative, density, log_cumulative, log_improvement};
use crate::pareto::boxes::{Boxes, MOST};

/// Plain sums below this are not trusted: factors of the front's far side may have lost their digits, or be 0.
const LEAST_PLAIN: f64 = 1e-100;
/// Difference of logarithms below which that of two factors is taken from the slope between them.
const SAME: f64 = 1e-6;
const LOG_DENSITY_AT_0: f64 = -0.918_938_533_204_672_7;

/// A front to improve on.
#[derive(Clone, Debug)]
pub(crate) struct Front {
    boxes: Boxes,
}

/// A prediction for one objective.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Normal {
    pub(crate) mean: f64,
    /// Positive.
    pub(crate) variance: f64,
}

/// Derivatives with respect to the mean and to the variance of one prediction.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Slope {
    pub(crate) by_mean: f64,
    pub(crate) by_variance: f64,
}

/// What is needed of one coordinate.
#[derive(Clone, Copy, Debug)]
struct At {
    /// psi, or its logarithm.
    psi: f64,
    /// The cumulative, or its logarithm: minus the slope of psi by the mean.
    cumulative: f64,
    /// The density, or its logarithm: the slope of psi by the deviation.
    density: f64,
    z: f64,
}

/// Memory that improvements use again.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scratch {
    at: [Vec<At>; MOST],
    logs: Vec<f64>,
}

impl Front {
    /// `front` and `reference` as for [`Boxes::new`].
    pub(crate) fn new<P: AsRef<[f64]>>(front: &[P], reference: &[f64]) -> Self {
        Self {
            boxes: Boxes::new(front, reference),
        }
    }

    /// Logarithm of the expected improvement where the objectives are predicted to be `y`. With `slopes` also its derivatives, one for each
    /// objective.
    pub(crate) fn log_improvement(
        &self,
        y: &[Normal],
        slopes: Option<&mut [Slope]>,
        scratch: &mut Scratch,
    ) -> f64 {
        let plain = slopes.is_none();
        for ((at, y), places) in scratch.at.iter_mut().zip(y).zip(&self.boxes.coordinates) {
            let deviation = y.variance.sqrt();
            at.clear();
            at.extend(
                places
                    .iter()
                    .map(|place| plain_at((place - y.mean) / deviation, deviation)),
            );
        }
        let mut sum = 0.0;
        let mut sums = [(0.0, 0.0); MOST];
        for (low, high) in &self.boxes.boxes {
            let mut factors = [1.0; MOST];
            for (j, (factor, at)) in factors.iter_mut().zip(&scratch.at).enumerate().take(y.len()) {
                *factor = (at[usize::from(high[j])].psi - at[usize::from(low[j])].psi).max(0.0);
            }
            sum += factors.iter().product::<f64>();
            if plain {
                continue;
            }
            for (j, (by_mean, by_deviation)) in sums.iter_mut().enumerate().take(y.len()) {
                let others: f64 = (0..y.len()).filter(|k| *k != j).map(|k| factors[k]).product();
                let at = &scratch.at[j];
                let (low, high) = (at[usize::from(low[j])], at[usize::from(high[j])]);
                *by_mean -= others * (high.cumulative - low.cumulative);
                *by_deviation += others * (high.density - low.density);
            }
        }
        if sum <= LEAST_PLAIN {
            return self.logarithmic(y, slopes, scratch);
        }
        for ((slope, (by_mean, by_deviation)), y) in slopes.into_iter().flatten().zip(sums).zip(y) {
            *slope = Slope {
                by_mean: by_mean / sum,
                by_variance: 0.5 * by_deviation / (sum * y.variance.sqrt()),
            };
        }
        sum.ln()
    }

    /// The same by logarithms alone.
    fn logarithmic(&self, y: &[Normal], slopes: Option<&mut [Slope]>, scratch: &mut Scratch) -> f64 {
        for ((at, y), places) in scratch.at.iter_mut().zip(y).zip(&self.boxes.coordinates) {
            let deviation = y.variance.sqrt();
            at.clear();
            at.extend(
                places
                    .iter()
                    .map(|place| log_at((place - y.mean) / deviation, deviation)),
            );
        }
        scratch.logs.clear();
        for (low, high) in &self.boxes.boxes {
            let log = (0..y.len())
                .map(|j| {
                    let at = &scratch.at[j];
                    let (low, high) = (at[usize::from(low[j])], at[usize::from(high[j])]);
                    log_difference(low, high, y[j].variance.sqrt()).0
                })
                .sum::<f64>();
            scratch.logs.push(log);
        }
        let largest = scratch.logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if largest == f64::NEG_INFINITY {
            return largest;
        }
        let sum: f64 = scratch.logs.iter().map(|log| (log - largest).exp()).sum();
        if let Some(slopes) = slopes {
            slopes.fill(Slope::default());
            for ((low, high), log) in self.boxes.boxes.iter().zip(&scratch.logs) {
                let share = (log - largest).exp() / sum;
                if share <= 0.0 {
                    continue;
                }
                for (j, slope) in slopes.iter_mut().enumerate() {
                    let at = &scratch.at[j];
                    let (low, high) = (at[usize::from(low[j])], at[usize::from(high[j])]);
                    let deviation = y[j].variance.sqrt();
                    let (_, by_mean, by_deviation) = log_difference(low, high, deviation);
                    slope.by_mean += share * by_mean;
                    slope.by_variance += share * 0.5 * by_deviation / deviation;
                }
            }
        }
        largest + sum.ln()
    }
}

fn plain_at(z: f64, deviation: f64) -> At {
    /// From here on psi is z to the last digit.
    const CERTAIN: f64 = 9.0;
    /// From here on everything is 0.
    const NEVER: f64 = -39.0;
    if !(NEVER..=CERTAIN).contains(&z) {
        return At {
            psi: z.max(0.0) * deviation,
            cumulative: if z > 0.0 { 1.0 } else { 0.0 },
            density: 0.0,
            z,
        };
    }
    let (cumulative, density) = (cumulative(z), density(z));
    At {
        psi: (density + z * cumulative).max(0.0) * deviation,
        cumulative,
        density,
        z,
    }
}

fn log_at(z: f64, deviation: f64) -> At {
    if z == f64::NEG_INFINITY {
        return At {
            psi: z,
            cumulative: z,
            density: z,
            z,
        };
    }
    At {
        psi: log_improvement(z).0 + deviation.ln(),
        cumulative: log_cumulative(z).0,
        density: LOG_DENSITY_AT_0 - 0.5 * z * z,
        z,
    }
}

/// Logarithm of `psi(high) - psi(low)`, and its derivatives by mean and deviation. `low` and `high` are of [`log_at`].
fn log_difference(low: At, high: At, deviation: f64) -> (f64, f64, f64) {
    let apart = low.psi - high.psi;
    if apart > -SAME {
        // The integral of the cumulative over a short way.
        let middle = 0.5 * (low.z + high.z);
        let (log, slope) = log_cumulative(middle);
        let way = ((high.z - low.z) * deviation).ln();
        return (way + log, -slope / deviation, -slope * middle / deviation);
    }
    let log = high.psi + (-apart.exp()).ln_1p();
    let difference = |high: f64, low: f64| (high - log).exp() - (low - log).exp();
    (
        log,
        -difference(high.cumulative, low.cumulative),
        difference(high.density, low.density),
    )
}

#[cfg(test)]
mod tests;
