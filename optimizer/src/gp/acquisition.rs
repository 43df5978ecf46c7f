//! How promising a point is, from what a model expects there and how sure it is.
//!
//! The logarithm of the expected improvement (Jones, Schonlau and Welch 1998; in logarithms after Ament et al. 2023). To be maximised;
//! outcomes are to be minimised.

use crate::normal::log_improvement;

/// Value at a point of this mean and variance, for improving on `best`, and its derivatives with respect to mean and variance. `variance` is
/// positive.
pub(crate) fn log_expected_improvement(best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let deviation = variance.sqrt();
    let z = (best - mean) / deviation;
    let (log, slope) = log_improvement(z);
    // log EI = log s + log h(z); dz/dm = -1/s, dz/dv = -z / (2 v).
    (
        log + deviation.ln(),
        -slope / deviation,
        0.5 / variance * (1.0 - z * slope),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derivatives_are_those_of_the_value() {
        for (best, mean, variance) in [
            (0.0, 0.3, 0.2),
            (-1.0, 2.0, 0.01),
            (0.5, -0.5, 1.0),
            (0.0, 30.0, 1.0),
        ] {
            let (_, by_mean, by_variance) = log_expected_improvement(best, mean, variance);
            let h = 1e-6 * variance;
            let at = |mean: f64, variance: f64| log_expected_improvement(best, mean, variance).0;
            let numeric = (at(mean + h, variance) - at(mean - h, variance)) / (2.0 * h);
            assert!(
                (by_mean - numeric).abs() <= 1e-4 * (1.0 + numeric.abs()),
                "{by_mean} {numeric}"
            );
            let numeric = (at(mean, variance + h) - at(mean, variance - h)) / (2.0 * h);
            assert!(
                (by_variance - numeric).abs() <= 1e-4 * (1.0 + numeric.abs()),
                "{by_variance} {numeric}"
            );
        }
    }
}
