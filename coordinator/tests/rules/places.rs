//! Places in a population: they are taken by somebody, whatever the others do meanwhile.

use super::population::{desk, pbt};
use super::stages::{OWN, SHARED, checkpoint};
use super::*;

#[test]
fn a_place_is_taken_though_nobody_else_is_trained_any_more() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    let mut rows = Vec::new();
    for lease in &leases[..3] {
        let saved = checkpoint(*lease, SHARED, 8);
        desk.train_on(*lease, 3, 3..=8, 0.5);
        let dropped = desk.step(|core, out, ctx| {
            let end = AttemptEnd {
                checkpoint: Some(saved),
                ..end(*lease, 8, AttemptOutcome::Exited(0))
            };
            core.ended(out, ctx, worker(1), end);
            out.take_dropped()
        });
        let is_kept = lease.trial == TrialNumber(2);
        assert_eq!(dropped.contains(&checkpoint(*lease, SHARED, 2)), !is_kept);
        rows.push(desk.ended(lease.trial.0));
    }
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.stops(leases[3], 2, SHARED, 2);
    rows.push(desk.ended(4));
    desk.load_again(&rows);
    let (child, from, ..) = desk.assigned(&[SHARED]);
    let parent = desk.row(5).stages.parent.clone().unwrap();
    assert_eq!((child, from, parent.trial.0), (5, Some(2), 2));
    assert!(
        (parent.value - 0.9).abs() < 1e-12,
        "what it had come to there: {parent:?}"
    );
    assert!(desk.offer_with(worker(1), &[], &[SHARED]).is_err(), "once");
}

#[test]
fn what_was_kept_for_a_place_goes_once_whoever_took_it_has_come_further() {
    for is_loaded_again in [false, true] {
        let mut desk = pbt("");
        let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
        desk.stops(leases[3], 2, SHARED, 2);
        let ended = desk.ended(4);
        let child = desk.assigned(&[SHARED]).3;
        if is_loaded_again {
            desk.load_again(&[ended]);
        }
        let mut dropped_by = |lease: LeaseKey| {
            let newer = checkpoint(lease, SHARED, 3);
            desk.step(|core, out, _| {
                core.checkpoint(out, worker(1), &lease, newer);
                out.take_dropped()
            })
        };
        assert_eq!(dropped_by(leases[1]), []);
        assert_eq!(dropped_by(child), [checkpoint(leases[1], SHARED, 2)]);
    }
}

#[test]
fn the_place_of_a_trial_that_was_lost_is_taken_though_nobody_else_is_trained_any_more() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.4]);
    let fails = end(leases[2], 2, AttemptOutcome::Exited(3));
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), fails));
    for lease in [leases[0], leases[1], leases[3]] {
        desk.train_on(lease, 3, 3..=8, 0.5);
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 8, AttemptOutcome::Exited(0))));
    }
    let (child, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((child, from), (5, Some(2)));
    let replaced = desk.row(5).stages.parent.clone().unwrap().replaces;
    assert_eq!(replaced, Some(TrialNumber(3)));
}

#[test]
fn nobody_runs_ahead_of_a_child_that_waits_for_a_place() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    let child = desk.assigned(&[SHARED]).3;
    let given_back = end(child, 0, AttemptOutcome::HandedBack);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), given_back));
    desk.train_on(leases[1], 3, 3..=4, 0.9);
    assert!(desk.is_told_to_stop(leases[1]), "the child is behind, and waits");
}

#[test]
fn what_was_kept_for_a_place_that_nobody_is_to_take_goes() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    let newer = checkpoint(leases[1], SHARED, 3);
    let dropped = desk.step(|core, out, _| {
        core.checkpoint(out, worker(1), &leases[1], newer);
        out.take_dropped()
    });
    assert_eq!(dropped, []);
    let dropped = desk.step(|core, out, ctx| {
        core.stop_trial(out, ctx, TrialNumber(4), "kim").unwrap();
        core.ended(out, ctx, worker(1), end(leases[3], 2, AttemptOutcome::Exited(0)));
        out.take_dropped()
    });
    assert!(matches!(desk.ended(4).state, TrialState::Cancelled(_)));
    assert_eq!(desk.ended(4).stages.heir, None);
    assert!(dropped.contains(&checkpoint(leases[1], SHARED, 2)), "{dropped:?}");
}

#[test]
fn a_place_is_not_waited_for_for_ever() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    for lease in &leases[..3] {
        desk.train_on(*lease, 3, 3..=8, 0.5);
        desk.step(|core, out, ctx| {
            core.ended(out, ctx, worker(1), end(*lease, 8, AttemptOutcome::Exited(0)))
        });
    }
    desk.step(|core, out, ctx| core.give_up_checkpoints(out, ctx, |_| false));
    assert_eq!(desk.core.state(), StudyState::Active);
    desk.clock.advance(Duration::from_secs(600));
    desk.step(|core, out, ctx| core.give_up_checkpoints(out, ctx, |_| false));
    assert_eq!(desk.changes.audit[0].action, "lose_checkpoint");
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));
}

#[test]
fn nobody_is_replaced_by_a_trial_that_has_no_step_to_go() {
    let mut desk = pbt("");
    let leases = [0.9, 0.6, 0.5, 0.1].map(|value| (desk.assigned(&[SHARED]).3, value));
    // The best saves at its last step before the others are compared.
    let (best, value) = leases[0];
    desk.train(best, 1..=8, value);
    desk.saves(best, 8);
    for (lease, value) in &leases[1..] {
        desk.train(*lease, 1..=2, *value);
        assert!(!desk.is_told_to_stop(*lease));
    }
}

#[test]
fn the_best_that_is_lost_is_replaced_by_whoever_comes_as_far() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.4]);
    desk.train_on(leases[1], 3, 3..=4, 0.9);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(leases[1], 4, AttemptOutcome::Exited(3))));
    assert!(
        desk.offer_with(worker(1), &[], &[SHARED]).is_err(),
        "nobody has come as far"
    );
    desk.train_on(leases[0], 3, 3..=4, 0.6);
    desk.saves(leases[0], 4);
    let (child, from, ..) = desk.assigned(&[SHARED]);
    let parent = desk.row(5).stages.parent.clone().unwrap();
    assert_eq!((child, from, parent.trial.0), (5, Some(4), 1));
}

#[test]
fn what_the_budget_leaves_is_promised_once() {
    let mut desk = desk("name: pbt, vary: [lr], fraction: 0.5", "budget: {trials: 5}");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    let told = |desk: &Desk| leases.map(|lease| desk.core.is_stopping(lease.trial));
    assert_eq!(
        told(&desk),
        [false, false, true, false],
        "there is one child to come"
    );
    desk.stops(leases[2], 2, SHARED, 2);
    for (lease, value) in [(leases[1], 0.9), (leases[0], 0.6), (leases[3], 0.1)] {
        desk.train_on(lease, 3, 3..=4, value);
        desk.saves(lease, 4);
    }
    assert_eq!(told(&desk), [false; 4]);
}

#[test]
fn a_model_chooses_for_whoever_has_a_place_whatever_others_could_reach() {
    let mut desk = desk("name: pb2, vary: [lr]", "");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    // The second best saves elsewhere.
    let elsewhere = checkpoint(leases[0], OWN, 2);
    desk.step(|core, out, _| core.checkpoint(out, worker(1), &leases[0], elsewhere));
    desk.stops(leases[3], 2, SHARED, 2);
    let think = |desk: &mut Desk| {
        let question = desk.step(|core, _, ctx| core.question(ctx)).unwrap();
        desk.core.advised(question.answer(), Duration::ZERO);
    };
    think(&mut desk);
    assert_eq!(
        desk.offer_with(worker(1), &[], &[OWN]),
        Err(NoTrial::Thinking),
        "it was thought of a child of the best"
    );
    think(&mut desk);
    desk.assigned(&[OWN]);
    assert_eq!(desk.row(5).stages.parent.clone().unwrap().trial.0, 1);
}

#[test]
fn people_are_told_of_programs_that_save_nothing() {
    let warnings = |desk: &mut Desk| desk.step(|core, _, ctx| core.summary(ctx)).warnings;
    let mut desk = pbt("");
    let lease = desk.assigned(&[SHARED]).3;
    desk.train(lease, 1..=2, 0.5);
    assert_eq!(warnings(&mut desk), [""; 0], "it may be about to");
    desk.stops_without(lease, 2);
    let told = warnings(&mut desk).remove(0);
    assert!(
        told.starts_with("trial.command: trial 1 has come to step 2 and has no checkpoint"),
        "{told}"
    );

    let mut desk = Desk::of(
        "name: desk\nobjective: {metric: acc, goal: maximize}\nspace: {x: {type: float, low: 0, high: 1}}\n\
         strategy: {name: asha, seed: 1}\ntrial: {command: [train], steps: {max: 9}}\n",
    );
    for value in [0.9, 0.1] {
        let lease = desk.assigned(&[SHARED]).3;
        desk.train(lease, 1..=1, value);
        desk.stops_without(lease, 1);
        assert_eq!(warnings(&mut desk).len(), 1);
    }
    assert!(warnings(&mut desk)[0].contains("trial 1 rests at step 1 and has no checkpoint"));
}

impl Desk {
    /// The program of a trial stops as it was asked to, and has saved nothing.
    fn stops_without(&mut self, lease: LeaseKey, last_seq: u64) {
        let stops = end(lease, last_seq, AttemptOutcome::Signalled(15));
        self.step(|core, out, ctx| core.ended(out, ctx, worker(1), stops));
    }
}
