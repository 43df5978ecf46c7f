//! A study whose last trial has ended is over in the same commit, whether or not anybody asks for another one.

use tunesmith_common::worker::StopCause;

use super::*;

const GRID: &str = "strategy: {name: grid, points: 2, seed: 1}\n";

fn told(reason: &str) -> Option<FailureCause> {
    Some(FailureCause::Told {
        reason: reason.to_owned(),
    })
}

#[test]
fn a_grid_is_exhausted_when_its_last_cell_is_told() {
    let mut desk = Desk::new(GRID);
    let (first, second) = (desk.asked().row.number, desk.asked().row.number);
    desk.tell(second, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.tell(first, None, told("diverged")).unwrap();
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));
    let study = desk.changes.study.as_ref().unwrap();
    assert_eq!(
        (study.state, study.state_reason.as_str()),
        (
            StudyState::Done(DoneReason::Exhausted),
            "every point of the search space was tried"
        )
    );
    assert_eq!(
        desk.changes.trials[0].number, first,
        "the trial and the study end in one commit"
    );
    let refused = desk
        .step(|core, out, ctx| core.resume(out, ctx, TimedOut::default(), "kim"))
        .unwrap_err();
    assert_eq!(
        refused.to_string(),
        "the study is DONE: every point of the search space was tried; there is nothing to go on with, clone it with another space"
    );
}

#[test]
fn a_grid_with_a_cell_that_waits_to_be_tried_again_goes_on() {
    let mut desk = Desk::new(GRID);
    let lost = desk
        .step(|core, out, ctx| core.ask(out, ctx, 1, "me", Some(LEASE), None))
        .unwrap()[0]
        .trial;
    let other = desk.asked().row.number;
    desk.clock.advance(LEASE + Duration::from_secs(1));
    desk.expire(&HashMap::new());
    desk.tell(other, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Active);
    assert_eq!(desk.ask(None), Err(CoreError::NoTrial(NoTrial::BackingOff(1))));
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.clock.advance(Duration::from_secs(2));
    assert_eq!(desk.asked().row.number, lost);
    desk.tell(lost, Some(0.25), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));
}

#[test]
fn a_grid_run_by_workers_ends_without_another_offer_and_after_its_retries() {
    let mut desk = Desk::new(&format!("{GRID}trial: {{command: [train], retries: 1}}"));
    let leases = [
        desk.offer(worker(1), &[]).unwrap(),
        desk.offer(worker(1), &[]).unwrap(),
    ];
    let crash = |lease| end(lease, 0, AttemptOutcome::Exited(1));
    for lease in leases {
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), crash(lease)));
    }
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.clock.advance(Duration::from_secs(2));
    for expected in [StudyState::Active, StudyState::Done(DoneReason::Exhausted)] {
        let lease = desk.offer(worker(1), &[]).unwrap();
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), crash(lease)));
        assert_eq!(desk.core.state(), expected);
    }
}

#[test]
fn trials_that_people_add_keep_a_grid_going_and_use_up_none_of_it() {
    let mut desk = Desk::new(GRID);
    let add = |core: &mut StudyCore, out: &mut Outbox, ctx: &mut Ctx<'_>| {
        let add = AddRequest {
            params: Params::new(),
            note: String::new(),
            tags: Vec::new(),
            result: None,
            request: None,
            actor: "kim".to_owned(),
        };
        core.add(out, ctx, add).unwrap();
    };
    desk.step(add);
    for expected in [StudyState::Active, StudyState::Active] {
        let trial = desk.asked().row.number;
        desk.tell(trial, Some(0.5), None).unwrap();
        assert_eq!(desk.core.state(), expected);
    }
    let last = desk.asked().row.number;
    desk.step(add);
    desk.tell(last, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Active, "a trial waits");
    let added = desk.asked().row.number;
    desk.tell(added, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));
}

#[test]
fn the_last_trial_of_the_budget_ends_the_study() {
    let mut desk = Desk::new("budget: {trials: 2}");
    let (first, second) = (desk.asked().row.number, desk.asked().row.number);
    desk.tell(first, None, told("diverged")).unwrap();
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.tell(second, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
}

#[test]
fn a_manual_study_never_ends_for_want_of_trials() {
    for strategy in [
        "strategy: {name: manual, seed: 1}",
        "strategy: {name: manual, seed: 1, initial: [{x: 0.5}]}",
    ] {
        let mut desk = Desk::new(strategy);
        if strategy.contains("initial") {
            let trial = desk.asked().row.number;
            desk.tell(trial, Some(0.5), None).unwrap();
        }
        assert_eq!(desk.ask(None), Err(CoreError::NoTrial(NoTrial::Manual)));
        desk.step(|_, _, _| ());
        assert_eq!(desk.core.state(), StudyState::Active, "{strategy}");
    }
}

#[test]
fn initial_points_come_before_the_end_of_a_grid() {
    let mut desk = Desk::new("strategy: {name: grid, points: 1, seed: 1, initial: [{x: 0.1}, {x: 0.2}]}");
    for expected in [
        StudyState::Active,
        StudyState::Active,
        StudyState::Done(DoneReason::Exhausted),
    ] {
        let trial = desk.asked().row.number;
        desk.tell(trial, Some(0.5), None).unwrap();
        assert_eq!(desk.core.state(), expected);
    }
}

#[test]
fn a_trial_that_is_to_stop_before_its_program_was_started_has_ended_when_its_worker_gives_it_back() {
    let mut desk = Desk::new(&format!("{GRID}trial: {{command: [train], retries: 1}}"));
    let lease = desk.offer(worker(1), &[]).unwrap();
    desk.step(|core, out, ctx| core.stop_trial(out, ctx, lease.trial, "kim"))
        .unwrap();
    let given_back = AttemptEnd {
        stop_cause: Some(StopCause::Asked),
        ..end(lease, 0, AttemptOutcome::HandedBack)
    };
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), given_back));
    let trial = desk.changes.trials.iter().find(|row| row.number == lease.trial);
    assert!(
        matches!(trial.unwrap().state, TrialState::Cancelled(_)),
        "{trial:?}"
    );
    assert_eq!(
        desk.changes.attempts[0].outcome,
        "stopped as asked; its program was not started"
    );
}
