use tunesmith_common::TrialNumber;

use super::super::super::standing::badnesses;
use super::*;

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = crate::rng::mix(self.0);
        self.0 % n
    }
}

/// A history with everything that a result may be, and many equal values.
fn history(length: u64, objectives: usize, constraints: usize, seed: u64) -> Vec<FinishedTrial> {
    let mut numbers = Numbers(seed);
    (1..=length)
        .map(|number| {
            let mut value = || numbers.below(40) as f64 - 20.0;
            let mut trial = FinishedTrial {
                trial: TrialNumber(number),
                encoded: Box::default(),
                value: Some(value()),
                failed: false,
                partial: false,
                last_step: None,
                others: (1..objectives).map(|_| value()).collect(),
                violations: (0..constraints).map(|_| value()).collect(),
            };
            match numbers.below(16) {
                0 => (trial.value, trial.failed) = (None, true),
                1 => trial.failed = true,
                2 => trial.value = None,
                3 => trial.value = Some(f64::NAN),
                4 => trial.value = Some(f64::NEG_INFINITY),
                5 => trial.others.fill(f64::INFINITY),
                6 => trial.violations.fill(f64::NAN),
                // As before there were so many of them.
                7 => (trial.others, trial.violations) = Default::default(),
                _ => {}
            }
            trial
        })
        .collect()
}

/// The parts as they are meant: from all results in their order.
fn sorted(finished: &[FinishedTrial], most_others: usize) -> (Vec<usize>, Vec<usize>) {
    let (places, results): (Vec<usize>, Vec<&FinishedTrial>) = finished
        .iter()
        .enumerate()
        .filter(|(_, trial)| counts(trial))
        .unzip();
    let mut ranked: Vec<(f64, usize)> = badnesses(&results).into_iter().zip(places).collect();
    ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let places: Vec<usize> = ranked.into_iter().map(|(_, place)| place).collect();
    let (good, others) = places.split_at(places.len().div_ceil(ONE_GOOD_OF).min(MOST_GOOD));
    let mut others = others.to_vec();
    others.sort_unstable();
    let others = thinned(others.len(), most_others).map(|k| others[k]).collect();
    (good.to_vec(), others)
}

#[test]
fn the_parts_are_those_of_all_results_in_their_order_at_any_length() {
    for (objectives, constraints) in [(1, 0), (1, 2), (3, 0), (2, 1)] {
        let all = history(700, objectives, constraints, 1);
        let mut kept = Known::default();
        for length in (0..60).chain((60..700).step_by(7)) {
            let finished = &all[..length];
            let mut afresh = Known::default();
            for known in [&mut kept, &mut afresh] {
                known.read(finished);
                assert_eq!(
                    known.parts(finished, 40),
                    sorted(finished, 40),
                    "{objectives} objectives, {constraints} constraints, {length} trials"
                );
            }
        }
    }
}

#[test]
fn what_is_not_compared_is_among_the_worst() {
    // Longer than what is compared, and with hardly anything that has a number among the newest.
    let mut all = history(2_600, 2, 0, 2);
    let mut known = Known::default();
    for length in [1_900, 2_100, 2_600] {
        known.read(&all[..length]);
        assert_eq!(
            known.parts(&all[..length], 400),
            sorted(&all[..length], 400),
            "{length}"
        );
    }
    for trial in all.iter_mut().skip(12) {
        trial.failed |= trial.trial.0 % 300 > 0;
    }
    let mut known = Known::default();
    known.read(&all);
    let parts = known.parts(&all, 400);
    assert_eq!(parts, sorted(&all, 400));
    assert!(parts.0.iter().any(|&place| place < 300), "{parts:?}");
}

#[test]
fn what_is_kept_of_another_history_does_not_matter() {
    let (one, other) = (history(300, 1, 0, 3), history(300, 1, 2, 4));
    let mut known = Known::default();
    // Another one, an earlier moment, one without a trial in its midst, and one that goes on otherwise.
    let without: Vec<FinishedTrial> = [&one[..99], &one[100..]].concat();
    let otherwise: Vec<FinishedTrial> = [&one[..200], &other[200..]].concat();
    for finished in [
        &one[..],
        &other,
        &one[..250],
        &one,
        &without,
        &one,
        &otherwise,
        &[],
        &one,
    ] {
        known.read(finished);
        assert_eq!(known.parts(finished, 40), sorted(finished, 40));
    }
}

#[test]
fn a_constraint_that_comes_later_was_kept_by_nothing_before() {
    let plain = history(200, 1, 0, 5);
    let measured: Vec<FinishedTrial> = history(400, 1, 1, 6).split_off(200);
    let all = [plain, measured].concat();
    let mut known = Known::default();
    for length in [200, 203, 230, 400] {
        known.read(&all[..length]);
        assert_eq!(
            known.parts(&all[..length], 40),
            sorted(&all[..length], 40),
            "{length}"
        );
    }
}

#[test]
fn others_are_thinned_to_the_newest_and_an_even_sample_of_the_rest() {
    let kept: Vec<usize> = thinned(100, 8).collect();
    assert_eq!(kept, [0, 16, 32, 49, 65, 81, 98, 99]);
    assert!(thinned(8, 8).eq(0..8) && thinned(0, 8).eq(0..0));
}
