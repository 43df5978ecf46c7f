//! How promising a point is, from what a model expects there and how sure it is.
//!
//! The expected improvement (Jones, Schonlau and Welch 1998), its logarithm (Ament et al. 2023), and the confidence bound (Srinivas et
//! al. 2010). All are to be maximised; outcomes are to be minimised.

use tunesmith_common::study::Acquisition;

use crate::normal::log_improvement;

/// Deviations by which the confidence bound is better than the mean: that of Vizier (Song et al. 2024).
const BOUND: f64 = 1.8;
/// The same for finding out whether much is left to be gained anywhere.
const EXPLORING: f64 = 6.0;

/// Value at a point of this mean and variance, for improving on `best`, and its derivatives with respect to mean and variance. `variance` is
/// positive.
pub(crate) fn value(acquisition: Acquisition, best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    match acquisition {
        Acquisition::LogEi => log_expected_improvement(best, mean, variance),
        // 0, and flat, wherever no number is small enough for it.
        Acquisition::Ei => {
            let (log, by_mean, by_variance) = log_expected_improvement(best, mean, variance);
            let improvement = log.exp();
            (improvement, improvement * by_mean, improvement * by_variance)
        }
        Acquisition::Ucb => bound(BOUND, mean, variance),
    }
}

/// The same for finding out where outcomes might be better than any known.
pub(crate) fn exploration(mean: f64, variance: f64) -> (f64, f64, f64) {
    bound(EXPLORING, mean, variance)
}

fn bound(deviations: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let deviation = variance.sqrt();
    (deviations * deviation - mean, -1.0, 0.5 * deviations / deviation)
}

/// Value at a point of this mean and variance, for improving on `best`, and its derivatives with respect to mean and variance. `variance` is
/// positive.
fn log_expected_improvement(best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
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
            for acquisition in [Acquisition::LogEi, Acquisition::Ei, Acquisition::Ucb] {
                let (_, by_mean, by_variance) = value(acquisition, best, mean, variance);
                let h = 1e-6 * variance;
                let at = |mean: f64, variance: f64| value(acquisition, best, mean, variance).0;
                let numeric = (at(mean + h, variance) - at(mean - h, variance)) / (2.0 * h);
                assert!(
                    (by_mean - numeric).abs() <= 1e-4 * (1.0 + numeric.abs()),
                    "{acquisition:?}: {by_mean} {numeric}"
                );
                let numeric = (at(mean, variance + h) - at(mean, variance - h)) / (2.0 * h);
                assert!(
                    (by_variance - numeric).abs() <= 1e-4 * (1.0 + numeric.abs()),
                    "{acquisition:?}: {by_variance} {numeric}"
                );
            }
        }
    }

    #[test]
    fn values_are_those_of_the_formulas() {
        let (best, mean, variance) = (0.5, 0.8, 0.04);
        // z = -1.5: the normal density is 0.12951759566589174, the cumulative 0.06680720126885807.
        let improvement = 0.2 * (0.129_517_595_665_891_74 - 1.5 * 0.066_807_201_268_858_07);
        let at = |acquisition| value(acquisition, best, mean, variance).0;
        assert!((at(Acquisition::Ei) - improvement).abs() < 1e-15);
        assert!((at(Acquisition::LogEi) - improvement.ln()).abs() < 1e-12);
        assert!((at(Acquisition::Ucb) - (1.8 * 0.2 - 0.8)).abs() < 1e-15);
        // Where nothing is to be hoped for the improvement is 0 without a slope; its logarithm still says in which direction to go.
        let far = |acquisition| value(acquisition, 0.0, 50.0, 1.0);
        assert_eq!(far(Acquisition::Ei), (0.0, 0.0, 0.0));
        assert!(far(Acquisition::LogEi).1 < -1.0 && far(Acquisition::Ucb).1 < 0.0);
    }
}
