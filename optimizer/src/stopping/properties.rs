//! All rules against their definitions, whatever happens in a study.

use std::collections::BTreeMap;

use proptest::prelude::*;
use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::Goal;
use tunesmith_common::study::{Baseline, StopperRule, StopperSpec};

use super::naive::{Naive, Said};
use super::tests::{metric, objective};
use super::{Restorer, Stoppers};

/// What may happen to a study.
#[derive(Clone, Debug)]
enum Event {
    Report {
        trial: u64,
        metric: &'static str,
        step: i64,
        value: f64,
    },
    Restart {
        trial: u64,
        metric: &'static str,
        from: i64,
    },
    End {
        trial: u64,
        value: Option<f64>,
    },
}

impl Event {
    fn trial(&self) -> u64 {
        match self {
            Self::Report { trial, .. } | Self::Restart { trial, .. } | Self::End { trial, .. } => *trial,
        }
    }
}

const METRICS: [&str; 2] = ["val_acc", "loss"];

fn any_step() -> impl Strategy<Value = i64> {
    prop_oneof![6 => 0_i64..12, 2 => prop::sample::select(vec![5, 10, 15, 20]), 1 => 500_i64..700, 1 => 100_000_i64..120_000]
}

fn any_value() -> impl Strategy<Value = f64> {
    prop_oneof![
        12 => (-8_i32..8).prop_map(|x| f64::from(x) / 4.0),
        4 => -1.0..1.0,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -0.0]),
    ]
}

fn any_event() -> impl Strategy<Value = Event> {
    let metric = || prop::sample::select(METRICS.to_vec());
    prop_oneof![
        20 => (1_u64..8, metric(), any_step(), any_value())
            .prop_map(|(trial, metric, step, value)| Event::Report { trial, metric, step, value }),
        1 => (1_u64..8, metric(), any_step()).prop_map(|(trial, metric, from)| Event::Restart { trial, metric, from }),
        1 => (1_u64..8, prop::option::of(any_value())).prop_map(|(trial, value)| Event::End { trial, value }),
    ]
}

/// Trials that report step by step, some at every step and some at every third, one after the other.
fn orderly_events() -> impl Strategy<Value = Vec<Event>> {
    let trial = (1_i64..4, prop::collection::vec(any_value(), 1..25));
    prop::collection::vec(trial, 1..8).prop_map(|trials| {
        let mut events = Vec::new();
        for step in 0..25 {
            for (trial, (stride, values)) in (1..).zip(&trials) {
                if let Some(value) = values.get(step) {
                    let step = i64::try_from(step).unwrap() * stride;
                    events.push(Event::Report {
                        trial,
                        metric: "val_acc",
                        step,
                        value: *value,
                    });
                }
            }
        }
        events
    })
}

/// A rule on the objective's metric, or on another one whose direction is `loss`.
fn any_rule(loss: Goal) -> impl Strategy<Value = StopperRule> {
    let on = move || {
        prop::sample::select(vec![(None, None), (Some("loss"), Some(loss))])
            .prop_map(|(name, goal)| (name.map(metric), goal))
    };
    let warmup = || prop::sample::select(vec![0_i64, 0, 3]);
    let baseline = prop_oneof![
        (1_u64..8).prop_map(|trial| Baseline::Trial(TrialNumber(trial))),
        Just(Baseline::Best),
        Just(Baseline::Constant(0.3)),
        Just(Baseline::Curve(vec![(2, 0.1), (9, 0.8)])),
    ];
    prop_oneof![
        4 => (on(), prop::sample::select(vec![50.0, 25.0, 80.0]), warmup(), 1_u32..4, prop::sample::select(vec![1_i64, 1, 3]))
            .prop_map(|((metric, goal), keep, warmup_steps, min_trials, interval)| {
                StopperRule::Percentile { metric, goal, keep, warmup_steps, min_trials, interval }
            }),
        1 => (on(), -1_i64..4).prop_map(|((metric, _), after_step)| {
            StopperRule::Threshold { metric, above: Some(1.4), below: Some(-1.9), after_step }
        }),
        1 => (on(), 1_i64..9, prop::sample::select(vec![0.0, 0.3]), warmup())
            .prop_map(|((metric, goal), patience, min_delta, warmup_steps)| {
                StopperRule::Plateau { metric, goal, patience, min_delta, warmup_steps }
            }),
        1 => (on(), prop::sample::select(vec![0.3, 1.0]), 1_u32..3)
            .prop_map(|((metric, goal), factor, patience)| StopperRule::Diverging { metric, goal, factor, patience }),
        3 => (on(), 1_i64..4, 2_u32..4, prop::sample::select(vec![None, Some(13), Some(600)]), 1_u32..4)
            .prop_map(|((metric, goal), min_steps, reduction, max_steps, brackets)| {
                let brackets = if max_steps.is_none() { 1 } else { brackets.min(2) };
                StopperRule::Asha { metric, goal, min_steps, reduction, max_steps, brackets }
            }),
        3 => (on(), prop::sample::select(vec![0.05, 0.4]), prop::sample::select(vec![20_i64, 600]), warmup(), 1_u32..4)
            .prop_map(|((metric, goal), probability, max_steps, warmup_steps, min_trials)| {
                StopperRule::Curve { metric, goal, probability, max_steps, warmup_steps, min_trials }
            }),
        3 => (on(), prop::sample::select(vec![0.5, 0.3, 0.1]), 1_i64..5)
            .prop_map(|((metric, goal), p, min_steps)| StopperRule::Wilcoxon { metric, goal, p, min_steps }),
        2 => (on(), baseline, prop::sample::select(vec![0.0, 0.4]), warmup())
            .prop_map(|((metric, goal), baseline, tolerance, warmup_steps)| {
                StopperRule::BelowBaseline { metric, goal, baseline, tolerance, warmup_steps }
            }),
    ]
}

fn any_rules() -> impl Strategy<Value = Vec<StopperSpec>> {
    // Mostly shadows: a trial that was stopped is not judged any more.
    let goal = prop::sample::select(vec![Goal::Minimize, Goal::Maximize]);
    goal.prop_flat_map(|loss| {
        let rule = (any_rule(loss), prop::bool::weighted(0.8))
            .prop_map(|(rule, shadow)| StopperSpec { rule, shadow });
        prop::collection::vec(rule, 1..5)
    })
}

fn apply(stoppers: &mut Stoppers, event: &Event) -> Vec<StopDecision> {
    match event {
        Event::Report {
            trial,
            metric: name,
            step,
            value,
        } => {
            return stoppers.report(TrialNumber(*trial), &metric(name), *step, *value);
        }
        Event::Restart {
            trial,
            metric: name,
            from,
        } => {
            stoppers.metric_restarted(TrialNumber(*trial), &metric(name), *from);
        }
        Event::End { trial, value } => stoppers.trial_ended(TrialNumber(*trial), *value),
    }
    Vec::new()
}

fn numbers(decisions: &[StopDecision]) -> Vec<Said> {
    decisions
        .iter()
        .map(|said| {
            (
                said.rule_index,
                said.value.to_bits(),
                said.reference.to_bits(),
                said.compared_trials,
            )
        })
        .collect()
}

fn agrees_with_the_definition(
    rules: &[StopperSpec],
    goal: Goal,
    events: &[Event],
) -> Result<(), TestCaseError> {
    let mut stoppers = Stoppers::new(rules, &objective(goal));
    let mut naive = Naive::new(rules, &objective(goal));
    for (index, event) in events.iter().enumerate() {
        let said = numbers(&apply(&mut stoppers, event));
        let expected = match event {
            Event::Report {
                trial,
                metric: name,
                step,
                value,
            } => naive.report(TrialNumber(*trial), &metric(name), *step, *value),
            Event::Restart {
                trial,
                metric: name,
                from,
            } => {
                naive.restart(TrialNumber(*trial), &metric(name), *from);
                Vec::new()
            }
            Event::End { trial, value } => {
                naive.end(TrialNumber(*trial), *value);
                Vec::new()
            }
        };
        prop_assert_eq!(said, expected, "event {} of {:?}", index, events);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Whatever is reported in whatever order, restarted and ended: the rules say what their definitions say.
    #[test]
    fn judgements_are_those_of_the_definitions(
        rules in any_rules(),
        maximize in any::<bool>(),
        events in prop::collection::vec(any_event(), 0..200),
    ) {
        let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
        agrees_with_the_definition(&rules, goal, &events)?;
    }

    /// The same for trials that report as trainings do.
    #[test]
    fn judgements_of_orderly_trials_are_those_of_the_definitions(
        rules in any_rules(),
        maximize in any::<bool>(),
        events in orderly_events(),
    ) {
        let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
        agrees_with_the_definition(&rules, goal, &events)?;
    }

    /// Restored from its curves at once, trials in another order, it goes on as if it had been told point by point and had never
    /// stopped.
    #[test]
    fn a_restored_state_judges_alike(
        rules in any_rules(),
        maximize in any::<bool>(),
        before in prop_oneof![prop::collection::vec(any_event(), 0..150), orderly_events()],
        after in prop::collection::vec(any_event(), 0..60),
        rotation in 0_u64..8,
    ) {
        let goal = if maximize { Goal::Maximize } else { Goal::Minimize };
        let mut stoppers = Stoppers::new(&rules, &objective(goal));
        let mut decisions = Vec::new();
        let mut stored = Stored::default();
        for event in &before {
            decisions.extend(apply(&mut stoppers, event).into_iter().map(|said| (event.trial(), said.rule_index)));
            stored.take(event);
        }
        let mut restored = stored.restore(&rules, goal, rotation, &decisions);
        for event in &after {
            prop_assert_eq!(numbers(&apply(&mut stoppers, event)), numbers(&apply(&mut restored, event)));
        }
    }
}

/// What a store has of a study.
#[derive(Default)]
struct Stored {
    curves: BTreeMap<(u64, &'static str), BTreeMap<i64, f64>>,
    ended: BTreeMap<u64, Option<f64>>,
}

impl Stored {
    fn take(&mut self, event: &Event) {
        if self.ended.contains_key(&event.trial()) {
            return;
        }
        match event {
            Event::Report {
                trial,
                metric,
                step,
                value,
            } => {
                self.curves
                    .entry((*trial, *metric))
                    .or_default()
                    .insert(*step, *value);
            }
            Event::Restart { trial, metric, from } => {
                if let Some(curve) = self.curves.get_mut(&(*trial, *metric)) {
                    curve.retain(|step, _| step < from);
                }
            }
            Event::End { trial, value } => {
                self.ended.insert(*trial, *value);
            }
        }
    }

    /// Only what is asked for is given, trials from `first` on and then those before it.
    fn restore(&self, rules: &[StopperSpec], goal: Goal, first: u64, decisions: &[(u64, u32)]) -> Stoppers {
        let mut restorer = Restorer::new(rules, &objective(goal));
        let mut ended: Vec<_> = self.ended.iter().collect();
        ended.sort_by_key(|(trial, _)| (*trial + first) % 8);
        for (trial, value) in ended {
            restorer.trial_ended(TrialNumber(*trial), *value);
        }
        let of_all = restorer.metrics_of_all_trials();
        let compared = restorer.trials_compared_with();
        let mut curves: Vec<_> = self.curves.iter().collect();
        curves.sort_by_key(|((trial, _), _)| (trial + first) % 8);
        for ((trial, name), curve) in curves {
            let number = TrialNumber(*trial);
            let living = !self.ended.contains_key(trial);
            if living || of_all.contains(&metric(name)) || compared.contains(&number) {
                let points: Vec<(i64, f64)> = curve.iter().map(|(step, value)| (*step, *value)).collect();
                restorer.curve(number, &metric(name), &points);
            }
        }
        for (trial, rule) in decisions {
            restorer.decision(TrialNumber(*trial), *rule);
        }
        restorer.finish()
    }
}
