use tunesmith_common::TrialNumber;

use super::*;
use crate::rng::{Purpose, purpose_rng};

const DIMENSIONS: [Dimension; 4] = [
    Dimension::Continuous,
    Dimension::Levels(6),
    Dimension::Categorical(3),
    Dimension::Levels(5_000),
];

/// Snapped points, some of whose parameters are inactive.
fn points(count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = purpose_rng(seed, TrialNumber(1), Purpose::Point);
    let mut place = |dimension: &Dimension| {
        let (x, inactive) = (uniform(&mut rng), uniform(&mut rng) < 0.2);
        match *dimension {
            _ if inactive => f64::NAN,
            Dimension::Continuous => x,
            Dimension::Levels(count) | Dimension::Categorical(count) => {
                ((x * count as f64).floor() + 0.5) / count as f64
            }
        }
    };
    (0..count)
        .map(|_| DIMENSIONS.iter().map(&mut place).collect())
        .collect()
}

fn mixture(points: &[Vec<f64>]) -> Mixture {
    let points: Vec<&[f64]> = points.iter().map(|point| &point[..]).collect();
    Mixture::new(&DIMENSIONS, &points)
}

#[test]
fn the_density_is_the_mean_of_the_products_of_kernels() {
    let trials = points(40, 1);
    let mixture = mixture(&trials);
    for point in points(50, 2) {
        // Of each component and parameter alone.
        let mut products = vec![1.0; trials.len() + 1];
        for (k, x) in point.iter().enumerate().filter(|(_, x)| !x.is_nan()) {
            let mut logs = vec![0.0; products.len()];
            let row = std::iter::once((*x, &mut logs[..]));
            match &mixture.axes[k] {
                Axis::Numbers(numbers) => numbers.add_log_densities(row),
                Axis::Categories(categories) => categories.add_log_densities(row),
            }
            for (product, log) in products.iter_mut().zip(logs) {
                *product *= log.exp();
            }
        }
        let expected = (products.iter().sum::<f64>() / products.len() as f64).ln();
        let ours = mixture.log_densities(std::slice::from_ref(&point))[0];
        assert!(
            (ours - expected).abs() < 1e-9,
            "{point:?}: {ours} against {expected}"
        );
    }
}

#[test]
fn a_points_density_does_not_depend_on_what_else_is_asked_for() {
    let mixture = mixture(&points(60, 3));
    let asked = points(48, 4);
    let together = mixture.log_densities(&asked);
    for (point, together) in asked.iter().zip(together) {
        let alone = mixture.log_densities(std::slice::from_ref(point))[0];
        assert_eq!(alone.to_bits(), together.to_bits(), "{point:?}");
    }
}

#[test]
fn categories_are_drawn_as_often_as_their_density_says() {
    let trials: Vec<Vec<f64>> = [0, 0, 0, 0, 0, 1]
        .map(|category| vec![0.5, 0.25, (f64::from(category) + 0.5) / 3.0, 0.5])
        .to_vec();
    let mixture = mixture(&trials);
    let mut rng = purpose_rng(1, TrialNumber(1), Purpose::Search);
    let mut drawn = [0; 3];
    for _ in 0..30_000 {
        let x = mixture.sample(&mut rng)[2];
        drawn[if x < 1.0 / 3.0 {
            0
        } else if x < 2.0 / 3.0 {
            1
        } else {
            2
        }] += 1;
    }
    for (category, drawn) in drawn.into_iter().enumerate() {
        let point = vec![f64::NAN, f64::NAN, (category as f64 + 0.5) / 3.0, f64::NAN];
        let share = mixture.log_densities(&[point])[0].exp() / 3.0;
        assert!(
            (share - f64::from(drawn) / 3e4).abs() < 0.01,
            "{category}: {drawn} of 30,000 against {share}"
        );
    }
}

#[test]
fn only_what_is_far_smaller_than_the_largest_adds_nothing_to_a_mean() {
    let plain = |logs: &[f64]| {
        let largest = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = logs.iter().map(|log| (log - largest).exp()).sum();
        largest + (sum / logs.len() as f64).ln()
    };
    for logs in [
        &[0.0][..],
        &[-3.0, -3.0],
        &[-800.0, 0.0, -800.0],
        &[5.0, -32.5, -31.0, 4.9],
        &[-900.0, -901.0],
        &[0.0, -25.0],
        &[0.0, -29.0, -29.0, -29.0],
        &[1.0, 2.0, 3.0, 700.0, 720.0],
    ] {
        assert!((log_mean(logs) - plain(logs)).abs() < 1e-13, "{logs:?}");
    }
}
