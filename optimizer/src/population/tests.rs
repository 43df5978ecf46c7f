use proptest::prelude::*;
use tunesmith_common::params::Params;
use tunesmith_common::space::Space;
use tunesmith_common::study::{Explore, StudyFile};

use super::*;

fn population(exploit: Exploit) -> Population {
    Population {
        explore: Explore::Perturb {
            resample: 0.25,
            factors: vec![0.8, 1.2],
        },
        size: 8,
        interval: 5,
        max_steps: 20,
        exploit,
        vary: vec!["lr".parse().unwrap(), "batch".parse().unwrap()],
    }
}

/// Trials 1, 2, .. that come to `mark` with these values.
fn contest(exploit: Exploit, mark: i64, values: &[f64]) -> Contest {
    let mut contest = Contest::new(population(exploit), 7);
    for (trial, value) in (1..).map(TrialNumber).zip(values) {
        contest.enter(trial, &[0.5], None);
        for at in contest.reached_by(trial, mark) {
            contest.reach(trial, at, *value);
        }
    }
    contest
}

const QUARTER: Exploit = Exploit::Truncation { fraction: 0.25 };

#[test]
fn one_in_four_is_replaced_by_one_of_the_best_fourth() {
    let contest = contest(QUARTER, 5, &[0.3, 0.8, 0.1, 0.5, 0.9, 0.2, 0.4, f64::NAN]);
    let replaced: Vec<u64> = (1..=8)
        .filter(|trial| contest.ranking(TrialNumber(*trial)).unwrap().is_replaced)
        .collect();
    assert_eq!(
        replaced,
        [5, 8],
        "the worst two of eight, what is no number being the worst"
    );
    let needed = contest.ranking(TrialNumber(5)).unwrap();
    assert_eq!((needed.mark, needed.trials), (5, 8));
    assert!((needed.needed - 0.8).abs() < 1e-12, "{needed:?}");
    let donors: BTreeSet<u64> = (9..60)
        .filter_map(|child| contest.donor(5, 0.9, TrialNumber(child), |_| true))
        .map(|donor| donor.0)
        .collect();
    assert_eq!(donors, BTreeSet::from([3, 6]));
    // Where those may not be, the next best one that is better.
    let next = contest.donor(5, 0.9, TrialNumber(9), |trial| ![3, 6].contains(&trial.0));
    assert_eq!(next, Some(TrialNumber(1)));
    assert_eq!(
        contest.donor(5, 0.1, TrialNumber(9), |_| true),
        None,
        "nobody is better"
    );
}

#[test]
fn few_are_not_compared_and_each_is_compared_at_its_own_step() {
    let mut contest = contest(QUARTER, 5, &[0.3, 0.8, 0.9]);
    assert!((1..=3).all(|trial| !contest.ranking(TrialNumber(trial)).unwrap().is_replaced));
    assert_eq!(contest.next_mark(TrialNumber(1)), Some(10));
    assert_eq!(contest.reached_by(TrialNumber(1), 100), [10, 15], "20 is the end");
    contest.enter(TrialNumber(4), &[0.1], Some((12, 0.2)));
    assert_eq!(contest.ranking(TrialNumber(4)), None, "it was not compared yet");
    assert_eq!(contest.next_mark(TrialNumber(4)), Some(15));
    contest.reach(TrialNumber(4), 10, 0.1);
    assert_eq!(contest.last_mark(TrialNumber(4)), 12, "not one of its steps");
    contest.reach(TrialNumber(4), 15, 0.1);
    assert_eq!(contest.ranking(TrialNumber(4)).unwrap().trials, 1);
    // What the child brought began where its parent was.
    let intervals = contest.intervals(|trial| trial.0 == 1);
    let of_child = intervals.iter().find(|interval| interval.from == 12).unwrap();
    assert_eq!((of_child.to, of_child.after), (15, Some(0.1)));
    let open = intervals
        .iter()
        .find(|interval| interval.after.is_none())
        .unwrap();
    assert_eq!((open.from, open.to), (5, 10));
}

#[test]
fn those_that_rest_go_on_in_the_order_of_how_far_they_are() {
    let mut contest = contest(QUARTER, 5, &[0.1, 0.2, 0.3]);
    contest.reach(TrialNumber(1), 10, 0.1);
    for trial in 1..=3 {
        contest.rest(TrialNumber(trial));
    }
    assert!(contest.somebody_rests_before(10) && !contest.somebody_rests_before(5));
    assert_eq!(contest.next(|_| true), Some(TrialNumber(2)));
    contest.leave(TrialNumber(2));
    contest.leave(TrialNumber(3));
    assert_eq!(contest.next(|_| true), Some(TrialNumber(1)));
    assert_eq!(contest.next(|trial| trial.0 != 1), None);
    let view = contest.view();
    let rungs: Vec<_> = view
        .iter()
        .map(|rung| (rung.step, rung.reached, rung.resting))
        .collect();
    assert_eq!(rungs, [(5, 3, 0), (10, 1, 1)]);
}

#[test]
fn in_a_tournament_the_worse_of_two_is_replaced() {
    let contest = contest(Exploit::Tournament, 5, &[0.1, 0.2]);
    let first = contest.ranking(TrialNumber(1)).unwrap();
    let second = contest.ranking(TrialNumber(2)).unwrap();
    assert!(!first.is_replaced && second.is_replaced);
    assert_eq!(
        (first.opponent, second.opponent),
        (Some(TrialNumber(2)), Some(TrialNumber(1)))
    );
    assert_eq!(
        contest.donor(5, 0.2, TrialNumber(3), |_| true),
        Some(TrialNumber(1))
    );
}

fn space() -> Space {
    space_where("'layers <= 6'")
}

fn space_where(constraints: &str) -> Space {
    let file = format!(
        "
name: s
objective: {{metric: m, goal: minimize}}
space:
  lr: {{type: float, low: 1e-4, high: 1.0, scale: log}}
  momentum: {{type: float, low: 0.001, high: 0.999, scale: reverse_log}}
  batch: {{type: int, low: 16, high: 256, scale: log2}}
  layers: {{type: int, low: 1, high: 8}}
  kind: {{type: categorical, choices: [a, b]}}
  size: {{type: ordinal, choices: [s, m, l]}}
constraints: [{constraints}]
trial: {{command: [x]}}
"
    );
    StudyFile::parse(&file, "s.yaml").unwrap().1.space
}

fn all_vary(space: &Space, explore: Explore) -> Population {
    Population {
        explore,
        vary: space
            .parameters()
            .iter()
            .map(|parameter| parameter.name.clone())
            .collect(),
        ..population(QUARTER)
    }
}

proptest! {
    #[test]
    fn a_child_is_a_point_of_the_space_that_differs_from_its_parent_where_it_may(
        seed in 0..u64::MAX, child in 1..10_000_u64, resample in 0.0..1.0_f64, latent in prop::collection::vec(0.0..1.0_f64, 6), only in any::<bool>()
    ) {
        let space = space();
        let parent = space.decode(&latent);
        prop_assume!(space.satisfies(&parent));
        let mut population = all_vary(&space, Explore::Perturb { resample, factors: vec![0.8, 1.2] });
        if only {
            population.vary = vec!["lr".parse().unwrap()];
        }
        let bred = breed(&space, &population, seed, TrialNumber(child), &parent, (5, 0.5), &[]).unwrap();
        prop_assert!(space.check(&bred.params).is_ok(), "{:?}", bred.params);
        prop_assert!(bred.params != parent, "{:?}", bred.note);
        if only {
            let without = |params: &Params| params.iter().filter(|(name, _)| name.as_str() != "lr").map(|(_, value)| value.clone()).collect::<Vec<_>>();
            prop_assert_eq!(without(&bred.params), without(&parent));
        }
        let again = breed(&space, &population, seed, TrialNumber(child), &parent, (5, 0.5), &[]).unwrap();
        prop_assert_eq!(bred, again);
    }
}

#[test]
fn numbers_are_multiplied_by_a_factor() {
    let space = space();
    let population = Population {
        vary: vec!["lr".parse().unwrap()],
        ..all_vary(
            &space,
            Explore::Perturb {
                resample: 0.0,
                factors: vec![0.8, 1.2],
            },
        )
    };
    let parent = space.decode(&[0.5; 6]);
    let lr = |params: &Params| match params.value("lr") {
        Some(tunesmith_common::params::ParamValue::Float(lr)) => *lr,
        other => panic!("{other:?}"),
    };
    let mut seen = BTreeSet::new();
    for child in 1..30 {
        let bred = breed(&space, &population, 1, TrialNumber(child), &parent, (5, 0.5), &[]).unwrap();
        let factor = lr(&bred.params) / lr(&parent);
        assert!(
            (factor - 0.8).abs() < 1e-9 || (factor - 1.2).abs() < 1e-9,
            "{factor}"
        );
        seen.insert(factor > 1.0);
    }
    assert_eq!(seen.len(), 2, "both come up");
}

/// Children of a trial in the middle, but for its `lr`, of a population of which the gain is largest at `lr` = 0.01, in the middle of its scale.
fn children(space: &Space, lr: f64, known: usize) -> Vec<Child> {
    let population = Population {
        vary: vec!["lr".parse().unwrap()],
        ..all_vary(space, Explore::Model)
    };
    let intervals: Vec<Interval> = (0..24)
        .map(|k| {
            let mut point = [0.5; 6];
            point[0] = (f64::from(k) * 0.618).fract();
            let gain = 1.0 - 4.0 * (point[0] - 0.5).powi(2);
            Interval {
                point: point.into(),
                from: 5 * i64::from(k / 8),
                to: 5 * i64::from(k / 8) + 5,
                before: 1.0,
                after: Some(1.0 - gain),
            }
        })
        .collect();
    let parent = space.decode(&[lr, 0.5, 0.5, 0.4, 0.5, 0.5]);
    let known = &intervals[..known];
    (1..6)
        .map(|child| {
            breed(
                space,
                &population,
                3,
                TrialNumber(child),
                &parent,
                (15, 1.0),
                known,
            )
            .unwrap()
        })
        .collect()
}

#[test]
fn a_model_finds_where_the_gain_is() {
    let space = space();
    for child in children(&space, 0.1, 24) {
        assert_eq!(child.note, "");
        let at = space.encode(&child.params).unwrap();
        assert!((at[0] - 0.5).abs() < 0.2, "{at:?}");
    }
    // With less than that to learn from, by chance.
    for child in children(&space, 0.1, 3) {
        assert_eq!(child.note, "by chance, since there is too little to learn from");
    }
}

#[test]
fn a_model_goes_where_the_constraints_let_it() {
    // 0.42 of the scale of `lr`.
    let space = space_where("'lr <= 0.005'");
    for child in children(&space, 0.1, 24) {
        assert_eq!(child.note, "");
        let at = space.encode(&child.params).unwrap();
        assert!((0.3..0.43).contains(&at[0]), "{at:?}");
    }
    // With the parent's 4 layers 1.2 times its `lr`, and next to nothing else.
    let space = space_where("'lr >= 4.0119999 - layers', 'lr <= layers - 3.9879999'");
    for child in children(&space, 0.5, 24) {
        assert_eq!(
            child.note,
            "by chance, since nothing that the model looked at satisfies the constraints and differs from its parent"
        );
        assert!(space.satisfies(&child.params));
    }
}

/// What came before and after an interval of a number, and the first coordinate of its point.
type Awkward = fn(u32) -> (f64, f64, f64);

#[test]
fn whatever_the_intervals_are_a_child_is_a_point_of_the_space() {
    let space = space();
    let numbers = ["lr", "momentum", "batch", "layers"];
    let population = Population {
        vary: numbers.iter().map(|name| name.parse().unwrap()).collect(),
        ..all_vary(&space, Explore::Model)
    };
    let spread = |k: u32| (f64::from(k) * 0.618).fract();
    let cases: [(&str, bool, Awkward); 7] = [
        ("equal gains", false, |k| (1.0, 0.5, f64::from(k) / 40.0)),
        ("duplicates", true, |k| (1.0, f64::from(k % 3), 0.5)),
        ("close", true, |k| {
            (1.0, f64::from(k % 3), 0.5 + 1e-12 * f64::from(k))
        }),
        ("huge levels", true, |k| {
            let level = if k % 2 == 0 { f64::MAX } else { -f64::MAX };
            (
                level,
                level * (1.0 - 1e-12 * f64::from(k % 5)),
                f64::from(k) / 40.0,
            )
        }),
        ("huge gains", false, |k| {
            (
                f64::MAX,
                if k % 2 == 0 { -f64::MAX } else { 0.0 },
                f64::from(k) / 40.0,
            )
        }),
        ("tiny", true, |k| {
            (1e-300, 1e-300 * f64::from(k % 7), f64::from(k) / 40.0)
        }),
        ("at the ends", true, |k| {
            (
                1.0,
                f64::from(k % 4),
                if k % 2 == 0 { 0.0 } else { 1.0 - f64::EPSILON },
            )
        }),
    ];
    for (what, learns, case) in cases {
        let intervals: Vec<Interval> = (0..40)
            .map(|k| {
                let (before, after, x) = case(k);
                Interval {
                    point: [x, spread(k), 0.5, 0.4, 0.25, 0.5].into(),
                    from: 5 * i64::from(k / 8),
                    to: 5 * i64::from(k / 8) + 5,
                    before,
                    after: (k < 38).then_some(after),
                }
            })
            .collect();
        let parent = space.decode(&[0.3, 0.5, 0.5, 0.4, 0.25, 0.5]);
        let begun = (25, intervals[0].before);
        let child = breed(
            &space,
            &population,
            3,
            TrialNumber(50),
            &parent,
            begun,
            &intervals,
        )
        .unwrap();
        assert!(
            space.satisfies(&child.params) && space.encode(&child.params).is_ok(),
            "{what}: {child:?}"
        );
        assert_ne!(child.params, parent, "{what}");
        assert_eq!(child.note.is_empty(), learns, "{what}: {}", child.note);
    }
}
