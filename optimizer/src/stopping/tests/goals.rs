//! Rules on metrics whose direction is not the objective's.

use super::*;

#[test]
fn diverging_takes_its_own_direction() {
    let rule = StopperRule::Diverging {
        metric: Some(metric("loss")),
        goal: Some(Goal::Minimize),
        factor: 1.0,
        patience: 1,
    };
    let mut stoppers = Stoppers::new(&[spec(rule)], &objective(Goal::Maximize));
    let mut said = Vec::new();
    for (step, value) in (1..).zip([2.0, 1.8, 1.5, 1.2, 1.0, 5.0, 5.0]) {
        said.extend(stoppers.report(TrialNumber(1), &metric("loss"), step, value));
    }
    assert_eq!(
        texts(&said),
        ["loss, smoothed, is 3.1125 at step 6: for 1 report above 2, 1 times its range of 1 from its best 1"]
    );
}

#[test]
fn rules_on_another_metric_judge_in_its_own_direction() {
    let loss = || Some(metric("loss"));
    let goal = Some(Goal::Minimize);
    let rules = [
        shadow(StopperRule::Percentile {
            metric: loss(),
            goal,
            keep: 50.0,
            warmup_steps: 0,
            min_trials: 3,
            interval: 1,
        }),
        shadow(StopperRule::BelowBaseline {
            metric: loss(),
            goal,
            baseline: Baseline::Best,
            tolerance: 0.25,
            warmup_steps: 0,
        }),
        shadow(StopperRule::Threshold {
            metric: loss(),
            above: Some(5.0),
            below: None,
            after_step: -1,
        }),
        shadow(diverging(1.0, 1)),
        shadow(StopperRule::Diverging {
            metric: loss(),
            goal,
            factor: 1.0,
            patience: 1,
        }),
    ];
    let mut stoppers = Stoppers::new(&rules, &objective(Goal::Maximize));
    for (trial, level) in [(1, 0.5), (2, 1.0), (3, 2.0)] {
        assert!(
            stoppers
                .report(TrialNumber(trial), &metric("loss"), 1, level)
                .is_empty()
        );
    }
    // The best trial is the one with the best objective, though another has the lower loss.
    stoppers.trial_ended(TrialNumber(1), Some(0.7));
    stoppers.trial_ended(TrialNumber(2), Some(0.9));
    assert!(
        stoppers
            .report(TrialNumber(4), &metric("loss"), 1, 0.125)
            .is_empty(),
        "the lowest loss of all is not stopped"
    );
    let decisions = stoppers.report(TrialNumber(5), &metric("loss"), 1, 1.5);
    assert_eq!(
        texts(&decisions),
        [
            "best loss so far 1.5 at step 1 is above 0.75, the median of the running averages of 4 other trials at that step",
            "loss 1.5 at step 1 is above 1, what the best trial so far, 2, had at that step, by 0.5 where 0.25 is tolerated",
        ]
    );
    assert!((decisions[0].value - 1.5).abs() < 1e-15 && (decisions[0].reference - 0.75).abs() < 1e-15);
    // What it is compared with is the best loss, told as it was reported.
    let decisions = stoppers.report(TrialNumber(5), &metric("loss"), 2, f64::NAN);
    assert_eq!(texts(&decisions), ["loss is NaN at step 2"]);
    assert!((decisions[0].reference - 1.5).abs() < 1e-15);
    assert!(stoppers.status()[0].starts_with("rule 1, median of loss, minimized, shadow: judged 2 reports"));
    assert!(stoppers.status()[2].starts_with("rule 3, threshold of loss, shadow: "));
}
