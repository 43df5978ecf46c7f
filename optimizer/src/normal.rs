//! The normal distribution where plain formulas lose their digits.

use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// `1 / sqrt(2 pi)`.
const DENSITY_AT_0: f64 = 0.398_942_280_401_432_7;
/// From here on outwards, asymptotic series are exact to rounding.
const FAR: f64 = 14.0;

/// Density at `z`.
pub(crate) fn density(z: f64) -> f64 {
    DENSITY_AT_0 * (-0.5 * z * z).exp()
}

/// Probability of a value below `z`.
pub(crate) fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z * FRAC_1_SQRT_2)
}

/// Cumulative over density (Mills' ratio of the left tail), for `z <= 0`.
fn mills(z: f64) -> f64 {
    let t = -z * FRAC_1_SQRT_2;
    (PI / 2.0).sqrt() * (t * t).exp() * libm::erfc(t)
}

/// Logarithm of the probability of a value below `z`, and its derivative with respect to `z`. Finite for every finite z.
pub(crate) fn log_cumulative(z: f64) -> (f64, f64) {
    if z > -1.0 {
        let above = 0.5 * libm::erfc(z * FRAC_1_SQRT_2);
        return ((-above).ln_1p(), density(z) / (1.0 - above));
    }
    let log_density = DENSITY_AT_0.ln() - 0.5 * z * z;
    if z > -FAR {
        let ratio = mills(z);
        return (log_density + ratio.ln(), 1.0 / ratio);
    }
    // Mills' ratio is (1 - 1/z^2 + 3/z^4 - 15/z^6 + ...) / -z.
    let inverse = 1.0 / (z * z);
    let (mut term, mut series) = (1.0, 1.0);
    for k in 0..8 {
        term *= -f64::from(2 * k + 1) * inverse;
        series += term;
    }
    (log_density + series.ln() - (-z).ln(), -z / series)
}

/// Logarithm of the expected improvement of a standard normal variable over `-z`, which is `density(z) + z cumulative(z)`, and its
/// derivative with respect to `z`.
///
/// Ament et al. 2023, "Unexpected improvements to expected improvement", section 4.1: in the left tail the improvement is the
/// density times `1 + z m(z)` with Mills' ratio m, where 1 and `z m(z)` almost cancel; beyond [`FAR`] that factor is its
/// asymptotic series `1/z^2 - 3/z^4 + 15/z^6 - ...`. Finite for every finite z.
pub(crate) fn log_improvement(z: f64) -> (f64, f64) {
    if z > -1.0 {
        let (density, cumulative) = (density(z), cumulative(z));
        let improvement = density + z * cumulative;
        return (improvement.ln(), cumulative / improvement);
    }
    let log_density = DENSITY_AT_0.ln() - 0.5 * z * z;
    if z > -FAR {
        let ratio = mills(z);
        let factor = 1.0 + z * ratio;
        return (log_density + factor.ln(), ratio / factor);
    }
    // Factor = (1/z^2) s with s = 1 - 3/z^2 + 15/z^4 - 105/z^6 ...; ratio = (1 - factor) / -z.
    let inverse = 1.0 / (z * z);
    let (mut term, mut series) = (1.0, 1.0);
    for k in 1..9 {
        term *= -f64::from(2 * k + 1) * inverse;
        series += term;
    }
    let factor = inverse * series;
    let ratio = (1.0 - factor) / -z;
    (log_density + series.ln() - 2.0 * (-z).ln(), ratio / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `normal.json`, made by `make_normal.py` beside it.
    fn golden() -> Vec<[f64; 3]> {
        let golden: serde_json::Value =
            serde_json::from_str(include_str!("../tests/golden/normal.json")).unwrap();
        serde_json::from_value(golden["rows"].clone()).unwrap()
    }

    #[test]
    fn log_improvement_is_that_of_mpmath_far_into_the_tail() {
        for [z, log, slope] in golden() {
            let (our_log, our_slope) = log_improvement(z);
            assert!(
                (our_log - log).abs() <= 1e-10 * log.abs().max(1.0),
                "{z}: {our_log} against {log}"
            );
            assert!(
                (our_slope - slope).abs() <= 1e-8 * slope.abs(),
                "{z}: {our_slope} against {slope}"
            );
        }
    }

    #[test]
    fn the_formulas_meet_where_they_change() {
        for z in [-1.0, -FAR] {
            let (a, b) = (log_improvement(z - 1e-9), log_improvement(z + 1e-9));
            assert!(
                (a.0 - b.0).abs() < 1e-7 && (a.1 - b.1).abs() < 1e-7,
                "{z}: {a:?} {b:?}"
            );
        }
    }

    #[test]
    fn log_cumulative_is_what_follows_from_log_improvement() {
        // The improvement's derivative is the cumulative.
        for [z, log, slope] in golden() {
            let (ours, _) = log_cumulative(z);
            let expected = log + slope.ln();
            assert!(
                (ours - expected).abs() <= 1e-10 * expected.abs().max(1.0),
                "{z}: {ours} against {expected}"
            );
        }
        for z in [-1e3, -20.0, -FAR, -5.0, -1.0, 0.5, 3.0, 12.0] {
            let h = 1e-5_f64;
            let numeric = (log_cumulative(z + h).0 - log_cumulative(z - h).0) / (2.0 * h);
            let slope = log_cumulative(z).1;
            assert!(
                (slope - numeric).abs() <= 1e-5 * slope.abs() + 1e-9,
                "{z}: {slope} {numeric}"
            );
        }
        assert!(log_cumulative(40.0).0.abs() < 1e-300);
    }

    #[test]
    fn every_finite_argument_has_a_finite_answer() {
        for exponent in -300..153 {
            let z = -10f64.powi(exponent);
            let (log, slope) = log_improvement(z);
            assert!(log.is_finite() && slope.is_finite(), "{z}");
            let (log, slope) = log_cumulative(z);
            assert!(log.is_finite() && slope.is_finite(), "{z}");
        }
    }
}
