//! The signed-rank test by example.

use super::*;

fn wilcoxon(p: f64, min_steps: i64) -> StopperRule {
    StopperRule::Wilcoxon {
        metric: None,
        goal: None,
        p,
        min_steps,
    }
}

#[test]
fn a_trial_that_loses_at_every_fold_is_stopped_once_there_are_enough() {
    let mut study = Study::new(&[spec(wilcoxon(0.1, 5))]);
    assert!(study.curve(1, &[0.9, 0.8, 0.7, 0.8, 0.9, 0.9]).is_empty());
    study.end(1, 0.83);
    for (fold, value) in [(1, 0.8), (2, 0.6), (3, 0.4), (4, 0.4)] {
        assert!(study.report(2, fold, value).is_empty());
    }
    assert_eq!(
        study.stoppers.status(),
        [
            "rule 1, wilcoxon of val_acc: idle: 4 of the 5 steps needed have a value of val_acc here and in trial 1, the best"
        ]
    );
    let said = study.report(2, 5, 0.4);
    assert_eq!(
        said[0].text,
        "val_acc over 5 steps is 0.52 on average, below 0.82 of the best trial so far, 1, at the same steps; p-value 0.03125, below 0.1"
    );
    assert_eq!(said[0].compared_trials, 1);
}

#[test]
fn a_fold_that_is_won_by_little_does_not_save_a_trial_but_one_won_by_much_does() {
    let mut study = Study::with_goal(Goal::Minimize, &[spec(wilcoxon(0.1, 5))]);
    study.curve(1, &[1.0, 1.0, 1.0, 1.0, 1.0]);
    study.end(1, 1.0);
    assert_eq!(study.curve(2, &[1.5, 1.4, 1.3, 1.2, 0.9]), [5], "p-value 2 / 32");
    assert!(
        study.curve(3, &[1.5, 1.4, 1.3, 1.2, 0.0]).is_empty(),
        "p-value 10 / 32"
    );
    assert!(study.curve(4, &[1.0, 1.0, 1.0, 1.0, 1.0]).is_empty());
}

#[test]
fn a_trial_whose_mean_is_better_goes_on_whatever_the_ranks_say() {
    let mut study = Study::with_goal(Goal::Minimize, &[spec(wilcoxon(0.5, 5))]);
    study.curve(1, &[3.0, 3.0, 3.0, 3.0, 3.0]);
    study.end(1, 3.0);
    assert!(
        study.curve(2, &[3.5, 3.4, 3.3, 3.2, 1.0]).is_empty(),
        "p-value 10 / 32"
    );
    assert_eq!(study.curve(3, &[3.5, 3.4, 3.3, 3.2, 2.0]), [5], "p-value 10 / 32");
}

#[test]
fn folds_may_come_in_any_order_and_only_those_in_common_count() {
    let mut study = Study::new(&[spec(wilcoxon(0.2, 3))]);
    study.points(1, &[(1, 0.9), (2, 0.9), (3, f64::NAN), (4, 0.9), (6, 0.9)]);
    study.end(1, 0.9);
    assert!(
        study
            .points(2, &[(6, 0.5), (5, 0.1), (3, 0.2), (2, 0.6)])
            .is_empty()
    );
    assert_eq!(study.points(2, &[(4, 0.4)]), [4], "behind step 6");
}

#[test]
fn before_any_trial_has_ended_there_is_nothing_to_compare_with() {
    let mut study = Study::new(&[spec(wilcoxon(0.5, 2))]);
    study.curve(1, &[0.9, 0.9]);
    assert!(study.curve(2, &[0.1, 0.1]).is_empty());
    assert!(study.stoppers.status()[0].contains("no trial has ended"));
}
