//! What every strategy owes its callers, checked for each entry of the registry in each kind of space.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::HashSet;

use proptest::prelude::*;
use tunesmith_common::TrialNumber;
use tunesmith_common::params::{ParamValue, Params};
use tunesmith_common::space::{Domain, Scale};
use tunesmith_common::study::{StrategyName, StudySpec};
use tunesmith_optimizer::{
    FinishedTrial, Memory, Proposal, RunningTrial, SearchStrategy, StrategyError, StudyView, Suggestion,
    build,
};

use self::studies::{
    Afresh as _, all_bits, bits, choices, float, grid, learns, parameter, registry, space, spaces, study,
    view,
};

mod awkward;
mod baseline;
mod expecting;
mod history;
mod learning;
mod several;
mod studies;

/// `count` proposals of one, the view brought up to date in between as an engine does it.
fn singles(
    strategy: &dyn SearchStrategy,
    view: &StudyView<'_>,
    count: usize,
) -> Result<Proposal, StrategyError> {
    let mut memory = Memory::default();
    let mut points: Vec<Suggestion> = Vec::new();
    while points.len() < count {
        let begun = points
            .iter()
            .zip(view.next.0..)
            .map(|(point, trial)| RunningTrial {
                trial: TrialNumber(trial),
                encoded: &point.encoded,
            });
        let running: Vec<RunningTrial<'_>> = view.running.iter().copied().chain(begun).collect();
        let made = points.len() as u64;
        let now = StudyView {
            next: TrialNumber(view.next.0 + made),
            proposed: view.proposed + made,
            cursor: points.iter().rev().find_map(|point| point.cursor).or(view.cursor),
            running: &running,
            ..*view
        };
        match strategy.propose(&now, 1, &mut memory) {
            Ok(one) => {
                assert_eq!(one.points.len(), 1);
                points.extend(one.points);
            }
            Err(error) if points.is_empty() => return Err(error),
            Err(_) => break,
        }
    }
    Ok(Proposal { points })
}

/// The promises that need one view only.
fn check_contract(spec: &StudySpec, view: &StudyView<'_>, count: usize) {
    let strategy = build(spec);
    let batch = strategy.afresh(view, count);
    assert_eq!(
        all_bits(&batch),
        all_bits(&strategy.afresh(view, count)),
        "repeatable"
    );
    assert_eq!(
        all_bits(&batch),
        all_bits(&build(spec).afresh(view, count)),
        "nothing is remembered"
    );
    if count > 0 {
        assert_eq!(
            all_bits(&batch),
            all_bits(&singles(strategy.as_ref(), view, count)),
            "batch = singles"
        );
    }
    if count > 0 {
        let end = strategy.at_end(view);
        assert!(
            end.is_none() || batch.as_ref().err() == end.as_ref(),
            "{end:?} is said before it is so"
        );
        assert!(
            end.is_some() || !matches!(batch, Err(StrategyError::Exhausted)),
            "that it is exhausted is said too late"
        );
    }
    let Ok(batch) = batch else { return };
    assert!(batch.points.len() <= count);
    for point in &batch.points {
        assert_eq!(spec.space.check(&point.params), Ok(()));
        assert_eq!(point.encoded.len(), spec.space.dimensions().len());
        assert!(
            point.encoded.iter().all(|x| x.is_nan() || (0.0..1.0).contains(x)),
            "{:?}",
            point.encoded
        );
        let again = spec.space.encode(&point.params).unwrap();
        assert!(
            again
                .iter()
                .map(|x| x.to_bits())
                .eq(point.encoded.iter().map(|x| x.to_bits()))
        );
    }
}

#[test]
fn every_strategy_keeps_the_contract_in_every_space() {
    for (kind, space) in spaces() {
        for name in registry() {
            let spec = study(space.clone(), name, 7, Vec::new());
            for (next, count) in [(1, 0), (1, 1), (1, 9), (1_000_000, 2)] {
                check_contract(&spec, &view(&spec, next), count);
            }
            let proposal = build(&spec).afresh(&view(&spec, 1), 1);
            let expected = match name {
                StrategyName::Manual => Err(StrategyError::WaitsForPeople),
                // 3^1000 cells, which the check of a study refuses.
                StrategyName::Grid { .. } if kind == "1,000 parameters" => Err(StrategyError::Exhausted),
                _ => Ok(1),
            };
            assert_eq!(
                proposal.map(|proposal| proposal.points.len()),
                expected,
                "{name:?} in {kind}"
            );
        }
    }
}

/// A value as trials come to have it.
fn any_value() -> impl proptest::strategy::Strategy<Value = Option<f64>> {
    prop_oneof![
        Just(None),
        any::<f64>().prop_map(Some),
        prop::sample::select(vec![
            Some(f64::NAN),
            Some(f64::INFINITY),
            Some(f64::NEG_INFINITY),
            Some(0.0)
        ]),
    ]
}

fn any_domain() -> impl proptest::strategy::Strategy<Value = Domain> {
    prop_oneof![
        (-1e3..1e3, 1e-3..1e3).prop_map(|(low, width)| Domain::Float {
            low,
            high: low + width,
            scale: Scale::Linear,
            step: None
        }),
        (1e-9..1.0, 1.5..1e9).prop_map(|(low, ratio)| Domain::Float {
            low,
            high: low * ratio,
            scale: Scale::Log,
            step: None
        }),
        (-50_i64..50, 1_i64..1_000, 1_i64..5).prop_map(|(low, width, step)| Domain::Int {
            low,
            high: low + width * step,
            scale: Scale::Linear,
            step
        }),
        (1_i64..9).prop_map(|count| Domain::Categorical {
            choices: (0..count).map(ParamValue::Int).collect()
        }),
        (1_i64..9).prop_map(|count| Domain::Ordinal {
            choices: (0..count).map(ParamValue::Int).collect()
        }),
        Just(Domain::Boolean),
        Just(Domain::Constant(ParamValue::Float(0.5))),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// Whatever the space, the seed and the history: NaN, infinities, failures, points of inactive parameters, running trials.
    #[test]
    fn any_history_in_any_space_is_accepted(
        domains in prop::collection::vec(any_domain(), 1..12),
        seed in any::<u64>(),
        next in 1_u64..1_000_000_000,
        count in 1_usize..6,
        history in prop::collection::vec((any_value(), any::<bool>(), any::<bool>(), prop::option::of(any::<i64>())), 0..20),
    ) {
        let parameters = domains.into_iter().enumerate().map(|(i, domain)| parameter(&format!("p{i}"), domain)).collect();
        let space = space(parameters, &[]);
        let dimensions = space.dimensions().len();
        let finished: Vec<FinishedTrial> = (1..)
            .zip(history)
            .map(|(trial, (value, failed, partial, last_step))| FinishedTrial {
                trial: TrialNumber(trial),
                encoded: vec![if failed { f64::NAN } else { 0.5 }; dimensions].into(),
                value,
                failed,
                partial,
                last_step, others: Box::default(), violations: Box::default(),
            })
            .collect();
        let here = vec![0.25; dimensions];
        let running = [RunningTrial { trial: TrialNumber(next - 1), encoded: &here }];
        for name in registry() {
            let spec = study(space.clone(), name, seed, Vec::new());
            let bare = view(&spec, next);
            let full = StudyView { finished: &finished, running: &running, ..bare };
            check_contract(&spec, &full, count);
            // What `auto` chooses may learn.
            if !learns(name) && name != StrategyName::Auto {
                let strategy = build(&spec);
                prop_assert_eq!(all_bits(&strategy.afresh(&full, count)), all_bits(&strategy.afresh(&bare, count)));
            }
        }
    }
}

#[test]
fn random_and_sobol_give_a_trial_its_point_whatever_came_before() {
    for (_, space) in spaces() {
        for name in [StrategyName::Random, StrategyName::Sobol] {
            let spec = study(space.clone(), name, 3, Vec::new());
            let strategy = build(&spec);
            let batch = strategy.afresh(&view(&spec, 1), 6).unwrap();
            let later = StudyView {
                proposed: 2,
                cursor: Some(99),
                ..view(&spec, 6)
            };
            let alone = strategy.afresh(&later, 1).unwrap();
            assert_eq!(bits(&batch.points[5]), bits(&alone.points[0]));
        }
    }
}

#[test]
fn another_seed_gives_other_points() {
    let (_, space) = spaces().swap_remove(0);
    for name in [StrategyName::Random, StrategyName::Sobol] {
        let points: HashSet<Vec<u64>> = (0..50)
            .map(|seed| {
                let spec = study(space.clone(), name, seed, Vec::new());
                bits(&build(&spec).afresh(&view(&spec, 1), 1).unwrap().points[0]).1
            })
            .collect();
        assert_eq!(points.len(), 50);
    }
}

#[test]
fn a_grid_proposes_each_admissible_cell_once_and_then_no_more() {
    let spaces = spaces();
    for (kind, cells) in [
        ("finite", 24),
        ("one point", 1),
        ("conditional", 15),
        ("constrained", 15),
    ] {
        let (_, space) = spaces.iter().find(|(name, _)| *name == kind).unwrap();
        let mut orders = HashSet::new();
        for (shuffle, seed) in [(false, 1), (false, 2), (true, 1), (true, 2)] {
            let spec = study(space.clone(), grid(shuffle, 3), seed, Vec::new());
            let strategy = build(&spec);
            let all = singles(strategy.as_ref(), &view(&spec, 1), cells + 5).unwrap();
            let texts: Vec<String> = all
                .points
                .iter()
                .map(|point| format!("{:?}", point.params))
                .collect();
            assert_eq!(
                texts.iter().collect::<HashSet<_>>().len(),
                cells,
                "{kind}: {texts:?}"
            );
            assert_eq!(texts.len(), cells);
            let end = StudyView {
                cursor: all.points[cells - 1].cursor,
                ..view(&spec, 9)
            };
            assert_eq!(strategy.afresh(&end, 1), Err(StrategyError::Exhausted));
            assert_eq!(strategy.at_end(&end), Some(StrategyError::Exhausted));
            let mut before = view(&spec, 1);
            for point in &all.points {
                assert_eq!(strategy.at_end(&before), None);
                before = StudyView {
                    next: TrialNumber(before.next.0 + 1),
                    proposed: before.proposed + 1,
                    cursor: point.cursor,
                    ..before
                };
            }
            check_contract(&spec, &before, 2);
            assert_eq!(
                strategy.afresh(&view(&spec, 1), 1_000).unwrap().points.len(),
                cells,
                "the last batch is short"
            );
            orders.insert(texts);
        }
        assert_eq!(
            orders.len(),
            if cells == 1 { 1 } else { 3 },
            "one stated order, one per seed"
        );
    }
}

#[test]
fn what_no_point_satisfies_is_said_so() {
    let parameters = || vec![float("x", 0.0, 1.0, Scale::Linear), choices("c", &["a", "b"])];
    let impossible = space(parameters(), &["x > 2"]);
    for (name, error) in [
        (
            StrategyName::Random,
            StrategyError::NoFeasiblePoint { tries: 10_000 },
        ),
        (
            StrategyName::Sobol,
            StrategyError::NoFeasiblePoint { tries: 10_000 },
        ),
        (grid(true, 3), StrategyError::Exhausted),
        (
            grid(true, 1_000_000),
            StrategyError::NoFeasiblePoint { tries: 200_000 },
        ),
    ] {
        let spec = study(impossible.clone(), name, 1, Vec::new());
        assert_eq!(build(&spec).afresh(&view(&spec, 1), 3), Err(error), "{name:?}");
    }
    // One draw in a hundred will do.
    let narrow = space(parameters(), &["x > 0.99"]);
    for name in [StrategyName::Random, StrategyName::Sobol] {
        let spec = study(narrow.clone(), name, 1, Vec::new());
        assert_eq!(build(&spec).afresh(&view(&spec, 1), 20).unwrap().points.len(), 20);
    }
}

#[test]
fn initial_points_come_first_and_are_completed() {
    let (_, conditional) = spaces().swap_remove(1);
    let text = |name: &str, value: &str| (name.parse().unwrap(), ParamValue::Text(value.to_owned()));
    let initial: Vec<Params> = vec![
        [("momentum".parse().unwrap(), ParamValue::Float(0.9))]
            .into_iter()
            .collect(),
        [
            text("optimizer", "lion"),
            ("depth".parse().unwrap(), ParamValue::Int(5)),
        ]
        .into_iter()
        .collect(),
        [text("optimizer", "sgd")].into_iter().collect(),
    ];
    for name in registry() {
        let spec = study(conditional.clone(), name, 11, initial.clone());
        let strategy = build(&spec);
        check_contract(&spec, &view(&spec, 1), 7);
        // What the strategy enumerates does not count before the initial points are through.
        let first = StudyView {
            cursor: Some(u64::MAX),
            ..view(&spec, 1)
        };
        assert_eq!(strategy.at_end(&first), None);
        let batch = strategy.afresh(&view(&spec, 1), 7).unwrap();
        assert_eq!(
            batch.points.len(),
            if name == StrategyName::Manual { 3 } else { 7 }
        );
        let value = |point: usize, name: &str| batch.points[point].params.value(name).cloned();
        assert_eq!(
            value(0, "optimizer"),
            Some(ParamValue::Text("sgd".to_owned())),
            "only sgd has a momentum"
        );
        assert_eq!(value(0, "momentum"), Some(ParamValue::Float(0.9)));
        assert!(value(0, "depth").is_some());
        assert_eq!(value(1, "optimizer"), Some(ParamValue::Text("lion".to_owned())));
        assert_eq!(
            (value(1, "depth"), value(1, "momentum")),
            (Some(ParamValue::Int(5)), None)
        );
        assert!(value(2, "momentum").is_some());
        assert_eq!(batch.points[2].note, "initial point 3");
        // Those after them are the strategy's own, and nothing of an enumeration is used up.
        let bare = study(conditional.clone(), name, 11, Vec::new());
        let own = build(&bare).afresh(&view(&bare, 4), 4);
        let rest = Proposal {
            points: batch.points[3..].to_vec(),
        };
        let rest = if name == StrategyName::Manual {
            Err(StrategyError::WaitsForPeople)
        } else {
            Ok(rest)
        };
        assert_eq!(all_bits(&rest), all_bits(&own));
    }
}

#[test]
fn initial_points_satisfy_the_constraints_with_what_completes_them() {
    let (_, constrained) = spaces().swap_remove(2);
    let wide: Params = [("width".parse().unwrap(), ParamValue::Int(512))]
        .into_iter()
        .collect();
    for name in registry() {
        for seed in 0..20 {
            let spec = study(constrained.clone(), name, seed, vec![wide.clone(); 3]);
            check_contract(&spec, &view(&spec, 1), 3);
            let batch = build(&spec).afresh(&view(&spec, 1), 3).unwrap();
            assert!(
                batch
                    .points
                    .iter()
                    .all(|point| point.params.value("width") == Some(&ParamValue::Int(512)))
            );
        }
    }
}

#[test]
fn an_initial_point_that_cannot_be_completed_ends_the_batch_before_it() {
    let (_, constrained) = spaces().swap_remove(2);
    let ints = |batch, width| -> Params {
        let named = [("batch", batch), ("width", width)];
        named
            .into_iter()
            .map(|(name, value)| (name.parse().unwrap(), ParamValue::Int(value)))
            .collect()
    };
    let spec = study(
        constrained,
        StrategyName::Sobol,
        1,
        vec![ints(4, 32), ints(256, 512)],
    );
    check_contract(&spec, &view(&spec, 1), 5);
    let strategy = build(&spec);
    assert_eq!(strategy.afresh(&view(&spec, 1), 5).unwrap().points.len(), 1);
    let second = StudyView {
        proposed: 1,
        ..view(&spec, 2)
    };
    assert_eq!(
        strategy.afresh(&second, 1),
        Err(StrategyError::NoFeasiblePoint { tries: 10_000 })
    );
}

#[test]
fn parameters_that_an_initial_point_makes_active_are_spread_over_their_range() {
    let (_, conditional) = spaces().swap_remove(1);
    let sgd: Params = [("optimizer".parse().unwrap(), ParamValue::Text("sgd".to_owned()))]
        .into_iter()
        .collect();
    let momenta: HashSet<String> = (0..50)
        .map(|seed| {
            let spec = study(conditional.clone(), StrategyName::Sobol, seed, vec![sgd.clone()]);
            let batch = build(&spec).afresh(&view(&spec, 1), 1).unwrap();
            batch.points[0].params.value("momentum").unwrap().to_string()
        })
        .collect();
    assert_eq!(momenta.len(), 50);
}

#[test]
fn auto_says_what_it_chose_and_why() {
    let spaces = spaces();
    let choose = |kind: &str, trials: Option<u64>| {
        let (_, space) = spaces.iter().find(|(name, _)| *name == kind).unwrap();
        let mut spec = study(space.clone(), StrategyName::Auto, 1, Vec::new());
        spec.budget.trials = trials;
        (build(&spec).name(), spec.chosen_strategy().1)
    };
    let said = |name, note: &str| (name, note.to_owned());
    assert_eq!(
        choose("finite", Some(24)),
        said(
            "grid",
            "auto chose grid in random order: the space has 24 combinations, within the budget of 24 trials"
        )
    );
    assert_eq!(
        choose("finite", Some(23)),
        said(
            "gp",
            "auto chose gp: the space has 24 combinations, more than the budget of 23 trials, and it learns most from each trial"
        )
    );
    assert_eq!(choose("finite", None).0, "grid");
    assert_eq!(
        choose("continuous", Some(1_000)),
        said(
            "gp",
            "auto chose gp: the space has continuous parameters, and it learns most from each trial"
        )
    );
    assert_eq!(
        choose("continuous", Some(10_001)),
        said(
            "tpe",
            "auto chose tpe: the space has continuous parameters, and with 10001 trials it is faster than gp, which is for up to 10000"
        )
    );
    assert_eq!(
        choose("1,000 parameters", None),
        said(
            "tpe",
            "auto chose tpe: the space has continuous parameters, and with 1000 parameters it is faster than gp, which is for up to 200"
        )
    );
    // With several objectives.
    let several = |kind: &str, trials: Option<u64>, objectives: usize| {
        let (_, space) = spaces.iter().find(|(name, _)| *name == kind).unwrap();
        let mut spec = study(space.clone(), StrategyName::Auto, 1, Vec::new());
        spec.budget.trials = trials;
        spec.more_objectives = vec![spec.objective.clone(); objectives - 1];
        (build(&spec).name(), spec.chosen_strategy().1)
    };
    assert_eq!(several("finite", Some(24), 3).0, "grid");
    assert_eq!(several("continuous", Some(1_000), 4).0, "gp");
    assert_eq!(
        several("continuous", Some(1_000), 5),
        said(
            "nsga2",
            "auto chose nsga2: the space has continuous parameters, and with 5 objectives it keeps more of them apart than gp, which is for up to 4"
        )
    );
    assert_eq!(
        several("continuous", Some(10_001), 2),
        said(
            "nsga2",
            "auto chose nsga2: the space has continuous parameters, and with 10001 trials it is faster than gp, which is for up to 10000"
        )
    );
    let (_, space) = &spaces[0];
    let random = study(space.clone(), StrategyName::Random, 1, Vec::new());
    assert_eq!(random.chosen_strategy(), (StrategyName::Random, String::new()));
}
