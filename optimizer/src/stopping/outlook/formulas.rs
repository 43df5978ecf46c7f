//! Formulas of learning curves, and where they say that one will end.
//!
//! Each is `y(s) = e + b (g(s) - g(S))` with a function g that falls from 1 towards 0, the last step S, and so the value e at the end: powers
//! `s^-p`, and `exp(-(s / t)^q)`, exponentials for q = 1, with a bend for q = 2. Exponents and rates are from a list; e and b have
//! normal priors and are integrated in closed form, as in any linear regression with known noise (Bishop 2006, section 3.3). Later points
//! weigh more, since formulas hold for a stretch of a curve better than for all of it.

use super::Knot;

const POWERS: [f64; 9] = [0.03, 0.1, 0.2, 0.35, 0.5, 0.75, 1.0, 1.5, 2.0];
const BENDS: [f64; 3] = [0.5, 1.0, 2.0];
/// As shares of the last step.
const RATES: [f64; 7] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6];
/// Deviation of b, and least deviation of the noise, as shares of the range of values so far.
const STEEPNESS: f64 = 10.0;
const LEAST_NOISE: f64 = 0.005;
/// Points that the noise of the end is averaged over.
const LAST: f64 = 5.0;
/// How wrong formulas become as one goes on, for each e-fold of steps, as a share of the range of values so far.
const DRIFT: f64 = 0.1;

/// All formulas. Their weights have the sum 1.
#[derive(Debug)]
pub(super) struct Mixture(pub(super) Vec<FormulaEnd>);

/// Where one of them says that the curve will end.
#[derive(Debug)]
pub(super) struct FormulaEnd {
    pub(super) weight: f64,
    pub(super) expected: f64,
    pub(super) deviation: f64,
}

/// What a regression needs of the points: sums of weights w, of g, and of values y.
struct Sums {
    g: f64,
    gg: f64,
    gy: f64,
}

/// The end of a curve at `last_step`, where `prior` is what is known beforehand of it: mean and deviation. None if the curve does not change, or
/// nothing is finite.
pub(super) fn mixture(curve: &[Knot], last_step: f64, prior: (f64, f64)) -> Option<Mixture> {
    let now = curve.last()?.step.max(1.0);
    let (low, high) = curve
        .iter()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |range, knot| {
            (range.0.min(knot.value), range.1.max(knot.value))
        });
    let range = high - low;
    if !(range > 0.0 && range.is_finite()) {
        return None;
    }
    // In units of the range, so that squares are numbers.
    let turned = |value: f64| (value - low) / range;
    let (mean, deviation) = (turned(prior.0), (prior.1 / range).max(LEAST_NOISE));
    let weight = |knot: &Knot| knot.step.max(1.0) / now;
    let (mut w, mut ww, mut wy, mut wyy) = (0.0, 0.0, 0.0, 0.0);
    for knot in curve {
        let (weight, y) = (weight(knot), turned(knot.value));
        w += weight;
        ww += weight * weight;
        wy += weight * y;
        wyy += weight * y * y;
    }
    let sums: Vec<Sums> = functions(last_step)
        .map(|g| {
            let end = g(last_step);
            let mut sums = Sums {
                g: 0.0,
                gg: 0.0,
                gy: 0.0,
            };
            for knot in curve {
                let (weight, g) = (weight(knot), g(knot.step.max(1.0)) - end);
                sums.g += weight * g;
                sums.gg += weight * g * g;
                sums.gy += weight * g * turned(knot.value);
            }
            sums
        })
        .collect();
    // The noise is what the best fit leaves.
    let left = |sums: &Sums| {
        let determinant = w * sums.gg - sums.g * sums.g;
        let b = if determinant > 1e-12 * w * sums.gg {
            (w * sums.gy - sums.g * wy) / determinant
        } else {
            0.0
        };
        let e = (wy - b * sums.g) / w;
        (wyy - e * wy - b * sums.gy).max(0.0)
    };
    let least = sums.iter().map(left).fold(f64::INFINITY, f64::min);
    let points = w * w / ww;
    let noise = (least / w * points / (points - 2.0).max(0.5)).max(LEAST_NOISE * LEAST_NOISE);
    let drift = DRIFT * (last_step / now).max(1.0).ln();
    let (precision, of_e, of_b) = (1.0 / noise, deviation.powi(-2), (STEEPNESS * STEEPNESS).recip());
    let fits: Vec<(f64, f64, f64)> = sums
        .iter()
        .map(|sums| {
            let (ee, eb, bb) = (
                precision * w + of_e,
                precision * sums.g,
                precision * sums.gg + of_b,
            );
            let (for_e, for_b) = (precision * wy + mean * of_e, precision * sums.gy);
            let determinant = ee * bb - eb * eb;
            let e = (bb * for_e - eb * for_b) / determinant;
            let b = (ee * for_b - eb * for_e) / determinant;
            let misfit = precision * wyy + mean * mean * of_e - (e * for_e + b * for_b);
            let evidence = -0.5 * (misfit + determinant.ln());
            (evidence, e, bb / determinant)
        })
        .collect();
    let most = fits.iter().map(|fit| fit.0).fold(f64::NEG_INFINITY, f64::max);
    if !most.is_finite() {
        return None;
    }
    let total: f64 = fits.iter().map(|fit| (fit.0 - most).exp()).sum();
    let ends = fits.into_iter().map(|(evidence, e, variance)| FormulaEnd {
        weight: (evidence - most).exp() / total,
        expected: low + range * e,
        deviation: range * (variance + drift * drift + noise / LAST).sqrt(),
    });
    Some(Mixture(ends.collect()))
}

/// The functions g.
fn functions(last_step: f64) -> impl Iterator<Item = Box<dyn Fn(f64) -> f64>> {
    let powers = POWERS
        .into_iter()
        .map(|power| Box::new(move |step: f64| step.powf(-power)) as Box<dyn Fn(f64) -> f64>);
    let falling = BENDS.into_iter().flat_map(move |bend| {
        RATES.into_iter().map(move |rate| {
            Box::new(move |step: f64| (-(step / (rate * last_step)).powf(bend)).exp())
                as Box<dyn Fn(f64) -> f64>
        })
    });
    powers.chain(falling)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expected(of: impl Fn(f64) -> f64, steps: u32, prior: (f64, f64)) -> (f64, f64) {
        let curve: Vec<Knot> = (1..=steps)
            .map(|step| Knot {
                step: f64::from(step),
                value: of(f64::from(step)),
            })
            .collect();
        let Mixture(ends) = mixture(&curve, 100.0, prior).unwrap();
        let weights: f64 = ends.iter().map(|end| end.weight).sum();
        assert!((weights - 1.0).abs() < 1e-12, "{weights}");
        let mean: f64 = ends.iter().map(|end| end.weight * end.expected).sum();
        let variance: f64 = ends
            .iter()
            .map(|end| end.weight * (end.deviation.powi(2) + (end.expected - mean).powi(2)))
            .sum();
        (mean, variance.sqrt())
    }

    #[test]
    fn curves_of_a_formula_end_where_it_says() {
        let vague = (0.5, 10.0);
        let power = |s: f64| 0.2 + 0.7 * s.powf(-0.5);
        let exponential = |s: f64| 0.2 + 0.7 * (-s / 20.0).exp();
        for (found, truth) in [
            (expected(power, 40, vague), power(100.0)),
            (expected(exponential, 40, vague), exponential(100.0)),
        ] {
            assert!(
                (found.0 - truth).abs() < 0.04 && (found.0 - truth).abs() < 2.0 * found.1,
                "{found:?} {truth}"
            );
        }
    }

    #[test]
    fn the_end_is_less_certain_the_farther_off_it_is() {
        let curve = |s: f64| 0.2 + 0.7 * s.powf(-0.35);
        let deviations: Vec<f64> = [5, 20, 60, 95]
            .into_iter()
            .map(|steps| expected(curve, steps, (0.5, 1.0)).1)
            .collect();
        assert!(deviations.windows(2).all(|two| two[0] > two[1]), "{deviations:?}");
    }

    #[test]
    fn what_is_known_beforehand_counts_where_the_curve_says_little() {
        let straight = |s: f64| 1.0 - 0.01 * s;
        let (low, _) = expected(straight, 4, (0.2, 0.05));
        let (high, _) = expected(straight, 4, (0.8, 0.05));
        assert!(low < 0.5 && high > 0.7, "{low} {high}");
        assert!(
            mixture(
                &[Knot {
                    step: 1.0,
                    value: 0.5
                }; 4],
                100.0,
                (0.5, 1.0)
            )
            .is_none()
        );
    }
}
