//! Trials whose time was up go on from their checkpoints once they have more.

use tunesmith_common::worker::StopCause;
use tunesmith_coordinator::decide::{Replayed, TrialWords};

use super::population::replayed;
use super::stages::SHARED;
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

fn limited(hours: u32) -> String {
    format!(
        "strategy: {{name: tpe, seed: 1}}\nbudget: {{trials: 40}}\ntrial: {{command: [train], max_runtime: {hours}h}}"
    )
}

impl Desk {
    /// Edits the study, as if nobody's time had been up.
    pub(super) fn edit(&mut self, more: &str) {
        self.edit_with(more, TimedOut::default()).unwrap();
    }

    fn edit_with(&mut self, more: &str, timed_out: TimedOut) -> Result<bool, CoreError> {
        let (raw, _) = StudyFile::parse(&file(more), "desk.yaml").unwrap();
        let spec = StudySpec::try_from(raw.clone()).unwrap();
        let edit = StudyEdit {
            raw,
            spec,
            policy: None,
            changed: vec!["budget".to_owned()],
        };
        self.step(|core, out, ctx| core.edit(out, ctx, edit, timed_out, "kim"))
    }

    pub(super) fn resume(&mut self) -> Result<(), String> {
        self.resume_with(TimedOut::default()).map(|_| ())
    }

    fn resume_with(&mut self, timed_out: TimedOut) -> Result<bool, String> {
        self.step(|core, out, ctx| core.resume(out, ctx, timed_out, "kim"))
            .map_err(|error| error.to_string())
    }

    fn timed_out(&self, row: &TrialRow) -> TimedOut {
        TimedOut {
            rows: vec![row.clone()],
            loaded_at: self.core.loaded_at(),
        }
    }

    /// A place is offered: what is to be run, from which step, and for how long.
    fn limited(&mut self) -> (LeaseKey, Option<i64>, Option<Duration>) {
        let lease = self.assigned(&[SHARED]).3;
        let Some((_, Order::Assign(assignment))) = self.orders.first() else {
            panic!("no assignment: {:?}", self.orders);
        };
        let from = assignment.resume.as_ref().map(|checkpoint| checkpoint.step);
        (lease, from, assignment.spec.max_runtime)
    }

    /// A trial trains to `step`, saves there, and is stopped by its worker, which had given it `limit`.
    fn runs_out(&mut self, lease: LeaseKey, steps: std::ops::RangeInclusive<i64>, limit: Duration) {
        let (step, count) = (*steps.end(), steps.clone().count() as u64);
        self.train(lease, steps, 0.5);
        self.saves(lease, step);
        self.clock.advance(limit + Duration::from_secs(9));
        self.is_stopped(lease, count, limit);
    }

    fn is_stopped(&mut self, lease: LeaseKey, last_seq: u64, limit: Duration) {
        let end = AttemptEnd {
            stop_cause: Some(StopCause::MaxRuntime(limit)),
            ..end(lease, last_seq, AttemptOutcome::Signalled(15))
        };
        self.step(|core, out, ctx| core.ended(out, ctx, worker(1), end));
    }

    /// The row of a trial that goes on from now on; the study is loaded again with it.
    fn goes_on(&mut self, ended: &[TrialRow]) -> TrialRow {
        let row = self.changes.trials[0].clone();
        assert_eq!(row.state, TrialState::Pending);
        self.load_rows(ended, std::slice::from_ref(&row));
        row
    }
}

#[test]
fn a_raised_limit_lets_a_trial_go_on_from_its_checkpoint_for_the_rest_of_it() {
    let mut desk = Desk::new(&limited(1));
    let (lease, from, limit) = desk.limited();
    assert_eq!((from, limit), (None, Some(HOUR)));
    desk.runs_out(lease, 1..=5, HOUR);
    let ended = desk.ended(1);
    assert_eq!(ended.state.name(), "TIMED_OUT");
    assert_eq!(ended.value, Some(0.5));
    // Not raised: nothing happens.
    let again = desk.timed_out(&ended);
    assert!(!desk.edit_with(&limited(1), again).unwrap());
    assert!(desk.changes.trials.is_empty());

    let more = desk.timed_out(&ended);
    assert!(desk.edit_with(&limited(3), more).unwrap());
    let action = desk.changes.audit.iter().map(|row| row.action.as_str());
    assert_eq!(action.collect::<Vec<_>>(), ["update_study", "continue_trial"]);
    let row = desk.goes_on(&[]);
    assert_eq!((row.value, row.ended_at), (None, None));
    assert_eq!(row.stages.earlier_ends[0].value, Some(0.5));
    assert_eq!(desk.core.incumbents(9).ended, 0, "it has not ended");
    let (lease, from, limit) = desk.limited();
    assert_eq!(
        (lease.trial.0, lease.attempt.0, from, limit),
        (1, 2, Some(5), Some(2 * HOUR))
    );
    desk.train(lease, 6..=8, 0.9);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 3, AttemptOutcome::Exited(0))));
    let ended = desk.ended(1);
    assert_eq!((ended.state.name(), ended.value), ("COMPLETED", Some(0.9)));
    let found = desk.core.incumbents(9);
    assert_eq!((found.ended, found.incumbents[0].value), (1, 0.9));
    assert_eq!(ended.stages.trained, Duration::ZERO);
}

#[test]
fn a_limit_counts_all_attempts_that_a_trial_goes_on_from_and_no_others() {
    let mut desk = Desk::new(&format!(
        "{}\n",
        limited(3).replace("[train]", "[train], retries: 2")
    ));
    let (lease, ..) = desk.limited();
    desk.train(lease, 1..=2, 0.5);
    desk.clock.advance(HOUR);
    // It fails before it has saved anything: all begins again.
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 2, AttemptOutcome::Exited(3))));
    desk.clock.advance(HOUR);
    let (lease, from, limit) = desk.limited();
    assert_eq!((lease.attempt.0, from, limit), (2, None, Some(3 * HOUR)));
    desk.train(lease, 1..=2, 0.5);
    desk.saves(lease, 2);
    desk.clock.advance(HOUR);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 2, AttemptOutcome::Exited(3))));
    desk.load_again(&[]);
    desk.clock.advance(HOUR);
    let (lease, from, limit) = desk.limited();
    assert_eq!((lease.attempt.0, from, limit), (3, Some(2), Some(2 * HOUR)));
}

#[test]
fn without_a_checkpoint_time_that_was_up_stays_up() {
    let mut desk = Desk::new(&limited(1));
    let (lease, ..) = desk.limited();
    desk.train(lease, 1..=5, 0.5);
    desk.clock.advance(HOUR);
    desk.is_stopped(lease, 5, HOUR);
    let ended = desk.ended(1);
    let more = desk.timed_out(&ended);
    assert!(!desk.edit_with(&limited(3), more).unwrap());
}

#[test]
fn a_limit_that_was_raised_while_a_trial_ran_up_to_the_old_one_counts() {
    let mut desk = Desk::new(&limited(1));
    let (lease, ..) = desk.limited();
    desk.edit(&limited(2));
    desk.runs_out(lease, 1..=5, HOUR);
    let row = desk.row(1);
    assert_eq!(row.state, TrialState::Pending);
    let (lease, from, limit) = desk.limited();
    assert_eq!((from, limit), (Some(5), Some(HOUR)));
    desk.runs_out(lease, 6..=8, HOUR);
    let ended = desk.ended(1);
    assert_eq!(ended.state.name(), "TIMED_OUT");
    let TrialState::TimedOut(reason) = &ended.state else {
        panic!("{ended:?}");
    };
    assert_eq!(reason.to_string(), "time is up: max_runtime of 2h");
}

#[test]
fn a_study_whose_time_was_up_goes_on_with_its_trials() {
    let study =
        |hours: u32| format!("budget: {{trials: 1, wall_time: {hours}h}}\ntrial: {{command: [train]}}");
    let mut desk = Desk::new(&study(1));
    let (lease, ..) = desk.limited();
    desk.train(lease, 1..=5, 0.5);
    desk.saves(lease, 5);
    desk.clock.advance(HOUR);
    desk.step(|_, _, _| ());
    desk.stops(lease, 5, SHARED, 5);
    let ended = desk.ended(1);
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    let again = desk.timed_out(&ended);
    let refused = desk.resume_with(again).unwrap_err();
    assert!(refused.contains("wall_time"), "{refused}");
    assert_eq!((desk.counts().timed_out, desk.counts().pending), (1, 0));

    let unused = desk.timed_out(&ended);
    assert!(!desk.edit_with(&study(2), unused).unwrap(), "the study has ended");
    let more = desk.timed_out(&ended);
    assert!(desk.resume_with(more).unwrap(), "though its trials are all there");
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.goes_on(&[]);
    let (_, from, limit) = desk.limited();
    assert_eq!((from, limit), (Some(5), None));
}

#[test]
fn a_row_that_was_read_before_the_study_was_loaded_again_is_not_used() {
    let mut desk = Desk::new(&limited(1));
    let (lease, ..) = desk.limited();
    desk.runs_out(lease, 1..=5, HOUR);
    let ended = desk.ended(1);
    let mut stale = desk.timed_out(&ended);
    stale.loaded_at += 1;
    assert_eq!(desk.edit_with(&limited(3), stale), Err(CoreError::Busy));

    let more = desk.timed_out(&ended);
    desk.edit_with(&limited(3), more).unwrap();
    desk.goes_on(&[]);
    let noted = desk.step(|core, out, ctx| {
        let words = TrialWords {
            note: Some("mine".to_owned()),
            tags: None,
        };
        core.describe_ended(out, ctx, ended, words, "kim")
    });
    assert_eq!(noted, Err(CoreError::Busy));
}

#[test]
fn what_was_proposed_before_and_after_a_trial_went_on_is_proposed_again() {
    let mut desk = Desk::new(&limited(1));
    let mut rows = Vec::new();
    for _ in 0..14 {
        let (lease, ..) = desk.limited();
        let x = lease.trial.0 as f64;
        desk.train(lease, 1..=2, (x * 0.7).sin());
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 2, AttemptOutcome::Exited(0))));
        rows.push(desk.ended(lease.trial.0));
    }
    let (lease, ..) = desk.limited();
    desk.train(lease, 1..=5, 5.0);
    desk.saves(lease, 5);
    desk.is_stopped(lease, 5, HOUR);
    let timed_out = desk.ended(15);
    let (lease, ..) = desk.limited();
    let more = desk.timed_out(&timed_out);
    desk.edit_with(&limited(3), more).unwrap();
    let row = desk.changes.trials[0].clone();
    desk.load_rows(&rows, &[row]);
    let (again, ..) = desk.limited();
    assert_eq!(again.trial.0, 15);
    for lease in [lease, again] {
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 0, AttemptOutcome::Exited(3))));
    }
    rows.push(desk.ended(15));
    for _ in 0..3 {
        desk.limited();
    }
    let outcomes = replayed(&mut desk, rows);
    assert!(
        outcomes.iter().all(|outcome| *outcome == Replayed::Same),
        "{outcomes:?}"
    );
}
