//! What a model says it expects: the same that it proposes by.

use std::collections::BTreeMap;

use tunesmith_common::TrialNumber;
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Scale, Space};
use tunesmith_common::study::{Acquisition, StudySpec};
use tunesmith_optimizer::{
    Expected, FinishedTrial, Memory, RunningTrial, StrategyError, StudyView, Suggestion, build,
};

use crate::studies::{Afresh as _, all_bits, choices, float, gp, registry, space, study, view};

fn mixed() -> Space {
    let parameters = vec![
        float("a", 0.0, 1.0, Scale::Linear),
        float("b", 1e-3, 1.0, Scale::Log),
        choices("c", &["p", "q", "r"]),
    ];
    space(parameters, &[])
}

/// Smooth, and worse by one with the category q.
fn value(encoded: &[f64]) -> f64 {
    let off = if (1.0 / 3.0..2.0 / 3.0).contains(&encoded[2]) {
        1.0
    } else {
        0.0
    };
    10.0 + (encoded[0] - 0.3).powi(2) + (encoded[1] - 0.6).powi(2) + off
}

fn results(spec: &StudySpec, count: u64, others: usize) -> Vec<FinishedTrial> {
    let trial = |(number, encoded): (u64, Vec<f64>)| FinishedTrial {
        trial: TrialNumber(number),
        value: Some(value(&encoded)),
        others: (0..others).map(|k| encoded[k % 2]).collect(),
        encoded: encoded.into(),
        failed: false,
        partial: false,
        last_step: None,
        violations: Box::default(),
    };
    (1..).zip(spread(spec, count)).map(trial).collect()
}

/// Points spread over a study's space.
fn spread(spec: &StudySpec, count: u64) -> Vec<Vec<f64>> {
    let mut sobol = spec.clone();
    sobol.strategy.name = tunesmith_common::study::StrategyName::Sobol;
    let points = build(&sobol)
        .afresh(&view(&sobol, 1), usize::try_from(count).unwrap())
        .unwrap();
    points.points.into_iter().map(|point| point.encoded).collect()
}

fn expect(
    spec: &StudySpec,
    finished: &[FinishedTrial],
    points: &[Vec<f64>],
) -> Result<Expected, StrategyError> {
    let view = StudyView {
        finished,
        ..view(spec, finished.len() as u64 + 1)
    };
    build(spec).expect(&view, points, &mut Memory::default())
}

#[test]
fn what_is_expected_of_results_is_what_they_were_and_less_is_known_elsewhere() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 3, Vec::new());
    let finished = results(&spec, 40, 0);
    let there: Vec<Vec<f64>> = finished.iter().map(|trial| trial.encoded.to_vec()).collect();
    let expected = expect(&spec, &finished, &there).unwrap();
    assert_eq!((expected.acquisition, expected.objectives.len()), ("log_ei", 1));
    for ([mean, better, worse], trial) in expected.objectives[0].iter().zip(&finished) {
        let value = trial.value.unwrap();
        assert!(
            (mean - value).abs() < 0.05 && better <= mean && mean <= worse,
            "{mean} {value}"
        );
    }
    // Fewer results, less certain.
    let few = expect(&spec, &finished[..8], &there[20..]).unwrap();
    assert_eq!((few.acquisition, few.objectives.len()), ("log_ei", 1));
    let width = |expected: &Expected| {
        expected.objectives[0]
            .iter()
            .map(|[_, better, worse]| worse - better)
            .sum::<f64>()
    };
    let many = expect(&spec, &finished, &there[20..]).unwrap();
    assert!(
        width(&many) < 0.5 * width(&few),
        "{} {}",
        width(&many),
        width(&few)
    );
}

#[test]
fn the_point_proposed_promises_most() {
    for acquisition in [Acquisition::LogEi, Acquisition::Ei, Acquisition::Ucb] {
        let spec = study(mixed(), gp(acquisition), 5, Vec::new());
        let finished = results(&spec, 20, 0);
        let view = StudyView {
            finished: &finished,
            ..view(&spec, 21)
        };
        let strategy = build(&spec);
        let proposed = strategy.afresh(&view, 1).unwrap().points.remove(0).encoded;
        let mut points = vec![proposed];
        let random = study(
            mixed(),
            tunesmith_common::study::StrategyName::Random,
            1,
            Vec::new(),
        );
        let others = build(&random)
            .afresh(&crate::studies::view(&random, 1), 500)
            .unwrap()
            .points;
        points.extend(others.into_iter().map(|point| point.encoded));
        let expected = expect(&spec, &finished, &points).unwrap();
        assert_eq!(expected.acquisition, acquisition.name());
        let most = expected.promise[1..]
            .iter()
            .copied()
            .fold(f64::NEG_INFINITY, f64::max);
        assert!(
            expected.promise[0] >= most - 1e-9,
            "{acquisition:?}: {} {most}",
            expected.promise[0]
        );
        // Whatever was kept.
        let mut memory = Memory::default();
        strategy.propose(&view, 3, &mut memory).unwrap();
        let kept = strategy.expect(&view, &points, &mut memory).unwrap();
        assert_eq!(kept, expected);
    }
}

#[test]
fn each_of_a_few_objectives_is_expected_and_of_many_only_what_they_promise() {
    let finished = |spec: &StudySpec, others| results(spec, 20, others);
    let spec = study(mixed(), gp(Acquisition::LogEi), 5, Vec::new());
    let points = vec![vec![0.25, 0.5, 0.9], vec![0.75, 0.125, 0.5]];
    let two = expect(&spec, &finished(&spec, 1), &points).unwrap();
    assert_eq!(
        (two.acquisition, two.objectives.len(), two.promise.len()),
        ("log_ehvi", 2, 2)
    );
    // The second objective is the first parameter.
    for (point, [mean, ..]) in points.iter().zip(&two.objectives[1]) {
        assert!((mean - point[0]).abs() < 0.05, "{mean} {point:?}");
    }
    let six = expect(&spec, &finished(&spec, 5), &points).unwrap();
    assert_eq!((six.objectives.len(), six.promise.len()), (0, 2));
}

#[test]
fn without_a_model_nothing_is_expected() {
    let point = vec![vec![0.5, 0.5, 0.5]];
    for name in registry() {
        let mut spec = study(
            mixed(),
            name,
            5,
            vec![
                [("a".parse().unwrap(), ParamValue::Float(0.5))]
                    .into_iter()
                    .collect(),
            ],
        );
        spec.strategy.random_share = 0.1;
        let finished = results(&spec, 20, 0);
        let answer = expect(&spec, &finished, &point);
        let strategy = build(&spec).name();
        if strategy == "gp" {
            assert_eq!(answer.unwrap().promise.len(), 1, "{name:?}");
            let early = expect(&spec, &finished[..2], &point);
            assert!(matches!(early, Err(StrategyError::Fit { .. })), "{early:?}");
        } else {
            assert_eq!(answer, Err(StrategyError::NoModel { strategy }), "{name:?}");
        }
    }
}

/// A point proposed, with what is expected of it and of others by what it was chosen by.
fn chosen(spec: &StudySpec, finished: &[FinishedTrial], memory: &mut Memory) -> (Suggestion, Expected) {
    let next = finished.len() as u64 + 1;
    let view = StudyView {
        finished,
        proposed: next - 1,
        ..view(spec, next)
    };
    let strategy = build(spec);
    let proposed = strategy.propose(&view, 1, memory);
    assert_eq!(
        all_bits(&proposed),
        all_bits(&strategy.afresh(&view, 1)),
        "trial {next}"
    );
    let point = proposed.unwrap().points.remove(0);
    let mut points = vec![point.encoded.clone()];
    points.extend(spread(spec, 300));
    points.extend(finished.iter().map(|trial| trial.encoded.to_vec()));
    let expected = strategy.expect(&view, &points, memory).unwrap();
    let afresh = strategy.expect(&view, &points, &mut Memory::default()).unwrap();
    assert_eq!(afresh.acquisition, expected.acquisition, "trial {next}");
    let bits = |expected: &Expected| -> Vec<u64> {
        let objectives = expected.objectives.iter().flatten().flatten();
        objectives.chain(&expected.promise).map(|x| x.to_bits()).collect()
    };
    let differs = bits(&afresh)
        .iter()
        .zip(bits(&expected))
        .position(|(a, b)| *a != b);
    assert_eq!(differs, None, "trial {next} by {}", expected.acquisition);
    (point, expected)
}

/// The results of so many trials: six spread over the space, then those proposed. `then` is told each of these, and what was known.
fn goes_on(
    spec: &StudySpec,
    trials: u64,
    value: impl Fn(&[f64]) -> f64,
    mut then: impl FnMut(&Suggestion, &Expected, &[FinishedTrial]),
) -> Vec<FinishedTrial> {
    let end = |number: u64, encoded: Vec<f64>| FinishedTrial {
        trial: TrialNumber(number),
        value: Some(value(&encoded)),
        encoded: encoded.into(),
        failed: false,
        partial: false,
        last_step: None,
        others: Box::default(),
        violations: Box::default(),
    };
    // As many as there is no model of: two more than there are parameters, ten at most.
    let begun = (spec.space.parameters().len() as u64 + 2).clamp(6, 10);
    let first = (1..).zip(spread(spec, begun));
    let mut finished: Vec<FinishedTrial> = first.map(|(number, encoded)| end(number, encoded)).collect();
    let mut memory = Memory::default();
    for number in begun + 1..=trials {
        let (point, expected) = chosen(spec, &finished, &mut memory);
        then(&point, &expected, &finished);
        finished.push(end(number, point.encoded));
    }
    finished
}

#[test]
fn where_little_is_to_be_gained_trials_go_elsewhere_and_say_so() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 6, Vec::new());
    let mut seen: BTreeMap<(String, &str), Vec<u64>> = BTreeMap::new();
    goes_on(&spec, 60, value, |point, expected, finished| {
        let key = (point.note.clone(), expected.acquisition);
        seen.entry(key).or_default().push(finished.len() as u64 + 1);
        let spread = expected.promise[1..=300].iter().copied();
        let best = spread.fold(f64::NEG_INFINITY, f64::max);
        // Of what may be proposed nothing promises more. A search elsewhere ends where what was left aside begins, and comes less close to the best.
        // The farthest is the farthest of some hundreds of points.
        let near = match expected.acquisition {
            "distance" => 0.25 * best,
            _ if point.note.contains("away from") => 0.1 * best.abs().max(1.0),
            _ => 1e-6 * best.abs().max(1.0),
        };
        assert!(
            expected.promise[0] >= best - near,
            "trial {}: {} {best} by {}, {:?}",
            finished.len() + 1,
            expected.promise[0],
            expected.acquisition,
            point.note
        );
        // Whatever it was chosen by, the objective is expected to be what it was where it is known.
        for (trial, [mean, ..]) in finished.iter().zip(&expected.objectives[0][301..]) {
            assert!((mean - trial.value.unwrap()).abs() < 0.05, "{mean} {trial:?}");
        }
    });
    let of = |note: &str, by: &str| {
        let trials = seen
            .iter()
            .filter(|((said, used), _)| said.starts_with(note) && *used == by);
        trials
            .flat_map(|(_, trials)| trials.clone())
            .collect::<Vec<u64>>()
    };
    // First nothing is said; in the end most trials go elsewhere, and those that do not come closer to the best.
    let usual: Vec<u64> = seen[&(String::new(), "log_ei")].clone();
    assert!(usual.contains(&7) && usual.len() > 5, "{seen:?}");
    let best = of("where the best value is expected", "mean");
    let mut elsewhere = of("away from", "log_ei");
    assert!(best.len() > 2, "{seen:?}");
    elsewhere.extend(of("far from all that was tried", "distance"));
    assert!(elsewhere.len() > best.len(), "{seen:?}");
    assert!(
        elsewhere.iter().filter(|trial| **trial > 50).count() >= 5,
        "{seen:?}"
    );
}

#[test]
fn where_results_differ_by_orders_of_magnitude_little_is_little_beside_what_is_left() {
    let parameters = ["a", "b", "c"].map(|name| float(name, -20.0, 20.0, Scale::Linear));
    // Rosenbrock's function, of which the first results are some millions: a hundredth of that is much to the end.
    let valley = |at: &[f64]| {
        let z: Vec<f64> = at.iter().map(|at| 40.0 * at - 20.0).collect();
        let steps = z.windows(2).map(|z| {
            let (off, left) = (z[1] - z[0] * z[0], 1.0 - z[0]);
            100.0 * off * off + left * left
        });
        steps.sum()
    };
    let best = (0..3).map(|seed| {
        let spec = study(
            space(parameters.clone().into(), &[]),
            gp(Acquisition::LogEi),
            seed,
            Vec::new(),
        );
        let finished = goes_on(&spec, 40, valley, |_, _, _| {});
        let values = finished.iter().filter_map(|trial| trial.value);
        values.fold(f64::INFINITY, f64::min)
    });
    // With a hundredth of what the raw results differ by, 110 to 530.
    let mut best: Vec<f64> = best.collect();
    best.sort_by(f64::total_cmp);
    assert!(best[1] < 10.0, "{best:?}");
}

#[test]
fn those_proposed_at_once_are_apart_where_little_is_to_be_gained() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 5, Vec::new());
    // The best place is coming closer, and is known.
    for (known, apart) in [(40, 5e-4), (60, 1e-3)] {
        let finished = results(&spec, known, 0);
        let view = StudyView {
            finished: &finished,
            ..view(&spec, known + 1)
        };
        let points = build(&spec).afresh(&view, 9).unwrap().points;
        for (i, a) in points.iter().enumerate() {
            for b in &points[..i] {
                let pairs = a.encoded.iter().zip(&b.encoded);
                let distance: f64 = pairs.map(|(a, b)| (a - b).abs()).sum();
                assert!(distance > apart, "{points:?}");
            }
        }
    }
}

#[test]
fn where_the_best_value_is_expected_one_is_tried_at_a_time() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 5, Vec::new());
    let strategy = build(&spec);
    let far = spread(&spec, 1).remove(0);
    let (mut alone, mut beside) = (0, 0);
    goes_on(&spec, 60, value, |point, _, finished| {
        if !point.note.starts_with("where the best value is expected:") {
            return;
        }
        alone += 1;
        let next = finished.len() as u64 + 1;
        let note = |running: &[f64]| {
            let running = [RunningTrial {
                trial: TrialNumber(next - 1),
                encoded: running,
            }];
            let view = StudyView {
                finished,
                running: &running,
                ..view(&spec, next)
            };
            strategy.afresh(&view, 1).unwrap().points.remove(0).note
        };
        beside += usize::from(note(&far) == point.note);
        assert_ne!(note(&point.encoded), point.note, "trial {next}");
    });
    // Of one that runs elsewhere more may be expected.
    assert!(alone > 2 && beside >= alone / 2, "{alone} {beside}");
}

#[test]
fn where_results_are_noisy_trials_stay_where_most_is_expected() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 5, Vec::new());
    // As good as random, and the same each time. Without it some 65 of the 90 go elsewhere, with half of it none to two.
    let noisy = |at: &[f64]| value(at) + 0.2 * (1e5 * at[0] + 3e5 * at[1]).sin();
    let mut elsewhere = Vec::new();
    goes_on(&spec, 90, noisy, |point, _, finished| {
        if point.note.contains("away from") || point.note.starts_with("far") {
            elsewhere.push(finished.len() + 1);
        }
    });
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}

#[test]
fn a_better_place_is_found_after_a_good_one_that_is_larger() {
    // A wide basin, and elsewhere one that is a little deeper and has a fifth of its area.
    let parameters = vec![
        float("x", 0.0, 1.0, Scale::Linear),
        float("y", 0.0, 1.0, Scale::Linear),
    ];
    let well = |at: &[f64], centre: [f64; 2], width: f64| {
        let squares = at.iter().zip(centre).map(|(x, c)| (x - c).powi(2));
        (-squares.sum::<f64>() / (2.0 * width * width)).exp()
    };
    let value = |at: &[f64]| -well(at, [0.3, 0.35], 0.22) - 1.15 * well(at, [0.86, 0.8], 0.1);
    let mut elsewhere = 0;
    let found = (0..5).filter(|seed| {
        let spec = study(
            space(parameters.clone(), &[]),
            gp(Acquisition::LogEi),
            *seed,
            Vec::new(),
        );
        let finished = goes_on(&spec, 60, value, |point, expected, _| {
            elsewhere += usize::from(point.note.starts_with("away from") && expected.acquisition == "log_ei");
        });
        finished.iter().any(|trial| trial.value.unwrap() < -1.1)
    });
    assert_eq!(found.count(), 5);
    assert!(elsewhere > 5, "{elsewhere}");
}

#[test]
fn without_results_elsewhere_trials_go_far_from_all_that_was_tried() {
    let parameters = vec![float("x", 0.0, 1.0, Scale::Linear)];
    let spec = study(space(parameters, &[]), gp(Acquisition::LogEi), 5, Vec::new());
    let mut unknown = 0;
    // A straight line: all results belong to the best one, at its end.
    goes_on(
        &spec,
        20,
        |at| at[0],
        |point, expected, _| {
            if point.note.starts_with("far from all that was tried") {
                assert_eq!(expected.acquisition, "distance");
                unknown += 1;
            }
        },
    );
    assert!(unknown > 3, "{unknown}");
}

#[test]
fn without_results_elsewhere_trials_go_far_once_the_best_place_is_known() {
    // All results of a bowl belong together.
    let mut known = Vec::new();
    let finished = goes_on(&cube(3, 2), 60, bowl, |point, _, finished| {
        if point.note.starts_with("far from all that was tried") {
            known.push(least(finished));
        }
    });
    // As soon as little is to be gained they would go far with 1e-4.
    assert!(known.len() > 3 && known[0] < 1e-5, "{known:?}");
    assert!(least(&finished) < 1e-6, "{}", least(&finished));
}

#[test]
fn a_bowl_is_known_after_few_results() {
    // Along each number another centre and another depth.
    let bowl = |at: &[f64]| {
        let terms = (1..)
            .zip(at)
            .map(|(k, x)| f64::from(k) * (x - 0.2 - 0.09 * f64::from(k)).powi(2));
        terms.sum::<f64>()
    };
    for seed in 0..5 {
        let found = least(&goes_on(&cube(7, seed), 30, bowl, |_, _, _| ()));
        // Without a trend in the model 5e-4 to 4e-3.
        assert!(found < 1e-5, "{seed}: {found}");
    }
}

fn bowl(at: &[f64]) -> f64 {
    let squares = at.iter().zip([0.3, 0.6, 0.45]).zip([1.0, 10.0, 100.0]);
    squares.map(|((x, c), stiff)| stiff * (x - c).powi(2)).sum()
}

fn least(finished: &[FinishedTrial]) -> f64 {
    let values = finished.iter().filter_map(|trial| trial.value);
    values.fold(f64::INFINITY, f64::min)
}

/// A study of so many numbers from 0 to 1.
fn cube(d: usize, seed: u64) -> StudySpec {
    let numbers = (0..d).map(|k| float(&format!("p{k}"), 0.0, 1.0, Scale::Linear));
    study(
        space(numbers.collect(), &[]),
        gp(Acquisition::LogEi),
        seed,
        Vec::new(),
    )
}

#[test]
fn trials_do_not_crowd_at_the_edges_of_a_space() {
    // A valley in the middle. With many under way little else is left to know.
    let valley = |at: &[f64]| {
        let steps = at
            .windows(2)
            .map(|x| 10.0 * (x[1] - 4.0 * (x[0] - 0.5).powi(2) - 0.3).powi(2) + x[0]);
        steps.sum::<f64>()
    };
    let at_edges = (0..5).map(|seed| {
        let spec = cube(6, seed);
        let finished = goes_on(&spec, 25, valley, |_, _, _| ());
        let view = StudyView {
            finished: &finished,
            ..view(&spec, 26)
        };
        let points = build(&spec).afresh(&view, 15).unwrap().points;
        let is_at_edge = |point: &&Suggestion| point.encoded.iter().any(|x| x.min(1.0 - x) < 1e-6);
        points.iter().filter(is_at_edge).count()
    });
    // Of 75; if all that is expected counted alike, 33.
    let at_edges: usize = at_edges.sum();
    assert!(at_edges < 12, "{at_edges}");
}

#[test]
fn a_category_that_is_better_where_numbers_differ_is_found() {
    let parameters = vec![
        choices("kind", &["p", "q", "r"]),
        float("x", 0.0, 1.0, Scale::Linear),
        float("y", 0.0, 1.0, Scale::Linear),
        float("z", 0.0, 1.0, Scale::Linear),
    ];
    // The last one, in the least part of it.
    let value = |at: &[f64]| {
        let square = |centre: [f64; 3]| {
            let squares = at[1..].iter().zip(centre).map(|(x, c)| (x - c).powi(2));
            squares.sum::<f64>()
        };
        match at[0] {
            kind if kind < 1.0 / 3.0 => 0.2 + 0.3 * square([0.3, 0.4, 0.6]),
            kind if kind < 2.0 / 3.0 => 0.15 + 2.0 * square([0.4, 0.5, 0.5]),
            _ => 6.0 * square([0.85, 0.2, 0.8]),
        }
    };
    let found = (2..8).filter(|seed| {
        let spec = study(
            space(parameters.clone(), &[]),
            gp(Acquisition::LogEi),
            *seed,
            Vec::new(),
        );
        let finished = goes_on(&spec, 64, value, |_, _, _| {});
        finished.iter().any(|trial| trial.value.unwrap() < 0.1)
    });
    // Four of them where trials go to the best mean whatever categories promise more.
    assert_eq!(found.count(), 6);
}
