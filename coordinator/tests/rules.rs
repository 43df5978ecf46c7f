//! The rules of a study, one at a time: idempotency, budgets, leases, steering.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::HashMap;
use std::time::Duration;

use tunesmith_common::clock::{Clock, TestClock};
use tunesmith_common::measurement::{Point, PointBatch};
use tunesmith_common::study::{StudyFile, StudySpec};
use tunesmith_common::trial::{FailureCause, TransitionError, TrialState};
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, HeldAttempt};
use tunesmith_common::{
    CheckpointStoreId, LeaseKey, Params, RequestId, StudyId, Timestamp, TrialNumber, WorkerId,
};
use tunesmith_coordinator::decide::{
    AddRequest, Asked, CoreError, Ctx, Given, Loader, NoTrial, Offer, Order, Outbox, StudyCore, StudyEdit,
    TellRequest, TimedOut, Verdict,
};
use tunesmith_coordinator::store::{
    AttemptRow, Changes, DoneReason, Lineage, StoredTrial, StudyRow, StudyState, TrialRow,
};
use uuid::Uuid;

#[path = "rules/asking.rs"]
mod asking;
#[path = "rules/ends.rs"]
mod ends;
#[path = "rules/improvement.rs"]
mod improvement;
#[path = "rules/more_time.rs"]
mod more_time;
#[path = "rules/objectives.rs"]
mod objectives;
#[path = "rules/places.rs"]
mod places;
#[path = "rules/population.rs"]
mod population;
#[path = "rules/stages.rs"]
mod stages;
#[path = "rules/usage.rs"]
mod usage;

const LEASE: Duration = Duration::from_secs(30);

/// A study without a store: what it would write is kept for inspection.
struct Desk {
    core: StudyCore,
    clock: TestClock,
    orders: Vec<(WorkerId, Order)>,
    changes: Changes,
    drawn: u128,
    /// What an hour costs on a worker from now on.
    price: f64,
}

fn file(more: &str) -> String {
    let strategy = if more.contains("strategy:") {
        ""
    } else {
        "strategy: {name: random, seed: 1}\n"
    };
    format!(
        "name: desk\nobjective: {{metric: acc, goal: maximize}}\nspace: {{x: {{type: float, low: 0, high: 1}}}}\n{strategy}{more}"
    )
}

impl Desk {
    fn new(more: &str) -> Self {
        Self::of(&file(more))
    }

    fn of(text: &str) -> Self {
        let clock = TestClock::at(Timestamp::from_micros(1_000_000_000));
        let (raw, spec) = StudyFile::parse(text, "desk.yaml").unwrap();
        let row = StudyRow {
            id: StudyId(Uuid::from_u128(1)),
            name: spec.name,
            spec: raw,
            lineage: Lineage::default(),
            state: StudyState::Active,
            state_reason: String::new(),
            strategy_note: String::new(),
            active_time: Duration::ZERO,
            gpu_seconds: 0.0,
            cost: 0.0,
            creator: String::new(),
            policy: None,
            created_at: clock.now(),
            done_at: None,
            updated_at: clock.now(),
        };
        let mut random = || 0;
        let ctx = Ctx {
            now: clock.now(),
            mono: clock.monotonic(),
            random: &mut random,
        };
        let core = Loader::new(row, 0, &ctx).unwrap().finish();
        Self {
            core,
            clock,
            orders: Vec::new(),
            changes: Changes::default(),
            drawn: 0,
            price: 0.0,
        }
    }

    fn step<T>(&mut self, command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> T) -> T {
        let drawn = &mut self.drawn;
        let mut random = || {
            *drawn += 1;
            *drawn
        };
        let mut ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let mut out = Outbox::default();
        let answer = command(&mut self.core, &mut out, &mut ctx);
        self.core.settle(&mut out, &ctx);
        let (changes, orders) = self.core.close(out, &ctx);
        (self.changes, self.orders) = (changes, orders);
        answer
    }

    fn ask(&mut self, request: Option<(RequestId, [u8; 32])>) -> Result<Vec<Given>, CoreError> {
        self.step(|core, out, ctx| core.ask(out, ctx, 1, "me", None, request))
    }

    fn asked(&mut self) -> Asked {
        self.ask(None).unwrap().remove(0).held.unwrap()
    }

    fn tell(
        &mut self,
        trial: TrialNumber,
        value: Option<f64>,
        failure: Option<FailureCause>,
    ) -> Result<(), CoreError> {
        self.step(|core, out, ctx| {
            core.tell(
                out,
                ctx,
                TellRequest {
                    trial,
                    lease: None,
                    value,
                    values: Vec::new(),
                    failure,
                },
            )
        })
    }

    fn offer(&mut self, worker: WorkerId, gpus: &[&str]) -> Result<LeaseKey, NoTrial> {
        self.offer_with(worker, gpus, &[])
    }

    /// A place on a worker that reaches these places of checkpoints.
    fn offer_with(
        &mut self,
        worker: WorkerId,
        gpus: &[&str],
        stores: &[CheckpointStoreId],
    ) -> Result<LeaseKey, NoTrial> {
        let gpus = gpus.iter().map(|&gpu| gpu.to_owned()).collect();
        let (stores, price) = (stores.to_vec(), self.price);
        self.step(|core, out, ctx| {
            core.offer(
                out,
                ctx,
                Offer {
                    worker,
                    worker_name: "w".to_owned(),
                    stores,
                    gpus,
                    price_per_hour: price,
                },
            )
        })
    }

    fn expire(&mut self, heard: &HashMap<WorkerId, tunesmith_common::clock::Monotonic>) {
        self.step(|core, out, ctx| core.expire(out, ctx, LEASE, |worker| heard.get(&worker).copied()));
    }
}

fn worker(n: u128) -> WorkerId {
    WorkerId(Uuid::from_u128(n))
}

fn request(n: u128, content: u8) -> Option<(RequestId, [u8; 32])> {
    Some((RequestId(Uuid::from_u128(n)), [content; 32]))
}

fn points(values: &[(i64, f64)]) -> PointBatch {
    PointBatch {
        metrics: vec!["acc".parse().unwrap()],
        points: values
            .iter()
            .map(|&(step, value)| Point {
                metric: 0,
                step,
                value,
                at: Timestamp::UNIX_EPOCH,
            })
            .collect(),
    }
}

fn end(lease: LeaseKey, last_seq: u64, outcome: AttemptOutcome) -> AttemptEnd {
    AttemptEnd {
        lease,
        last_seq,
        ended_at: Timestamp::UNIX_EPOCH,
        outcome,
        stop_cause: None,
        infeasible: None,
        out_of_memory: false,
        peak_memory: 0,
        usage: Default::default(),
        checkpoint: None,
        log_tail: String::new(),
        warnings: Vec::new(),
    }
}

#[test]
fn telling_the_same_end_twice_is_accepted_and_another_end_is_not() {
    let mut desk = Desk::new("");
    let trial = desk.asked().row.number;
    desk.tell(trial, Some(0.5), None).unwrap();
    desk.tell(trial, Some(0.5), None).unwrap();
    let refused = CoreError::AlreadyEnded {
        trial,
        state: "COMPLETED",
        value: Some(0.5),
    };
    assert_eq!(desk.tell(trial, Some(0.6), None), Err(refused.clone()));
    assert_eq!(
        desk.tell(
            trial,
            None,
            Some(FailureCause::Told {
                reason: String::new()
            })
        ),
        Err(refused)
    );
    assert_eq!(
        desk.tell(TrialNumber(99), Some(0.5), None),
        Err(CoreError::TrialNotFound(TrialNumber(99)))
    );
}

#[test]
fn a_tell_without_a_value_takes_it_from_the_points_or_is_refused() {
    let mut desk = Desk::new("");
    let asked = desk.asked();
    let trial = asked.row.number;
    assert!(
        matches!(desk.tell(trial, None, None), Err(CoreError::Invalid { field, .. }) if field == "value")
    );
    let batch = points(&[(1, 0.25)]);
    desk.step(|core, out, ctx| core.report(out, ctx, trial, Some(asked.lease), 0, &batch))
        .unwrap();
    desk.tell(trial, None, None).unwrap();
    assert_eq!(desk.changes.trials[0].value, Some(0.25));
}

#[test]
fn a_report_under_another_lease_is_stale() {
    let mut desk = Desk::new("");
    let asked = desk.asked();
    let wrong = LeaseKey {
        id: tunesmith_common::LeaseId(Uuid::from_u128(99)),
        ..asked.lease
    };
    let refused = desk
        .step(|core, out, ctx| core.report(out, ctx, asked.row.number, Some(wrong), 0, &points(&[(1, 0.1)])));
    assert!(matches!(
        refused,
        Err(CoreError::Transition(TransitionError::StaleLease { .. }))
    ));
    assert!(desk.changes.points.is_empty());
}

#[test]
fn points_are_taken_once_and_in_order() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    let mut send = |first, values: &[(i64, f64)]| {
        let batch = points(values);
        desk.step(|core, out, ctx| core.points(out, ctx, worker(1), lease, first, &batch));
        (
            desk.changes
                .points
                .iter()
                .map(|chunk| chunk.steps.len())
                .sum::<usize>(),
            desk.orders.last().cloned().unwrap().1,
        )
    };
    assert_eq!(send(1, &[(1, 0.1), (2, 0.2)]), (2, Order::Ack { lease, seq: 2 }));
    assert_eq!(
        send(1, &[(1, 0.1), (2, 0.2), (3, 0.3)]),
        (1, Order::Ack { lease, seq: 3 })
    );
    assert_eq!(send(5, &[(5, 0.5)]), (0, Order::Resend { lease, from: 4 }));
}

#[test]
fn an_end_waits_for_the_points_before_it() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 2, AttemptOutcome::Exited(0))));
    assert_eq!(desk.orders, [(worker(1), Order::Resend { lease, from: 1 })]);
    assert!(desk.changes.trials.is_empty());
    desk.step(|core, out, ctx| core.points(out, ctx, worker(1), lease, 1, &points(&[(1, 0.1), (2, 0.2)])));
    assert_eq!(desk.changes.trials[0].state.name(), "COMPLETED");
    assert_eq!(desk.changes.trials[0].value, Some(0.2));
    assert!(desk.orders.contains(&(worker(1), Order::Forget(lease))));
}

#[test]
fn exit_codes_and_reasons_decide_what_a_failure_is() {
    let cases: [(AttemptOutcome, &str); 4] = [
        (AttemptOutcome::Exited(0), "NO_METRIC"),
        (AttemptOutcome::Exited(78), "INFEASIBLE"),
        (AttemptOutcome::Exited(1), "EXIT_CODE"),
        (AttemptOutcome::Signalled(11), "SIGNAL"),
    ];
    for (outcome, cause) in cases {
        let mut desk = Desk::new("trial: {command: [train]}");
        let lease = desk.offer(worker(1), &[]).unwrap();
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 0, outcome)));
        let row = &desk.changes.attempts[0];
        assert_eq!(row.failure.as_ref().map(FailureCause::name), Some(cause));
        assert_eq!(desk.changes.trials[0].state.name(), "FAILED");
    }
}

#[test]
fn a_good_end_without_the_metric_quotes_the_last_lines_on_one_line() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    let ended = AttemptEnd {
        log_tail: "epoch 1\n\u{1b}[2Jaccuracy 0.9\n".to_owned(),
        ..end(lease, 0, AttemptOutcome::Exited(0))
    };
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), ended));
    let said = r#"ended without a value of the objective's metric acc; the last it printed: "epoch 1" "\u{1b}[2Jaccuracy 0.9""#;
    let TrialState::Failed(cause) = &desk.changes.trials[0].state else {
        panic!("{:?}", desk.changes.trials[0].state)
    };
    assert_eq!(cause.to_string(), said);
    assert_eq!(desk.changes.attempts[0].outcome, said);
}

#[test]
fn a_silent_worker_loses_its_lease_and_a_heard_one_does_not() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    desk.clock.advance(LEASE + Duration::from_secs(1));
    let now = desk.clock.monotonic();
    desk.expire(&HashMap::from([(worker(1), now)]));
    assert!(desk.changes.trials.is_empty());
    desk.expire(&HashMap::new());
    assert_eq!(desk.changes.trials[0].state.name(), "PENDING");
    // Not before it has waited a little.
    assert_eq!(
        desk.offer(worker(2), &[]).map(|lease| lease.trial),
        Ok(TrialNumber(2))
    );
    desk.clock.advance(Duration::from_secs(2));
    let again = desk.offer(worker(2), &[]).unwrap();
    assert_eq!((again.trial, again.attempt.0), (lease.trial, 2));
}

#[test]
fn a_pause_of_the_coordinator_itself_costs_nobody_a_lease() {
    let mut desk = Desk::new("trial: {command: [train]}");
    desk.offer(worker(1), &[]).unwrap();
    desk.clock.advance(LEASE * 10);
    desk.step(|core, _, ctx| core.renew_all(ctx));
    desk.expire(&HashMap::new());
    assert!(desk.changes.trials.is_empty());
}

#[test]
fn a_worker_that_comes_back_is_told_what_became_of_what_it_holds() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let running = desk.offer(worker(1), &[]).unwrap();
    desk.step(|core, out, ctx| core.started(out, ctx, worker(1), running, 4242));
    desk.step(|core, out, ctx| core.points(out, ctx, worker(1), running, 1, &points(&[(1, 0.1)])));
    let never_got = desk.offer(worker(1), &[]).unwrap();
    let lost = desk.offer(worker(1), &[]).unwrap();
    desk.step(|core, out, ctx| core.started(out, ctx, worker(1), lost, 4243));
    let foreign = LeaseKey {
        id: tunesmith_common::LeaseId(Uuid::from_u128(99)),
        ..running
    };
    let held = [
        HeldAttempt {
            lease: running,
            started: true,
            ended: false,
        },
        HeldAttempt {
            lease: foreign,
            started: true,
            ended: false,
        },
    ];
    let attached = desk.step(|core, out, ctx| core.attach(out, ctx, worker(1), &held));
    assert_eq!(
        attached.verdicts,
        [(running, Verdict::Continue(1)), (foreign, Verdict::Stale)]
    );
    assert_eq!(
        attached
            .occupied
            .iter()
            .map(|(lease, _)| *lease)
            .collect::<Vec<_>>(),
        [running, never_got]
    );
    assert!(
        desk.orders
            .iter()
            .any(|(_, order)| matches!(order, Order::Assign(assignment) if assignment.lease == never_got))
    );
    let row = desk
        .changes
        .attempts
        .iter()
        .find(|row| row.trial == lost.trial)
        .unwrap();
    assert_eq!(row.failure.as_ref().map(FailureCause::name), Some("WORKER_LOST"));
}

#[test]
fn a_stop_is_repeated_to_a_worker_that_comes_back() {
    let mut desk = Desk::new("trial: {command: [train]}");
    let lease = desk.offer(worker(1), &[]).unwrap();
    desk.step(|core, out, ctx| core.started(out, ctx, worker(1), lease, 1));
    desk.step(|core, out, ctx| core.stop_trial(out, ctx, lease.trial, "kim"))
        .unwrap();
    let held = [HeldAttempt {
        lease,
        started: true,
        ended: false,
    }];
    desk.step(|core, out, ctx| core.attach(out, ctx, worker(1), &held));
    assert!(matches!(&desk.orders[..], [(_, Order::Stop { reason, .. })] if reason == "cancelled by kim"));
}

#[test]
fn a_study_ends_at_its_target_and_cancels_what_runs() {
    let mut desk = Desk::new("budget: {target: 0.9}\ntrial: {command: [train]}");
    let other = desk.offer(worker(1), &[]).unwrap();
    let trial = desk.asked().row.number;
    desk.tell(trial, Some(0.95), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Ending(DoneReason::Target));
    assert!(
        desk.orders
            .iter()
            .any(|(_, order)| matches!(order, Order::Stop { lease, .. } if *lease == other))
    );
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(other, 0, AttemptOutcome::Signalled(15))));
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Target));
    assert_eq!(desk.changes.trials[0].state.name(), "CANCELLED");
}

#[test]
fn a_study_ends_after_too_many_failures_and_not_before() {
    let mut desk = Desk::new("budget: {failures: 2}");
    for expected in [StudyState::Active, StudyState::Done(DoneReason::Failures)] {
        let trial = desk.asked().row.number;
        desk.tell(
            trial,
            None,
            Some(FailureCause::Told {
                reason: "diverged".to_owned(),
            }),
        )
        .unwrap();
        assert_eq!(desk.core.state(), expected);
    }
}

#[test]
fn wall_time_is_counted_while_the_study_is_active_only() {
    let mut desk = Desk::new("budget: {wall_time: 10s}");
    desk.clock.advance(Duration::from_secs(6));
    desk.step(|core, out, ctx| core.pause(out, ctx, "kim")).unwrap();
    desk.clock.advance(Duration::from_secs(3600));
    desk.resume().unwrap();
    desk.clock.advance(Duration::from_secs(3));
    desk.step(|_, _, _| ());
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.clock.advance(Duration::from_secs(1));
    desk.step(|_, _, _| ());
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
}

#[test]
fn gpu_hours_that_running_trials_may_still_use_are_spoken_for() {
    let rules = "budget: {gpu_hours: 2}\ntrial: {command: [train], max_runtime: 1h, resources: {gpus: 1}}";
    let mut desk = Desk::new(rules);
    let first = desk.offer(worker(1), &["GPU-0"]).unwrap();
    desk.offer(worker(1), &["GPU-1"]).unwrap();
    assert!(matches!(
        desk.offer(worker(1), &["GPU-2"]),
        Err(NoTrial::Budget(_))
    ));
    desk.step(|core, out, ctx| core.started(out, ctx, worker(1), first, 1));
    desk.clock.advance(Duration::from_secs(1800));
    desk.step(|core, out, ctx| core.points(out, ctx, worker(1), first, 1, &points(&[(1, 0.1)])));
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(first, 1, AttemptOutcome::Exited(0))));
    assert!((desk.changes.study.as_ref().unwrap().gpu_seconds - 1800.0).abs() < 1e-6);
    // Half an hour was used, an hour is spoken for: there is room for one more.
    assert!(desk.offer(worker(1), &["GPU-0"]).is_ok());
}

#[test]
fn parallel_is_never_exceeded_by_workers_and_callers_together() {
    let mut desk = Desk::new("budget: {parallel: 2}\ntrial: {command: [train]}");
    desk.asked();
    desk.offer(worker(1), &[]).unwrap();
    assert_eq!(desk.offer(worker(1), &[]), Err(NoTrial::Parallel(2)));
    assert_eq!(desk.ask(None), Err(CoreError::NoTrial(NoTrial::Parallel(2))));
}

#[test]
fn a_study_that_ended_by_a_budget_goes_on_when_it_is_raised() {
    let mut desk = Desk::new("budget: {trials: 1}");
    let trial = desk.asked().row.number;
    desk.tell(trial, Some(0.5), None).unwrap();
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    let refused = desk
        .step(|core, out, ctx| core.resume(out, ctx, TimedOut::default(), "kim"))
        .unwrap_err()
        .to_string();
    assert!(
        refused.contains("budget: trials: 1 of 1 were created; raise it with an edit"),
        "{refused}"
    );
    desk.edit("budget: {trials: 2}");
    desk.resume().unwrap();
    assert_eq!(desk.asked().row.number, TrialNumber(2));
}

#[test]
fn trials_that_people_add_come_first_and_must_fit_the_space() {
    let mut desk = Desk::new("");
    let add = |x: f64| AddRequest {
        params: [("x".parse().unwrap(), tunesmith_common::ParamValue::Float(x))]
            .into_iter()
            .collect(),
        note: String::new(),
        tags: Vec::new(),
        result: None,
        request: None,
        actor: "kim".to_owned(),
    };
    assert!(matches!(
        desk.step(|core, out, ctx| core.add(out, ctx, add(7.0))),
        Err(CoreError::Space(_))
    ));
    assert_eq!(
        desk.step(|core, out, ctx| core.add(out, ctx, add(0.25))).unwrap(),
        TrialNumber(1)
    );
    let asked = desk.asked();
    assert_eq!(asked.row.number, TrialNumber(1));
    assert_eq!(
        asked.row.params.value("x"),
        Some(&tunesmith_common::ParamValue::Float(0.25))
    );
    // Parameters left out are chosen, the same ones whatever happened before.
    let open = AddRequest {
        params: Params::new(),
        ..add(0.0)
    };
    desk.step(|core, out, ctx| core.add(out, ctx, open)).unwrap();
    assert!(desk.changes.trials[0].params.value("x").is_some());
}
