//! Against pycma, cmaes and closed forms.

use ndarray::{Array1, Array2};
use serde_json::Value;

use super::{Categories, Gaussian, Weights};

fn numbers(value: &Value) -> Array1<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|x| x.as_f64().unwrap())
        .collect()
}

fn runs(golden: &str) -> Vec<Value> {
    let golden: Value = serde_json::from_str(golden).unwrap();
    golden["runs"].as_array().unwrap().clone()
}

fn golden() -> Vec<Value> {
    // Made by `make_cma.py` beside it.
    runs(include_str!("../../tests/golden/cma.json"))
}

fn weights(run: &Value) -> Weights {
    let size = usize::try_from(run["size"].as_u64().unwrap()).unwrap();
    Weights::new(numbers(&run["start"]).len(), size, false)
}

fn assert_near(ours: f64, theirs: &Value, what: &str) {
    let theirs = theirs.as_f64().unwrap();
    assert!(
        (ours - theirs).abs() <= 1e-8 * theirs.abs().max(0.1),
        "{what}: {ours} against {theirs}"
    );
}

#[test]
fn weights_and_rates_are_those_of_pycma() {
    for run in golden() {
        let weights = weights(&run);
        for (rank, weight) in weights.ranks.iter().enumerate() {
            assert_near(*weight, &run["weights"][rank], "weight");
        }
        assert_near(weights.effective, &run["effective"], "effective");
        assert_near(weights.rate_sigma, &run["rate_sigma"], "rate_sigma");
        assert_near(weights.damping, &run["damping"], "damping");
        assert_near(weights.rate_path, &run["rate_path"], "rate_path");
        assert_near(weights.rate_one, &run["rate_one"], "rate_one");
        assert_near(weights.rate_ranks, &run["rate_ranks"], "rate_ranks");
    }
}

/// Updates a distribution with the ranked samples of `run`, and compares it after each generation.
fn assert_updates(run: &Value, weights: &Weights, diagonal: bool) {
    let sigma = run["sigma"].as_f64().unwrap();
    let mut gaussian = Gaussian::new(numbers(&run["start"]), sigma, diagonal);
    for (generation, expected) in run["generations"].as_array().unwrap().iter().enumerate() {
        let ranked = expected["ranked"].as_array().unwrap().iter();
        let steps: Vec<Array1<f64>> = ranked
            .map(|point| (numbers(point) - &gaussian.mean) / gaussian.sigma)
            .collect();
        assert!(gaussian.update(&steps, weights));
        let what = |of: &str| format!("{of} after {generation}");
        assert_near(gaussian.sigma, &expected["sigma"], &what("sigma"));
        let covariance = gaussian.covariance();
        for (k, mean) in gaussian.mean.iter().enumerate() {
            assert_near(*mean, &expected["mean"][k], &what("mean"));
            if diagonal {
                assert_near(covariance[(k, k)], &expected["variances"][k], &what("C"));
                continue;
            }
            for j in 0..gaussian.mean.len() {
                assert_near(covariance[(k, j)], &expected["covariance"][k][j], &what("C"));
            }
        }
    }
}

#[test]
fn updates_are_those_of_pycma() {
    for run in golden() {
        assert_updates(&run, &weights(&run), false);
    }
}

#[test]
fn updates_of_a_diagonal_covariance_are_those_of_cmaes() {
    // Made by `make_diagonal_cma.py` beside it, which says why the weights are not our own.
    for run in runs(include_str!("../../tests/golden/diagonal_cma.json")) {
        let number = |of: &str| run[of].as_f64().unwrap();
        let weights = Weights {
            ranks: numbers(&run["weights"]).to_vec(),
            effective: number("effective"),
            rate_sigma: number("rate_sigma"),
            damping: number("damping"),
            rate_path: number("rate_path"),
            rate_one: number("rate_one"),
            rate_ranks: number("rate_ranks"),
        };
        assert_updates(&run, &weights, true);
    }
}

#[test]
fn steps_have_the_covariance_that_they_are_whitened_by() {
    let run = golden().swap_remove(0);
    let weights = weights(&run);
    let mut gaussian = Gaussian::new(numbers(&run["start"]), 0.2, false);
    for generation in run["generations"].as_array().unwrap() {
        let ranked = generation["ranked"].as_array().unwrap().iter();
        let steps: Vec<Array1<f64>> = ranked
            .map(|point| (numbers(point) - &gaussian.mean) / gaussian.sigma)
            .collect();
        gaussian.update(&steps, &weights);
    }
    // The steps of the unit vectors are the columns of a root of C.
    let n = gaussian.mean.len();
    let mut root = Array2::zeros((n, n));
    for k in 0..n {
        let mut unit = Array1::zeros(n);
        unit[k] = 1.0;
        root.column_mut(k).assign(&gaussian.step(&unit));
    }
    let difference = root.dot(&root.t()) - gaussian.covariance();
    assert!(
        difference.iter().all(|x| x.abs() < 1e-12),
        "{:?}",
        gaussian.covariance()
    );
    // A step from elsewhere keeps its direction and gets the length of an own one.
    let far = gaussian.step(&Array1::from_elem(n, 100.0));
    let mut clipped = far.clone();
    gaussian.clip(&mut clipped);
    let longest = 2.0 + 2.0 * 4.0 / 6.0;
    assert!((clipped - far * (longest / 200.0)).iter().all(|x| x.abs() < 1e-9));
    let mut own = gaussian.step(&Array1::from_elem(n, 1.5));
    let before = own.clone();
    gaussian.clip(&mut own);
    assert_eq!(own, before);
}

#[test]
fn a_diagonal_covariance_learns_the_scales_of_the_parameters() {
    // The same samples, good where they are near the mean in the first dimension and far in the second.
    let weights = Weights::new(2, 6, true);
    let mut gaussian = Gaussian::new(Array1::from_elem(2, 0.5), 0.1, true);
    for _ in 0..20 {
        let steps = [
            [0.1, 2.0],
            [-0.1, -2.0],
            [0.2, 1.9],
            [-2.0, 0.1],
            [2.0, -0.1],
            [1.9, 0.2],
        ];
        let steps: Vec<Array1<f64>> = steps.iter().map(|step| Array1::from(step.to_vec())).collect();
        assert!(gaussian.update(&steps, &weights));
    }
    let deviations = gaussian.deviations();
    assert!(deviations[1] > 5.0 * deviations[0], "{deviations:?}");
    assert!((gaussian.stretch() - deviations[1] / deviations[0]).abs() < 1e-9);
}

#[test]
fn chances_move_to_the_good_categories_and_keep_their_margin() {
    let mut categories = Categories::new(4, 3);
    assert_eq!(categories.chances(), [0.25; 4]);
    categories.learn([(1, 0.75), (3, 0.25)].into_iter());
    let expected = [0.15, 0.45, 0.15, 0.25];
    for (ours, expected) in categories.chances().iter().zip(expected) {
        assert!((ours - expected).abs() < 1e-12, "{categories:?}");
    }
    // Of samples of a quarter of the weight a quarter is learnt.
    let mut fewer = Categories::new(4, 3);
    fewer.learn([(1, 0.25)].into_iter());
    assert!((fewer.chances()[1] - 0.325).abs() < 1e-12);
    for _ in 0..100 {
        categories.learn([(1, 1.0)].into_iter());
    }
    // Three such parameters all have their likeliest value with a chance of four fifths.
    assert!(
        (categories.chances()[1].powi(3) - 0.8).abs() < 1e-12,
        "{categories:?}"
    );
    let margin = (1.0 - categories.chances()[1]) / 3.0;
    assert!(
        [0, 2, 3]
            .iter()
            .all(|k| (categories.chances()[*k] - margin).abs() < 1e-12)
    );
    assert_eq!(
        [0.0, 0.01, 0.03, 0.97, 0.999].map(|at| categories.pick(at)),
        [0, 0, 1, 2, 3]
    );
    assert_eq!(Categories::new(3, 1).pick(1.0), 2);
}
