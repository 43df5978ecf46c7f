//! What is said to be left to gain: in every kind of space, of any history, and compared with what is.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::cast_precision_loss, reason = "small counts")]

use tunesmith_common::TrialNumber;
use tunesmith_common::space::Space;
use tunesmith_common::study::{Bound, StudyFile};
use tunesmith_optimizer::{FinishedTrial, Gain, StrategyError, gain_left, looks, trial_rng};

/// A number in [0, 1) that depends on these two.
fn unit(a: u64, b: u64) -> f64 {
    use rand_chacha::rand_core::Rng as _;
    (trial_rng(a, TrialNumber(b)).next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn space(text: &str) -> Space {
    let text = format!("objective: {{metric: loss, goal: minimize}}\nspace:\n{text}");
    StudyFile::parse(&text, "s.yaml").unwrap().1.space
}

fn cube(d: usize) -> Space {
    let lines: Vec<String> = (0..d)
        .map(|k| format!("  x{k}: {{type: float, low: 0, high: 1}}\n"))
        .collect();
    space(&lines.concat())
}

fn trial(number: u64, encoded: Vec<f64>, value: Option<f64>) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(number),
        encoded: encoded.into(),
        value,
        failed: value.is_none(),
        partial: false,
        last_step: None,
        others: Box::default(),
        violations: Box::default(),
    }
}

/// Trials at points spread over a space.
fn spread(space: &Space, count: u64, value: impl Fn(&[f64]) -> f64) -> Vec<FinishedTrial> {
    let d = space.dimensions().len();
    (1..=count)
        .map(|number| {
            let latent: Vec<f64> = (0..d as u64).map(|k| unit(number, k + 1)).collect();
            let mut encoded = vec![0.0; d];
            space.snap(&latent, &mut encoded);
            let value = value(&encoded);
            trial(number, encoded, Some(value))
        })
        .collect()
}

fn bowl(x: &[f64]) -> f64 {
    x.iter()
        .map(|x| if x.is_nan() { 0.1 } else { (x - 0.4) * (x - 0.4) })
        .sum()
}

/// The best of them that keeps the constraints.
fn best(trials: &[FinishedTrial]) -> TrialNumber {
    let holds = |trial: &&FinishedTrial| trial.violations.iter().all(|by| *by <= 0.0);
    let numbers = |trial: &&FinishedTrial| trial.value.is_some_and(f64::is_finite);
    let sound = trials.iter().filter(holds).filter(numbers);
    let least = sound.min_by(|a, b| a.value.unwrap().total_cmp(&b.value.unwrap()));
    least.map_or(TrialNumber(0), |trial| trial.trial)
}

fn least(trials: &[FinishedTrial]) -> f64 {
    trials
        .iter()
        .filter_map(|trial| trial.value)
        .fold(f64::INFINITY, f64::min)
}

fn at_most(space: &Space, trials: &[FinishedTrial]) -> f64 {
    match gain_left(space, 3, trials, best(trials), 0.95).unwrap() {
        Gain::AtMost(gain) => gain,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_left_shrinks_as_results_come_and_is_at_least_what_there_is() {
    let space = cube(2);
    let mut trials = spread(&space, 16, bowl);
    let early = at_most(&space, &trials);
    assert!(early >= least(&trials), "{early} against {}", least(&trials));
    trials.extend(spread(&space, 60, bowl).split_off(16));
    let mut number = 60;
    for (a, b) in [(0.4, 0.4), (0.41, 0.4), (0.4, 0.43), (0.35, 0.38)] {
        number += 1;
        trials.push(trial(number, vec![a, b], Some(bowl(&[a, b]))));
    }
    let late = at_most(&space, &trials);
    assert!(late < 0.005 && late < early / 20.0, "{late} after {early}");
}

#[test]
fn the_unit_is_that_of_the_objective() {
    let space = cube(2);
    let trials = spread(&space, 20, bowl);
    let gain = at_most(&space, &trials);
    let scaled: Vec<FinishedTrial> = trials
        .iter()
        .map(|trial| FinishedTrial {
            value: trial.value.map(|value| 1000.0 * value - 7.0),
            ..trial.clone()
        })
        .collect();
    let ratio = at_most(&space, &scaled) / gain;
    assert!((ratio - 1000.0).abs() < 1.0, "{ratio}");
}

#[test]
fn it_is_the_same_number_every_time_in_every_kind_of_space() {
    let spaces = [
        cube(1),
        space(
            "  a: {type: categorical, choices: [u, v, w]}\n  b: {type: int, low: 1, high: 1000, scale: log}\n",
        ),
        space(
            "  a: {type: categorical, choices: [u, v]}\n  b: {type: float, low: 0, high: 1, when: {a: u}}\n  c: {type: bool}\n",
        ),
        space("  a: {type: ordinal, choices: [1, 2, 3, 4]}\n  c: {type: constant, value: 3}\n"),
    ];
    for space in spaces {
        let trials = spread(&space, 24, bowl);
        let gain = at_most(&space, &trials);
        assert_eq!(gain.to_bits(), at_most(&space, &trials).to_bits());
        assert!(gain.is_finite() && gain >= 0.0);
    }
}

#[test]
fn nothing_is_left_where_every_point_was_tried() {
    let space = space("  a: {type: ordinal, choices: [1, 2, 3, 4]}\n");
    // Exact, and tried often.
    let trials = spread(&space, 40, |x| (x[0] - 0.4).abs());
    let gain = at_most(&space, &trials);
    assert!(gain < 0.01, "{gain}");
}

#[test]
fn too_few_results_say_nothing_and_those_without_a_number_do_not_count() {
    let space = cube(2);
    assert_eq!(looks(&space, 15), Err(16));
    let mut trials = spread(&space, 15, bowl);
    for number in 16..30 {
        trials.push(trial(number, vec![unit(number, 1), 0.5], None));
        trials.push(trial(number, vec![unit(number, 2), 0.5], Some(f64::NAN)));
        trials.push(trial(number, vec![unit(number, 3), 0.5], Some(f64::INFINITY)));
    }
    assert_eq!(
        gain_left(&space, 3, &trials, best(&trials), 0.95),
        Ok(Gain::TooFew(16))
    );
    // Nor do those of other studies, which teach all the same.
    let others: Vec<FinishedTrial> = spread(&space, 50, bowl)
        .into_iter()
        .map(|other| FinishedTrial {
            trial: TrialNumber(0),
            ..other
        })
        .collect();
    let known: Vec<FinishedTrial> = others.into_iter().chain(trials.clone()).collect();
    assert_eq!(
        gain_left(&space, 3, &known, TrialNumber(1), 0.95),
        Ok(Gain::TooFew(16))
    );
    trials.push(trial(90, vec![0.9, 0.9], Some(bowl(&[0.9, 0.9]))));
    let gain = at_most(&space, &trials);
    assert!(gain.is_finite() && gain > 0.0);
}

#[test]
fn results_that_are_all_the_same_are_refused() {
    let space = cube(2);
    let trials = spread(&space, 20, |_| 1.0);
    assert!(matches!(
        gain_left(&space, 3, &trials, best(&trials), 0.95),
        Err(StrategyError::Fit { .. })
    ));
}

#[test]
fn trainings_that_were_stopped_early_teach_what_whole_ones_would_come_to() {
    let space = cube(1);
    let loss = |x: f64, steps: i64| (x - 0.4) * (x - 0.4) + 1.0 / (1.0 + steps as f64);
    let mut trials = Vec::new();
    for number in 1..=24 {
        let x = unit(number, 1);
        let steps = if number % 2 == 0 { 5 } else { 50 };
        trials.push(FinishedTrial {
            partial: number % 2 == 0,
            last_step: Some(steps),
            ..trial(number, vec![x], Some(loss(x, steps)))
        });
    }
    let whole = trials
        .iter()
        .filter(|trial| !trial.partial)
        .cloned()
        .collect::<Vec<_>>();
    let left = least(&whole) - loss(0.4, 50);
    let gain = at_most(&space, &trials);
    assert!(gain >= left && gain < 0.1, "{gain} against {left}");
}

#[test]
fn only_points_that_keep_the_measured_constraints_can_be_gained() {
    // So few points that all of them are looked at.
    let levels: Vec<String> = (0..40).map(|level| level.to_string()).collect();
    let space = space(&format!(
        "  x: {{type: ordinal, choices: [{}]}}\n",
        levels.join(", ")
    ));
    let place = |level: u64| (level as f64 + 0.5) / 40.0;
    let with = |level: u64, violations: &[f64]| FinishedTrial {
        violations: violations.into(),
        ..trial(level + 1, vec![place(level)], Some(1.0 - place(level)))
    };
    // What is good is forbidden: up to 0.5 there is next to nothing left.
    let bound = Bound::AtMost(0.5);
    let bounded: Vec<FinishedTrial> = (0..40)
        .filter(|level| level % 2 == 1 && *level < 36)
        .map(|level| with(level, &[bound.violation(place(level))]))
        .collect();
    let free: Vec<FinishedTrial> = (0..20).map(|level| with(level, &[])).collect();
    let (bounded_left, free_left) = (at_most(&space, &bounded), at_most(&space, &free));
    assert!(
        bounded_left < 0.1 && free_left > 0.3,
        "{bounded_left} {free_left}"
    );
    // None keeps it.
    let none: Vec<FinishedTrial> = (0..20).map(|level| with(level, &[1.0])).collect();
    assert_eq!(gain_left(&space, 3, &none, best(&none), 0.95), Ok(Gain::NoBest));
}
