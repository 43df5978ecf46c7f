//! Against values of scikit-learn (`tests/golden/make_gp.py`) and of numerical differentiation.

use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Condition, Domain, Parameter, Scale, Space};
use tunesmith_common::study::Acquisition;

use super::criterion::{self, Criterion, Goal};
use super::edges::Edges;
use super::features::{Layout, Points};
use super::fit::{Hyper, LEAST_NOISE, Priors, Problem, fit};
use super::kernel::Kernel;
use super::posterior::{Posterior, Scratch};
use crate::rng::{mix, unit};

fn golden() -> serde_json::Value {
    serde_json::from_str(include_str!("../../tests/golden/gp.json")).unwrap()
}

fn numbers(value: &serde_json::Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

fn rows(value: &serde_json::Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

pub(super) fn cube(d: usize) -> Space {
    let parameter = |k: usize| Parameter {
        name: format!("x{k}").parse().unwrap(),
        domain: Domain::Float {
            low: 0.0,
            high: 1.0,
            scale: Scale::Linear,
            step: None,
        },
        conditions: Vec::new(),
    };
    Space::new((0..d).map(parameter).collect(), Vec::new()).unwrap()
}

/// The `k`-th of points that are spread over three numbers.
fn scattered(k: u64) -> Vec<f64> {
    (0..3).map(|i| unit(mix(k ^ mix(i)))).collect()
}

fn close(a: f64, b: f64, tolerance: f64) {
    assert!((a - b).abs() <= tolerance * (1.0 + b.abs()), "{a} against {b}");
}

/// Priors so wide that they say nothing.
const FLAT: Priors = Priors {
    length: (0.0, 1e12),
    amplitude: (0.0, 1e12),
    noise: (0.0, 1e12),
    trend: (0.0, 1e12),
};

/// The kernels, with what scikit-learn makes of each.
fn kernels() -> [(Kernel, serde_json::Value); 2] {
    let golden = golden();
    [Kernel::Matern, Kernel::Gaussian].map(|kernel| {
        let name = match kernel {
            Kernel::Matern => "matern",
            Kernel::Gaussian => "gaussian",
        };
        let mut values = golden.clone();
        values
            .as_object_mut()
            .unwrap()
            .extend(golden[name].as_object().unwrap().clone());
        (kernel, values)
    })
}

#[test]
fn correlations_are_those_of_scikit_learn_and_their_slopes_fit() {
    for (kernel, golden) in kernels() {
        let (x, at) = (rows(&golden["x"]), rows(&golden["at"]));
        let lengths = numbers(&golden["lengths"]);
        let amplitude = golden["amplitude"].as_f64().unwrap();
        for (x, expected) in x.iter().zip(rows(&golden["kernel"])) {
            for (at, expected) in at.iter().zip(expected) {
                let pairs = x.iter().zip(at).zip(&lengths);
                let squared: f64 = pairs.map(|((x, at), l)| ((x - at) / l).powi(2)).sum();
                close(amplitude * kernel.value(squared), expected, 1e-12);
                let (value, slope) = kernel.both(squared);
                close(value, kernel.value(squared), 1e-15);
                let h = 1e-6;
                close(
                    slope,
                    (kernel.value(squared + h) - kernel.value(squared - h)) / (2.0 * h),
                    1e-6,
                );
            }
        }
    }
}

#[test]
fn likelihood_and_gradient_are_those_of_scikit_learn() {
    for (kernel, golden) in kernels() {
        likelihood_and_gradient(kernel, &golden);
    }
}

fn likelihood_and_gradient(kernel: Kernel, golden: &serde_json::Value) {
    let layout = Layout::new(&cube(4));
    let x = rows(&golden["x"]);
    let points = Points::from_rows(&layout, x.iter().map(Vec::as_slice));
    let y = numbers(&golden["y"]);
    let mut problem = Problem::new(&layout, &points, &y, kernel, &FLAT);
    let mut theta: Vec<f64> = numbers(&golden["lengths"]).iter().map(|l| l.ln()).collect();
    let amplitude = golden["amplitude"].as_f64().unwrap();
    let scale = amplitude.ln();
    theta.push((golden["noise"].as_f64().unwrap() / amplitude - LEAST_NOISE).ln());
    theta.push(golden["trend"].as_f64().unwrap().ln());
    let mut gradient = vec![0.0; 6];
    let (value, _) = problem.evaluate(&theta, Some(scale), &mut gradient).unwrap();
    close(-value, golden["log_likelihood"].as_f64().unwrap(), 1e-9);
    let expected = numbers(&golden["gradient"]);
    for k in 0..4 {
        close(-gradient[k], expected[1 + k], 1e-6);
    }
    // What is added to the noise does not grow with it.
    let share = theta[4].exp();
    close(-gradient[4] * (share + LEAST_NOISE) / share, expected[6], 1e-6);
    close(-gradient[5], expected[5], 1e-6);
    // All grow with the amplitude, if noise and trend are shares of it.
    let mut at = |scale: Option<f64>| problem.evaluate(&theta, scale, &mut [0.0; 6]).unwrap();
    let slope = (at(Some(scale + 1e-5)).0 - at(Some(scale - 1e-5)).0) / 2e-5;
    close(-slope, expected[0] + expected[5] + expected[6], 1e-6);
    // No other amplitude is better than the best one.
    let (least, best) = at(None);
    assert!((best - scale).abs() > 0.01, "{best} {scale}");
    for by in [-1.0, -0.1, -1e-3, 1e-3, 0.1, 1.0] {
        assert!(at(Some(best + by)).0 > least, "{by}");
    }
}

#[test]
fn predictions_are_those_of_scikit_learn() {
    for (kernel, golden) in kernels() {
        predictions(kernel, &golden);
    }
}

fn predictions(kernel: Kernel, golden: &serde_json::Value) {
    let layout = Layout::new(&cube(4));
    let x = rows(&golden["x"]);
    let points = Points::from_rows(&layout, x.iter().map(Vec::as_slice));
    let hyper = Hyper {
        kernel,
        weights: numbers(&golden["lengths"])
            .iter()
            .map(|l| 1.0 / (l * l))
            .collect(),
        amplitude: golden["amplitude"].as_f64().unwrap(),
        noise: golden["noise"].as_f64().unwrap(),
        trend: golden["trend"].as_f64().unwrap(),
    };
    let mut posterior = Posterior::new(&layout, points, hyper.clone()).unwrap();
    assert!(posterior.condition(&numbers(&golden["y"])));
    // Appended one by one, and gone back to, it is the same.
    let mut appended = Posterior::new(
        &layout,
        Points::from_rows(&layout, x[..5].iter().map(Vec::as_slice)),
        hyper,
    )
    .unwrap();
    for x in &x[5..] {
        appended.append(&layout, x);
    }
    appended.append(&layout, &[0.5; 4]);
    appended.truncate(x.len());
    assert!(appended.condition(&numbers(&golden["y"])));
    let at = rows(&golden["at"]);
    let predictions = posterior.predict(&layout, &Points::from_rows(&layout, at.iter().map(Vec::as_slice)));
    let (means, variances) = (numbers(&golden["expected"]), numbers(&golden["variance"]));
    let mut scratch = Scratch::default();
    let others = appended.predict(&layout, &Points::from_rows(&layout, at.iter().map(Vec::as_slice)));
    for (a, b) in predictions.iter().zip(&others) {
        close(a.0, b.0, 1e-9);
        close(a.1, b.1, 1e-9);
    }
    let alone = posterior.means(&layout, &Points::from_rows(&layout, at.iter().map(Vec::as_slice)));
    for (k, (mean, variance)) in predictions.into_iter().enumerate() {
        close(mean, means[k], 1e-9);
        close(alone[k], means[k], 1e-9);
        close(variance, variances[k], 1e-9);
        let (mut a, mut b) = (vec![0.0; 4], vec![0.0; 4]);
        let single = posterior.predict_with_gradient(&layout, &at[k], &mut a, &mut b, &mut scratch);
        close(single.0, mean, 1e-9);
        close(single.1, variance, 1e-9);
        for i in 0..4 {
            let h = 1e-6;
            let moved = |by: f64| {
                let mut x = at[k].clone();
                x[i] += by;
                posterior.predict(&layout, &Points::from_rows(&layout, [&x[..]]))[0]
            };
            close(a[i], (moved(h).0 - moved(-h).0) / (2.0 * h), 1e-5);
            close(b[i], (moved(h).1 - moved(-h).1) / (2.0 * h), 1e-5);
        }
    }
}

#[test]
fn many_points_are_predicted_alike_in_bulk_one_by_one_and_appended() {
    let layout = Layout::new(&cube(3));
    let x: Vec<Vec<f64>> = (0..400).map(scattered).collect();
    let y: Vec<f64> = x.iter().map(|x| (9.0 * x[0]).sin() + x[1] * x[2]).collect();
    let rows = |range: std::ops::Range<usize>| Points::from_rows(&layout, x[range].iter().map(Vec::as_slice));
    let hyper = Hyper {
        kernel: Kernel::Matern,
        weights: vec![4.0, 1.0, 9.0],
        amplitude: 1.5,
        noise: 1e-3,
        trend: 0.2,
    };
    let mut whole = Posterior::new(&layout, rows(0..300), hyper.clone()).unwrap();
    let mut grown = Posterior::new(&layout, rows(0..200), hyper).unwrap();
    for x in &x[200..300] {
        grown.append(&layout, x);
    }
    assert!(whole.condition(&y[..300]) && grown.condition(&y[..300]));
    let at = rows(300..400);
    let (a, b) = (whole.predict(&layout, &at), grown.predict(&layout, &at));
    let (mut by_mean, mut by_variance) = (vec![0.0; 3], vec![0.0; 3]);
    for ((a, b), x) in a.into_iter().zip(b).zip(&x[300..]) {
        let mut scratch = Scratch::default();
        let single = whole.predict_with_gradient(&layout, x, &mut by_mean, &mut by_variance, &mut scratch);
        close(single.0, a.0, 1e-9);
        close(single.1, a.1, 1e-9);
        close(b.0, a.0, 1e-9);
        close(b.1, a.1, 1e-9);
        // The model has learned the function.
        close(a.0, (9.0 * x[0]).sin() + x[1] * x[2], 0.2);
    }
}

#[test]
fn joint_predictions_are_those_of_single_ones_and_of_what_a_further_point_tells() {
    let layout = Layout::new(&cube(3));
    let known: Vec<Vec<f64>> = (0..25).map(scattered).collect();
    let points = Points::from_rows(&layout, known.iter().map(Vec::as_slice));
    let outcomes: Vec<f64> = known.iter().map(|x| (9.0 * x[0]).sin() + x[1] * x[2]).collect();
    let hyper = Hyper {
        kernel: Kernel::Matern,
        weights: vec![4.0, 2.0, 1.0],
        amplitude: 1.3,
        noise: 0.01,
        trend: 0.2,
    };
    let noise = hyper.noise;
    let mut posterior = Posterior::new(&layout, points, hyper).unwrap();
    assert!(posterior.condition(&outcomes));
    let rows: Vec<Vec<f64>> = (100..104).map(scattered).collect();
    let at = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
    let (means, covariance) = posterior.joint(&layout, &at);
    let single = posterior.predict(&layout, &at);
    for (i, (mean, variance)) in single.iter().enumerate() {
        close(means[i], *mean, 1e-12);
        close(covariance[(i, i)], *variance, 1e-9);
    }
    // An observation at point 0 takes from the variance at j what the two have in common: cov^2 / (var + noise).
    posterior.append(&layout, &rows[0]);
    for (j, (_, after)) in posterior.predict(&layout, &at).into_iter().enumerate() {
        let common = covariance[(0, j)] * covariance[(0, j)] / (single[0].1 + noise);
        close(after, single[j].1 - common, 1e-9);
    }
}

#[test]
fn gradients_of_mixed_groups_are_those_of_the_value() {
    let named = |name: &str, domain: Domain| Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: Vec::new(),
    };
    let float = || Domain::Float {
        low: 0.0,
        high: 1.0,
        scale: Scale::Linear,
        step: None,
    };
    let choices = ["a", "b", "c"].map(|choice| ParamValue::Text(choice.to_owned()));
    let conditional = Parameter {
        conditions: vec![Condition {
            parent: 0,
            values: vec![choices[0].clone(), choices[1].clone()],
        }],
        ..named("z", float())
    };
    let kind = Domain::Categorical {
        choices: choices.to_vec(),
    };
    let space = Space::new(
        vec![named("k", kind), named("x", float()), conditional],
        Vec::new(),
    )
    .unwrap();
    let layout = Layout::new(&space);
    let rows: Vec<Vec<f64>> = (0..120_u64)
        .map(|k| {
            let mut encoded = vec![0.0; 3];
            space.snap(&scattered(k), &mut encoded);
            encoded
        })
        .collect();
    let points = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
    let y: Vec<f64> = rows
        .iter()
        .map(|x| x[0] + (5.0 * x[1]).cos() + if x[2].is_nan() { 0.0 } else { x[2] })
        .collect();
    let priors = Priors::default();
    let mut problem = Problem::new(&layout, &points, &y, Kernel::Matern, &priors);
    let theta = [-0.5, 0.2, -1.0, -4.0, -0.5];
    let mut gradient = vec![0.0; 5];
    problem.evaluate(&theta, None, &mut gradient).unwrap();
    for k in 0..5 {
        let mut moved = |by: f64| {
            let mut theta = theta;
            theta[k] += by;
            problem.evaluate(&theta, None, &mut [0.0; 5]).unwrap().0
        };
        close(gradient[k], (moved(1e-5) - moved(-1e-5)) / 2e-5, 1e-5);
    }
}

#[test]
fn what_a_fit_finds_has_the_amplitude_and_the_evidence_that_belong_to_it() {
    let layout = Layout::new(&cube(3));
    let priors = Priors::default();
    for n in 6..30_u64 {
        let rows: Vec<Vec<f64>> = (0..n)
            .map(|k| (0..3).map(|i| unit(mix(n ^ mix(k ^ mix(i))))).collect())
            .collect();
        let points = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
        let y: Vec<f64> = rows
            .iter()
            .map(|x| (6.0 * x[0]).sin() + x[1] * x[2] - 0.5)
            .collect();
        for kernel in [Kernel::Matern, Kernel::Gaussian] {
            // From a beginning so far off that some descents run out of evaluations in a step that is too long.
            let far = Hyper {
                kernel,
                weights: vec![1e4, 1e-4, 1e4],
                amplitude: 1.0,
                noise: 1e-6,
                trend: 0.2,
            };
            let (hyper, evidence) = fit(&layout, &points, &y, kernel, &priors, Some(&far)).unwrap();
            let mut theta: Vec<f64> = hyper.weights.iter().map(|weight| -0.5 * weight.ln()).collect();
            theta.push((hyper.noise / hyper.amplitude - LEAST_NOISE).ln());
            theta.push(hyper.trend.ln());
            let mut problem = Problem::new(&layout, &points, &y, kernel, &priors);
            let (value, scale) = problem.evaluate(&theta, None, &mut [0.0; 5]).unwrap();
            close(scale, hyper.amplitude.ln(), 1e-6);
            close(-value, evidence, 1e-6);
        }
    }
}

#[test]
fn slopes_of_acquisition_functions_are_those_of_their_values_near_edges_too() {
    let layout = Layout::new(&cube(3));
    let rows: Vec<Vec<f64>> = (0..12).map(scattered).collect();
    let points = Points::from_rows(&layout, rows.iter().map(Vec::as_slice));
    let hyper = Hyper {
        kernel: Kernel::Matern,
        weights: vec![4.0, 9.0, 16.0],
        amplitude: 1.0,
        noise: 1e-4,
        trend: 0.2,
    };
    let mut model = Posterior::new(&layout, points, hyper).unwrap();
    let outcomes: Vec<f64> = rows.iter().map(|x| (3.0 * x[0]).sin() + x[1] - x[2]).collect();
    assert!(model.condition(&outcomes));
    let edges = || Edges::new(&layout, model.weights(), &[&rows[0], &rows[1]]);
    let mut counted = 0;
    for acquisition in [Acquisition::LogEi, Acquisition::Ei, Acquisition::Ucb] {
        let with = |edges| Criterion {
            goal: Goal::Outcome {
                acquisition,
                incumbent: -0.5,
            },
            edges,
            objectives: vec![&model],
            constraints: Vec::new(),
        };
        let (criterion, everywhere) = (with(edges()), with(Edges::default()));
        let value = |criterion: &Criterion<'_>, at: &[f64]| {
            criterion.values(&layout, &Points::from_rows(&layout, [at]))[0]
        };
        for at in [[0.01, 0.5, 0.98], [0.3, 0.02, 0.4], [0.999, 0.001, 0.7]] {
            let mut gradient = [0.0; 3];
            let mut scratch = criterion::Scratch::default();
            let alone = criterion.value_with_gradient(&layout, &at, &mut gradient, &mut scratch);
            close(alone, value(&criterion, &at), 1e-9);
            for k in 0..3 {
                let moved = |by: f64| {
                    let mut at = at;
                    at[k] += by;
                    value(&criterion, &at)
                };
                let numeric = (moved(1e-6) - moved(-1e-6)) / 2e-6;
                close(gradient[k], numeric, 1e-4);
            }
            counted += usize::from(alone < value(&everywhere, &at) - 1e-9);
        }
    }
    // The bound is no improvement: it counts as it is.
    assert_eq!(counted, 6);
}
