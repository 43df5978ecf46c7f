//! Populations: who is replaced, by a child of whom, and what becomes of that when things go wrong.

use tunesmith_common::trial::StopReason;
use tunesmith_coordinator::decide::{History, Replayed};
use tunesmith_coordinator::store::{End, EndedTrial};

use super::stages::{OWN, SHARED, checkpoint};
use super::*;

/// Four trials, compared at steps 2, 4 and 6 of 8: the worst of four is replaced.
pub(super) fn desk(strategy: &str, more: &str) -> Desk {
    Desk::of(&format!(
        "name: desk\nobjective: {{metric: acc, goal: maximize}}\n\
         space: {{lr: {{type: float, low: 1e-4, high: 1, scale: log}}, width: {{type: int, low: 1, high: 64}}}}\n\
         strategy: {{seed: 3, population: 4, interval: 2, {strategy}}}\n\
         trial: {{command: [train], steps: {{max: 8}}}}\n{more}"
    ))
}

pub(super) fn pbt(more: &str) -> Desk {
    desk("name: pbt, vary: [lr]", more)
}

impl Desk {
    /// A trial has saved a checkpoint, which is stored.
    pub(super) fn saves(&mut self, lease: LeaseKey, step: i64) {
        let saved = checkpoint(lease, SHARED, step);
        self.step(|core, out, _| core.checkpoint(out, worker(1), &lease, saved));
    }

    pub(super) fn is_told_to_stop(&self, lease: LeaseKey) -> bool {
        self.orders
            .iter()
            .any(|(_, order)| matches!(order, Order::Stop { lease: told, .. } if *told == lease))
    }

    /// Trials 1 to 4 come to step 2 side by side, with these values, and save there.
    pub(super) fn four(&mut self, values: [f64; 4]) -> [LeaseKey; 4] {
        let leases = values.map(|_| self.assigned(&[SHARED]).3);
        for (lease, value) in leases.iter().zip(values) {
            self.saves(*lease, 1);
            self.train(*lease, 1..=2, value);
            if !self.is_told_to_stop(*lease) {
                self.saves(*lease, 2);
            }
        }
        leases
    }

    pub(super) fn row(&self, trial: u64) -> TrialRow {
        self.core.active_row(TrialNumber(trial)).unwrap()
    }

    /// The study as somebody finds it who loads it, all of its trials being in `rows` or alive.
    pub(super) fn load_again(&mut self, ended: &[TrialRow]) {
        self.load_rows(ended, &[]);
    }

    /// The same, with these trials alive beside those that are.
    pub(super) fn load_rows(&mut self, ended: &[TrialRow], more: &[TrialRow]) {
        let mut random = || 0;
        let ctx = Ctx {
            now: self.clock.now(),
            mono: self.clock.monotonic(),
            random: &mut random,
        };
        let study = self.core.summary(&ctx).study;
        let living = (1..100).filter_map(|number| self.core.active_row(TrialNumber(number)));
        let living = living.chain(more.iter().cloned());
        let living = living.map(|row| StoredTrial::Living(Box::new(row)));
        let ended = ended.iter().map(|row| {
            StoredTrial::Ended(EndedTrial {
                number: row.number,
                end: End::of(&row.state).unwrap(),
                params: Params::clone(&row.params),
                value: row.value,
                more_values: row.more_values.clone(),
                last_step: row.last_step,
                stages: Some(Box::new(row.stages.as_ref().clone())),
                origin: row.provenance.origin,
                cursor: row.provenance.cursor,
                ended_at: row.ended_at.unwrap(),
            })
        });
        let mut rows: Vec<StoredTrial> = living.chain(ended).collect();
        rows.sort_by_key(|row| match row {
            StoredTrial::Living(row) => row.number,
            StoredTrial::Ended(row) => row.number,
        });
        let mut loader = Loader::new(study, 0, &ctx).unwrap();
        loader.trials(rows, &ctx);
        self.core = loader.finish();
    }

    /// The row of a trial that ended in the last step.
    pub(super) fn ended(&self, trial: u64) -> TrialRow {
        let mut rows = self.changes.trials.iter();
        rows.find(|row| row.number.0 == trial && row.state.is_final())
            .unwrap()
            .clone()
    }
}

#[test]
fn the_worst_of_four_is_replaced_by_a_changed_child_of_the_best() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    // Who came before was compared with too few.
    assert!(desk.is_told_to_stop(leases[3]) && !desk.is_told_to_stop(leases[2]));
    let decision = desk.changes.decisions[0].clone();
    assert_eq!(
        (
            decision.trial.0,
            decision.decision.rule.as_str(),
            decision.decision.step
        ),
        (4, "pbt", 2)
    );
    assert_eq!(
        decision.decision.text,
        "acc is 0.1 at step 2, where of 4 trials those stay that have 0.5 or better: a child of one of the best takes its place"
    );
    assert!(
        desk.offer_with(worker(1), &[], &[SHARED]).is_err(),
        "it has not ended yet"
    );
    desk.stops(leases[3], 2, SHARED, 2);
    let ended = desk.ended(4);
    assert!(
        matches!(&ended.state, TrialState::EarlyStopped(StopReason::EarlyStopped { rule, .. }) if rule == "pbt")
    );
    assert_eq!(ended.stages.checkpoint, None, "nobody needs it");
    // The parent goes on meanwhile: its child begins where it is by then.
    desk.train(leases[1], 3..=3, 0.9);
    desk.saves(leases[1], 3);
    let (child, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((child, from, until), (5, Some(3), Some(4)));
    let row = desk.row(5);
    let parent = row.stages.parent.clone().unwrap();
    assert_eq!(
        (parent.trial.0, parent.step, parent.replaces),
        (2, 3, Some(TrialNumber(4)))
    );
    assert!((parent.value - 0.9).abs() < 1e-12, "{parent:?}");
    assert_eq!(parent.changed.len(), 1, "{parent:?}");
    assert_eq!(parent.changed[0].name.as_str(), "lr");
    assert_eq!(row.params.value("width"), desk.row(2).params.value("width"));
    assert!(
        row.provenance
            .note
            .starts_with("goes on from trial 2 at step 3: lr "),
        "{}",
        row.provenance.note
    );
    // As long as the child needs it, its parent's checkpoint stays.
    let saved = checkpoint(leases[1], SHARED, 4);
    let dropped = desk.step(|core, out, _| {
        core.checkpoint(out, worker(1), &leases[1], saved);
        out.take_dropped()
    });
    assert_eq!(dropped, []);
    let own = checkpoint(lease, SHARED, 4);
    let dropped = desk.step(|core, out, _| {
        core.checkpoint(out, worker(1), &lease, own);
        out.take_dropped()
    });
    assert_eq!(dropped, [checkpoint(leases[1], SHARED, 3)]);
}

#[test]
fn nobody_is_replaced_by_a_trial_without_a_stored_checkpoint() {
    let mut desk = pbt("");
    let leases = [0.6, 0.9, 0.5, 0.1].map(|value| (desk.assigned(&[SHARED]).3, value));
    for (lease, value) in leases {
        desk.train(lease, 1..=2, value);
        assert!(!desk.is_told_to_stop(lease));
    }
    // Nor by one that does worse.
    desk.saves(leases[3].0, 2);
    desk.train(leases[3].0, 3..=4, 0.1);
    assert!(!desk.is_told_to_stop(leases[3].0));
}

#[test]
fn a_vacancy_outlives_the_coordinator_and_is_filled_once() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    let ended = desk.ended(4);
    desk.load_again(std::slice::from_ref(&ended));
    let (child, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((child, from), (5, Some(2)));
    desk.load_again(&[ended]);
    let nothing = desk.offer_with(worker(1), &[], &[SHARED]);
    assert_eq!(
        nothing,
        Err(NoTrial::Population("the population is complete".to_owned()))
    );
    // What was known of the comparisons is known again.
    assert_eq!(desk.core.rungs()[0].len(), 1);
    assert_eq!(desk.core.rungs()[0][0].reached, 4);
}

#[test]
fn a_child_goes_only_where_its_parents_checkpoint_is_reached() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    assert!(desk.offer_with(worker(1), &[], &[OWN]).is_err());
    assert_eq!(desk.assigned(&[OWN, SHARED]).0, 5);
}

#[test]
fn with_fewer_places_than_trials_all_advance_at_the_same_pace() {
    let mut desk = pbt("");
    // One place: each trial rests as it comes to step 2, since others have not begun.
    for (trial, value) in [(1, 0.1), (2, 0.9), (3, 0.5), (4, 0.6)] {
        let (assigned, from, until, lease) = desk.assigned(&[SHARED]);
        assert_eq!((assigned, from, until), (trial, None, Some(2)));
        desk.train(lease, 1..=2, value);
        if trial < 4 {
            assert!(desk.is_told_to_stop(lease));
        } else {
            // Nobody is behind: the last one goes on. The first is the worst of all by now, and ends while it rests.
            assert!(!desk.is_told_to_stop(lease));
            let first = desk.ended(1);
            assert!(matches!(first.state, TrialState::EarlyStopped(_)));
            assert_eq!(desk.changes.decisions[0].trial.0, 1);
            desk.train_on(lease, 3, 3..=4, value);
            assert!(desk.is_told_to_stop(lease), "it is ahead of those that rest");
        }
        desk.stops(
            lease,
            if trial < 4 { 2 } else { 4 },
            SHARED,
            if trial < 4 { 2 } else { 4 },
        );
    }
    // A child first, then those that rest, the least trained first.
    let (child, from, _, lease) = desk.assigned(&[SHARED]);
    assert_eq!((child, from), (5, Some(2)));
    desk.train(lease, 3..=4, 0.9);
    assert!(desk.is_told_to_stop(lease));
    desk.stops(lease, 2, SHARED, 4);
    assert_eq!(desk.assigned(&[SHARED]).0, 2);
}

#[test]
fn a_trial_that_fails_is_replaced_too_but_not_for_ever() {
    let mut desk = pbt("budget: {failures: 100}");
    for trial in 1..=8 {
        let (assigned, from, _, lease) = desk.assigned(&[SHARED]);
        assert_eq!(
            (assigned, from),
            (trial, None),
            "from nothing: there was nothing to compare"
        );
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 0, AttemptOutcome::Exited(3))));
    }
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));

    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.4]);
    desk.train_on(leases[2], 3, 3..=3, 0.5);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(leases[2], 3, AttemptOutcome::Exited(3))));
    // Its place is taken by a child of one of the best.
    let (child, from, ..) = desk.assigned(&[SHARED]);
    assert_eq!((child, from), (5, Some(2)));
    assert_eq!(
        desk.row(5).stages.parent.clone().unwrap().replaces,
        Some(TrialNumber(3))
    );
}

#[test]
fn children_that_always_fail_are_not_tried_for_ever() {
    let mut desk = pbt("budget: {failures: 100}");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    let mut children = 0;
    while let Ok(lease) = desk.offer_with(worker(1), &[], &[SHARED]) {
        children += 1;
        assert!(children < 100, "there is always another one");
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 0, AttemptOutcome::Exited(3))));
    }
    assert_eq!(children, 5, "one, and another one for each of the population");
}

#[test]
fn nobody_begins_with_the_training_of_a_trial_that_is_being_stopped() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    desk.step(|core, out, ctx| core.stop_trial(out, ctx, TrialNumber(2), "kim"))
        .unwrap();
    desk.assigned(&[SHARED]);
    let parent = desk.row(5).stages.parent.clone().unwrap();
    assert_eq!(parent.trial.0, 1, "the best is about to end");
}

#[test]
fn a_training_that_ends_with_no_number_is_replaced() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.4]);
    desk.train_on(leases[0], 3, 3..=3, f64::NAN);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(leases[0], 3, AttemptOutcome::Exited(0))));
    let ended = desk.ended(1);
    assert_eq!(ended.state, TrialState::Completed);
    desk.load_again(&[ended]);
    assert_eq!(desk.assigned(&[SHARED]).0, 5);
    assert_eq!(
        desk.row(5).stages.parent.clone().unwrap().replaces,
        Some(TrialNumber(1))
    );
}

#[test]
fn a_tournament_replaces_the_worse_of_two() {
    let mut desk = desk("name: pbt, exploit: tournament, vary: [lr]", "");
    let leases = desk.four([0.9, 0.6, 0.6, 0.6]);
    let replaced = leases
        .iter()
        .filter(|lease| desk.core.is_stopping(lease.trial))
        .count();
    assert!((1..=3).contains(&replaced), "{replaced}");
    assert!(!desk.core.is_stopping(TrialNumber(1)), "the best beats everybody");
    let text = &desk.row(4);
    if let TrialState::Stopping(_, reason) = &text.state {
        assert!(reason.to_string().contains("where trial "), "{reason}");
    }
}

#[test]
fn the_population_ends_with_its_last_trial_and_the_budget_ends_replacements() {
    let mut desk = pbt("budget: {trials: 4}");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    assert!(
        leases.iter().all(|lease| !desk.core.is_stopping(lease.trial)),
        "nobody could take its place"
    );
    let mut rows = Vec::new();
    for lease in leases {
        desk.train_on(lease, 3, 3..=8, 0.5);
        desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 8, AttemptOutcome::Exited(0))));
        rows.push(desk.ended(lease.trial.0));
    }
    assert!(rows.iter().all(|row| row.state == TrialState::Completed));
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Budget));

    let mut desk = pbt("");
    for lease in desk.four([0.6, 0.9, 0.5, 0.4]) {
        desk.step(|core, out, ctx| core.stop_trial(out, ctx, lease.trial, "kim"))
            .unwrap();
        desk.stops(lease, 2, SHARED, 2);
    }
    assert_eq!(
        desk.core.state(),
        StudyState::Done(DoneReason::Exhausted),
        "a person leaves no vacancy"
    );
}

/// Children of a study are chosen again from what is stored of it.
pub(super) fn replayed(desk: &mut Desk, ended: Vec<TrialRow>) -> Vec<Replayed> {
    let spec = StudySpec::clone(desk.core.spec());
    let mut history = History::new(spec);
    let living: Vec<TrialRow> = (1..100)
        .filter_map(|number| desk.core.active_row(TrialNumber(number)))
        .collect();
    for row in living.into_iter().chain(ended) {
        history.add(row);
    }
    history.replay().map(|(_, replayed)| replayed).collect()
}

#[test]
fn children_are_chosen_again_from_what_is_stored() {
    let mut desk = pbt("");
    let leases = desk.four([0.6, 0.9, 0.5, 0.1]);
    desk.stops(leases[3], 2, SHARED, 2);
    let ended = desk.ended(4);
    desk.assigned(&[SHARED]);
    assert_eq!(replayed(&mut desk, vec![ended]), vec![Replayed::Same; 5]);
}

#[test]
fn a_model_chooses_elsewhere_while_the_study_goes_on() {
    let mut desk = desk("name: pb2, vary: [lr]", "");
    let mut leases = desk.four([0.6, 0.9, 0.5, 0.1]).to_vec();
    let mut ended = Vec::new();
    let mut children = 0;
    let mut at = [2; 4];
    for round in 0..3 {
        // All come to their next comparison.
        for place in 0..4 {
            let lease = leases[place];
            if desk.core.is_stopping(lease.trial) {
                let last = u64::try_from(at[place]).unwrap() - desk.begun(lease);
                desk.stops(lease, last, SHARED, at[place]);
                ended.push(desk.ended(lease.trial.0));
                assert_eq!(desk.offer_with(worker(1), &[], &[SHARED]), Err(NoTrial::Thinking));
                let question = desk.step(|core, _, ctx| core.question(ctx)).unwrap();
                assert!(
                    desk.step(|core, _, ctx| core.question(ctx)).is_none(),
                    "one at a time"
                );
                let advice = question.answer();
                desk.core.advised(advice, Duration::ZERO);
                let (_, from, _, child) = desk.assigned(&[SHARED]);
                children += 1;
                leases[place] = child;
                at[place] = from.unwrap();
            }
        }
        if round == 2 {
            break;
        }
        for place in 0..4 {
            let (lease, from) = (leases[place], at[place]);
            let value = 0.5 - 0.1 * place as f64;
            let seq = u64::try_from(from).unwrap() - desk.begun(lease) + 1;
            desk.train_on(lease, seq, from + 1..=from + 2, value);
            at[place] += 2;
            if !desk.core.is_stopping(lease.trial) {
                desk.saves(lease, at[place]);
            }
        }
    }
    assert!(children >= 2, "{children}");
    let count = 4 + children;
    assert_eq!(replayed(&mut desk, ended), vec![Replayed::Same; count]);
}

impl Desk {
    /// Points after the first of an attempt.
    pub(super) fn train_on(
        &mut self,
        lease: LeaseKey,
        seq: u64,
        steps: std::ops::RangeInclusive<i64>,
        value: f64,
    ) {
        let batch = points(&steps.map(|step| (step, value)).collect::<Vec<_>>());
        self.step(|core, out, ctx| {
            core.started(out, ctx, worker(1), lease, 7);
            core.points(out, ctx, worker(1), lease, seq, &batch);
        });
    }

    /// The step that a trial began at.
    fn begun(&self, lease: LeaseKey) -> u64 {
        let parent = self.row(lease.trial.0).stages.parent.clone();
        parent.map_or(0, |parent| u64::try_from(parent.step).unwrap())
    }
}

#[test]
fn a_schedule_is_repeated_segment_by_segment_with_its_seeds() {
    let mut desk = Desk::of(
        "name: desk\nobjective: {metric: acc, goal: maximize}\nspace: {lr: {type: float, low: 1e-4, high: 1, scale: log}}\n\
         strategy: {name: replay, seed: 3, segments: [{until: 2, seed: 11, parameters: {lr: 0.1}}, {until: 5, parameters: {lr: 0.2}}, {parameters: {lr: 0.3}}]}\n\
         trial: {command: [train], steps: {max: 8}}\n",
    );
    let (trial, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from, until), (1, None, Some(2)));
    assert_eq!(desk.row(1).seed, 11);
    desk.train(lease, 1..=2, 0.5);
    assert!(desk.is_told_to_stop(lease));
    assert!(desk.offer_with(worker(1), &[], &[SHARED]).is_err());
    desk.stops(lease, 2, SHARED, 2);
    let first = desk.ended(1);
    assert!(first.stages.checkpoint.is_some(), "the next one needs it");
    desk.load_again(std::slice::from_ref(&first));
    assert!(desk.offer_with(worker(1), &[], &[OWN]).is_err());
    let (trial, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from, until), (2, Some(2), Some(5)));
    let parent = desk.row(2).stages.parent.clone().unwrap();
    assert_eq!(
        (
            parent.trial.0,
            parent.step,
            parent.changed[0].to_string().as_str()
        ),
        (1, 2, "lr 0.1 -> 0.2")
    );
    // A program that trains to the step it is given ends there by itself.
    desk.train(lease, 3..=5, 0.6);
    let ended = AttemptEnd {
        checkpoint: Some(checkpoint(lease, SHARED, 5)),
        ..end(lease, 3, AttemptOutcome::Exited(0))
    };
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), ended));
    let (trial, from, until, lease) = desk.assigned(&[SHARED]);
    assert_eq!((trial, from, until), (3, Some(5), Some(8)));
    desk.train(lease, 6..=8, 0.7);
    desk.step(|core, out, ctx| core.ended(out, ctx, worker(1), end(lease, 3, AttemptOutcome::Exited(0))));
    assert_eq!(desk.core.state(), StudyState::Done(DoneReason::Exhausted));
}
