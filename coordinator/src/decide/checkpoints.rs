//! Checkpoints: which are needed, by whom, and who reaches them.
//!
//! A checkpoint is needed as long as a trial refers to it: the one that saved it, and those that begin from it. What is referred to is counted, so that
//! one trial that has come further, or has ended, never takes away what another still needs.
//!
//! # Invariants
//!
//! * A checkpoint is given up in the commit after which no trial refers to it, and never before that is stored.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::checkpoint::{Checkpoint, Heir, Stages};
use tunesmith_common::clock::Monotonic;
use tunesmith_common::trial::TrialState;
use tunesmith_common::{Attempt, CheckpointStoreId, LeaseKey, TrialNumber, WorkerId};

use super::course::Course;
use super::dispatch::BoundTo;
use super::members::Members;
use super::order::Order;
use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};
use super::trial::ActiveTrial;

/// How long a trial waits for somebody who reaches its checkpoint before it is trained again from the beginning: as long as that takes, within these
/// bounds. So whatever is right is done in twice the time at most.
const LEAST_PATIENCE: Duration = Duration::from_secs(5);
const MOST_PATIENCE: Duration = Duration::from_secs(600);

/// Checkpoints within reach of whoever is to train a trial.
#[derive(Clone, Copy, Debug)]
pub enum Reach<'a> {
    /// It has its own ways, as a program that asks and tells.
    All,
    /// What lies in these places.
    Stores(&'a [CheckpointStoreId]),
}

impl Reach<'_> {
    pub(super) fn has(self, store: CheckpointStoreId) -> bool {
        match self {
            Self::All => true,
            Self::Stores(stores) => stores.contains(&store),
        }
    }
}

/// How many trials refer to each checkpoint.
#[derive(Debug, Default)]
pub(super) struct Uses(HashMap<Key, usize>);

/// What a checkpoint is known by.
type Key = (CheckpointStoreId, TrialNumber, Attempt, i64);

impl Uses {
    fn key(checkpoint: &Checkpoint) -> Key {
        let Checkpoint {
            store,
            trial,
            attempt,
            step,
            ..
        } = *checkpoint;
        (store, trial, attempt, step)
    }

    /// One more trial refers to it.
    pub(super) fn add(&mut self, checkpoint: &Checkpoint) {
        *self.0.entry(Self::key(checkpoint)).or_default() += 1;
    }

    /// One more trial refers to its own, and to what is set aside for its place.
    pub(super) fn add_all(&mut self, stages: &Stages) {
        let set_aside = stages.heir.as_ref().and_then(|heir| heir.checkpoint.as_ref());
        stages
            .checkpoint
            .iter()
            .chain(set_aside)
            .for_each(|checkpoint| self.add(checkpoint));
    }

    /// What is set aside is needed no more. Returns what nobody needs now.
    pub(super) fn remove_of(&mut self, heir: Option<Heir>) -> Option<Checkpoint> {
        let checkpoint = heir.and_then(|heir| heir.checkpoint)?;
        self.remove(&checkpoint).then_some(checkpoint)
    }

    /// One trial less refers to it. Whether none is left.
    fn remove(&mut self, checkpoint: &Checkpoint) -> bool {
        let key = Self::key(checkpoint);
        let left = self.0.get(&key).map_or(0, |count| count.saturating_sub(1));
        if left == 0 {
            self.0.remove(&key);
        } else {
            self.0.insert(key, left);
        }
        left == 0
    }

    fn has(&self, checkpoint: &Checkpoint) -> bool {
        self.0.contains_key(&Self::key(checkpoint))
    }
}

impl StudyCore {
    /// A checkpoint of a running attempt is stored.
    pub fn checkpoint(
        &mut self,
        out: &mut Outbox,
        worker: WorkerId,
        lease: &LeaseKey,
        checkpoint: Checkpoint,
    ) {
        if (checkpoint.trial, checkpoint.attempt) != (lease.trial, lease.attempt) {
            return; // nobody but a broken worker says so
        }
        if !self.is_current(lease) {
            self.unneeded(out, checkpoint);
            return out.order(worker, Order::Stale(*lease));
        }
        self.take_checkpoint(out, lease.trial, checkpoint);
    }

    /// A checkpoint of an attempt that counts no more was stored all the same: it goes, unless it was known before and is needed.
    pub(super) fn unneeded(&self, out: &mut Outbox, checkpoint: Checkpoint) {
        if !self.uses.has(&checkpoint) {
            out.drop_checkpoint(checkpoint);
        }
    }

    /// A checkpoint of a trial is stored: it needs the one before no more.
    pub(super) fn take_checkpoint(&mut self, out: &mut Outbox, number: TrialNumber, checkpoint: Checkpoint) {
        let Some(trial) = self.active.get_mut(&number) else {
            return;
        };
        if trial.stages.checkpoint.as_ref() == Some(&checkpoint) {
            return;
        }
        self.uses.add(&checkpoint);
        let before = Arc::make_mut(&mut trial.stages).checkpoint.replace(checkpoint);
        if let Some(before) = before.filter(|before| self.uses.remove(before)) {
            out.drop_checkpoint(before);
        }
        out.trials.entry(number).or_insert(None);
    }

    /// A trial has ended. What was trained to the end keeps its checkpoint, what may be given more time, and where all are to be trained in one go the
    /// best so far.
    pub(super) fn end_checkpoint(&mut self, out: &mut Outbox, number: TrialNumber, trial: &mut ActiveTrial) {
        let is_kept = match trial.life.state() {
            TrialState::Completed | TrialState::TimedOut(_) => true,
            _ if self.course.is_some() => self.is_needed_by_a_segment(number),
            _ => self.best.has(number),
        };
        if is_kept || trial.stages.checkpoint.is_none() {
            return;
        }
        let unneeded = Arc::make_mut(&mut trial.stages).checkpoint.take();
        if let Some(unneeded) = unneeded.filter(|unneeded| self.uses.remove(unneeded)) {
            out.drop_checkpoint(unneeded);
        }
    }

    /// Whether a trial may be handed out to somebody with this reach.
    pub(super) fn is_within(&self, number: TrialNumber, reach: Reach<'_>) -> bool {
        self.active.get(&number).is_some_and(|trial| {
            trial
                .stages
                .checkpoint
                .as_ref()
                .is_none_or(|checkpoint| reach.has(checkpoint.store))
        })
    }

    /// The first of the waiting trials that may be handed out to somebody with this reach.
    pub(super) fn first_waiting(&self, reach: Reach<'_>) -> Option<TrialNumber> {
        self.ready
            .iter()
            .copied()
            .find(|number| self.is_within(*number, reach))
    }

    /// That a trial has no checkpoint where it should, for people.
    pub(super) fn without_checkpoint(&self) -> Option<String> {
        self.spec.trial.as_ref()?;
        let mut active = self.active.iter();
        let mut find = |is_late: &dyn Fn(&ActiveTrial) -> bool| {
            let (number, trial) =
                active.find(|(_, trial)| trial.stages.checkpoint.is_none() && is_late(trial))?;
            Some((*number, trial.stages.rungs.last()?.step))
        };
        let rests = |trial: &ActiveTrial| *trial.life.state() == TrialState::Paused;
        match self.course.as_ref()? {
            Course::Halving(..) => {
                let (number, step) = find(&rests)?;
                Some(format!(
                    "trial.command: trial {number} rests at step {step} and has no checkpoint, so that it is trained again from its start when it goes on; \
                     have the program save one when it is asked to stop"
                ))
            }
            Course::Population(_) => {
                let (number, step) = find(&|trial| rests(trial) || trial.stages.rungs.len() > 1)?;
                Some(format!(
                    "trial.command: trial {number} has come to step {step} and has no checkpoint, so that no other trial can go on from it; have the program \
                     save one at least at every comparison"
                ))
            }
            Course::Replay(_) => None,
        }
    }

    /// Trials that wait for a place, by where their checkpoints are.
    pub(super) fn bound(&self, ctx: &Ctx<'_>) -> BoundTo {
        let mut bound = BoundTo::default();
        if self.uses.0.is_empty() {
            return bound;
        }
        let promoted = self.to_promote(Reach::All).map(|(number, _)| number);
        let due = self.delayed.iter().take_while(|(at, _)| *at <= ctx.mono);
        let waiting = self.ready.iter().chain(due.map(|(_, number)| number)).copied();
        for number in waiting.chain(promoted) {
            let checkpoint = self
                .active
                .get(&number)
                .and_then(|trial| trial.stages.checkpoint.as_ref());
            if let Some(checkpoint) = checkpoint {
                *bound.entry(checkpoint.store).or_default() += 1;
            }
        }
        bound
    }

    /// Gives up checkpoints that nobody has reached for long: their trials are trained again from the beginning rather than never.
    pub fn give_up_checkpoints(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        is_reached: impl Fn(CheckpointStoreId) -> bool,
    ) {
        let resting = self
            .active
            .iter()
            .filter(|(_, trial)| matches!(trial.life.state(), TrialState::Pending | TrialState::Paused))
            .filter_map(|(number, trial)| {
                let patience = trial.stages.trained.clamp(LEAST_PATIENCE, MOST_PATIENCE);
                Some((*number, trial.stages.checkpoint.as_ref()?.store, patience))
            });
        let places = self.members().into_iter().flat_map(Members::vacancies);
        let set_aside = places.filter_map(|(number, vacancy)| {
            let checkpoint = vacancy.heir.as_ref()?.checkpoint.as_ref()?;
            Some((*number, checkpoint.store, MOST_PATIENCE))
        });
        let waiting: Vec<(TrialNumber, CheckpointStoreId, Duration)> = resting.chain(set_aside).collect();
        let stores: BTreeSet<CheckpointStoreId> = waiting.iter().map(|(_, store, _)| *store).collect();
        let unreached: BTreeSet<CheckpointStoreId> =
            stores.into_iter().filter(|store| !is_reached(*store)).collect();
        self.unreached.retain(|store, _| unreached.contains(store));
        for (number, store, patience) in waiting {
            if !unreached.contains(&store) {
                continue;
            }
            let since: Monotonic = *self.unreached.entry(store).or_insert(ctx.mono);
            if ctx.mono.saturating_since(since) < patience {
                continue;
            }
            let text = self.give_up(out, number);
            self.audit(out, ctx, "coordinator", "lose_checkpoint", Some(number), text);
        }
    }

    /// Gives up the checkpoint that a trial, or whoever is to take its place, waits for. Returns what that means.
    fn give_up(&mut self, out: &mut Outbox, number: TrialNumber) -> &'static str {
        let Some(trial) = self.active.get_mut(&number) else {
            let unused = self.members_mut().and_then(|members| members.forsake(number));
            self.uses.remove_of(unused.map(|unused| *unused));
            return "no worker reaches the checkpoint that was kept for whoever takes its place: only a child of a trial that is still trained can";
        };
        if let Some(lost) = Arc::make_mut(&mut trial.stages).checkpoint.take() {
            self.uses.remove(&lost);
        }
        out.trials.entry(number).or_insert(None);
        "no worker reaches its checkpoint, and waiting longer is not worth it: it is trained again from the beginning"
    }
}

#[cfg(test)]
mod tests {
    use tunesmith_common::TrialNumber;
    use uuid::Uuid;

    use super::*;

    #[test]
    fn a_checkpoint_is_unused_once_the_last_trial_that_refers_to_it_does_so_no_more() {
        let checkpoint = |step| Checkpoint {
            store: CheckpointStoreId(Uuid::nil()),
            trial: TrialNumber(1),
            attempt: Attempt(1),
            step,
            bytes: 0,
            files: 0,
            digest: String::new(),
        };
        let mut uses = Uses::default();
        uses.add(&checkpoint(3));
        uses.add(&checkpoint(3));
        uses.add(&checkpoint(4));
        assert!(!uses.remove(&checkpoint(3)) && uses.has(&checkpoint(3)));
        assert!(uses.remove(&checkpoint(3)) && !uses.has(&checkpoint(3)));
        assert!(uses.has(&checkpoint(4)));
    }
}
