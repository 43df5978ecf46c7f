use std::collections::BTreeSet;

use tunesmith_common::TrialNumber;
use tunesmith_common::study::StudyFile;

use super::super::view::{FinishedTrial, RunningTrial};
use super::*;

fn space(parameters: &str) -> Space {
    let text = format!("objective: {{metric: loss, goal: minimize}}\nspace: {{{parameters}}}\n");
    StudyFile::parse(&text, "tpe.yaml").unwrap().1.space
}

fn result(number: u64, encoded: &[f64], value: f64) -> FinishedTrial {
    FinishedTrial::completed(TrialNumber(number), encoded, value)
}

fn proposed(space: &Space, finished: &[FinishedTrial], running: &[RunningTrial<'_>]) -> Vec<f64> {
    let view = StudyView {
        space,
        seed: 5,
        next: TrialNumber(100),
        proposed: 99,
        cursor: None,
        finished,
        running,
    };
    let mut proposal = Tpe::new(space).propose(&view, 1, &mut Memory::default()).unwrap();
    proposal.points.remove(0).encoded
}

#[test]
fn trials_that_run_count_among_the_others_so_that_the_next_goes_elsewhere() {
    let space = space("x: {type: float, low: 0, high: 1}");
    // Good at either end.
    let finished: Vec<FinishedTrial> = (1..=40)
        .map(|number| {
            let x = (number as f64 - 0.5) / 40.0;
            result(number, &[x], x * (1.0 - x))
        })
        .collect();
    let alone = proposed(&space, &finished, &[])[0];
    let side = f64::from(u8::from(alone > 0.5));
    assert!((alone - side).abs() < 0.15, "{alone}");
    let places: Vec<[f64; 1]> = (0..12).map(|k| [(side - 0.01 * f64::from(k)).abs()]).collect();
    let running: Vec<RunningTrial<'_>> = places
        .iter()
        .zip(200..)
        .map(|(encoded, number)| RunningTrial {
            trial: TrialNumber(number),
            encoded,
        })
        .collect();
    let beside = proposed(&space, &finished, &running)[0];
    assert!((beside - (1.0 - side)).abs() < 0.15, "{alone} {beside}");
}

#[test]
fn no_point_is_tried_twice_before_all_were() {
    let space = space("n: {type: int, low: 1, high: 5}, kind: {type: categorical, choices: [a, b, c, d]}");
    let mut finished: Vec<FinishedTrial> = Vec::new();
    let mut seen = BTreeSet::new();
    for number in 1..=24 {
        // The one that runs is not tried again either.
        let known = finished.len() - usize::from(!finished.is_empty());
        let running: Vec<RunningTrial<'_>> = finished[known..]
            .iter()
            .map(|trial| RunningTrial {
                trial: trial.trial,
                encoded: &trial.encoded,
            })
            .collect();
        let point = proposed(&space, &finished[..known], &running);
        let is_new = seen.insert(format!("{point:.3?}"));
        assert_eq!(is_new, number <= 20, "trial {number}: {point:?}");
        finished.push(result(number, &point, point[0] + point[1]));
    }
}
