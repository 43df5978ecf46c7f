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
        let (raw, _) = StudyFile::parse(&file(&rules(hours)), "desk.yaml").unwrap();
        let spec = StudySpec::try_from(raw.clone()).unwrap();
        let changed = vec!["budget".to_owned()];
        let edit = StudyEdit { raw, spec, changed };
        desk.step(|core, out, ctx| core.edit(out, ctx, edit, "kim"));
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
