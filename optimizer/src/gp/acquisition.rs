//! How promising a point is, from what a model expects there and how sure it is.
//!
//! The expected improvement (Jones, Schonlau and Welch 1998), its logarithm (Ament et al. 2023), and the confidence bound (Srinivas et
//! al. 2010). All are to be maximised; outcomes are to be minimised.

use tunesmith_common::study::Acquisition;

use crate::normal::{density, log_improvement};

/// Deviations by which the confidence bound is better than the mean: that of Vizier (Song et al. 2024).
const BOUND: f64 = 1.8;
/// The same for finding out whether much is left to be gained anywhere.
const EXPLORING: f64 = 6.0;

/// Value at a point of this mean and variance, for improving on `best`, and its derivatives with respect to mean and variance. `variance` is
/// positive.
pub(crate) fn value(acquisition: Acquisition, best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    match acquisition {
        Acquisition::LogEi => log_expected_improvement(best, mean, variance),
        Acquisition::Ei => expected_improvement(best, mean, variance),
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

/// EI = s h(z) with z = (best - m) / s, of which dz/dm = -1/s and dz/dv = -z / (2 v), and h' the cumulative. 0, and flat, wherever no number is small
/// enough for it.
fn expected_improvement(best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let deviation = variance.sqrt();
    let z = (best - mean) / deviation;
    let (log, slope) = log_improvement(z);
    let standard = log.exp();
    (
        standard * deviation,
        -standard * slope,
        0.5 * density(z) / deviation,
    )
}

fn log_expected_improvement(best: f64, mean: f64, variance: f64) -> (f64, f64, f64) {
    let deviation = variance.sqrt();
    let z = (best - mean) / deviation;
    let (log, slope) = log_improvement(z);
    // The density's share of h: the rest of it is z times the cumulative, and as good as all of it where z is large.
    let share = if z > 1.0 {
        density(z) * (-log).exp()
    } else {
        1.0 - z * slope
    };
    (log + deviation.ln(), -slope / deviation, 0.5 / variance * share)
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
    fn improvements_are_those_of_mpmath_up_to_the_extremes() {
        // `improvement.json`, made by `make_improvement.py` beside it.
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../../tests/golden/improvement.json")).unwrap();
        let rows: Vec<[f64; 9]> = serde_json::from_value(golden["rows"].clone()).unwrap();
        for [best, mean, variance, ei @ .., log, log_by_mean, log_by_variance] in rows {
            let near = |acquisition: Acquisition, expected: [f64; 3]| {
                let ours = value(acquisition, best, mean, variance);
                for (ours, expected) in [ours.0, ours.1, ours.2].into_iter().zip(expected) {
                    // The smallest numbers have few digits.
                    assert!(
                        (ours - expected).abs() <= 1e-9 * expected.abs() + 1e-315,
                        "{acquisition:?} for {best} at {mean}, {variance}: {ours} against {expected}"
                    );
                }
            };
            near(Acquisition::Ei, ei);
            near(Acquisition::LogEi, [log, log_by_mean, log_by_variance]);
        }
    }

    #[test]
    fn the_bound_is_that_of_the_formula() {
        let bound = value(Acquisition::Ucb, 0.5, 0.8, 0.04).0;
        assert!((bound - (1.8 * 0.2 - 0.8)).abs() < 1e-15);
    }

    #[test]
    fn far_from_any_hope_the_logarithm_still_says_where_to_go() {
        // Where nothing is to be hoped for the improvement is 0 without a slope; its logarithm still says in which direction to go.
        let far = |acquisition| value(acquisition, 0.0, 50.0, 1.0);
        assert_eq!(far(Acquisition::Ei), (0.0, 0.0, 0.0));
        assert!(far(Acquisition::LogEi).1 < -1.0 && far(Acquisition::Ucb).1 < 0.0);
    }
}
