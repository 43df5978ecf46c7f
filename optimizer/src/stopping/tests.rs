//! Each rule by example.

use tunesmith_common::TrialNumber;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::{From as ValueFrom, Goal, MetricName};
use tunesmith_common::study::{Baseline, Objective, StopperRule, StopperSpec};

use super::{Restorer, Stoppers};

mod asha;
mod curve;
mod goals;
mod wilcoxon;

pub(super) fn metric(name: &str) -> MetricName {
    name.parse().unwrap()
}

pub(super) fn objective(goal: Goal) -> Objective {
    Objective {
        metric: metric("val_acc"),
        goal,
        from: ValueFrom::Last,
    }
}

fn spec(rule: StopperRule) -> StopperSpec {
    StopperSpec { rule, shadow: false }
}

fn shadow(rule: StopperRule) -> StopperSpec {
    StopperSpec { rule, shadow: true }
}

fn percentile(keep: f64, min_trials: u32) -> StopperRule {
    StopperRule::Percentile {
        metric: None,
        goal: None,
        keep,
        warmup_steps: 0,
        min_trials,
        interval: 1,
    }
}

fn plateau(patience: i64, min_delta: f64) -> StopperRule {
    StopperRule::Plateau {
        metric: None,
        goal: None,
        patience,
        min_delta,
        warmup_steps: 0,
    }
}

fn diverging(factor: f64, patience: u32) -> StopperRule {
    StopperRule::Diverging {
        metric: None,
        goal: None,
        factor,
        patience,
    }
}

fn below(baseline: Baseline, tolerance: f64) -> StopperRule {
    StopperRule::BelowBaseline {
        metric: None,
        goal: None,
        baseline,
        tolerance,
        warmup_steps: 0,
    }
}

fn threshold(above: Option<f64>, below: Option<f64>, after_step: i64) -> StopperRule {
    StopperRule::Threshold {
        metric: None,
        above,
        below,
        after_step,
    }
}

/// A study of one metric, where more is better unless said otherwise.
struct Study {
    stoppers: Stoppers,
}

impl Study {
    fn new(rules: &[StopperSpec]) -> Self {
        Self::with_goal(Goal::Maximize, rules)
    }

    fn with_goal(goal: Goal, rules: &[StopperSpec]) -> Self {
        Self {
            stoppers: Stoppers::new(rules, &objective(goal)),
        }
    }

    fn report(&mut self, trial: u64, step: i64, value: f64) -> Vec<StopDecision> {
        self.stoppers
            .report(TrialNumber(trial), &metric("val_acc"), step, value)
    }

    /// Reports a curve from step 1 on; the steps at which something was said.
    fn curve(&mut self, trial: u64, values: &[f64]) -> Vec<i64> {
        let points: Vec<(i64, f64)> = (1..).zip(values.iter().copied()).collect();
        self.points(trial, &points)
    }

    fn points(&mut self, trial: u64, points: &[(i64, f64)]) -> Vec<i64> {
        points
            .iter()
            .flat_map(|(step, value)| self.report(trial, *step, *value))
            .map(|said| said.step)
            .collect()
    }

    fn end(&mut self, trial: u64, value: f64) {
        self.stoppers.trial_ended(TrialNumber(trial), Some(value));
    }
}

fn texts(decisions: &[StopDecision]) -> Vec<&str> {
    decisions.iter().map(|decision| decision.text.as_str()).collect()
}

#[test]
fn the_median_rule_compares_the_best_so_far_with_the_running_averages_of_the_others() {
    let mut study = Study::new(&[spec(percentile(50.0, 3))]);
    // Running averages at step 3: 0.6, 0.4, 0.7. Their median is 0.6.
    assert!(study.curve(1, &[0.5, 0.6, 0.7]).is_empty());
    assert!(study.curve(2, &[0.4, 0.4, 0.4]).is_empty());
    study.end(2, 0.4);
    assert!(study.curve(3, &[0.7, 0.7, 0.7]).is_empty());
    let said = study.points(4, &[(1, 0.55), (2, 0.6)]);
    assert!(
        said.is_empty(),
        "its best is not worse than the median at step 1 (0.5) and 2 (0.55)"
    );
    let decisions = study.report(4, 3, 0.1);
    assert!(
        decisions.is_empty(),
        "0.6, its best, is not strictly worse than 0.6"
    );
    let decisions = study.points(5, &[(1, 0.1), (2, 0.2)]);
    assert_eq!(decisions, [1]);

    let mut study = Study::new(&[spec(percentile(50.0, 3))]);
    study.curve(1, &[0.5, 0.6, 0.7]);
    study.curve(2, &[0.4, 0.4, 0.4]);
    study.curve(3, &[0.7, 0.7, 0.7]);
    let decisions = study.report(4, 3, 0.412);
    assert_eq!(
        texts(&decisions),
        [
            "best val_acc so far 0.412 at step 3 is below 0.6, the median of the running averages of 3 other trials at that step"
        ]
    );
    let decision = &decisions[0];
    assert_eq!(
        (decision.rule.as_str(), decision.compared_trials, decision.shadow),
        ("median", 3, false)
    );
    assert!((decision.value - 0.412).abs() < 1e-15 && (decision.reference - 0.6).abs() < 1e-15);
    assert!(study.report(4, 4, 0.1).is_empty(), "it has spoken");
}

#[test]
fn a_percentile_keeps_that_share_of_the_trials() {
    // Averages 1, 2, 3, 4, 5; the best quarter of a loss reaches to 2, of an accuracy down to 4.
    for (goal, stops, stays, text) in [
        (Goal::Minimize, 2.01, 2.0, "above 2"),
        (Goal::Maximize, 3.99, 4.0, "below 4"),
    ] {
        let mut study = Study::with_goal(goal, &[shadow(percentile(25.0, 5))]);
        for trial in 1..=5_u32 {
            study.report(u64::from(trial), 1, f64::from(trial));
        }
        assert!(study.report(6, 1, stays).is_empty());
        let mut study = Study::with_goal(goal, &[shadow(percentile(25.0, 5))]);
        for trial in 1..=5_u32 {
            study.report(u64::from(trial), 1, f64::from(trial));
        }
        let decisions = study.report(6, 1, stops);
        assert!(decisions[0].text.contains(text), "{:?}", decisions);
        assert_eq!(decisions[0].rule, "percentile");
    }
}

#[test]
fn trials_that_report_at_other_steps_are_compared_all_the_same() {
    let mut study = Study::new(&[spec(percentile(50.0, 2))]);
    let every_fifth: Vec<(i64, f64)> = (1..=4).map(|i| (5 * i, 0.8)).collect();
    assert!(study.points(1, &every_fifth).is_empty());
    assert!(study.points(2, &every_fifth).is_empty());
    // Step 1 to 4: the others have no value yet. At 5, which they have reached, it is judged.
    assert_eq!(
        study.points(3, &[(1, 0.1), (2, 0.1), (3, 0.1), (4, 0.1), (5, 0.1)]),
        [5]
    );
    // Between their reports the others count with their average so far.
    assert_eq!(study.points(4, &[(7, 0.1)]), [7]);
    // And one that reports rarely is compared with those that report often.
    let mut study = Study::new(&[spec(percentile(50.0, 2))]);
    study.curve(1, &[0.8; 20]);
    study.curve(2, &[0.8; 20]);
    assert_eq!(study.points(3, &[(10, 0.1)]), [10]);
}

#[test]
fn warm_up_interval_and_too_few_trials_leave_a_trial_alone() {
    let rule = |warmup_steps, interval| StopperRule::Percentile {
        metric: None,
        goal: None,
        keep: 50.0,
        warmup_steps,
        min_trials: 2,
        interval,
    };
    let first = |warmup_steps, interval, points: &[(i64, f64)]| {
        let mut study = Study::new(&[spec(rule(warmup_steps, interval))]);
        study.points(1, &(0..40).map(|step| (step, 0.8)).collect::<Vec<_>>());
        study.points(2, &(0..40).map(|step| (step, 0.8)).collect::<Vec<_>>());
        study.points(3, points).first().copied()
    };
    let each: Vec<(i64, f64)> = (0..40).map(|step| (step, 0.1)).collect();
    assert_eq!(first(0, 1, &each), Some(0));
    assert_eq!(first(5, 1, &each), Some(6));
    assert_eq!(first(0, 10, &each), Some(10));
    assert_eq!(first(10, 10, &each), Some(20));
    assert_eq!(first(0, 10, &[(3, 0.1), (9, 0.1), (13, 0.1)]), Some(13));

    let mut study = Study::new(&[spec(percentile(50.0, 5))]);
    study.curve(1, &[0.9; 4]);
    study.curve(2, &[0.9; 4]);
    study.curve(3, &[0.9; 4]);
    assert!(study.curve(4, &[0.1; 4]).is_empty());
    assert_eq!(
        study.stoppers.status(),
        [
            "rule 1, median of val_acc: idle: 3 of the 5 other trials needed have reached step 4 with a value of val_acc"
        ]
    );
}

#[test]
fn one_trial_of_nan_does_not_stop_the_others() {
    let mut study = Study::new(&[spec(percentile(50.0, 1))]);
    study.curve(1, &[0.5, f64::NAN, f64::INFINITY, f64::NEG_INFINITY]);
    assert!(study.curve(2, &[0.6, 0.6, 0.6, 0.6]).is_empty());
    assert_eq!(
        study.points(3, &[(4, 0.4)]),
        [4],
        "trial 1 counts with 0.5, trial 2 with 0.6"
    );
    let mut study = Study::new(&[spec(percentile(50.0, 1))]);
    study.curve(1, &[f64::NAN; 3]);
    assert!(
        study.curve(2, &[0.1; 3]).is_empty(),
        "a trial without a value is nothing to compare with"
    );
}

#[test]
fn what_a_restarted_trial_takes_back_counts_no_more() {
    let mut study = Study::new(&[spec(percentile(50.0, 1))]);
    study.curve(1, &[0.9, 0.9, 0.9]);
    study
        .stoppers
        .metric_restarted(TrialNumber(1), &metric("val_acc"), 2);
    assert!(
        study.points(2, &[(2, 0.1)]).is_empty(),
        "trial 1 has not reached step 2 any more"
    );
    study.points(1, &[(2, 0.05), (3, 0.05)]);
    assert!(
        study.points(3, &[(3, 0.4)]).is_empty(),
        "0.9, 0.05, 0.05 average to a third, 0.1 stands at step 2"
    );
}

#[test]
fn threshold_looks_at_each_value_after_its_step() {
    let mut study = Study::new(&[spec(threshold(Some(10.0), Some(-1.0), 3))]);
    assert_eq!(
        study.points(1, &[(2, 99.0), (3, 99.0), (4, 10.0), (5, 10.5)]),
        [5]
    );
    assert_eq!(study.points(2, &[(4, -1.5)]), [4]);
    assert_eq!(
        texts(&study.report(3, 9, f64::INFINITY)),
        ["val_acc inf at step 9 is above the threshold 10"]
    );
    assert!(study.report(4, 9, f64::NAN).is_empty());
}

#[test]
fn plateau_counts_steps_not_reports() {
    let mut study = Study::new(&[spec(plateau(10, 0.01))]);
    assert_eq!(
        study.points(1, &[(1, 0.5), (4, 0.505), (8, 0.5), (10, 0.5), (11, 0.5)]),
        [11]
    );
    assert!(
        study
            .points(2, &[(1, 0.5), (10, 0.52), (19, 0.5), (20, f64::NAN)])
            .iter()
            .eq(&[20])
    );
    // Small steps add up.
    assert!(
        study
            .points(
                3,
                &(1..40)
                    .map(|i| (i, f64::from(u32::try_from(i).unwrap()) * 0.002))
                    .collect::<Vec<_>>()
            )
            .is_empty()
    );
    let mut study = Study::new(&[spec(plateau(5, 0.0))]);
    study.points(1, &[(0, 0.3), (2, 0.5)]);
    assert_eq!(
        texts(&study.report(1, 7, 0.4)),
        ["val_acc has not improved on 0.5 of step 2 for 5 steps, up to step 7"]
    );
}

#[test]
fn diverging_says_so_at_once_of_nan_and_after_some_reports_of_a_climb() {
    let mut study = Study::with_goal(Goal::Minimize, &[spec(diverging(1.0, 3))]);
    assert_eq!(texts(&study.report(1, 0, f64::NAN)), ["val_acc is NaN at step 0"]);
    assert_eq!(study.curve(2, &[1.0, f64::NEG_INFINITY]), [2]);
    // Falls from 2 to 1: range 1. Then climbs above 2, smoothed, at steps 7, 8 and 9.
    let values = [2.0, 1.8, 1.5, 1.2, 1.0, 1.5, 4.0, 4.0, 4.0, 4.0];
    assert_eq!(study.curve(3, &values), [9]);
    // Two reports above, one below: the row is broken, and the range has grown.
    assert!(
        study
            .curve(
                4,
                &[2.0, 1.8, 1.5, 1.2, 1.0, 1.5, 4.0, 4.0, 0.0, 4.0, 4.0, 4.0, 4.0]
            )
            .is_empty()
    );
    // A curve that never moved has no range to leave.
    assert!(study.curve(5, &[1.0; 30]).is_empty());
    // Noise around a level is not a climb.
    let noise: Vec<f64> = (0..200_u32).map(|i| f64::from(i * 7_919 % 101) / 101.0).collect();
    assert!(study.curve(6, &noise).is_empty());
}

#[test]
fn a_curve_under_its_baseline_is_stopped() {
    let at = |baseline, points: &[(i64, f64)]| {
        let mut study = Study::new(&[spec(below(baseline, 0.05))]);
        study.points(1, points)
    };
    assert_eq!(at(Baseline::Constant(0.5), &[(1, 0.46), (2, 0.44)]), [2]);
    let curve = || Baseline::Curve(vec![(10, 0.2), (20, 0.4)]);
    assert!(
        at(
            curve(),
            &[(9, 0.0), (10, 0.2), (15, 0.26), (20, 0.36), (99, 0.36)]
        )
        .is_empty()
    );
    assert_eq!(at(curve(), &[(15, 0.24)]), [15]);
    assert_eq!(at(curve(), &[(99, 0.34)]), [99]);
}

#[test]
fn a_trial_is_compared_with_another_once_that_has_come_as_far() {
    let mut study = Study::new(&[spec(below(Baseline::Trial(TrialNumber(1)), 0.0))]);
    study.points(1, &[(1, 0.2), (4, 0.5)]);
    assert!(study.points(1, &[(5, 0.1)]).is_empty(), "never with itself");
    assert!(study.points(2, &[(6, 0.0)]).is_empty());
    assert_eq!(
        study.stoppers.status(),
        ["rule 1, below_baseline of val_acc: idle: trial 1 has no val_acc yet at step 6"]
    );
    assert_eq!(
        texts(&study.report(3, 4, 0.4)),
        ["val_acc 0.4 at step 4 is below 0.5, what trial 1 had at that step"]
    );
    assert_eq!(
        study.points(4, &[(3, 0.3), (4, 0.5), (5, 0.05)]),
        [5],
        "at step 3 trial 1 counts with 0.2"
    );
    study.end(1, 0.5);
    assert_eq!(
        study.points(5, &[(6, 0.0)]),
        [6],
        "an ended trial keeps its last value"
    );
}

#[test]
fn the_best_trial_that_has_ended_is_the_baseline() {
    let mut study = Study::new(&[spec(below(Baseline::Best, 0.01))]);
    study.curve(1, &[0.3, 0.6]);
    assert!(study.curve(2, &[0.1]).is_empty());
    study.end(1, 0.6);
    study.curve(3, &[0.5, 0.9]);
    study.stoppers.trial_ended(TrialNumber(3), None);
    assert_eq!(
        texts(&study.report(4, 1, 0.2)),
        [
            "val_acc 0.2 at step 1 is below 0.3, what the best trial so far, 1, had at that step, by 0.1 where 0.01 is tolerated"
        ]
    );
    study.curve(5, &[0.5, 0.8]);
    study.end(5, 0.8);
    study.end(6, f64::NAN);
    assert_eq!(study.curve(7, &[0.4]), [1]);
}

#[test]
fn of_equal_trials_the_first_is_the_best_in_whatever_order_they_end() {
    for order in [[1, 2], [2, 1]] {
        let mut study = Study::new(&[spec(below(Baseline::Best, 0.0))]);
        study.curve(1, &[0.3, 0.6]);
        study.curve(2, &[0.6, 0.6]);
        for trial in order {
            study.end(trial, 0.6);
        }
        assert!(study.curve(3, &[0.4]).is_empty(), "trial 1 had 0.3 at step 1");
        assert_eq!(study.curve(4, &[0.2]), [1]);
    }
}

#[test]
fn the_first_rule_wins_and_all_shadows_are_told_once() {
    let mut study = Study::new(&[
        shadow(threshold(Some(1.0), None, -1)),
        spec(threshold(Some(2.0), None, -1)),
        shadow(threshold(Some(3.0), None, -1)),
        spec(threshold(Some(2.5), None, -1)),
    ]);
    let indexes = |said: Vec<StopDecision>| said.iter().map(|said| said.rule_index).collect::<Vec<_>>();
    assert_eq!(indexes(study.report(1, 0, 1.5)), [0]);
    assert!(study.report(1, 1, 1.5).is_empty());
    assert_eq!(indexes(study.report(1, 2, 9.0)), [1, 2]);
    assert!(study.report(1, 3, 9.0).is_empty());
    assert_eq!(
        study.stoppers.status(),
        [
            "rule 1, threshold of val_acc, shadow: judged 1 report, would have stopped 1 trial",
            "rule 2, threshold of val_acc: judged 3 reports, stopped 1 trial",
            "rule 3, threshold of val_acc, shadow: judged 3 reports, would have stopped 1 trial",
            "rule 4, threshold of val_acc: judged 2 reports",
        ]
    );
}

#[test]
fn nothing_happens_without_rules_or_after_the_end() {
    let mut none = Study::new(&[]);
    assert!(none.curve(1, &[f64::NAN; 3]).is_empty());
    assert!(none.stoppers.status().is_empty());
    let mut study = Study::new(&[spec(threshold(Some(1.0), None, -1)), spec(percentile(50.0, 1))]);
    study.curve(1, &[0.5]);
    study.end(1, 0.5);
    study.end(1, 0.9);
    assert!(study.curve(1, &[9.0, 9.0]).is_empty());
    assert!(study.points(2, &[(2, 0.1)]).is_empty(), "trial 1 ended at step 1");
    assert!(
        study
            .stoppers
            .report(TrialNumber(1), &metric("other"), 1, 0.0)
            .is_empty()
    );
}

#[test]
fn what_is_compared_with_is_asked_for_when_rules_are_restored() {
    let rules = [
        spec(below(Baseline::Trial(TrialNumber(2)), 0.0)),
        spec(below(Baseline::Trial(TrialNumber(9)), 0.0)),
        spec(below(Baseline::Best, 0.0)),
    ];
    let mut restorer = Restorer::new(&rules, &objective(Goal::Maximize));
    for (trial, value) in [(1, 0.5), (2, 0.1), (3, 0.7), (4, 0.7)] {
        restorer.trial_ended(TrialNumber(trial), Some(value));
    }
    assert!(restorer.metrics_of_all_trials().is_empty());
    assert_eq!(restorer.trials_compared_with(), [TrialNumber(2), TrialNumber(3)]);
    assert_eq!(restorer.unreported(), [metric("val_acc")]);
    restorer.curve(TrialNumber(2), &metric("val_acc"), &[(1, 0.4), (5, 0.2)]);
    restorer.curve(TrialNumber(3), &metric("val_acc"), &[(1, 0.6)]);
    assert!(restorer.unreported().is_empty());
    restorer.decision(TrialNumber(9), 77);
    let mut study = Study {
        stoppers: restorer.finish(),
    };
    assert_eq!(
        study.report(7, 1, 0.39)[0].text,
        "val_acc 0.39 at step 1 is below 0.4, what trial 2 had at that step"
    );
}

#[test]
fn averages_of_the_largest_numbers_stay_finite() {
    let mut study = Study::new(&[spec(percentile(50.0, 1)), shadow(diverging(1.0, 1))]);
    for trial in 1..6 {
        study.curve(
            trial,
            &[
                f64::MAX,
                f64::MAX,
                -f64::MAX,
                f64::MAX,
                f64::MAX,
                -f64::MAX,
                f64::MAX,
            ],
        );
    }
    assert!(study.stoppers.status()[0].contains("judged"));
}

#[test]
fn two_hundred_thousand_reports_are_judged() {
    let mut study = Study::new(&[
        shadow(percentile(50.0, 5)),
        shadow(percentile(25.0, 5)),
        shadow(plateau(5, 0.0)),
    ]);
    let mut stopped = 0;
    for trial in 0..10_000_u32 {
        let level = f64::from(trial.wrapping_mul(2_654_435_761) >> 12);
        for step in 0..20 {
            stopped += study
                .report(
                    u64::from(trial),
                    step,
                    level + f64::from(u32::try_from(step).unwrap()),
                )
                .len();
        }
        if trial % 3 > 0 {
            study.end(u64::from(trial), level);
        }
    }
    // The median stops half of the trials, the quarter three quarters; a few more, since values grow from step to step.
    assert!((11_000..13_000).contains(&stopped), "{stopped}");
}
