//! Looking ahead by example.

use super::*;

fn curve(min_trials: u32) -> StopperRule {
    StopperRule::Curve {
        metric: None,
        goal: None,
        probability: 0.05,
        max_steps: 50,
        warmup_steps: 2,
        min_trials,
    }
}

/// An accuracy that rises to `end` as an exponential.
fn rising(end: f64) -> Vec<f64> {
    (1..=50)
        .map(|step| end * (1.0 - (-f64::from(step) / 8.0).exp()))
        .collect()
}

fn with_four_trials() -> Study {
    let mut study = Study::new(&[spec(curve(4))]);
    for (trial, end) in (1..).zip([0.6, 0.7, 0.8, 0.9]) {
        assert!(study.curve(trial, &rising(end)).is_empty());
        study.end(trial, end);
    }
    study
}

#[test]
fn a_trial_that_will_not_beat_the_best_is_stopped_early_and_one_that_may_is_not() {
    let mut study = with_four_trials();
    let stopped = study.curve(5, &rising(0.5));
    assert!((3..25).contains(&stopped[0]), "{stopped:?}");
    assert!(study.curve(6, &rising(0.95)).is_empty());
    let said = study.report(7, 30, 0.3);
    assert!(said.is_empty(), "of one value nothing can be said: {said:?}");
    assert!(study.report(7, 31, 0.31).is_empty());
    let said = study.report(7, 33, 0.3);
    assert_eq!(said[0].rule, "curve");
    assert!(
        said[0]
            .text
            .starts_with("val_acc at step 33 is expected to end at 0.3")
            && said[0].text.contains(" and above 0.898")
            && said[0]
                .text
                .contains(", which trial 4 had, with a probability of ")
            && said[0]
                .text
                .ends_with(" percent: 4 other trials and formulas of learning curves say so"),
        "{}",
        said[0].text
    );
    assert!(
        (said[0].value - 0.3).abs() < 0.1 && said[0].compared_trials == 4,
        "{:?}",
        said[0]
    );
}

#[test]
fn nothing_is_judged_before_enough_trials_were_trained_to_the_end() {
    let mut study = Study::new(&[spec(curve(4))]);
    for trial in 1..=3 {
        study.curve(trial, &rising(0.9));
        study.end(trial, 0.9);
    }
    assert!(study.curve(4, &rising(0.1)[..20]).is_empty());
    assert_eq!(
        study.stoppers.status()[0],
        "rule 1, curve of val_acc: idle: 3 of the 4 trials needed have been trained to the end"
    );
    // Nor while it runs: how it goes on is not known.
    study.end(4, 0.1);
    assert!(study.curve(5, &rising(0.1)).is_empty());
}

#[test]
fn restoring_gives_the_same_outlook() {
    let mut study = with_four_trials();
    let mut restorer = Restorer::new(&[spec(curve(4))], &objective(Goal::Maximize));
    assert_eq!(restorer.metrics_of_all_trials(), [metric("val_acc")]);
    for (trial, end) in (1..).zip([0.6, 0.7, 0.8, 0.9]) {
        restorer.trial_ended(TrialNumber(trial), Some(end));
    }
    for (trial, end) in (1..).zip([0.6, 0.7, 0.8, 0.9]) {
        let points: Vec<(i64, f64)> = (1..).zip(rising(end)).collect();
        restorer.curve(TrialNumber(trial), &metric("val_acc"), &points);
    }
    let mut restored = Study {
        stoppers: restorer.finish(),
    };
    for (step, value) in (1..).zip(rising(0.5)) {
        let (one, other) = (study.report(5, step, value), restored.report(5, step, value));
        assert_eq!(one, other);
        if !one.is_empty() {
            return;
        }
    }
    panic!("it was to be stopped");
}
