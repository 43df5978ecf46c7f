use proptest::prelude::*;
use tunesmith_common::study::HalvingName;

use super::*;

fn halving(reduction: u32, max_steps: i64, brackets: u32) -> Halving {
    Halving {
        name: HalvingName::Asha,
        min_steps: 1,
        reduction,
        max_steps,
        brackets,
    }
}

/// A trial reaches a rung and rests there unless it goes on at once.
fn reach(promotions: &mut Promotions, trial: u64, step: i64, value: f64) -> bool {
    let trial = TrialNumber(trial);
    promotions.reach(trial, step, value);
    let goes_on = promotions.standing(trial).unwrap().goes_on;
    if !goes_on {
        promotions.rest(trial);
    }
    goes_on
}

fn promote(promotions: &mut Promotions) -> Option<(u64, i64)> {
    let (trial, standing) = promotions.next(|_| true)?;
    promotions.leave(trial);
    Some((trial.0, standing.rung))
}

#[test]
fn the_best_third_goes_on_at_once_or_later_and_the_highest_rung_comes_first() {
    let mut promotions = Promotions::new(&halving(3, 27, 1));
    assert!(!reach(&mut promotions, 1, 1, 0.5));
    assert!(!reach(&mut promotions, 2, 1, 0.4));
    assert_eq!(promote(&mut promotions), None, "one of three, and there are two");
    assert!(reach(&mut promotions, 3, 1, 0.3), "the best of three");
    assert_eq!(promote(&mut promotions), None);
    for (trial, value) in [(4, 0.9), (5, 0.8)] {
        assert!(!reach(&mut promotions, trial, 1, value));
    }
    assert!(!reach(&mut promotions, 6, 1, 0.7));
    assert_eq!(promote(&mut promotions), Some((2, 1)), "the second of six");
    assert_eq!(promote(&mut promotions), None);
    // Three at the rung of step 3; those at step 1 with a right to go on wait until the higher rung is empty.
    for (trial, value) in [(2, 0.35), (3, 0.25)] {
        assert!(!reach(&mut promotions, trial, 3, value));
    }
    assert!(!reach(&mut promotions, 7, 1, 0.6) && !reach(&mut promotions, 8, 1, 0.65));
    assert!(!reach(&mut promotions, 9, 1, 0.55), "the fourth of nine");
    assert_eq!(promote(&mut promotions), Some((1, 1)), "the third of nine");
    assert!(!reach(&mut promotions, 1, 3, 0.45));
    for (trial, value) in [(10, 0.1), (11, 0.95), (12, 0.99)] {
        reach(&mut promotions, trial, 1, value);
    }
    assert_eq!(
        promote(&mut promotions),
        Some((3, 3)),
        "the best of three at step 3"
    );
    assert_eq!(promotions.next_rung(TrialNumber(3)), Some(9));
}

#[test]
fn one_that_may_not_go_on_lets_the_next_of_the_best_pass() {
    let mut promotions = Promotions::new(&halving(2, 8, 1));
    for (trial, value) in [(1, 0.1), (2, 0.2), (3, 0.3), (4, 0.4)] {
        promotions.reach(TrialNumber(trial), 1, value);
        promotions.rest(TrialNumber(trial));
    }
    let (trial, standing) = promotions.next(|trial| trial.0 != 1).unwrap();
    assert_eq!((trial.0, standing.trials, standing.kept), (2, 4, 2));
    assert!(
        promotions.next(|trial| trial.0 > 2).is_none(),
        "the third of four"
    );
    assert_eq!(promotions.furthest(|trial| trial.0 > 2), Some(TrialNumber(3)));
}

#[test]
fn nothing_that_is_no_number_is_promoted_and_it_counts_among_those_that_were_there() {
    let mut promotions = Promotions::new(&halving(2, 8, 1));
    assert!(!reach(&mut promotions, 1, 1, f64::NAN));
    assert!(!reach(&mut promotions, 2, 1, f64::NEG_INFINITY));
    assert_eq!(promote(&mut promotions), None, "none of two has a value");
    assert_eq!(promotions.furthest(|_| true), None);
    assert!(reach(&mut promotions, 3, 1, 5.0), "the best of three");
}

#[test]
fn a_better_one_goes_on_whoever_went_on_before() {
    let mut promotions = Promotions::new(&halving(3, 9, 1));
    for (trial, value) in [(1, 0.9), (2, 0.8), (3, 0.7)] {
        assert_eq!(reach(&mut promotions, trial, 1, value), trial == 3);
    }
    assert!(
        reach(&mut promotions, 4, 1, 0.1),
        "the best of four, though one of them has gone on"
    );
}

#[test]
fn equals_of_the_last_that_goes_on_do_not_all_go_on() {
    let mut promotions = Promotions::new(&halving(3, 9, 1));
    let went_on = (1..=9)
        .filter(|trial| reach(&mut promotions, *trial, 1, 0.5))
        .count();
    let promoted = std::iter::from_fn(|| promote(&mut promotions)).count();
    assert_eq!(went_on + promoted, 3);
}

#[test]
fn where_fewer_have_a_number_than_may_go_on_all_of_them_do() {
    let mut promotions = Promotions::new(&halving(2, 9, 1));
    for trial in 1..=3 {
        assert!(!reach(&mut promotions, trial, 1, f64::NAN));
    }
    assert!(reach(&mut promotions, 4, 1, 0.5), "two of four may, and one can");
}

#[test]
fn brackets_begin_later_and_are_compared_with_themselves_only() {
    let promotions = Promotions::new(&halving(3, 28, 3));
    let firsts: Vec<i64> = promotions.view().iter().map(|rungs| rungs[0].step).collect();
    assert_eq!(firsts, [1, 3, 9]);
    let of_bracket = |step| {
        (1..200)
            .map(TrialNumber)
            .find(|trial| promotions.next_rung(*trial) == Some(step))
    };
    let (early, late) = (of_bracket(1).unwrap(), of_bracket(9).unwrap());
    assert_eq!(promotions.reached_by(early, 9), [1, 3, 9]);
    assert_eq!(promotions.reached_by(late, 8), [0_i64; 0]);
    assert_eq!(promotions.reached_by(late, 100), [9, 27]);
}

/// What can happen: a trial reaches its next rung with a value, or a slot is free.
#[derive(Clone, Debug)]
enum Step {
    Reach(u64, f64),
    Slot,
    End(u64),
}

fn any_step() -> impl Strategy<Value = Step> {
    let value = prop_oneof![6 => (-4..4_i8).prop_map(f64::from), 4 => -4.0..4.0_f64, 1 => Just(f64::NAN)];
    prop_oneof![
        6 => (1..30_u64, value).prop_map(|(trial, value)| Step::Reach(trial, value)),
        3 => Just(Step::Slot),
        1 => (1..30_u64).prop_map(Step::End),
    ]
}

proptest! {
    /// Against the definition: lists of values by rung, looked through from the beginning each time.
    #[test]
    fn whoever_goes_on_is_among_the_best_by_definition(
        steps in prop::collection::vec(any_step(), 0..200),
        reduction in 2_u32..4,
    ) {
        let rule = halving(reduction, 20, 2);
        let mut promotions = Promotions::new(&rule);
        // By bracket's first rung and rung: trial, value.
        let mut reached: BTreeMap<(i64, i64), Vec<(u64, f64)>> = BTreeMap::new();
        let mut firsts: BTreeMap<u64, i64> = BTreeMap::new();
        let (mut resting, mut over) = (BTreeMap::new(), BTreeSet::new());
        let best = |all: &Vec<(u64, f64)>, value: f64| {
            let kept = all.len() / reduction as usize;
            value.is_finite() && all.iter().filter(|(_, other)| other.is_finite() && *other < value).count() < kept
        };
        for step in steps {
            match step {
                Step::Reach(trial, _) if resting.contains_key(&trial) || over.contains(&trial) => {}
                Step::Reach(trial, value) => {
                    let number = TrialNumber(trial);
                    let Some(rung) = promotions.next_rung(number) else { continue };
                    let first = *firsts.entry(trial).or_insert(rung);
                    let all = reached.entry((first, rung)).or_default();
                    all.push((trial, value));
                    let goes_on = reach(&mut promotions, trial, rung, value);
                    prop_assert!(!goes_on || best(all, value));
                    // Without equals nobody who is among the best is held back.
                    let equals = all.iter().filter(|(_, other)| other.total_cmp(&value).is_eq()).count();
                    prop_assert!(goes_on || equals > 1 || !best(all, value));
                    if !goes_on {
                        resting.insert(trial, (first, rung, value));
                    }
                }
                Step::End(trial) => {
                    promotions.leave(TrialNumber(trial));
                    resting.remove(&trial);
                    over.insert(trial);
                }
                Step::Slot => {
                    let next = promotions.next(|_| true);
                    match next {
                        Some((trial, standing)) => {
                            let (first, rung, value) = resting.remove(&trial.0).expect("it rests");
                            prop_assert_eq!(standing.rung, rung);
                            prop_assert!(best(&reached[&(first, rung)], value));
                            // None better rests at the same rung.
                            prop_assert!(resting.values().all(|(f, r, v)| (*f, *r) != (first, rung) || !v.is_finite() || *v >= value));
                            promotions.leave(trial);
                        }
                        // Whoever is strictly better than the worst that goes on is promoted sooner or later.
                        None => for (first, rung, value) in resting.values() {
                            let all = &reached[&(*first, *rung)];
                            let kept = all.len() / reduction as usize;
                            let mut finite: Vec<f64> = all.iter().map(|(_, v)| *v).filter(|v| v.is_finite()).collect();
                            finite.sort_by(f64::total_cmp);
                            let needed = kept.checked_sub(1).and_then(|last| finite.get(last));
                            prop_assert!(needed.is_none_or(|needed| !value.is_finite() || *value >= *needed));
                        },
                    }
                }
            }
        }
        let seen: u64 = promotions.view().iter().flatten().map(|rung| rung.reached).sum();
        prop_assert_eq!(seen, reached.values().map(|all| all.len() as u64).sum::<u64>());
    }
}
