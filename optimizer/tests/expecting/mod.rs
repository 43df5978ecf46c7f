//! What a model says it expects: the same that it proposes by.

use tunesmith_common::TrialNumber;
use tunesmith_common::params::ParamValue;
use tunesmith_common::space::{Scale, Space};
use tunesmith_common::study::{Acquisition, StudySpec};
use tunesmith_optimizer::{Expected, FinishedTrial, Memory, StrategyError, StudyView};

use crate::studies::{Afresh as _, build, choices, float, gp, registry, space, study, view};

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
    let mut sobol = spec.clone();
    sobol.strategy.name = tunesmith_common::study::StrategyName::Sobol;
    let points = build(&sobol)
        .0
        .afresh(&view(&sobol, 1), usize::try_from(count).unwrap())
        .unwrap();
    let trial = |(number, point): (u64, tunesmith_optimizer::Suggestion)| FinishedTrial {
        trial: TrialNumber(number),
        value: Some(value(&point.encoded)),
        others: (0..others).map(|k| point.encoded[k % 2]).collect(),
        encoded: point.encoded.into(),
        failed: false,
        partial: false,
        last_step: None,
        violations: Box::default(),
    };
    (1..).zip(points.points).map(trial).collect()
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
    build(spec).0.expect(&view, points, &mut Memory::default())
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
        let (strategy, _) = build(&spec);
        let proposed = strategy.afresh(&view, 1).unwrap().points.remove(0).encoded;
        let mut points = vec![proposed];
        let random = study(
            mixed(),
            tunesmith_common::study::StrategyName::Random,
            1,
            Vec::new(),
        );
        let others = build(&random)
            .0
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
        let strategy = build(&spec).0.name();
        if strategy == "gp" {
            assert_eq!(answer.unwrap().promise.len(), 1, "{name:?}");
            let early = expect(&spec, &finished[..2], &point);
            assert!(matches!(early, Err(StrategyError::Fit { .. })), "{early:?}");
        } else {
            assert_eq!(answer, Err(StrategyError::NoModel { strategy }), "{name:?}");
        }
    }
}

#[test]
fn where_the_last_results_brought_nothing_every_other_trial_looks_into_the_unknown() {
    let spec = study(mixed(), gp(Acquisition::LogEi), 5, Vec::new());
    let asked = |finished: &[FinishedTrial], next: u64| {
        let view = StudyView {
            finished,
            ..view(&spec, next)
        };
        let (strategy, _) = build(&spec);
        let expected = strategy.expect(&view, &[vec![0.5, 0.5, 0.5]], &mut Memory::default());
        let point = strategy.afresh(&view, 1).unwrap().points.remove(0);
        let is_said = point.note.starts_with("where the model knows least");
        (expected.unwrap().acquisition, is_said, point.encoded)
    };
    let mut idle = results(&spec, 20, 0);
    // The best is the first; six and one for each of three parameters have come since that are worse.
    idle[0].value = Some(9.9);
    let (next, usual) = (asked(&idle, 22), asked(&idle, 21));
    assert_eq!((next.0, next.1), ("exploration", true));
    assert_eq!((usual.0, usual.1), ("log_ei", false));
    // Farther from the best than the usual one.
    let off = |point: &[f64]| {
        let squares = point.iter().zip(&idle[0].encoded).map(|(a, b)| (a - b).powi(2));
        squares.sum::<f64>()
    };
    assert!(off(&next.2) > off(&usual.2), "{next:?} {usual:?}");
    let mut busy = idle.clone();
    busy[11].value = Some(9.8);
    assert_eq!(asked(&busy, 22).0, "log_ei", "the ninth from the end was better");
    busy[11].value = Some(9.9 - 1e-9);
    assert_eq!(asked(&busy, 22).0, "exploration", "next to nothing");
    // What others have found is no sign of anything.
    let mut others = idle.clone();
    for trial in &mut others[..12] {
        trial.trial = TrialNumber(0);
    }
    assert_eq!(asked(&others, 10).0, "log_ei", "only eight are its own");
}
