//! What people see, word for word.

use tunesmith_proto::v1 as pb;

use super::samples::{self, NOW};
use super::{pool, result, study, trial};
use crate::output::Style;

const PLAIN: Style = Style {
    color: false,
    width: None,
};

fn top() -> Vec<pb::Trial> {
    vec![
        samples::trial(17, pb::TrialState::Completed, Some(0.986_123)),
        samples::trial(9, pb::TrialState::EarlyStopped, Some(0.97)),
        samples::trial(4, pb::TrialState::Completed, Some(0.5)),
    ]
}

#[test]
fn the_list_of_studies() {
    let mut minimal = samples::running_study();
    minimal.name = "studies/other".to_owned();
    minimal.spec = None;
    minimal.best = None;
    minimal.set_state(pb::StudyState::Paused);
    insta::assert_snapshot!(study::list(&[samples::done_study(), minimal], PLAIN, NOW));
    insta::assert_snapshot!("no_studies", study::list(&[], PLAIN, NOW));
}

#[test]
fn one_study() {
    insta::assert_snapshot!(study::show(&samples::done_study(), &[], PLAIN, NOW));
}

#[test]
fn the_list_of_trials_fits_the_terminal() {
    let study = samples::running_study();
    let mut trials = top();
    trials.push(pb::Trial {
        state_reason: "exited with status 1".to_owned(),
        note: "my note".to_owned(),
        ..samples::trial(5, pb::TrialState::Failed, None)
    });
    insta::assert_snapshot!(trial::list(&trials, study.spec.as_ref(), PLAIN, NOW));
    let narrow = trial::list(
        &trials,
        study.spec.as_ref(),
        Style {
            color: false,
            width: Some(60),
        },
        NOW,
    );
    assert!(narrow.lines().all(|line| line.chars().count() <= 60), "{narrow}");
}

#[test]
fn a_trial_that_was_drawn_at_random_says_why() {
    let note = "drawn at random: the model cannot be fitted: no hyperparameters fit the first 12 results";
    let mut sample = samples::trial(9, pb::TrialState::Running, None);
    sample.provenance = Some(pb::Provenance {
        origin: "strategy".to_owned(),
        strategy: "gp".to_owned(),
        note: note.to_owned(),
        results: 12,
        ..Default::default()
    });
    let shown = trial::show(&sample, &samples::running_study(), &[], PLAIN, NOW);
    assert!(shown.contains(note), "{shown}");
}

#[test]
fn one_trial_tells_why_it_was_tried_and_why_it_was_stopped() {
    let study = samples::running_study();
    let mut sample = samples::trial(9, pb::TrialState::EarlyStopped, Some(0.75));
    sample.state_reason = "median: 0.75 is below 0.9, the median of 8 trials at epoch 10".to_owned();
    sample.stopped_by = "median".to_owned();
    sample.provenance = Some(pb::Provenance {
        origin: "strategy".to_owned(),
        strategy: "gp".to_owned(),
        settings: "acquisition: ei".to_owned(),
        seed: 7,
        history_revision: 41,
        note: String::new(),
        results: 8,
    });
    sample.decisions = vec![pb::StopDecision {
        rule_index: 0,
        rule: "median".to_owned(),
        shadow: false,
        metric: "val_acc".to_owned(),
        step: 10,
        value: 0.75,
        reference: 0.9,
        compared_trials: 8,
        text: "0.75 is below 0.9, the median of 8 trials at epoch 10".to_owned(),
        decided_at: samples::before(8),
    }];
    sample.attempts = vec![pb::AttemptInfo {
        attempt: 1,
        holder: "gpu1".to_owned(),
        gpus: vec!["GPU-1".to_owned()],
        leased_at: samples::before(99),
        started_at: samples::before(98),
        ended_at: samples::before(8),
        outcome: "exited with status 1".to_owned(),
        failure_cause: "EXIT_CODE".to_owned(),
        pid: 4242,
        exit_code: Some(1),
        peak_memory_bytes: 1 << 30,
        points: 20,
        log_tail: "Traceback\n\u{1b}[31mValueError: bad\n".to_owned(),
        ..Default::default()
    }];
    let curve = pb::Curve {
        metric: "val_acc".to_owned(),
        step: (1..=10).collect(),
        value: vec![0.1, 0.3, 0.45, 0.55, 0.6, 0.65, 0.7, 0.72, 0.74, 0.75],
    };
    insta::assert_snapshot!(trial::show(&sample, &study, &[curve], PLAIN, NOW));
}

#[test]
fn a_study_in_stages_shows_its_rungs_and_a_trial_what_it_had_come_to() {
    let mut study = samples::running_study();
    if let Some(strategy) = study.spec.as_mut().and_then(|spec| spec.strategy.as_mut()) {
        strategy.name = "hyperband".to_owned();
        strategy.sampler = "gp".to_owned();
    }
    let rung = |step, reached, resting, best| pb::Rung {
        step,
        reached,
        resting,
        best,
    };
    let bracket = |rungs: &[pb::Rung]| pb::Bracket {
        rungs: rungs.to_vec(),
    };
    study.brackets = vec![
        bracket(&[rung(1, 12, 8, Some(0.91)), rung(3, 1, 0, None)]),
        bracket(&[rung(3, 0, 0, None)]),
    ];
    let mut sample = samples::trial(17, pb::TrialState::Paused, Some(0.91));
    let result = |rung, step, value| pb::RungResult {
        rung,
        step,
        value,
        at: None,
    };
    sample.rungs = vec![result(1, 1, 0.9), result(3, 4, 0.91)];
    sample.checkpoint = Some(pb::Checkpoint {
        step: 4,
        bytes: 3 << 20,
        files: 2,
        ..Default::default()
    });
    let lines = |text: String| {
        let wanted = ["Strategy", "Rungs", "Checkpoint", "  "];
        let lines = text.lines().map(str::to_owned);
        lines
            .skip_while(|line| !line.starts_with("Strategy") && !line.starts_with("Rungs"))
            .take_while(|line| wanted.iter().any(|word| line.starts_with(word)))
            .collect::<Vec<_>>()
            .join("\n")
    };
    let of_study = lines(study::show(&study, &[], PLAIN, NOW));
    let of_trial = lines(trial::show(&sample, &study, &[], PLAIN, NOW));
    insta::assert_snapshot!(format!("{of_study}\n{of_trial}"));
}

#[test]
fn the_result_of_a_study() {
    insta::assert_snapshot!(result::render(&samples::done_study(), &top(), PLAIN, NOW));
}

#[test]
fn the_result_of_a_study_in_which_everything_failed() {
    let mut study = samples::done_study();
    study.best = None;
    study.steps_saved = 0;
    study.state_reason = "10 of 10 failures".to_owned();
    study.counts = Some(pb::TrialCounts {
        failed: 10,
        ..Default::default()
    });
    insta::assert_snapshot!(result::render(&study, &[], PLAIN, NOW));
}

/// The Pareto set of the sample study of two objectives.
fn pareto_set() -> Vec<pb::Trial> {
    vec![
        samples::trial_of_two(17, 0.986_123, 12.5, Some(15.25)),
        samples::trial_of_two(9, 0.97, 3.125, Some(16.0)),
    ]
}

#[test]
fn a_study_of_several_objectives_shows_its_pareto_set() {
    let of_two = samples::study_of_two();
    insta::assert_snapshot!(study::show(&of_two, &pareto_set(), PLAIN, NOW));
    insta::assert_snapshot!(
        "the_list_of_studies_of_several_objectives",
        study::list(std::slice::from_ref(&of_two), PLAIN, NOW)
    );
    insta::assert_snapshot!(
        "the_result_of_a_study_of_several_objectives",
        result::render(&of_two, &pareto_set(), PLAIN, NOW)
    );
    let nothing = result::render(&of_two, &[], PLAIN, NOW);
    assert!(
        nothing.contains("No trial with a value keeps all constraints."),
        "{nothing}"
    );
}

#[test]
fn trials_show_each_objective_and_how_they_stand_with_constraints() {
    let study = samples::study_of_two();
    let mut trials = pareto_set();
    trials.push(samples::trial_of_two(4, 0.99, 1.0, Some(17.5)));
    trials.push(samples::trial_of_two(5, 0.99, 1.0, None));
    insta::assert_snapshot!(trial::list(&trials, study.spec.as_ref(), PLAIN, NOW));
    insta::assert_snapshot!(
        "one_trial_that_violates_a_constraint",
        trial::show(&trials[2], &study, &[], PLAIN, NOW)
    );
}

#[test]
fn workers() {
    let offline = pb::Worker {
        name: "workers/cpu1".to_owned(),
        state: pb::WorkerState::Offline.into(),
        state_reason: "no sign of life for 2 min".to_owned(),
        resources: None,
        trials: vec![],
        ..samples::worker()
    };
    insta::assert_snapshot!(pool::workers(&[samples::worker(), offline], PLAIN, NOW));
    insta::assert_snapshot!("one_worker", pool::worker(&samples::worker(), PLAIN, NOW));
}

#[test]
fn tokens() {
    let token = |id: &str, kind: pb::TokenKind, revoked| pb::Token {
        id: id.to_owned(),
        kind: kind.into(),
        label: "ci".to_owned(),
        created_at: samples::before(7_200),
        revoked,
    };
    let tokens = [
        token("a1", pb::TokenKind::User, false),
        token("b2", pb::TokenKind::Worker, true),
    ];
    insta::assert_snapshot!(pool::tokens(&tokens, PLAIN, NOW));
}

#[test]
fn colours_are_used_only_where_wanted() {
    let study = samples::done_study();
    let coloured = result::render(
        &study,
        &top(),
        Style {
            color: true,
            width: Some(100),
        },
        NOW,
    );
    assert!(coloured.contains('\u{1b}'));
    assert!(!result::render(&study, &top(), PLAIN, NOW).contains('\u{1b}'));
}

#[test]
fn gpu_hours_that_running_trials_may_still_use_stand_beside_those_used() {
    let mut study = samples::running_study();
    let spec = study.spec.get_or_insert_default();
    spec.budget.get_or_insert_default().gpu_hours = Some(40.0);
    let spent = study.spending.get_or_insert_default();
    (spent.gpu_hours, spent.gpu_hours_committed) = (12.3, 4.0);
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(
        shown.contains("12.3 used + 4 committed of 40 GPU hours"),
        "{shown}"
    );
    study.spending.get_or_insert_default().gpu_hours_committed = 0.0;
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(shown.contains("12.3 of 40 GPU hours"), "{shown}");
}

#[test]
fn what_a_study_costs_stands_beside_its_limit_and_by_itself_where_it_has_none() {
    let mut study = samples::running_study();
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(!shown.to_lowercase().contains("cost"), "without prices: {shown}");
    let spent = study.spending.get_or_insert_default();
    (spent.cost, spent.cost_committed) = (12.3, 4.0);
    spent.currency = "EUR".to_owned();
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(
        shown.contains("Cost            12.30 used + 4.00 committed EUR"),
        "{shown}"
    );
    let spec = study.spec.get_or_insert_default();
    spec.budget.get_or_insert_default().cost = Some(40.0);
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(
        shown.contains("cost 12.30 used + 4.00 committed of 40 EUR") && !shown.contains("\nCost"),
        "{shown}"
    );
    study.spending.get_or_insert_default().cost_committed = 0.0;
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(shown.contains("cost 12.30 of 40 EUR"), "{shown}");
    let shown = result::render(&study, &top(), PLAIN, NOW);
    assert!(shown.contains(", 12.30 EUR"), "{shown}");
}

#[test]
fn what_a_trial_costs_is_shown_for_each_attempt() {
    let mut study = samples::running_study();
    study.spending.get_or_insert_default().currency = "EUR".to_owned();
    let mut sample = samples::trial(4, pb::TrialState::Completed, Some(0.5));
    sample.cost = Some(1.625);
    sample.attempts = vec![
        pb::AttemptInfo {
            attempt: 1,
            price_per_hour: 2.5,
            cost: 1.25,
            ..Default::default()
        },
        pb::AttemptInfo {
            attempt: 2,
            cost: 0.375,
            ..Default::default()
        },
    ];
    let shown = trial::show(&sample, &study, &[], PLAIN, NOW);
    assert!(
        shown.contains("1.62 EUR") || shown.contains("1.63 EUR"),
        "{shown}"
    );
    assert!(
        shown.contains("COST") && shown.contains("1.25") && shown.contains("0.38"),
        "{shown}"
    );
    sample.cost = Some(0.0);
    sample.attempts = vec![pb::AttemptInfo::default()];
    let shown = trial::show(&sample, &study, &[], PLAIN, NOW);
    assert!(!shown.to_lowercase().contains("cost"), "{shown}");
}

#[test]
fn what_a_policy_has_set_in_a_study_is_said_to_come_from_it() {
    let mut study = samples::running_study();
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(!shown.contains("Policy") && !shown.contains(" by kim"), "{shown}");
    study.creator = "kim".to_owned();
    study.policy = Some(pb::StudyPolicy {
        name: "guests".to_owned(),
        sets: vec![],
    });
    let shown = study::show(&study, &[], PLAIN, NOW);
    assert!(
        shown.contains("Policy          guests\n") && shown.contains(" by kim\n"),
        "{shown}"
    );
    let hours = |hours: i64| pbjson_types::Duration {
        seconds: hours * 3_600,
        nanos: 0,
    };
    let spec = study.spec.get_or_insert_default();
    let budget = spec.budget.get_or_insert_default();
    (budget.cost, budget.gpu_hours, budget.parallel) = (Some(50.0), Some(0.5), Some(4));
    budget.wall_time = Some(hours(8));
    spec.trial.get_or_insert_default().max_runtime = Some(hours(4));
    study.policy.get_or_insert_default().sets = [
        "budget.parallel",
        "budget.wall_time",
        "budget.gpu_hours",
        "budget.cost",
        "trial.max_runtime",
        "later.key",
    ]
    .map(str::to_owned)
    .into();
    let shown = study::show(&study, &[], PLAIN, NOW);
    let told = "guests, which has set budget.parallel to 4, budget.wall_time to 8 h, budget.gpu_hours to 0.5, budget.cost to 50, \
                trial.max_runtime to 4 h, later.key\n";
    assert!(shown.contains(told), "{shown}");
}
