use std::f64::consts::PI;

use proptest::prelude::*;
use tunesmith_common::study::StudyFile;

use super::*;
use crate::rng::{normal, trial_rng, uniform};

/// The space of a study file with these parameters.
fn space(parameters: &str) -> Space {
    let file = format!("name: s\nobjective: {{metric: loss, goal: minimize}}\nspace:\n{parameters}");
    StudyFile::parse(&file, "s.yaml").unwrap().1.space
}

fn numbers(count: usize) -> Space {
    let parameter = |index| format!("  x{index}: {{type: float, low: 0, high: 1}}\n");
    space(&(0..count).map(parameter).collect::<String>())
}

/// A parent without an order and one on a logarithmic scale, each with a child, and a child of a child.
fn conditional() -> Space {
    space(
        "  opt: {type: categorical, choices: [sgd, adam, rms]}\n  \
           layers: {type: int, low: 1, high: 8, scale: log}\n  \
           momentum: {type: float, low: 0, high: 1, when: {opt: [sgd, rms]}}\n  \
           beta: {type: float, low: 0, high: 1, when: {opt: [adam]}}\n  \
           width: {type: int, low: 1, high: 4, when: {layers: [2, 3, 5]}}\n  \
           nesterov: {type: bool, when: {opt: [sgd]}}\n  \
           damping: {type: float, low: 0, high: 1, when: {nesterov: [true], layers: [1, 2, 3]}}\n",
    )
}

/// Points of a space at random, inactive parameters NaN.
fn points(space: &Space, count: usize, seed: u64) -> Vec<Vec<f64>> {
    let mut rng = trial_rng(seed, TrialNumber(1));
    let mut draw = || {
        let raw: Vec<f64> = space.dimensions().iter().map(|_| uniform(&mut rng)).collect();
        let mut point = raw.clone();
        space.snap(&raw, &mut point);
        point
    };
    (0..count).map(|_| draw()).collect()
}

fn asked(
    space: &Space,
    points: &[Vec<f64>],
    values: &[f64],
    best: f64,
) -> Result<Importance, ImportanceError> {
    let results = points
        .iter()
        .zip(values)
        .map(|(point, value)| Observed { point, value: *value });
    importance(space, &results.collect::<Vec<_>>(), Settings { best, seed: 7 })
}

fn ask(space: &Space, points: &[Vec<f64>], f: impl Fn(&[f64]) -> f64, best: f64) -> Importance {
    let values: Vec<f64> = points.iter().map(|point| f(point)).collect();
    asked(space, points, &values, best).unwrap()
}

fn main_effects(found: &Importance) -> Vec<f64> {
    found.parameters.iter().map(|effect| effect.share.mean).collect()
}

fn pair(found: &Importance, first: usize, second: usize) -> f64 {
    let pair = found.pairs.iter().find(|pair| pair.parameters == [first, second]);
    pair.map_or(0.0, |pair| pair.share.mean)
}

/// Shares of values as they are, without ranks: of each parameter, and of each of some pairs.
fn plain_shares(
    space: &Space,
    count: usize,
    f: impl Fn(&[f64]) -> f64,
    pairs: &[[usize; 2]],
) -> (Vec<f64>, Vec<f64>) {
    let points = points(space, count, 11);
    let (layout, values) = (
        Layout::new(space),
        points.iter().map(|point| f(point)).collect::<Vec<f64>>(),
    );
    let points: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
    let data = Data {
        layout: &layout,
        points: &points,
        values: &values,
    };
    let forest = Forest::grow(data, 3);
    let dimensions = space.dimensions().len();
    let asked: Vec<Vec<usize>> = (0..dimensions)
        .map(|one| vec![one])
        .chain(pairs.iter().map(|pair| pair.to_vec()))
        .collect();
    let shares = forest.shares(&layout, &vec![Margin::uniform(); dimensions], &asked);
    let mut shares: Vec<f64> = shares.into_iter().map(|share| share.unwrap().mean).collect();
    let of_pairs = shares.split_off(dimensions);
    (shares, of_pairs)
}

#[track_caller]
fn near(found: f64, truth: f64, off: f64) {
    assert!(
        (found - truth).abs() <= off,
        "{found} is not within {off} of {truth}"
    );
}

#[test]
fn shares_of_a_sum_are_those_of_its_terms() {
    // The variance of a x is a^2 / 12.
    let (main, pairs) = plain_shares(&numbers(4), 5_000, |x| 4.0 * x[0] + 2.0 * x[1] + x[2], &[[0, 1]]);
    for (found, truth) in main.into_iter().zip([16.0 / 21.0, 4.0 / 21.0, 1.0 / 21.0, 0.0]) {
        near(found, truth, 0.02);
    }
    near(pairs[0], 0.0, 0.02);
}

#[test]
fn shares_of_ishigamis_function_are_the_known_ones() {
    // Ishigami and Homma 1990, with a = 7 and b = 0.1. Variances: a^2/8 + b pi^4/5 + b^2 pi^8/18 + 1/2 in all; of the first (1 + b pi^4/5)^2 / 2, of the
    // second a^2/8, of the first and third together 8 b^2 pi^8/225.
    let ishigami = |x: &[f64]| {
        let x: Vec<f64> = x.iter().map(|x| (2.0 * x - 1.0) * PI).collect();
        x[0].sin() + 7.0 * x[1].sin().powi(2) + 0.1 * x[2].powi(4) * x[0].sin()
    };
    let all = 49.0 / 8.0 + 0.1 * PI.powi(4) / 5.0 + 0.01 * PI.powi(8) / 18.0 + 0.5;
    let first = 0.5 * (1.0 + 0.1 * PI.powi(4) / 5.0).powi(2) / all;
    let (second, together) = (49.0 / 8.0 / all, 8.0 * 0.01 * PI.powi(8) / 225.0 / all);
    let (main, pairs) = plain_shares(&numbers(4), 10_000, ishigami, &[[0, 2], [0, 1], [1, 3]]);
    // A forest smooths what it is fitted to, so it finds somewhat less of what bends most.
    near(main[0], first, 0.06);
    near(main[1], second, 0.06);
    near(main[2], 0.0, 0.01);
    near(main[3], 0.0, 0.01);
    near(pairs[0], together, 0.05);
    near(pairs[1], 0.0, 0.02);
    near(pairs[2], 0.0, 0.02);
}

/// Levels and categories only, so that everything can be counted.
fn countable() -> Space {
    space(
        "  a: {type: int, low: 1, high: 4}\n  \
           b: {type: categorical, choices: [p, q, r]}\n  \
           c: {type: int, low: 1, high: 5, when: {b: [p, r]}}\n  \
           d: {type: bool, when: {c: [2, 3]}}\n",
    )
}

proptest! {
    /// What a tree's leaves say of its variance is what counting all points of the space says, under any distribution and wherever parents are confined to.
    #[test]
    fn sums_over_leaves_are_sums_over_all_points(seed in any::<u64>(), count in 20_usize..150, like_the_best in any::<bool>(), noise in 0.0..1.0) {
        let space = countable();
        let layout = Layout::new(&space);
        let points = points(&space, count, seed);
        let mut rng = trial_rng(seed, TrialNumber(2));
        let value = |point: &Vec<f64>| {
            let x = |index: usize| if point[index].is_nan() { 0.3 } else { point[index] };
            x(0) * x(1) + x(2) * x(3) + noise * normal(&mut rng)
        };
        let values: Vec<f64> = points.iter().map(value).collect();
        let views: Vec<&[f64]> = points.iter().map(Vec::as_slice).collect();
        let data = Data { layout: &layout, points: &views, values: &values };
        let tree = Tree::grow(data, (0..count).collect(), &mut rng);
        let counts = [4_usize, 3, 5, 2];
        let margin = |index: usize| {
            if like_the_best { histogram(layout.dimension(index), index, &views[..10]) } else { Margin::uniform() }
        };
        let all: Vec<Margin> = (0..4).map(margin).collect();
        for asked in [vec![0], vec![1], vec![2], vec![3], vec![0, 1], vec![0, 2], vec![1, 2], vec![0, 3], vec![2, 3]] {
            let confined = confinement(&layout, &asked).unwrap();
            let mut margins = all.clone();
            for (parent, part) in &confined {
                margins[*parent] = margins[*parent].within(part);
            }
            // Every combination of values, whatever is active: in a tree, inactive parameters make no difference.
            let mut cells: Vec<(Vec<usize>, f64, f64)> = Vec::new();
            for place in 0..4 * 3 * 5 * 2 {
                let levels = vec![place % 4, place / 4 % 3, place / 12 % 5, place / 60];
                let point: Vec<f64> = levels.iter().zip(counts).map(|(level, count)| (*level as f64 + 0.5) / count as f64).collect();
                let weight: f64 = levels.iter().zip(counts).zip(&margins).map(|((level, count), margin)| {
                    margin.mass(&Part::of(vec![(part::edge(*level, count), part::edge(*level + 1, count))]))
                }).product();
                let mut active = vec![0.0; 4];
                space.snap(&point, &mut active);
                prop_assert!((tree.predict(&point) - tree.predict(&active)).abs() < 1e-12);
                cells.push((levels, weight, tree.predict(&point)));
            }
            let mean: f64 = cells.iter().map(|(_, weight, value)| weight * value).sum();
            // Variance of the mean given some of the levels.
            let given = |of: &[usize]| {
                let mut groups: std::collections::BTreeMap<Vec<usize>, (f64, f64)> = Default::default();
                for (levels, weight, value) in &cells {
                    let group = groups.entry(of.iter().map(|index| levels[*index]).collect()).or_default();
                    group.0 += weight;
                    group.1 += weight * value;
                }
                let sides = groups.values().filter(|group| group.0 > 0.0);
                sides.map(|group| group.0 * (group.1 / group.0 - mean).powi(2)).sum::<f64>()
            };
            let spread = Spread::new(&tree, &margins);
            let near = |found: f64, truth: f64| (found - truth).abs() < 1e-9;
            prop_assert!(near(spread.variance, given(&[0, 1, 2, 3])), "{} {}", spread.variance, given(&[0, 1, 2, 3]));
            match asked[..] {
                [one] => prop_assert!(near(spread.of_one(one), given(&[one])), "{asked:?}"),
                [a, b] => {
                    let truth = given(&[a, b]) - given(&[a]) - given(&[b]);
                    prop_assert!(near(spread.of_two(a, b), truth), "{asked:?}: {} {truth}", spread.of_two(a, b));
                }
                _ => {}
            }
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever results there are, shares are shares.
    #[test]
    fn any_results_have_an_answer_or_a_reason(
        seed in any::<u64>(),
        values in prop::collection::vec(prop_oneof![any::<f64>(), -1.0..1.0, Just(0.5)], 0..80),
        best in 0.01..=1.0,
    ) {
        let space = conditional();
        let points = points(&space, values.len(), seed);
        let found = asked(&space, &points, &values, best);
        prop_assert_eq!(&found, &asked(&space, &points, &values, best));
        let Ok(found) = found else { return Ok(()) };
        prop_assert!((0.0..=1.0).contains(&found.explained));
        let shares = found.parameters.iter().map(|effect| effect.share).chain(found.pairs.iter().map(|pair| pair.share));
        for share in shares {
            prop_assert!((0.0..=1.0).contains(&share.mean) && (0.0..=1.0).contains(&share.deviation), "{share:?}");
        }
        // Those that are always active share one variance.
        let sum: f64 = found.parameters.iter().filter(|effect| effect.parameter < 2).map(|effect| effect.share.mean).sum();
        prop_assert!(sum <= 1.0 + 1e-9, "{sum}");
    }
}

#[test]
fn what_does_not_matter_has_no_share_and_what_matters_only_together_is_a_pair() {
    let space = numbers(5);
    let points = points(&space, 1_000, 3);
    let found = ask(&space, &points, |x| 3.0 * x[1] + (x[2] - 0.5).abs(), 1.0);
    let main = main_effects(&found);
    assert!(main[1] > 0.7 && main[2] > 0.01 && main[1] > main[2], "{main:?}");
    for index in [0, 3, 4] {
        near(main[index], 0.0, 0.005);
    }
    assert!(found.explained > 0.9, "{}", found.explained);
    let found = ask(
        &space,
        &points,
        |x| f64::from(u8::from((x[0] < 0.5) == (x[3] < 0.5))),
        1.0,
    );
    assert!(pair(&found, 0, 3) > 0.4, "{found:?}");
    assert!(
        found
            .pairs
            .iter()
            .all(|other| other.parameters == [0, 3] || other.share.mean < 0.1),
        "{found:?}"
    );
    assert!(main_effects(&found).iter().all(|share| *share < 0.1), "{found:?}");
}

#[test]
fn noise_is_not_explained() {
    let space = numbers(4);
    for count in [20, 100, 1_000] {
        let points = points(&space, count, 5);
        let mut rng = trial_rng(5, TrialNumber(9));
        let values: Vec<f64> = points.iter().map(|_| normal(&mut rng)).collect();
        let explained = |best| asked(&space, &points, &values, best).map_or(0.0, |found| found.explained);
        assert!(explained(1.0) < 0.2 && explained(0.25) < 0.2, "{count}");
    }
}

#[test]
fn only_the_order_of_results_counts_and_what_is_not_finite_is_last() {
    let space = numbers(3);
    let points = points(&space, 200, 4);
    let f = |x: &[f64]| x[0] + 0.3 * x[1];
    let found = ask(&space, &points, f, 1.0);
    assert_eq!(found, ask(&space, &points, |x| (20.0 * f(x)).exp(), 1.0));
    assert_eq!(
        ask(&space, &points, f, 0.5),
        ask(&space, &points, |x| f(x).ln(), 0.5)
    );
    let bad = |with: f64| ask(&space, &points, |x| if x[2] > 0.8 { with } else { f(x) }, 1.0);
    assert_eq!(bad(f64::NAN), bad(1e300));
    assert_eq!(bad(f64::NAN), bad(f64::INFINITY));
    assert_eq!(
        bad(f64::NAN),
        bad(f64::NEG_INFINITY),
        "no result is good only because it is absurd"
    );
    assert!(
        main_effects(&bad(f64::NAN))[2] > 0.1,
        "that it diverges is told by the third parameter"
    );
}

#[test]
fn near_the_good_results_matters_what_makes_good_ones_better() {
    let space = numbers(3);
    let points = points(&space, 600, 8);
    // One parameter decides whether it works at all, another how well.
    let f = |x: &[f64]| if x[0] > 0.35 { 10.0 + x[0] } else { x[1] };
    let (all, best) = (ask(&space, &points, f, 1.0), ask(&space, &points, f, 0.25));
    assert_eq!((all.results, all.best, best.best), (600, 600, 150));
    let (all, best) = (main_effects(&all), main_effects(&best));
    assert!(all[0] > 0.9 && all[1] < 0.05, "{all:?}");
    assert!(best[1] > best[0] && best[1] > 0.4, "{best:?}");
    near(best[2], 0.0, 0.02);
}

#[test]
fn a_parameter_under_a_condition_has_the_share_that_it_has_where_it_is_active() {
    let space = conditional();
    let index = |name: &str| space.index_of(name).unwrap();
    let (momentum, beta, width, damping) =
        (index("momentum"), index("beta"), index("width"), index("damping"));
    let points = points(&space, 1_500, 2);
    // On average each optimizer is as good as any other.
    let f = |x: &[f64]| {
        let bend = if x[momentum].is_nan() {
            0.0
        } else {
            x[momentum] - 0.5
        };
        bend + if x[width].is_nan() { 0.0 } else { 0.2 * x[width] }
    };
    let found = ask(&space, &points, f, 1.0);
    let share = |parameter: usize| found.parameters[parameter].share.mean;
    assert_eq!(found.parameters.len(), 7);
    assert!(share(momentum) > 0.8, "{found:?}");
    assert!(share(beta) < 0.05 && share(damping) < 0.05, "{found:?}");
    assert!(share(width) > 0.01, "{found:?}");
    let active = points.iter().filter(|point| !point[momentum].is_nan()).count();
    assert_eq!(found.parameters[momentum].active, active);
    assert_eq!(found.parameters[0].active, 1_500);
    // Those that are never active together are no pair, nor is a parameter and the one value of its parent with which it is active.
    assert!(
        found
            .pairs
            .iter()
            .all(|pair| pair.parameters != [momentum, beta] && pair.parameters != [0, beta]),
        "{found:?}"
    );
    assert!(
        found.pairs.iter().any(|pair| pair.parameters == [0, momentum]),
        "{found:?}"
    );
}

#[test]
fn categories_are_split_by_what_they_do_and_not_by_their_order() {
    let choices: Vec<String> = (0..9).map(|index| format!("c{index}")).collect();
    let space = space(&format!(
        "  c: {{type: categorical, choices: [{}]}}\n  x: {{type: float, low: 0, high: 1}}\n",
        choices.join(", ")
    ));
    let points = points(&space, 400, 6);
    // Every third is good.
    let f = |x: &[f64]| if part::cell_of(x[0], 9).is_multiple_of(3) { 0.0 } else { 1.0 } + 0.01 * x[1];
    let found = ask(&space, &points, f, 1.0);
    let main = main_effects(&found);
    assert!(main[0] > 0.6, "{main:?}");
    let (shares, _) = plain_shares(&space, 2_000, f, &[]);
    near(shares[0], 1.0, 0.02);
}

#[test]
fn without_enough_to_go_on_the_reason_is_told() {
    let space = numbers(2);
    let points = points(&space, 100, 1);
    let values: Vec<f64> = points.iter().map(|point| point[0]).collect();
    let refused = |count: usize, best: f64| {
        asked(&space, &points[..count], &values[..count], best)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        refused(19, 1.0),
        "there are 19 results, and at least 20 are needed"
    );
    assert_eq!(
        refused(76, 0.25),
        "the best 19 of 76 results are too few, at least 20 are needed: ask for a larger share, or for all"
    );
    assert_eq!(
        asked(&space, &points, &[0.5; 100], 1.0).unwrap_err(),
        ImportanceError::AllEqual { results: 100 }
    );
    assert_eq!(
        asked(&space, &points, &[f64::NAN; 100], 1.0).unwrap_err(),
        ImportanceError::AllEqual { results: 100 }
    );
    let fixed = self::space("  a: {type: categorical, choices: [x]}\n  b: {type: constant, value: 3}\n");
    let constant = self::points(&fixed, 30, 1);
    assert_eq!(
        asked(&fixed, &constant, &values[..30], 1.0).unwrap_err(),
        ImportanceError::NothingVaries
    );
    // One that is always the same has no share among those that vary.
    let some = self::space("  a: {type: constant, value: 3}\n  b: {type: float, low: 0, high: 1}\n");
    let points = self::points(&some, 30, 1);
    let found = ask(&some, &points, |x| x[1], 1.0);
    assert_eq!(
        found
            .parameters
            .iter()
            .map(|effect| effect.parameter)
            .collect::<Vec<_>>(),
        [1]
    );
}

#[test]
fn of_many_results_a_sample_spread_over_all_is_taken() {
    let space = numbers(1);
    let points = points(&space, 3 * MOST_RESULTS, 1);
    let found = ask(&space, &points, |x| x[0], 1.0);
    assert_eq!(found.results, MOST_RESULTS);
    near(found.parameters[0].share.mean, 1.0, 1e-9);
}

#[test]
fn equal_results_share_their_rank_and_are_among_the_best_together() {
    let results: Vec<Observed<'_>> = [3.0, 1.0, f64::NAN, 1.0, 2.0]
        .map(|value| Observed { point: &[], value })
        .into();
    let found = ranks(&results);
    assert_eq!(found, [0.75, 0.125, 1.0, 0.125, 0.5]);
    assert_eq!(best_of(&found, 0.2), [false, true, false, true, false]);
    assert_eq!(best_of(&found, 0.6), [false, true, false, true, true]);
    assert!(best_of(&found, 1.0).iter().all(|best| *best));
}
