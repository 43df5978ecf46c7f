//! What a study has used and is committed to, and being told in time.

use tunesmith_coordinator::decide::Summary;

use super::*;

impl Desk {
    fn seen(&mut self) -> Summary {
        self.step(|core, _, ctx| core.summary(ctx))
    }

    /// What was recorded by the last step about limits that are near.
    fn recorded(&self) -> Vec<String> {
        let near = self
            .changes
            .audit
            .iter()
            .filter(|row| row.action == "near_budget");
        near.map(|row| row.detail.clone()).collect()
    }

    fn started(&mut self, lease: LeaseKey) {
        self.step(|core, out, ctx| core.started(out, ctx, worker(1), lease, 1));
    }

    fn passes(&mut self, hours: u64) {
        self.clock.advance(Duration::from_secs(hours * 3_600));
        self.step(|_, _, _| ());
    }
}

#[test]
fn gpu_hours_that_running_trials_may_still_use_are_shown_as_committed() {
    let mut desk = Desk::new(
        "budget: {gpu_hours: 40}\ntrial: {command: [train], max_runtime: 4h, resources: {gpus: 2}}",
    );
    let hours = |desk: &mut Desk| {
        let seen = desk.seen();
        (
            seen.study.gpu_seconds / 3_600.0,
            seen.committed_gpu_seconds / 3_600.0,
        )
    };
    let lease = desk.offer(worker(1), &["GPU-1", "GPU-2"]).unwrap();
    assert_eq!(hours(&mut desk), (0.0, 8.0), "before its program has started");
    desk.started(lease);
    desk.passes(1);
    assert_eq!(hours(&mut desk), (2.0, 6.0));
    desk.passes(9);
    assert_eq!(hours(&mut desk), (20.0, 0.0), "late, and not less than nothing");
    // Nobody knows how long a trial without a limit takes.
    let mut desk = Desk::new("budget: {gpu_hours: 40}\ntrial: {command: [train], resources: {gpus: 1}}");
    desk.offer(worker(1), &["GPU-1"]).unwrap();
    assert_eq!(hours(&mut desk), (0.0, 0.0));
}

#[test]
fn people_are_warned_once_when_a_limit_is_near_and_again_after_it_was_raised() {
    let rules = |hours: u32| {
        format!(
            "budget: {{gpu_hours: {hours}}}\ntrial: {{command: [train], max_runtime: 8h, resources: {{gpus: 1}}}}"
        )
    };
    let mut desk = Desk::new(&rules(10));
    assert_eq!(desk.seen().warnings, [""; 0]);
    let lease = desk.offer(worker(1), &["GPU-1"]).unwrap();
    let warning = "budget.gpu_hours: 0.00 of 10 are used, and 8.00 more are committed to trials that run; the study ends at the \
                   limit, raise it with an edit if it is to go on";
    assert_eq!(desk.recorded(), [warning]);
    assert_eq!(desk.seen().warnings, [warning]);
    desk.started(lease);
    desk.passes(2);
    assert_eq!(desk.recorded(), [""; 0], "once");
    assert!(desk.seen().warnings[0].starts_with("budget.gpu_hours: 2.00 of 10 are used, and 6.00 more"));

    let mut edit = |hours: u32| {
        desk.edit(&rules(hours));
        (desk.seen().warnings.len(), desk.recorded().len())
    };
    assert_eq!(edit(20).0, 0);
    edit(9);
    assert_eq!(desk.seen().warnings.len(), 1);
}

#[test]
fn time_and_failures_are_warned_of_too_and_an_ended_study_is_not() {
    let mut desk = Desk::new("budget: {wall_time: 10h, failures: 5, trials: 5}");
    for failed in 1..=4 {
        let trial = desk.asked().row.number;
        desk.tell(trial, None, Some(FailureCause::ExitCode { code: 1 }))
            .unwrap();
        assert_eq!(desk.recorded().len(), usize::from(failed == 4), "{failed}");
    }
    desk.passes(8);
    assert_eq!(desk.recorded().len(), 1);
    let warnings = desk.seen().warnings;
    assert!(
        warnings[0].starts_with("budget.wall_time: 8h of 10h are used;"),
        "{warnings:?}"
    );
    assert!(
        warnings[1].starts_with("budget.failures: 4 of 5 trials have failed;"),
        "{warnings:?}"
    );
    desk.passes(2);
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    assert_eq!(desk.seen().warnings, [""; 0]);
}

/// A desk whose workers cost 2 an hour.
fn priced(more: &str) -> Desk {
    let mut desk = Desk::new(more);
    desk.price = 2.0;
    desk
}

/// Used and committed.
fn costs(desk: &mut Desk) -> (f64, f64) {
    let seen = desk.seen();
    (seen.study.cost, seen.committed_cost)
}

/// The study and what runs, loaded again from what is stored of them.
fn reload(desk: &mut Desk, attempts: Vec<AttemptRow>, trials: Vec<TrialRow>) {
    let mut random = || 0;
    let ctx = Ctx {
        now: desk.clock.now(),
        mono: desk.clock.monotonic(),
        random: &mut random,
    };
    let study = desk.changes.study.clone().unwrap();
    let mut loader = Loader::new(study, 1, &ctx).unwrap();
    let living = |row| StoredTrial::Living(Box::new(row));
    loader.trials(trials.into_iter().map(living).collect(), &ctx);
    loader.attempts(attempts, &[], &ctx);
    desk.core = loader.finish();
}

#[test]
fn what_running_trials_may_still_cost_is_spoken_for() {
    let mut desk = priced("budget: {cost: 4}\ntrial: {command: [train], max_runtime: 1h}");
    let first = desk.offer(worker(1), &[]).unwrap();
    desk.offer(worker(1), &[]).unwrap();
    assert_eq!(costs(&mut desk), (0.0, 4.0));
    assert_eq!(
        desk.offer(worker(1), &[]),
        Err(NoTrial::Budget(
            "cost: 4 are used or spoken for by running trials".to_owned()
        ))
    );
    desk.started(first);
    desk.clock.advance(Duration::from_secs(1_800));
    desk.step(|core, out, ctx| core.points(out, ctx, worker(1), first, 1, &points(&[(1, 0.1)])));
    assert_eq!(costs(&mut desk), (1.0, 3.0));
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(first, 1, AttemptOutcome::Exited(0))));
    let ended = &desk.changes.attempts[0];
    assert_eq!((ended.price_per_hour, ended.cost), (2.0, 1.0));
    let stored = desk.changes.study.as_ref().map(|study| study.cost);
    assert_eq!(stored, Some(1.0));
    assert_eq!(costs(&mut desk), (1.0, 2.0));
    // One was used, two are spoken for: there is room for one more.
    assert!(desk.offer(worker(1), &[]).is_ok());
}

#[test]
fn a_study_ends_when_its_cost_is_reached_and_goes_on_when_the_limit_is_raised() {
    let rules = |limit: u32| format!("budget: {{cost: {limit}}}\ntrial: {{command: [train]}}");
    let mut desk = priced(&rules(3));
    let lease = desk.offer(worker(1), &[]).unwrap();
    assert_eq!(costs(&mut desk), (0.0, 0.0), "nobody knows how long it takes");
    desk.started(lease);
    desk.passes(1);
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.clock.advance(Duration::from_secs(1_800));
    desk.step(|_, _, _| ());
    assert_eq!(desk.core.state(), StudyState::Ending(DoneReason::Budget));
    assert!(
        matches!(&desk.orders[..], [(_, Order::Stop { reason, .. })] if reason.contains("the study's cost of 3")),
        "{:?}",
        desk.orders
    );
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 0, AttemptOutcome::Signalled(15))));
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    assert_eq!(desk.seen().study.state_reason, "budget: cost of 3 is used up");
    let refused = desk.step(|core, out, ctx| core.resume(out, ctx, TimedOut::default(), "kim"));
    assert!(
        refused
            .unwrap_err()
            .to_string()
            .contains("raise it with an edit, then resume")
    );
    desk.edit(&rules(4));
    desk.resume().unwrap();
    assert!(desk.offer(worker(1), &[]).is_ok());
    assert_eq!(costs(&mut desk), (3.0, 0.0), "what was spent is not forgotten");
}

#[test]
fn an_attempt_costs_what_its_worker_cost_when_it_began_whatever_happens_to_prices_and_coordinators() {
    let mut desk = priced("trial: {command: [train], max_runtime: 4h}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    desk.started(lease);
    let (attempts, trials) = (desk.changes.attempts.clone(), desk.changes.trials.clone());
    let price = attempts.first().map(|attempt| attempt.price_per_hour);
    assert_eq!(price, Some(2.0));
    desk.passes(1);
    desk.price = 1_000.0;
    desk.step(|core, out, ctx| core.pause(out, ctx, "kim")).unwrap();
    reload(&mut desk, attempts, trials);
    assert_eq!(costs(&mut desk), (2.0, 6.0));
    desk.passes(1);
    desk.step(|core, out, ctx| {
        core.ended(
            out,
            ctx,
            worker(1),
            end(lease, 0, AttemptOutcome::Lost("gone".to_owned())),
        )
    });
    assert_eq!(costs(&mut desk), (4.0, 0.0));
    desk.clock.advance(Duration::from_secs(60));
    desk.resume().unwrap();
    // Elsewhere, at the new price.
    let again = desk.offer(worker(2), &[]).unwrap();
    assert_eq!(
        (again.trial, desk.changes.attempts[0].price_per_hour),
        (lease.trial, 1_000.0)
    );
    assert_eq!(costs(&mut desk), (4.0, 4_000.0));
}

#[test]
fn people_are_warned_when_the_cost_is_near_and_callers_cost_nothing() {
    let mut desk = priced("budget: {cost: 10}\ntrial: {command: [train], max_runtime: 4h}");
    desk.asked();
    desk.passes(100);
    assert_eq!(
        costs(&mut desk),
        (0.0, 0.0),
        "a caller runs it on a machine of its own"
    );
    let lease = desk.offer(worker(1), &[]).unwrap();
    let warning = "budget.cost: 0.00 of 10 are used, and 8.00 more are committed to trials that run; the study ends at the limit, \
                   raise it with an edit if it is to go on";
    assert_eq!(desk.recorded(), [warning]);
    assert_eq!(desk.seen().warnings, [warning]);
    desk.started(lease);
    desk.passes(1);
    assert_eq!(desk.recorded(), [""; 0], "once");
}
