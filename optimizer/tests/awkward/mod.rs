//! The contract with histories that models and populations are brought down by.

use std::collections::HashSet;

use tunesmith_common::TrialNumber;
use tunesmith_common::space::{Scale, Space};
use tunesmith_common::study::{Acquisition, StrategyName, StudySpec};
use tunesmith_optimizer::{FinishedTrial, RunningTrial, StudyView, build};

use crate::check_contract;
use crate::studies::{Afresh as _, float, gp, int, learns, registry, schedules, space, spaces, study, view};

const MANY: &str = "1,000 parameters";
/// Results of a history, more than any strategy's start takes.
const RESULTS: u64 = 40;

/// Ranges as wide and as small as numbers go.
fn extremes() -> Space {
    space(
        vec![
            float("tiny", 1e-300, 2e-300, Scale::Linear),
            float("small", 0.0, 1e-300, Scale::Linear),
            float("huge", -1e300, 1e300, Scale::Linear),
            float("all", 1e-300, 1e300, Scale::Log),
            int("whole", -(1 << 49), (1 << 49) - 1, Scale::Linear),
        ],
        &[],
    )
}

/// What is told of the trial of a number at a point: None if it failed.
type Outcome = fn(u64, &[f64]) -> Option<f64>;

fn sum(encoded: &[f64]) -> f64 {
    encoded
        .iter()
        .filter(|x| !x.is_nan())
        .map(|x| (x - 0.3).powi(2))
        .sum()
}

const OUTCOMES: [(&str, Outcome); 9] = [
    ("all equal", |_, _| Some(0.1)),
    ("only failures", |_, _| None),
    ("one result", |trial, _| (trial == 3).then_some(1.0)),
    ("neither numbers nor finite", |trial, _| {
        Some(match trial % 3 {
            0 => f64::NAN,
            1 => f64::INFINITY,
            _ => f64::NEG_INFINITY,
        })
    }),
    ("one number", |trial, _| {
        Some(if trial == 9 { 2.0 } else { f64::NAN })
    }),
    ("huge", |trial, at| {
        Some(if trial.is_multiple_of(2) {
            f64::MAX
        } else {
            -1e300 * sum(at)
        })
    }),
    ("tiny", |_, at| Some(1e-300 * sum(at))),
    ("equal but for rounding", |trial, _| {
        Some(1.0 + f64::EPSILON * (trial % 3) as f64)
    }),
    ("smooth", |_, at| Some(sum(at))),
];

/// Where a trial of a number lies along its first parameter.
type Place = fn(u64) -> f64;

/// Where the trials lie: spread out, at two points, and so close together that a covariance matrix of them has no factor.
const PLACES: [(&str, Place); 3] = [
    ("spread", |trial| (trial as f64 * 0.618_033_988_749_895).fract()),
    ("duplicates", |trial| 0.25 + 0.5 * (trial % 2) as f64),
    ("close", |trial| 0.5 + 1e-10 * trial as f64),
];

/// A trial that has ended: without a value it failed.
fn finished(trial: u64, encoded: Vec<f64>, value: Option<f64>) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(trial),
        encoded: encoded.into(),
        value,
        failed: value.is_none(),
        // Some were stopped, or rest, and some of those at the first rung.
        partial: trial.is_multiple_of(4),
        last_step: trial.is_multiple_of(4).then(|| trial.cast_signed() % 3),
        others: Box::default(),
        violations: Box::default(),
    }
}

/// The history of a space's trials, each of which is as the space would encode it.
fn history(space: &Space, place: Place, outcome: Outcome, results: u64) -> Vec<FinishedTrial> {
    (1..=results)
        .map(|trial| {
            let mut encoded = vec![0.0; space.dimensions().len()];
            let at: Vec<f64> = (0..encoded.len() as u64).map(|k| place(trial + 7 * k)).collect();
            space.snap(&at, &mut encoded);
            let value = outcome(trial, &encoded);
            finished(trial, encoded, value)
        })
        .collect()
}

struct Cases<'a> {
    places: &'a [(&'a str, Place)],
    outcomes: &'a [(&'a str, Outcome)],
    results: u64,
}

fn check(kind: &str, space: &Space, names: &[StrategyName], cases: &Cases<'_>) {
    for &name in names {
        for (place, at) in cases.places {
            for (what, outcome) in cases.outcomes {
                let finished = history(space, *at, *outcome, cases.results);
                for schedule in schedules(name) {
                    let mut spec = study(space.clone(), name, 11, Vec::new());
                    let is_scheduled = schedule.is_some();
                    spec.strategy.schedule = schedule;
                    check_one(&spec, &finished, &|| {
                        format!("{name:?} in {kind}: {what}, {place}, with a schedule: {is_scheduled}")
                    });
                }
            }
        }
    }
}

fn check_one(spec: &StudySpec, finished: &[FinishedTrial], case: &dyn Fn() -> String) {
    let results = finished.len() as u64;
    let here = finished[0].encoded.clone();
    let running = [RunningTrial {
        trial: TrialNumber(results + 1),
        encoded: &here,
    }];
    let view = StudyView {
        finished,
        running: &running,
        proposed: results + 1,
        ..view(spec, results + 2)
    };
    check_contract(spec, &view, 2);
    if learns(spec.strategy.name) {
        let made = build(spec).afresh(&view, 2);
        assert_eq!(made.map(|proposal| proposal.points.len()), Ok(2), "{}", case());
    }
}

#[test]
fn whatever_the_results_are_and_wherever_they_lie() {
    let cases = Cases {
        places: &PLACES,
        outcomes: &OUTCOMES,
        results: RESULTS,
    };
    for (kind, space) in spaces() {
        if kind != MANY {
            check(kind, &space, &registry(), &cases);
        }
    }
}

#[test]
fn ranges_are_as_wide_and_as_small_as_numbers_go() {
    let cases = Cases {
        places: &PLACES[..1],
        outcomes: &OUTCOMES,
        results: RESULTS,
    };
    check("extremes", &extremes(), &registry(), &cases);
}

#[test]
fn a_thousand_parameters_are_learned_from() {
    let (_, space) = spaces().into_iter().find(|(kind, _)| *kind == MANY).unwrap();
    let cases = Cases {
        places: &PLACES[..1],
        // Models of so many parameters take long: what is learned from, and what is not.
        outcomes: &[
            OUTCOMES[0],
            OUTCOMES[1],
            OUTCOMES[3],
            OUTCOMES[OUTCOMES.len() - 1],
        ],
        // More than the first model needs.
        results: 12,
    };
    check(MANY, &space, &registry(), &cases);
    let duplicates = Cases {
        places: &PLACES[1..2],
        outcomes: &OUTCOMES[OUTCOMES.len() - 1..],
        ..cases
    };
    check(MANY, &space, &registry(), &duplicates);
}

#[test]
fn one_trial_is_a_history() {
    let cases = Cases {
        places: &PLACES[..1],
        outcomes: &OUTCOMES,
        results: 1,
    };
    for (kind, space) in spaces() {
        check(kind, &space, &registry(), &cases);
    }
}

#[test]
fn results_that_say_nothing_are_no_secret() {
    let (_, space) = spaces().swap_remove(0);
    let spec = study(space.clone(), gp(Acquisition::LogEi), 11, Vec::new());
    for (what, outcome) in OUTCOMES {
        let note = |results: u64| {
            let finished = history(&space, PLACES[0].1, outcome, results);
            let view = StudyView {
                finished: &finished,
                proposed: results,
                ..view(&spec, results + 1)
            };
            build(&spec).afresh(&view, 1).unwrap().points.remove(0).note
        };
        assert_eq!(note(3), "", "the first trials need no model");
        let says = note(RESULTS).starts_with("not from a model");
        let differ = ["huge", "tiny", "equal but for rounding", "smooth"].contains(&what);
        assert_eq!(says, !differ, "{what}");
    }
}

#[test]
fn where_there_is_nothing_to_go_by_no_point_is_tried_twice() {
    let (_, space) = spaces().into_iter().find(|(kind, _)| *kind == "finite").unwrap();
    let points = 3 * 2 * 4;
    for name in registry().into_iter().filter(|name| learns(*name)) {
        let spec = study(space.clone(), name, 11, Vec::new());
        let (mut finished, mut seen) = (Vec::<FinishedTrial>::new(), HashSet::new());
        let mut last: Option<Vec<f64>> = None;
        // Without a model `gp` has nothing to go by to the end; others go by what ended first.
        let trials = if matches!(name, StrategyName::Gp { .. }) {
            points
        } else {
            6
        };
        for number in 1..=trials {
            let running = last.as_ref().map(|encoded| RunningTrial {
                trial: TrialNumber(number - 1),
                encoded,
            });
            let view = StudyView {
                finished: &finished,
                running: running.as_slice(),
                proposed: number - 1,
                ..view(&spec, number)
            };
            let point = build(&spec).afresh(&view, 1).unwrap().points.remove(0);
            assert!(
                seen.insert(format!("{:?}", point.params)),
                "{name:?}, trial {number}"
            );
            if let Some(encoded) = last.replace(point.encoded) {
                finished.push(self::finished(number - 1, encoded, Some(0.5)));
            }
        }
    }
}
