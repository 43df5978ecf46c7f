//! Successive halving by example.

use super::*;

fn asha(min_steps: i64, max_steps: Option<i64>) -> StopperRule {
    StopperRule::Asha {
        metric: None,
        goal: None,
        min_steps,
        reduction: 3,
        max_steps,
        brackets: 1,
    }
}

#[test]
fn the_first_trials_pass_a_rung_and_then_one_in_three_does() {
    let mut study = Study::new(&[spec(asha(1, Some(9)))]);
    assert!(study.curve(1, &[0.5]).is_empty());
    // Two trials cannot be divided by three: nobody is stopped for being the second.
    assert!(study.curve(2, &[0.4]).is_empty());
    assert_eq!(study.curve(3, &[0.3]), [1]);
    // Of six two go on: 0.45 is better than trials 2 and 3, but not than 1 and 5.
    assert!(study.curve(4, &[0.6]).is_empty());
    assert!(study.curve(5, &[0.7]).is_empty());
    let said = study.report(6, 1, 0.45);
    assert_eq!(
        said[0].text,
        "best val_acc so far 0.45 at step 1 is not among the best 2 of 6 trials at the rung of step 1 (0.6 needed)"
    );
    assert_eq!(
        (said[0].value, said[0].reference, said[0].compared_trials),
        (0.45, 0.6, 5)
    );
}

#[test]
fn a_trial_that_equals_the_last_that_goes_on_goes_on() {
    let mut study = Study::new(&[spec(asha(1, None))]);
    for trial in 1..=9 {
        assert!(study.curve(trial, &[0.1]).is_empty(), "trial {trial}");
    }
}

#[test]
fn only_the_first_report_at_a_rung_is_judged_by_the_best_value_up_to_there() {
    let mut study = Study::new(&[spec(asha(3, Some(27)))]);
    for trial in 1..=3 {
        assert!(
            study
                .points(trial, &[(1, 0.1), (2, 0.2), (5, 0.3 + trial as f64)])
                .is_empty()
        );
    }
    assert_eq!(
        study.points(4, &[(2, 3.5), (3, 0.1), (4, 0.0), (8, 0.0)]),
        Vec::<i64>::new()
    );
    // At step 9 it is the only one, whatever the others had before.
    assert!(study.report(4, 9, 0.0).is_empty());
    assert!(
        study.stoppers.status()[0].contains("judged 2 reports"),
        "{:?}",
        study.stoppers.status()
    );
}

#[test]
fn a_report_that_jumps_over_rungs_enters_them_all_and_is_judged_at_the_highest() {
    let mut study = Study::new(&[spec(asha(1, Some(27)))]);
    for trial in 1..=2 {
        study.points(trial, &[(9, 0.9)]);
    }
    // Also at the rungs of steps 1 and 3, where the two are, it is the third.
    assert_eq!(study.points(3, &[(1, 0.5)]), [1]);
    let said = study.report(4, 10, 0.8);
    assert_eq!(
        said[0].text,
        "best val_acc so far 0.8 at step 10 is not the best of 3 trials at the rung of step 9 (0.9 needed)"
    );
}

#[test]
fn without_a_finite_value_a_trial_is_the_worst() {
    let mut study = Study::with_goal(Goal::Minimize, &[spec(asha(2, None))]);
    assert!(study.points(1, &[(2, f64::NAN)]).is_empty());
    assert!(study.points(2, &[(2, f64::INFINITY)]).is_empty());
    let said = study.report(3, 2, f64::NAN);
    assert_eq!(
        said[0].text,
        "val_acc has no finite value up to step 2: it is not the best of 3 trials at the rung of step 2"
    );
    assert!(study.points(4, &[(2, 1e9)]).is_empty());
    assert_eq!(study.points(5, &[(2, 1e10)]), [2]);
}

#[test]
fn a_new_attempt_leaves_the_rungs_that_it_has_to_reach_again() {
    let mut study = Study::new(&[spec(asha(1, Some(9)))]);
    study.curve(1, &[0.9, 0.9, 0.9]);
    study.curve(2, &[0.8, 0.8, 0.8]);
    study
        .stoppers
        .metric_restarted(TrialNumber(1), &metric("val_acc"), 2);
    // At step 3 there is nobody but trial 2.
    assert!(study.points(4, &[(0, 0.1), (3, 0.1)]).is_empty());
    assert!(study.points(1, &[(2, 0.9), (3, 0.9)]).is_empty());
    assert_eq!(study.points(5, &[(0, 0.2), (4, 0.2)]), [4]);
}

#[test]
fn trials_of_a_later_bracket_are_not_seen_at_the_rungs_of_the_first() {
    let rule = StopperRule::Asha {
        metric: None,
        goal: None,
        min_steps: 1,
        reduction: 3,
        max_steps: Some(9),
        brackets: 2,
    };
    let mut study = Study::new(&[spec(rule)]);
    let mut waiting = Vec::new();
    for trial in 1..=20 {
        study.report(trial, 1, 1.0 / trial as f64);
        if study.stoppers.status()[0].contains("first rung is at step 3") {
            waiting.push(trial);
            break;
        }
        study.end(trial, 0.0);
    }
    assert_eq!(study.points(waiting[0], &[(2, 0.0), (3, 0.0)]), Vec::<i64>::new());
}

#[test]
fn it_says_what_it_waits_for() {
    let mut study = Study::new(&[spec(asha(3, Some(9)))]);
    study.report(1, 2, 0.5);
    assert_eq!(
        study.stoppers.status(),
        ["rule 1, asha of val_acc: idle: at step 2, the first rung is at step 3"]
    );
    study.report(1, 3, 0.5);
    assert_eq!(
        study.stoppers.status(),
        ["rule 1, asha of val_acc: idle: 1 of the 3 trials needed have reached the rung at step 3"]
    );
}
