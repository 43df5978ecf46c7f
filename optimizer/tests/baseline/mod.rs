//! Trials that are drawn at random whatever the strategy.

use tunesmith_common::study::{StrategyName, StudySpec};
use tunesmith_optimizer::{Suggestion, build};

use crate::check_contract;
use crate::studies::{Afresh as _, registry, spaces, study, view};

#[test]
fn a_share_of_trials_is_drawn_at_random_whatever_the_strategy() {
    for (kind, space) in spaces() {
        for name in registry() {
            let mut spec = study(space.clone(), name, 7, Vec::new());
            spec.strategy.random_share = 0.5;
            for (next, count) in [(1, 0), (1, 9), (1_000_000, 2)] {
                check_contract(&spec, &view(&spec, next), count);
            }
            if name == StrategyName::Manual || kind == "1,000 parameters" {
                continue;
            }
            // Those of the strategy itself are the ones that it has without a baseline.
            let batch = build(&spec).afresh(&view(&spec, 1), 9).unwrap();
            let own: Vec<_> = batch
                .points
                .iter()
                .filter(|point| point.note.is_empty())
                .collect();
            if let StrategyName::Grid { .. } = name {
                spec.strategy.random_share = 0.0;
                let whole = build(&spec).afresh(&view(&spec, 1), own.len()).unwrap();
                let params = |points: Vec<&Suggestion>| {
                    points
                        .iter()
                        .map(|point| point.params.clone())
                        .collect::<Vec<_>>()
                };
                assert_eq!(params(own), params(whole.points.iter().collect()), "{kind}");
            }
        }
    }
    let (_, space) = spaces().swap_remove(0);
    let mut spec = study(space, StrategyName::Sobol, 3, Vec::new());
    let drawn = |spec: &StudySpec| {
        let batch = build(spec).afresh(&view(spec, 1), 1_000).unwrap();
        let notes = batch.points.iter().map(|point| &point.note[..]);
        notes
            .filter(|note| *note == "drawn at random, as a baseline")
            .count()
    };
    for (share, expected) in [(0.0, 0..=0), (0.2, 160..=240), (1.0, 1_000..=1_000)] {
        spec.strategy.random_share = share;
        let drawn = drawn(&spec);
        assert!(expected.contains(&drawn), "{drawn} of 1,000 at {share}");
    }
}
