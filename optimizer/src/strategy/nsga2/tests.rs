//! Children by themselves, and which results become parents.
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

fn trial(number: u64, value: f64, others: &[f64]) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(number),
        encoded: [0.5; 3].into(),
        value: Some(value),
        failed: false,
        partial: false,
        last_step: None,
        others: others.into(),
        violations: Box::default(),
    }
}

const FIRST: [f64; 3] = [1.0 / 6.0, 0.125, 0.2];
const SECOND: [f64; 3] = [1.0 / 6.0, 0.875, 0.6];
const OTHER_KIND: [f64; 3] = [5.0 / 6.0, f64::NAN, 0.9];

#[test]
fn children_lie_in_the_space_and_near_their_parents() {
    let (space, mut rng) = (space(), rng());
    let (mut near, mut kinds, mut levels) = (0, [0; 3], [0; 4]);
    for _ in 0..4_000 {
        let latent = child(&space, &FIRST, &SECOND, 0, &mut rng);
        assert!(latent.iter().all(|x| (0.0..=1.0).contains(x)), "{latent:?}");
        near += usize::from((0.15..0.65).contains(&latent[2]));
        kinds[(latent[0] * 2.999).floor() as usize] += 1;
        levels[(latent[1] * 3.999).floor() as usize] += 1;
    }
    assert!((2_800..4_000).contains(&near), "{near}");
    // Both have the first kind: another one comes by mutation alone, which changes each of three with a chance of a third.
    assert!(kinds[0] > 2_400 && kinds[1] > 400 && kinds[2] > 400, "{kinds:?}");
    assert!(levels.iter().all(|count| *count > 100), "{levels:?}");
}

#[test]
fn a_parameter_that_one_parent_lacks_comes_from_the_other() {
    let (space, mut rng) = (space(), rng());
    let (mut same, mut drawn) = (0, 0);
    for _ in 0..1_000 {
        let latent = child(&space, &OTHER_KIND, &SECOND, 0, &mut rng);
        same += usize::from((latent[1] - SECOND[1]).abs() < 1e-12);
        let latent = child(&space, &OTHER_KIND, &OTHER_KIND, 0, &mut rng);
        assert!((0.0..1.0).contains(&latent[1]));
        drawn += usize::from(latent[1] < 0.5);
    }
    assert!(same > 500, "{same}");
    assert!((400..600).contains(&drawn), "{drawn}");
}

#[test]
fn at_least_so_many_parameters_are_changed_as_were_asked_for() {
    let (space, mut rng) = (space(), rng());
    for _ in 0..500 {
        let latent = child(&space, &FIRST, &FIRST, 3, &mut rng);
        assert!(
            latent.iter().zip(&FIRST).all(|(a, b)| (a - b).abs() > 1e-12),
            "{latent:?}"
        );
    }
}

#[test]
fn parents_are_the_best_whatever_came_since() {
    // A front that was found early, and many results that are worse than all of it.
    let good = (0..20).map(|k| trial(k, k as f64, &[20.0 - k as f64]));
    let bad = (20..500).map(|k| trial(k, 50.0, &[50.0 + k as f64]));
    let finished: Vec<FinishedTrial> = good.chain(bad).collect();
    let mut known = Known::default();
    known.read(&finished);
    let mut best = known.best(&finished, 20);
    best.sort_unstable();
    assert_eq!(best, (0..20).collect::<Vec<usize>>());
    assert_eq!(known.best(&finished, 50).len(), 50);
    // Read bit by bit it is the same.
    let mut slowly = Known::default();
    for length in 0..=finished.len() {
        slowly.read(&finished[..length]);
    }
    assert_eq!(slowly.best(&finished, 50), known.best(&finished, 50));
    // And at an earlier moment again.
    slowly.read(&finished[..30]);
    known = Known::default();
    known.read(&finished[..30]);
    assert_eq!(slowly.best(&finished, 50), known.best(&finished, 50));
}

#[test]
fn failed_trials_are_parents_only_where_there_is_nothing_else() {
    let failed = |number| FinishedTrial {
        failed: true,
        ..trial(number, 0.0, &[0.0])
    };
    let mut finished: Vec<FinishedTrial> = (0..30).map(failed).collect();
    let mut known = Known::default();
    known.read(&finished);
    assert_eq!(known.best(&finished, 8).len(), 8);
    finished.push(trial(30, 9.0, &[9.0]));
    known.read(&finished);
    assert_eq!(known.best(&finished, 8), [30]);
}

#[test]
fn the_better_of_two_is_chosen() {
    let parents: Vec<&[f64]> = vec![&FIRST, &SECOND, &OTHER_KIND];
    let mut rng = rng();
    let mut counts = [0; 3];
    for _ in 0..9_000 {
        let chosen = chosen(&parents, &mut rng);
        let place = parents.iter().position(|parent| std::ptr::eq(*parent, chosen));
        counts[place.unwrap()] += 1;
    }
    // 5, 3 and 1 of 9.
    assert!(
        counts[0] > 4_700 && counts[1] > 2_700 && counts[2] < 1_300,
        "{counts:?}"
    );
}
