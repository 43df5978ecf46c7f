//! Mutations by themselves, and which results become parents.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a level is the whole part of a small positive number"
)]

use tunesmith_common::TrialNumber;
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Condition, Domain, Parameter, Scale};

use super::*;

fn rng() -> ChaCha8Rng {
    purpose_rng(1, TrialNumber(1), Purpose::Search)
}

/// Three kinds, of which the first has a depth of four levels; and a rate.
fn space() -> Space {
    let parameter = |name: &str, domain| Parameter {
        name: name.parse().unwrap(),
        domain,
        conditions: Vec::new(),
    };
    let ints = |count| (0..count).map(ParamValue::Int).collect();
    let rate = Domain::Float {
        low: 0.0,
        high: 1.0,
        scale: Scale::Linear,
        step: None,
    };
    let depth = Parameter {
        conditions: vec![Condition {
            parent: 0,
            values: ints(1),
        }],
        ..parameter("depth", Domain::Ordinal { choices: ints(4) })
    };
    let parameters = vec![
        parameter("kind", Domain::Categorical { choices: ints(3) }),
        depth,
        parameter("rate", rate),
    ];
    Space::new(parameters, Vec::new()).unwrap()
}

fn trial(number: u64, encoded: &[f64], value: Option<f64>, failed: bool) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(number),
        encoded: encoded.into(),
        value,
        failed,
        partial: false,
        last_step: None,
        others: Box::default(),
        violations: Box::default(),
    }
}

#[test]
fn a_mutation_leaves_no_parameter_as_it_was() {
    let mut rng = rng();
    for count in 2..7_u64 {
        let mut reached = std::collections::HashSet::new();
        for level in 0..count {
            let x = (level as f64 + 0.5) / count as f64;
            for _ in 0..200 {
                let other = mutated(Dimension::Categorical(count), x, &mut rng);
                assert!((other - x).abs() > 0.9 / count as f64, "{count}: {x} to {other}");
                reached.insert((level, (other * count as f64) as u64));
            }
        }
        assert_eq!(
            reached.len() as u64,
            count * (count - 1),
            "every other one is possible"
        );
    }
    let mut same = 0;
    for count in [2, 3, 10, 1_000_u64] {
        for level in [0, 1, count / 2, count - 1] {
            let x = (level as f64 + 0.5) / count as f64;
            for _ in 0..200 {
                let other = mutated(Dimension::Levels(count), x, &mut rng);
                assert!((0.0..=1.0).contains(&other));
                same += u32::from((other * count as f64) as u64 == level);
            }
        }
    }
    // Only a long step that comes back from an end.
    assert!(same < 32, "{same} of 3,200");
    let far = (0..1_000).filter(|_| (mutated(Dimension::Continuous, 0.5, &mut rng) - 0.5).abs() > 0.1);
    assert!((100..500).contains(&far.count()), "near and far");
}

#[test]
fn what_a_mutation_makes_active_is_drawn_from_its_whole_range() {
    let (space, mut rng) = (space(), rng());
    let mut depths = std::collections::HashSet::new();
    let mut snapped = [0.0; 3];
    let mut unchanged = 0;
    for _ in 0..400 {
        let latent = mutant(&space, &[0.5, f64::NAN, 0.25], 1, &mut rng);
        space.snap(&latent, &mut snapped);
        if !snapped[1].is_nan() {
            depths.insert((snapped[1] * 4.0) as u64);
        }
        unchanged += u32::from((snapped[0] - 0.5).abs() < 1e-9 && (snapped[2] - 0.25).abs() < 1e-9);
    }
    assert_eq!((depths.len(), unchanged), (4, 0));
    // Two parameters are active: both are changed if that is asked for.
    for _ in 0..100 {
        let latent = mutant(&space, &[0.5, f64::NAN, 0.25], 2, &mut rng);
        assert!((latent[0] - 0.5).abs() > 0.1 && (latent[2] - 0.25).abs() > 0.0);
    }
}

#[test]
fn a_parent_is_nearly_always_the_best_and_the_newest_of_equals() {
    let mut rng = rng();
    let trials: Vec<FinishedTrial> = (0..50)
        .map(|number| {
            let value = match number {
                17 | 18 => Some(-1.0),
                20 => Some(f64::NAN),
                21 => Some(-5.0),
                _ => Some(number as f64),
            };
            trial(number, &[], value, number == 21)
        })
        .collect();
    let population: Vec<&FinishedTrial> = trials.iter().collect();
    let mut chosen = [0; 50];
    for _ in 0..500 {
        chosen[usize::try_from(parent(&population, &mut rng).trial.0).unwrap()] += 1;
    }
    assert!(chosen[17] > 380 && chosen[18] > 20, "{chosen:?}");
    assert_eq!(chosen[20] + chosen[21], 0);
}

fn view<'a>(space: &'a Space, finished: &'a [FinishedTrial]) -> StudyView<'a> {
    StudyView {
        space,
        seed: 5,
        next: TrialNumber(finished.len() as u64 + 1),
        proposed: finished.len() as u64,
        cursor: None,
        finished,
        running: &[],
    }
}

#[test]
fn a_result_is_no_parent_any_more_when_it_is_old() {
    let space = space();
    let evolution = Evolution::new(&space);
    let best = trial(1, &[0.5, f64::NAN, 0.125], Some(-10.0), false);
    let others = (2..).map(|number| trial(number, &[5.0 / 6.0, f64::NAN, 0.875], Some(0.0), false));
    let children = |newer: usize| {
        let finished: Vec<FinishedTrial> = [best.clone()]
            .into_iter()
            .chain(others.clone().take(newer))
            .collect();
        let children = (0..40).map(|more| {
            let next = TrialNumber(1_000 + more);
            let view = StudyView {
                next,
                ..view(&space, &finished)
            };
            evolution.suggest(&view, &mut Tried::default()).unwrap().encoded
        });
        // Like the old one rather than like the others.
        children.filter(|child| child[2] < 0.5).count()
    };
    assert!(children(POPULATION - 1) > 25);
    assert!(children(POPULATION) < 10);
}

#[test]
fn nothing_is_tried_twice_while_there_is_something_else() {
    let parameter = |name: &str| Parameter {
        name: name.parse().unwrap(),
        domain: Domain::Ordinal {
            choices: (0..5).map(ParamValue::Int).collect(),
        },
        conditions: Vec::new(),
    };
    let space = Space::new(vec![parameter("a"), parameter("b")], Vec::new()).unwrap();
    let evolution = Evolution::new(&space);
    let mut tried = Tried::default();
    let mut finished: Vec<FinishedTrial> = Vec::new();
    let mut cells = std::collections::HashSet::new();
    let cell = |encoded: &[f64]| ((encoded[0] * 5.0) as u64, (encoded[1] * 5.0) as u64);
    for number in 1..60 {
        let point = evolution.suggest(&view(&space, &finished), &mut tried).unwrap();
        let new = cells.insert(cell(&point.encoded));
        assert!(
            new || cells.len() == 25 || number <= STARTUP as u64,
            "trial {number}"
        );
        let value = point.encoded.iter().sum();
        finished.push(trial(number, &point.encoded, Some(value), false));
    }
    assert_eq!(cells.len(), 25);
}
