//! What strategies make of the trials of other studies that a study learns from.

use std::collections::HashSet;

use tunesmith_common::TrialNumber;
use tunesmith_common::space::{Scale, Space};
use tunesmith_common::study::{StrategyName, StudySpec};
use tunesmith_optimizer::{FinishedTrial, Memory, StudyView, build};

use crate::check_contract;
use crate::studies::{
    Afresh as _, all_bits, bits, float, grid, learns, registry, space, spaces, study, view,
};

/// A study that learns from another one.
fn learner(space: &Space, name: StrategyName, seed: u64) -> StudySpec {
    let mut spec = study(space.clone(), name, seed, Vec::new());
    spec.strategy.history = vec!["other".parse().unwrap()];
    spec
}

fn finished(number: u64, encoded: Vec<f64>, value: f64) -> FinishedTrial {
    FinishedTrial::completed(TrialNumber(number), encoded, value)
}

/// The better the nearer to 0.3.
fn value(encoded: &[f64]) -> f64 {
    let distance = |x: &f64| if x.is_nan() { 0.1 } else { (x - 0.3).powi(2) };
    encoded.iter().map(distance).sum()
}

/// Random trials of another study.
fn others(space: &Space, count: usize) -> Vec<FinishedTrial> {
    let spec = study(space.clone(), StrategyName::Random, 99, Vec::new());
    let points = build(&spec).afresh(&view(&spec, 1), count).unwrap().points;
    points
        .into_iter()
        .map(|point| {
            let value = value(&point.encoded);
            finished(0, point.encoded, value)
        })
        .collect()
}

#[test]
fn the_contract_is_kept_with_trials_of_other_studies() {
    for (kind, space) in spaces()
        .into_iter()
        .filter(|(kind, _)| *kind != "1,000 parameters")
    {
        for name in registry() {
            let spec = learner(&space, name, 5);
            let strategy = build(&spec);
            let mut memory = Memory::default();
            // Fewer than a model needs, and more.
            for count in [3, 60] {
                let mut known = others(&space, count);
                for number in 1..16 {
                    let view = StudyView {
                        finished: &known,
                        proposed: number - 1,
                        ..view(&spec, number)
                    };
                    if number % 7 == 1 {
                        check_contract(&spec, &view, 3);
                    }
                    let kept = strategy.propose(&view, 1, &mut memory);
                    assert_eq!(
                        all_bits(&kept),
                        all_bits(&strategy.afresh(&view, 1)),
                        "{name:?} in {kind}, trial {number} after {count} of others"
                    );
                    let Ok(kept) = kept else { break };
                    let encoded = kept.points[0].encoded.clone();
                    let value = value(&encoded);
                    known.push(finished(number, encoded, value));
                }
            }
        }
    }
}

#[test]
fn strategies_that_learn_begin_where_other_studies_found_the_best() {
    let parameters = ["a", "b", "c", "d"].map(|name| float(name, 0.0, 1.0, Scale::Linear));
    let space = space(parameters.into(), &[]);
    // The best come first: an order that says nothing.
    let mut known = others(&space, 200);
    known.sort_by(|a, b| a.value.unwrap().total_cmp(&b.value.unwrap()));
    for name in registry().into_iter().filter(|name| learns(*name)) {
        let (mut with, mut without) = (0.0, 0.0);
        for seed in 0..5 {
            let spec = learner(&space, name, seed);
            let best = |finished: &[FinishedTrial]| {
                let view = StudyView {
                    finished,
                    ..view(&spec, 1)
                };
                let points = build(&spec).afresh(&view, 8).unwrap().points;
                points
                    .iter()
                    .map(|point| value(&point.encoded))
                    .fold(f64::INFINITY, f64::min)
            };
            with += best(&known);
            without += best(&[]);
        }
        assert!(with < 0.5 * without, "{name:?}: {with} with, {without} without");
    }
}

#[test]
fn what_another_study_has_tried_is_not_tried_again_by_those_that_only_enumerate() {
    let spaces = spaces();
    for kind in ["finite", "conditional", "constrained"] {
        let (_, space) = spaces.iter().find(|(name, _)| *name == kind).unwrap();
        let spec = study(space.clone(), grid(false, 3), 1, Vec::new());
        let cells = build(&spec).afresh(&view(&spec, 1), 1_000).unwrap().points;
        let known: Vec<FinishedTrial> = cells
            .iter()
            .step_by(2)
            .map(|cell| finished(0, cell.encoded.clone(), 1.0))
            .collect();
        let tried: HashSet<Vec<u64>> = cells.iter().step_by(2).map(|cell| bits(cell).1).collect();
        for name in [
            grid(false, 3),
            grid(true, 3),
            StrategyName::Random,
            StrategyName::Sobol,
        ] {
            let spec = learner(space, name, 1);
            let strategy = build(&spec);
            let view = StudyView {
                finished: &known,
                ..view(&spec, 1)
            };
            check_contract(&spec, &view, 40);
            let points = strategy.afresh(&view, 200).unwrap().points;
            assert!(
                points.iter().all(|point| !tried.contains(&bits(point).1)),
                "{name:?} in {kind}"
            );
            if let StrategyName::Grid { .. } = name {
                assert_eq!(points.len(), cells.len() / 2, "{kind}");
            }
        }
        // All of it was tried: a grid is at its end, random goes on.
        let known: Vec<FinishedTrial> = cells
            .iter()
            .map(|cell| finished(0, cell.encoded.clone(), 1.0))
            .collect();
        for name in [grid(true, 3), StrategyName::Random] {
            let spec = learner(space, name, 1);
            let view = StudyView {
                finished: &known,
                ..view(&spec, 1)
            };
            check_contract(&spec, &view, 2);
            let points = build(&spec)
                .afresh(&view, 2)
                .map_or(0, |batch| batch.points.len());
            assert_eq!(points, if name == StrategyName::Random { 2 } else { 0 }, "{kind}");
        }
    }
}
