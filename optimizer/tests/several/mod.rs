//! Several objectives and measured constraints: the contract of all strategies holds with them, and those that learn make use of them.

use std::collections::HashSet;
use std::f64::consts::PI;

use proptest::prelude::*;
use tunesmith_common::TrialNumber;
use tunesmith_common::space::{Scale, Space};
use tunesmith_common::study::{Acquisition, StrategyName};
use tunesmith_optimizer::pareto::hypervolume;
use tunesmith_optimizer::{FinishedTrial, Memory, RunningTrial, StudyView, build};

use crate::check_contract;
use crate::studies::{Afresh as _, all_bits, float, gp, learns, registry, space, spaces, study, view};

fn ended(trial: u64, encoded: &[f64], values: &[f64], violations: &[f64]) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(trial),
        encoded: encoded.into(),
        value: Some(values[0]),
        failed: false,
        partial: false,
        last_step: None,
        others: values[1..].into(),
        violations: violations.into(),
    }
}

/// Objectives and violations with what goes wrong here and there.
fn outcome(trial: u64, encoded: &[f64], objectives: usize, constraints: usize) -> FinishedTrial {
    let off = |best: f64| -> f64 {
        encoded
            .iter()
            .map(|x| if x.is_nan() { 0.1 } else { (x - best).powi(2) })
            .sum()
    };
    let values: Vec<f64> = (0..objectives).map(|k| off(0.2 + 0.15 * k as f64)).collect();
    let violations: Vec<f64> = (0..constraints)
        .map(|k| off(0.5) - 0.1 - 0.2 * k as f64)
        .collect();
    let mut ended = ended(trial, encoded, &values, &violations);
    match trial % 13 {
        5 => (ended.value, ended.failed) = (None, true),
        7 => ended.value = Some(f64::INFINITY),
        8 => ended.others.fill(f64::NAN),
        9 => ended.violations.fill(f64::NAN),
        11 => ended.violations.fill(f64::NEG_INFINITY),
        // As it may be of a trial from before there were so many of them.
        12 => (ended.others, ended.violations) = Default::default(),
        _ => {}
    }
    ended
}

#[test]
fn what_is_kept_changes_nothing_with_several_objectives_and_constraints_either() {
    for (kind, space) in spaces() {
        if kind == "1,000 parameters" {
            continue;
        }
        for (objectives, constraints) in [(2, 0), (1, 2), (3, 1), (5, 0)] {
            for name in registry().into_iter().filter(|name| learns(*name)) {
                if matches!(name, StrategyName::Gp { acquisition } if acquisition != Acquisition::LogEi) {
                    continue;
                }
                let spec = study(space.clone(), name, 5, Vec::new());
                let strategy = build(&spec);
                let mut memory = Memory::default();
                let mut finished: Vec<FinishedTrial> = Vec::new();
                let mut open: Vec<(u64, Vec<f64>)> = Vec::new();
                let mut points = HashSet::new();
                for number in 1..46 {
                    let running: Vec<RunningTrial<'_>> = open
                        .iter()
                        .map(|(trial, encoded)| RunningTrial {
                            trial: TrialNumber(*trial),
                            encoded,
                        })
                        .collect();
                    let view = StudyView {
                        finished: &finished,
                        running: &running,
                        proposed: number - 1,
                        ..view(&spec, number)
                    };
                    let kept = strategy.propose(&view, 1, &mut memory);
                    let told =
                        || format!("{name:?} in {kind}, {objectives} and {constraints}, trial {number}");
                    assert_eq!(
                        all_bits(&kept),
                        all_bits(&strategy.afresh(&view, 1)),
                        "{}",
                        told()
                    );
                    let point = kept.unwrap().points.remove(0);
                    assert!(spec.space.satisfies(&point.params), "{}", told());
                    let bits: Vec<u64> = point.encoded.iter().map(|x| x.to_bits()).collect();
                    assert!(points.insert(bits) || kind != "continuous", "{} again", told());
                    open.push((number, point.encoded));
                    while open.len() > 2 {
                        let (trial, encoded) = open.remove((number % 2) as usize);
                        finished.push(outcome(trial, &encoded, objectives, constraints));
                    }
                }
                // Nor does what was kept at a later moment.
                let view = StudyView {
                    finished: &finished[..20],
                    ..view(&spec, 200)
                };
                assert_eq!(
                    all_bits(&strategy.propose(&view, 1, &mut memory)),
                    all_bits(&strategy.afresh(&view, 1)),
                    "{name:?} in {kind}"
                );
            }
        }
    }
}

fn any_number() -> impl proptest::strategy::Strategy<Value = f64> {
    prop_oneof![
        3 => -2.0..2.0,
        1 => any::<f64>(),
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 0.0, f64::MAX, f64::MIN_POSITIVE]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever the numbers, and however many of them a trial has.
    #[test]
    fn any_objectives_and_violations_are_accepted(
        kind in 0_usize..5,
        seed in any::<u64>(),
        objectives in 0_usize..8,
        constraints in 0_usize..4,
        history in prop::collection::vec(
            (prop::option::of(any_number()), prop::collection::vec(any_number(), 8), prop::collection::vec(any_number(), 4), any::<bool>(), 0.0..1.0),
            0..24,
        ),
    ) {
        let (_, space) = spaces().swap_remove(kind);
        let mut encoded = vec![0.0; space.dimensions().len()];
        let finished: Vec<FinishedTrial> = (1_u32..)
            .zip(history)
            .map(|(trial, (value, others, violations, failed, place))| {
                let shifted = |k: usize| f64::fract(place + 0.3 * k as f64);
                let latent: Vec<f64> = (0..space.dimensions().len()).map(shifted).collect();
                space.snap(&latent, &mut encoded);
                let length = if trial % 9 == 8 { 0 } else { objectives };
                FinishedTrial {
                    value,
                    failed,
                    ..ended(u64::from(trial), &encoded, &[&[0.0][..], &others[..length]].concat(), &violations[..constraints])
                }
            })
            .collect();
        let here = vec![0.25; encoded.len()];
        let running = [RunningTrial { trial: TrialNumber(99), encoded: &here }];
        for name in registry().into_iter().filter(|name| learns(*name)) {
            let spec = study(space.clone(), name, seed, Vec::new());
            let full = StudyView { finished: &finished, running: &running, ..view(&spec, 100) };
            check_contract(&spec, &full, 2);
        }
    }
}

/// What a point is worth: objectives and violations.
type Problem = dyn Fn(&[f64]) -> (Vec<f64>, Vec<f64>);

/// So many trials of a study, one after the other.
fn trials(space: &Space, name: StrategyName, seed: u64, count: u64, problem: &Problem) -> Vec<FinishedTrial> {
    let spec = study(space.clone(), name, seed, Vec::new());
    let strategy = build(&spec);
    let mut memory = Memory::default();
    let mut finished: Vec<FinishedTrial> = Vec::new();
    for number in 1..=count {
        let view = StudyView {
            finished: &finished,
            proposed: number - 1,
            ..view(&spec, number)
        };
        let point = strategy.propose(&view, 1, &mut memory).unwrap().points.remove(0);
        let (values, violations) = problem(&point.encoded);
        finished.push(ended(number, &point.encoded, &values, &violations));
    }
    finished
}

/// The objectives of those that satisfy the constraints.
fn sound(finished: &[FinishedTrial]) -> Vec<Vec<f64>> {
    let sound = finished
        .iter()
        .filter(|trial| trial.violations.iter().all(|by| *by <= 0.0));
    sound
        .map(|trial| {
            trial
                .value
                .into_iter()
                .chain(trial.others.iter().copied())
                .collect()
        })
        .collect()
}

fn cube(d: usize) -> Space {
    space(
        (0..d)
            .map(|k| float(&format!("x{k}"), 0.0, 1.0, Scale::Linear))
            .collect(),
        &[],
    )
}

/// With at least five of six seeds better than random search by so much of what random search has.
fn assert_better_than_random(
    names: &[StrategyName],
    count: u64,
    by: f64,
    space: &Space,
    problem: &Problem,
    good: &dyn Fn(&[FinishedTrial]) -> f64,
) {
    let all = |name| -> Vec<f64> {
        (0..6)
            .map(|seed| good(&trials(space, name, seed, count, problem)))
            .collect()
    };
    let random = all(StrategyName::Random);
    for name in names {
        let ours = all(*name);
        let won = ours
            .iter()
            .zip(&random)
            .filter(|(ours, random)| **ours > *random + by * random.abs())
            .count();
        assert!(won >= 5, "{name:?} won {won} of 6: {ours:?}, random {random:?}");
    }
}

fn log_ei() -> StrategyName {
    gp(Acquisition::LogEi)
}

#[test]
fn fronts_are_better_than_those_of_random_search() {
    // ZDT1 (Zitzler, Deb and Thiele 2000).
    let zdt1 = |x: &[f64]| {
        let rest = &x[1..];
        let g = 1.0 + 9.0 * rest.iter().sum::<f64>() / rest.len() as f64;
        (vec![x[0], g * (1.0 - (x[0] / g).sqrt())], Vec::new())
    };
    let volume = |finished: &[FinishedTrial]| hypervolume(&sound(finished), &[1.1, 6.0]);
    assert_better_than_random(&[log_ei()], 35, 0.3, &cube(6), &zdt1, &volume);
    assert_better_than_random(&[StrategyName::Nsga2], 100, 0.1, &cube(6), &zdt1, &volume);
    // Those that know one value only get a place in the order instead.
    let others = [StrategyName::Tpe, StrategyName::Evolution, StrategyName::Cmaes];
    assert_better_than_random(&others, 150, 0.0, &cube(6), &zdt1, &volume);
}

#[test]
fn fronts_with_a_constraint_are_better_than_those_of_random_search() {
    // C2-DTLZ2 (Jain and Deb 2014) with two objectives: only the ends and the middle of the front satisfy the constraint.
    let c2_dtlz2 = |x: &[f64]| {
        let g: f64 = x[1..].iter().map(|x| (x - 0.5).powi(2)).sum();
        let (sin, cos) = (x[0] * PI / 2.0).sin_cos();
        let f = [(1.0 + g) * cos, (1.0 + g) * sin];
        let near = |a: f64, b: f64| (f[0] - a).powi(2) + (f[1] - b).powi(2);
        let middle = 0.5_f64.sqrt();
        let violation = near(1.0, 0.0).min(near(0.0, 1.0)).min(near(middle, middle)) - 0.04;
        (f.to_vec(), vec![violation])
    };
    // A constant, so that nothing is not the same as nothing much.
    let volume = |finished: &[FinishedTrial]| 0.1 + hypervolume(&sound(finished), &[1.3, 1.3]);
    assert_better_than_random(&[log_ei()], 50, 0.2, &cube(5), &c2_dtlz2, &volume);
    assert_better_than_random(&[StrategyName::Nsga2], 150, 0.05, &cube(5), &c2_dtlz2, &volume);
}

#[test]
fn the_best_within_a_disc_is_found() {
    // Branin, whose three minima lie outside the disc.
    let branin = |x: &[f64]| {
        let (x, y) = (15.0 * x[0] - 5.0, 15.0 * x[1]);
        let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
        let value = bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0;
        (vec![value], vec![(x - 2.5).powi(2) + (y - 7.5).powi(2) - 4.0])
    };
    let best = |finished: &[FinishedTrial]| {
        let values = sound(finished);
        -values.iter().map(|values| values[0]).fold(100.0, f64::min)
    };
    assert_better_than_random(&[log_ei()], 30, 0.0, &cube(2), &branin, &best);
    let others = [StrategyName::Tpe, StrategyName::Cmaes, StrategyName::Evolution];
    assert_better_than_random(&others, 120, 0.0, &cube(2), &branin, &best);
    // The optimum itself, to a hundredth: found by brute force over a fine grid.
    let grid = (0..=1_000).flat_map(|i| (0..=1_000).map(move |j| [f64::from(i) / 1e3, f64::from(j) / 1e3]));
    let optimum = grid
        .map(|x| branin(&x))
        .filter(|(_, by)| by[0] <= 0.0)
        .map(|(y, _)| y[0])
        .fold(f64::INFINITY, f64::min);
    for seed in 0..3 {
        let found = -best(&trials(&cube(2), log_ei(), seed, 35, &branin));
        assert!(found < optimum + 0.02, "{found}, the optimum is {optimum}");
    }
}
