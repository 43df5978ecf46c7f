//! Trials that are trained in stages: who rests, who goes on, on whom, and what a restart finds.

use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::trial::StopReason;
use tunesmith_common::worker::StopCause;
use tunesmith_coordinator::decide::Counts;
use tunesmith_coordinator::store::StoredTrial;

use super::*;

pub(super) const SHARED: CheckpointStoreId = CheckpointStoreId(Uuid::from_u128(1));
pub(super) const OWN: CheckpointStoreId = CheckpointStoreId(Uuid::from_u128(2));

/// Rungs at 1, 3 and 9 of 27 steps; one trial in three goes on.
fn desk(more: &str) -> Desk {
    Desk::new(&format!(
        "strategy: {{name: asha, seed: 1}}\ntrial: {{command: [train], steps: {{max: 27}}, retries: 1}}\n{more}"
    ))
}

pub(super) fn checkpoint(lease: LeaseKey, store: CheckpointStoreId, step: i64) -> Checkpoint {
    Checkpoint {
        store,
        trial: lease.trial,
        attempt: lease.attempt,
        step,
        bytes: 10,
        files: 1,
        digest: "ab".to_owned(),
    }
}

impl Desk {
    /// A worker trains a trial from one step to another.
    pub(super) fn train(&mut self, lease: LeaseKey, steps: std::ops::RangeInclusive<i64>, value: f64) {
        let batch = points(&steps.map(|step| (step, value)).collect::<Vec<_>>());
        self.step(|core, out, ctx| {
            core.started(out, ctx, worker(1), lease, 7);
            core.points(out, ctx, worker(1), lease, 1, &batch);
        });
    }

    /// It was told to stop, has saved a checkpoint in `store`, and is gone.
    pub(super) fn stops(&mut self, lease: LeaseKey, last_seq: u64, store: CheckpointStoreId, step: i64) {
        let end = AttemptEnd {
            stop_cause: Some(StopCause::Asked),
            checkpoint: Some(checkpoint(lease, store, step)),
            ..end(lease, last_seq, AttemptOutcome::Signalled(15))
        };
        self.step(|core, out, ctx| core.ended(out, ctx, worker(1), end));
    }

    /// A place is offered to a worker that reaches `stores`: what it is to run.
    pub(super) fn assigned(
        &mut self,
        stores: &[CheckpointStoreId],
    ) -> (u64, Option<i64>, Option<i64>, LeaseKey) {
        let lease = self.offer_with(worker(1), &[], stores).unwrap();
        let Some((_, Order::Assign(assignment))) = self.orders.first() else {
            panic!("no assignment: {:?}", self.orders);
        };
        let from = assignment.resume.as_ref().map(|checkpoint| checkpoint.step);
        (lease.trial.0, from, assignment.until, lease)
    }

    pub(super) fn counts(&mut self) -> Counts {
        self.step(|core, _, ctx| core.summary(ctx)).counts
    }

    pub(super) fn state(&self, trial: u64) -> TrialState {
        self.core.active_row(TrialNumber(trial)).unwrap().state
    }

    /// Trials 1 to 3 come to the first rung with these values and rest there if they are told to.
    fn first_three(&mut self, values: [f64; 3]) {
        for value in values {
            let (_, from, until, lease) = self.assigned(&[SHARED]);
            assert_eq!((from, until), (None, Some(1)));
            self.train(lease, 1..=1, value);
            if self
                .orders
                .iter()
                .any(|(_, order)| matches!(order, Order::Stop { .. }))
            {
                self.stops(lease, 1, SHARED, 1);
            }
        }
    }
}

#[test]
fn trials_rest_at_a_rung_and_the_best_third_goes_on_from_its_checkpoint() {
    let mut desk = desk("budget: {trials: 9}");
    desk.first_three([0.9, 0.5, 0.1]);
    assert_eq!(desk.state(1), TrialState::Paused);
    let reasons: Vec<String> = desk
        .changes
        .decisions
        .iter()
        .map(|row| row.decision.text.clone())
        .collect();
    assert_eq!(reasons, Vec::<String>::new(), "the last step was an end");
    // The best of three: first promoted, then something new.
    let (trial, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from, until), (1, Some(1), Some(3)));
    assert!(desk.changes.audit.iter().any(|row| row.action == "promote_trial"
        && row.detail == "promoted: acc is 0.9 at the rung of step 1; of 3 trials there the best 1 go on, 0.9 is needed"));
    assert_eq!(desk.assigned(&[SHARED]).0, 4);
    // On the way to the next rung the curve goes on where it was.
    desk.train(lease, 2..=3, 0.95);
    let row = desk.core.active_row(TrialNumber(1)).unwrap();
    let rungs: Vec<(i64, f64)> = row
        .stages
        .rungs
        .iter()
        .map(|result| (result.rung, result.value))
        .collect();
    assert_eq!(rungs, [(1, 0.9), (3, 0.95)]);
    assert_eq!(row.last_step, Some(3));
    let told: Vec<&StopReason> = desk
        .changes
        .trials
        .iter()
        .filter_map(|row| match &row.state {
            TrialState::Stopping(_, reason) => Some(reason),
            _ => None,
        })
        .collect();
    let text =
        "acc is 0.95 at the rung of step 3; of 1 trials there the best 0 go on, too few have come so far";
    assert_eq!(
        told,
        [&StopReason::Paused {
            text: text.to_owned()
        }]
    );
    let decision = &desk.changes.decisions[0].decision;
    assert_eq!(
        (decision.rule.as_str(), decision.step, decision.text.as_str()),
        ("asha", 3, text)
    );
}

#[test]
fn who_is_among_the_best_as_it_comes_to_a_rung_is_not_interrupted() {
    let mut desk = desk("");
    desk.first_three([0.1, 0.5, 0.9]);
    assert!(matches!(desk.state(3), TrialState::Running(_)));
    assert_eq!(desk.counts().paused, 2);
}

#[test]
fn a_promoted_trial_waits_for_somebody_who_reaches_its_checkpoint() {
    let mut desk = desk("");
    for value in [0.9, 0.5, 0.1] {
        let (.., lease) = desk.assigned(&[OWN]);
        desk.train(lease, 1..=1, value);
        desk.stops(lease, 1, OWN, 1);
    }
    let demand = desk.step(|core, _, ctx| core.demand(ctx)).unwrap();
    assert_eq!(demand.bound.get(&OWN), Some(&1));
    assert_eq!(
        desk.assigned(&[SHARED]).0,
        4,
        "something new for whoever cannot go on with it"
    );
    assert_eq!(desk.assigned(&[SHARED, OWN]).0, 1);
    // Its worker is lost: it waits for one with the same reach.
    desk.clock.advance(LEASE * 2);
    desk.expire(&HashMap::new());
    desk.clock.advance(LEASE);
    assert_eq!(desk.state(1), TrialState::Pending);
    assert_eq!(desk.assigned(&[SHARED]).0, 4);
    let (trial, from, ..) = desk.assigned(&[OWN]);
    assert_eq!((trial, from), (1, Some(1)));
}

#[test]
fn a_checkpoint_that_nobody_reaches_is_given_up_after_as_long_as_its_training_took() {
    let mut desk = desk("");
    for value in [0.9, 0.5, 0.1] {
        let (.., lease) = desk.assigned(&[OWN]);
        desk.train(lease, 1..=1, value);
        desk.clock.advance(Duration::from_secs(60));
        desk.stops(lease, 1, OWN, 1);
    }
    for seconds in [0, 55, 10] {
        desk.clock.advance(Duration::from_secs(seconds));
        assert_eq!(desk.assigned(&[SHARED]).1, None);
        desk.step(|core, out, ctx| core.give_up_checkpoints(out, ctx, |store| store != OWN));
    }
    let lost = desk
        .changes
        .audit
        .iter()
        .filter(|row| row.action == "lose_checkpoint")
        .count();
    assert_eq!(lost, 3);
    let (trial, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from), (1, None), "from the beginning rather than never");
}

#[test]
fn a_program_that_ends_at_the_rung_by_itself_rests_and_one_that_ends_elsewhere_is_done() {
    let mut desk = desk("");
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=1, 0.5);
    let ended = AttemptEnd {
        checkpoint: Some(checkpoint(lease, SHARED, 1)),
        ..end(lease, 1, AttemptOutcome::Exited(0))
    };
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), ended));
    assert_eq!(desk.state(1), TrialState::Paused);
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=2, 0.4);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 2, AttemptOutcome::Exited(0))));
    // It was told to rest at step 1 and went on to step 2: whatever its exit status, it stopped.
    assert_eq!(desk.state(2), TrialState::Paused);
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=27, 0.3);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 27, AttemptOutcome::Exited(0))));
    assert_eq!(
        desk.counts().completed,
        1,
        "it came to the end before it heard that it was to rest"
    );
}

#[test]
fn a_crash_at_a_rung_is_a_rest_and_a_person_and_a_rule_go_before_it() {
    let mut desk = desk("early_stopping: [{rule: threshold, below: 0.2}]");
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=1, 0.5);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 1, AttemptOutcome::Exited(3))));
    assert_eq!(desk.state(1), TrialState::Paused);
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=1, 0.5);
    desk.step(|core, out, ctx| core.stop_trial(out, ctx, TrialNumber(2), "kim"))
        .unwrap();
    desk.stops(lease, 1, SHARED, 1);
    let (.., lease) = desk.assigned(&[SHARED]);
    desk.train(lease, 1..=1, 0.1);
    desk.stops(lease, 1, SHARED, 1);
    let counts = desk.counts();
    assert_eq!((counts.paused, counts.cancelled, counts.early_stopped), (1, 1, 1));
}

#[test]
fn the_study_ends_with_one_training_that_went_to_the_end_and_what_rests_counts() {
    let mut desk = desk("budget: {trials: 3}");
    desk.first_three([0.5, 0.4, f64::NAN]);
    // Promoted by right; after that nothing else is left to do, and it is not stopped any more.
    let (trial, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from, until), (1, Some(1), Some(3)));
    desk.train(lease, 2..=26, 0.6);
    assert!(
        !desk
            .orders
            .iter()
            .any(|(_, order)| matches!(order, Order::Stop { .. }))
    );
    // Its worker gives it back, and it waits again: as it goes on, it is told to come to its end.
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 25, AttemptOutcome::HandedBack)));
    let (trial, _, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, until), (1, Some(27)));
    desk.train(lease, 27..=27, 0.6);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 1, AttemptOutcome::Exited(0))));
    let ended = std::mem::take(&mut desk.changes.trials);
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));
    let counts = desk.counts();
    assert_eq!((counts.completed, counts.early_stopped), (1, 2));
    let last = ended.iter().find(|row| row.number == TrialNumber(2)).unwrap();
    let TrialState::EarlyStopped(reason) = &last.state else {
        panic!("{:?}", last.state)
    };
    assert_eq!(
        reason.to_string(),
        "asha: it rested at the rung of step 1 and was not promoted before the study ended"
    );
    assert_eq!(last.value, Some(0.4));
}

#[test]
fn a_program_that_asks_and_tells_rests_and_is_given_the_same_trial_again() {
    let mut desk = Desk::new("strategy: {name: asha, seed: 1, max_steps: 9}\n");
    let mut leases = Vec::new();
    for value in [0.9, 0.5, 0.1] {
        let asked = desk.asked();
        let (trial, lease) = (asked.row.number, asked.lease);
        let reported =
            desk.step(|core, out, ctx| core.report(out, ctx, trial, Some(lease), 1, &points(&[(1, value)])));
        assert!(matches!(reported.unwrap().stop, Some(StopReason::Paused { .. })));
        desk.tell(trial, None, None).unwrap();
        desk.tell(trial, None, None).unwrap();
        leases.push(lease);
    }
    let again = desk.asked();
    assert_eq!(again.row.number, TrialNumber(1));
    assert_ne!(again.lease, leases[0]);
    assert_eq!(again.row.last_step, Some(1));
}

#[test]
fn one_that_may_go_on_and_ends_at_the_rung_all_the_same_is_the_next_to_go_on() {
    let mut desk = desk("");
    desk.first_three([0.1, 0.5, 0.9]);
    let lease = desk.core.held_by_workers()[0].1;
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 1, AttemptOutcome::Exited(0))));
    assert_eq!(desk.state(3), TrialState::Paused);
    assert_eq!(desk.assigned(&[SHARED]).0, 3);
}

#[test]
fn the_furthest_goes_on_where_too_few_came_for_anybody_to_be_promoted() {
    let mut desk = desk("budget: {trials: 2}");
    for value in [0.9, 0.5] {
        let (.., lease) = desk.assigned(&[SHARED]);
        desk.train(lease, 1..=1, value);
        desk.stops(lease, 1, SHARED, 1);
    }
    assert_eq!(desk.core.state(), StudyState::Active);
    let (trial, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from), (1, Some(1)));
}

#[test]
fn a_study_that_is_loaded_knows_who_rests_and_promotes_the_same_trial() {
    let mut desk = desk("");
    desk.first_three([0.9, 0.5, 0.1]);
    let mut random = || 0;
    let ctx = Ctx {
        now: desk.clock.now(),
        mono: desk.clock.monotonic(),
        random: &mut random,
    };
    let study = desk.core.summary(&ctx).study;
    let rows = (1..=3).map(|number| desk.core.active_row(TrialNumber(number)).unwrap());
    let rows = rows.map(|row| StoredTrial::Living(Box::new(row))).collect();
    let mut loader = Loader::new(study, 0, &ctx).unwrap();
    loader.trials(rows, &ctx);
    let rungs = desk.core.rungs();
    desk.core = loader.finish();
    assert_eq!(desk.core.rungs(), rungs);
    let (trial, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from), (1, Some(1)));
}
