//! Against plain sampling, closed forms where there are some, and numerical differentiation.

use tunesmith_common::TrialNumber;

use super::*;
use crate::normal::log_improvement as log_standard;
use crate::pareto::hypervolume;
use crate::rng::{Purpose, normal, purpose_rng};

fn at(mean: f64, variance: f64) -> Normal {
    Normal { mean, variance }
}

/// A front in so many objectives, with a reference at 1: points on a simplex.
fn front(objectives: usize) -> Vec<Vec<f64>> {
    (0..2 * objectives)
        .map(|k| {
            let raw: Vec<f64> = (0..objectives)
                .map(|j| 1.0 + ((7 * k + 3 * j * j + k * k * j) % 11) as f64)
                .collect();
            let sum: f64 = raw.iter().sum();
            raw.iter().map(|x| x / sum).collect()
        })
        .collect()
}

#[test]
fn the_expectation_is_that_of_samples() {
    for objectives in 2..=4 {
        let front = front(objectives);
        let reference = vec![1.0; objectives];
        let known = hypervolume(&front, &reference);
        let improvement = Front::new(&front, &reference);
        for (mean, variance) in [(0.2, 0.04), (0.5, 0.01), (0.05, 0.0025), (0.8, 0.25)] {
            let y: Vec<Normal> = (0..objectives)
                .map(|j| at(mean + 0.02 * j as f64, variance))
                .collect();
            let ours = improvement
                .log_improvement(&y, None, &mut Scratch::default())
                .exp();
            let mut rng = purpose_rng(1, TrialNumber(1), Purpose::Search);
            let samples = 20_000;
            let (mut sum, mut squares) = (0.0, 0.0);
            for _ in 0..samples {
                let mut points = front.clone();
                points.push(
                    y.iter()
                        .map(|y| y.mean + y.variance.sqrt() * normal(&mut rng))
                        .collect(),
                );
                let more = hypervolume(&points, &reference) - known;
                sum += more;
                squares += more * more;
            }
            let count = f64::from(samples);
            let (average, deviation) = (sum / count, (squares / count).sqrt() / count.sqrt());
            assert!(
                (ours - average).abs() < 4.0 * deviation + 1e-12,
                "{objectives} at {mean}: {ours} against {average} +- {deviation}"
            );
        }
    }
}

#[test]
fn where_the_front_is_far_it_is_the_product_of_single_improvements() {
    // Without a front everything better than the reference counts.
    let improvement = Front::new::<Vec<f64>>(&[], &[1.0, 2.0, 3.0]);
    for shift in [0.0, 1.0, 10.0, 100.0] {
        let y = [at(1.0 + shift, 0.5), at(2.0 + shift, 1.0), at(3.0 + shift, 2.0)];
        let expected: f64 = y
            .iter()
            .zip([1.0, 2.0, 3.0])
            .map(|(y, end)| {
                let deviation = y.variance.sqrt();
                log_standard((end - y.mean) / deviation).0 + deviation.ln()
            })
            .sum();
        let ours = improvement.log_improvement(&y, None, &mut Scratch::default());
        assert!(
            (ours - expected).abs() < 1e-9 * expected.abs().max(1.0),
            "{ours} {expected}"
        );
    }
}

#[test]
fn slopes_are_those_of_the_value_near_and_far() {
    for objectives in 1..=4 {
        let improvement = Front::new(&front(objectives), &vec![1.0; objectives]);
        for (mean, variance) in [
            (0.2, 0.04),
            (0.6, 0.01),
            (1.5, 0.01),
            (4.0, 0.01),
            (30.0, 0.05),
            (-2.0, 0.1),
        ] {
            let y: Vec<Normal> = (0..objectives)
                .map(|j| at(mean + 0.05 * j as f64, variance * (1.0 + j as f64)))
                .collect();
            let mut scratch = Scratch::default();
            let mut slopes = vec![Slope::default(); objectives];
            let value = improvement.log_improvement(&y, Some(&mut slopes), &mut scratch);
            let same = improvement.log_improvement(&y, None, &mut scratch);
            assert!(
                value.is_finite() && (value - same).abs() < 1e-12,
                "{value} {same}"
            );
            for (j, slope) in slopes.iter().enumerate() {
                let mut moved = |mean: f64, variance: f64| {
                    let mut y = y.clone();
                    y[j] = at(y[j].mean + mean, y[j].variance + variance);
                    improvement.log_improvement(&y, None, &mut scratch)
                };
                let h = 1e-6 * variance;
                for (ours, numeric) in [
                    (slope.by_mean, (moved(h, 0.0) - moved(-h, 0.0)) / (2.0 * h)),
                    (slope.by_variance, (moved(0.0, h) - moved(0.0, -h)) / (2.0 * h)),
                ] {
                    assert!(
                        (ours - numeric).abs() <= 1e-3 * (1.0 + numeric.abs()),
                        "{objectives} at {mean}: {ours} {numeric}"
                    );
                }
            }
        }
    }
}

#[test]
fn plain_sums_and_logarithms_are_the_same_where_both_have_their_digits() {
    for objectives in 2..=4 {
        let improvement = Front::new(&front(objectives), &vec![1.0; objectives]);
        for mean in [-1.0, 0.1, 0.5, 1.0, 1.5] {
            let y = vec![at(mean, 0.02); objectives];
            let (mut plain, mut logs) = (
                vec![Slope::default(); objectives],
                vec![Slope::default(); objectives],
            );
            let mut scratch = Scratch::default();
            let a = improvement.log_improvement(&y, Some(&mut plain), &mut scratch);
            let b = improvement.logarithmic(&y, Some(&mut logs), &mut scratch);
            assert!((a - b).abs() < 1e-8 * a.abs().max(1.0), "{mean}: {a} {b}");
            for (a, b) in plain.iter().zip(&logs) {
                assert!(
                    (a.by_mean - b.by_mean).abs() < 1e-5 * (1.0 + a.by_mean.abs()),
                    "{mean}: {a:?} {b:?}"
                );
                assert!(
                    (a.by_variance - b.by_variance).abs() < 1e-5 * (1.0 + a.by_variance.abs()),
                    "{mean}: {a:?} {b:?}"
                );
            }
        }
    }
}
