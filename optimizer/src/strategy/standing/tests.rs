//! The order of results, and the values made of it.

use proptest::prelude::*;
use tunesmith_common::TrialNumber;

use super::*;

fn trial(values: &[f64], violations: &[f64]) -> FinishedTrial {
    FinishedTrial {
        trial: TrialNumber(1),
        encoded: Box::default(),
        value: Some(values[0]),
        failed: false,
        partial: false,
        last_step: None,
        others: values[1..].into(),
        violations: violations.into(),
    }
}

fn places(trials: &[FinishedTrial]) -> Vec<f64> {
    badnesses(&trials.iter().collect::<Vec<_>>())
}

const WORST: f64 = f64::INFINITY;

fn assert_places(trials: &[FinishedTrial], expected: &[f64]) {
    let places: Vec<u64> = places(trials).into_iter().map(f64::to_bits).collect();
    let expected: Vec<u64> = expected.iter().map(|x| x.to_bits()).collect();
    assert_eq!(places, expected);
}

#[test]
fn one_objective_alone_is_its_own_value() {
    let failed = FinishedTrial {
        failed: true,
        ..trial(&[0.0], &[])
    };
    assert_places(
        &[trial(&[3.5], &[]), trial(&[-1.0], &[]), failed],
        &[3.5, -1.0, WORST],
    );
}

#[test]
fn what_violates_a_constraint_comes_after_what_does_not_by_how_much_it_does() {
    let failed = FinishedTrial {
        failed: true,
        ..trial(&[0.0], &[-1.0])
    };
    let trials = [
        trial(&[5.0], &[0.0]),
        trial(&[1.0], &[2.0]),
        trial(&[9.0], &[1.0]),
        trial(&[4.0], &[-7.0]),
        // Not measured: as bad as the largest one.
        trial(&[0.0], &[f64::NAN]),
        trial(&[f64::NAN], &[-1.0]),
        failed,
        trial(&[0.0], &[f64::NEG_INFINITY]),
    ];
    assert_places(&trials, &[2.0, 4.0, 3.0, 1.0, 4.0, WORST, WORST, 0.0]);
}

#[test]
fn no_unit_of_a_violation_weighs_more_than_another() {
    // Bytes and seconds: half of the largest of both is less than all of one.
    let trials = [
        trial(&[0.0], &[1e9, 0.0]),
        trial(&[0.0], &[4e8, 4.0]),
        trial(&[0.0], &[0.0, 10.0]),
    ];
    assert_places(&trials, &[1.0, 0.0, 1.0]);
}

#[test]
fn several_objectives_are_ranked_by_front_and_then_by_room() {
    let trials = [
        trial(&[0.0, 4.0], &[]),
        trial(&[4.0, 0.0], &[]),
        // Between them, the first with more room.
        trial(&[1.0, 2.0], &[]),
        trial(&[3.5, 0.5], &[]),
        // The second front.
        trial(&[1.5, 2.5], &[]),
        // A value is missing.
        trial(&[-9.0, f64::NAN], &[]),
    ];
    assert_places(&trials, &[0.0, 0.0, 1.0, 2.0, 3.0, WORST]);
}

#[test]
fn of_many_results_with_several_objectives_the_newest_are_compared() {
    let mut trials = vec![trial(&[-5.0, -5.0], &[]); 3];
    trials.extend((0..MOST_COMPARED).map(|k| trial(&[k as f64, k as f64], &[])));
    let places = places(&trials);
    assert!(places[..3].iter().all(|place| *place == WORST));
    assert!(places[3].abs() < 1e-12 && (places[4] - 1.0).abs() < 1e-12);
}

#[test]
fn progress_is_made_by_what_gets_better() {
    for (trial, expected) in [
        (trial(&[2.0], &[]), 2.0),
        (trial(&[2.0, 3.0], &[]), 5.0),
        (trial(&[2.0, 3.0], &[-1.0]), 5.0),
        (trial(&[2.0], &[0.5, -3.0]), 0.5),
        (trial(&[f64::NAN], &[]), WORST),
    ] {
        assert!(progress(&trial).total_cmp(&expected).is_eq(), "{trial:?}");
    }
}

fn any_number() -> impl proptest::strategy::Strategy<Value = f64> {
    prop_oneof![
        (-3_i32..4).prop_map(f64::from),
        prop::sample::select(vec![
            f64::NAN,
            f64::INFINITY,
            f64::NEG_INFINITY,
            f64::MAX,
            f64::MIN
        ]),
    ]
}

proptest! {
    /// Constrained dominance, by its definition.
    #[test]
    fn no_result_comes_before_one_that_dominates_it(
        raw in prop::collection::vec((prop::collection::vec(any_number(), 3), prop::collection::vec(any_number(), 1), any::<bool>()), 1..16)
    ) {
        let trials: Vec<FinishedTrial> = raw.iter().map(|(values, violations, failed)| FinishedTrial { failed: *failed, ..trial(values, violations) }).collect();
        let refs: Vec<&FinishedTrial> = trials.iter().collect();
        let places = badnesses(&refs);
        for (a, place_a) in trials.iter().zip(&places) {
            for (b, place_b) in trials.iter().zip(&places) {
                let (Some(x), Some(y)) = (outcomes(a, 3), outcomes(b, 3)) else { continue };
                let first = match (holds(a, 1), holds(b, 1)) {
                    (true, true) => crate::pareto::dominates(&x, &y),
                    (true, false) => true,
                    (false, true) => false,
                    (false, false) => a.violations[0] < b.violations[0] && b.violations[0].is_finite(),
                };
                prop_assert!(!first || place_a < place_b, "{:?} {} {:?} {}", a, place_a, b, place_b);
            }
            prop_assert_eq!(outcomes(a, 3).is_none(), place_a.is_infinite());
        }
    }
}
