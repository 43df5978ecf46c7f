//! Checks what was committed against the promises, while it happens and at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::trial::{StopReason, TrialState};
use tunesmith_common::{Attempt, LeaseId, LeaseKey, TrialNumber};
use tunesmith_coordinator::store::{AttemptRow, Changes, TrialRow};

#[derive(Debug, Default)]
pub(crate) struct Audit {
    trials: BTreeMap<TrialNumber, TrialRow>,
    attempts: BTreeMap<(TrialNumber, Attempt), AttemptRow>,
    points: BTreeMap<(TrialNumber, Attempt), Vec<(i64, f64)>>,
    printed: HashMap<LeaseId, Vec<(i64, f64)>>,
    /// Checkpoints that are there: trial, attempt, step.
    saved: BTreeSet<(TrialNumber, Attempt, i64)>,
    lines: Vec<String>,
}

impl Audit {
    /// What a training printed, by its lease.
    pub(crate) fn printed(&mut self, lease: &LeaseKey, step: i64, value: f64) {
        self.printed.entry(lease.id).or_default().push((step, value));
    }

    /// A training has saved a checkpoint, and it is stored.
    pub(crate) fn saved(&mut self, lease: &LeaseKey, step: i64) {
        self.saved.insert((lease.trial, lease.attempt, step));
    }

    /// Checkpoints were removed: no trial that is stored may refer to them.
    pub(crate) fn dropped(&mut self, checkpoints: &[Checkpoint], seed: u64) {
        for checkpoint in checkpoints {
            let needed = self.referred_to().find(|known| *known == checkpoint);
            assert_eq!(needed, None, "it was removed, seed {seed}");
            self.saved
                .remove(&(checkpoint.trial, checkpoint.attempt, checkpoint.step));
        }
    }

    /// Checkpoints that trials refer to, or that are kept for whoever takes their place.
    fn referred_to(&self) -> impl Iterator<Item = &Checkpoint> {
        let parents = self.trials.values().filter_map(|row| row.stages.parent.as_ref());
        let taken: BTreeSet<TrialNumber> = parents.filter_map(|parent| parent.replaces).collect();
        self.trials.values().flat_map(move |row| {
            let heir = row.stages.heir.as_ref().filter(|_| !taken.contains(&row.number));
            let set_aside = heir.and_then(|heir| heir.checkpoint.as_ref());
            row.stages.checkpoint.iter().chain(set_aside)
        })
    }

    /// A trial begins from a checkpoint: it must be there.
    pub(crate) fn begins_from(&self, checkpoint: Option<&Checkpoint>, seed: u64) {
        if let Some(checkpoint) = checkpoint {
            let key = (checkpoint.trial, checkpoint.attempt, checkpoint.step);
            assert!(self.saved.contains(&key), "{checkpoint:?} is gone, seed {seed}");
        }
    }

    /// Checkpoints that are there and that no trial refers to.
    pub(crate) fn left_behind(&self) -> usize {
        let refers = |(trial, attempt, step): &(TrialNumber, Attempt, i64)| {
            self.referred_to()
                .any(|known| (known.trial, known.attempt, known.step) == (*trial, *attempt, *step))
        };
        self.saved.iter().filter(|key| !refers(key)).count()
    }

    /// Takes in what a commit wrote.
    pub(crate) fn committed(&mut self, changes: &Changes, parallel: usize, budget: u64, seed: u64) {
        for row in &changes.attempts {
            let known = self.attempts.insert((row.trial, row.attempt), row.clone());
            if let Some(known) = known {
                assert_eq!(
                    known.lease, row.lease,
                    "an attempt changed its lease, seed {seed}"
                );
            }
        }
        for row in &changes.trials {
            if let Some(known) = self.trials.get(&row.number) {
                assert!(row.attempt >= known.attempt, "attempts went back, seed {seed}");
                if known.state.is_final() {
                    assert_eq!(known.state, row.state, "a final state changed, seed {seed}");
                }
            }
            self.lines
                .push(format!("{} {} {:?}", row.number, row.state.name(), row.value));
            self.trials.insert(row.number, row.clone());
        }
        for chunk in &changes.points {
            let points = self.points.entry((chunk.trial, chunk.attempt)).or_default();
            assert_eq!(
                chunk.first_seq,
                points.len() as u64 + 1,
                "points with a gap or twice, seed {seed}"
            );
            points.extend(chunk.steps.iter().copied().zip(chunk.values.iter().copied()));
        }
        let leased = self
            .trials
            .values()
            .filter(|row| row.state.lease().is_some())
            .count();
        assert!(
            leased <= parallel,
            "{leased} trials in flight, {parallel} allowed, seed {seed}"
        );
        assert!(
            self.trials.len() as u64 <= budget,
            "more trials than the budget allows, seed {seed}"
        );
    }

    /// At the end of the study.
    pub(crate) fn assert_whole(&self, seed: u64) {
        for row in self.trials.values() {
            assert!(
                row.state.is_final(),
                "trial {} was lost in {}, seed {seed}",
                row.number,
                row.state.name()
            );
            assert!(
                row.attempt.0 as usize <= 1 + 1 + 5 + row.stages.rungs.len(),
                "{} attempts at trial {}, seed {seed}",
                row.attempt,
                row.number
            );
        }
        for ((trial, attempt), row) in &self.attempts {
            assert!(
                row.ended_at.is_some(),
                "attempt {attempt} of trial {trial} never ended, seed {seed}"
            );
            let stored = self.points.get(&(*trial, *attempt)).cloned().unwrap_or_default();
            let printed = self.printed.get(&row.lease).cloned().unwrap_or_default();
            assert_eq!(
                stored,
                printed[..stored.len()],
                "trial {trial} attempt {attempt}, seed {seed}"
            );
            let last = self.trials[trial].attempt == *attempt;
            if last && self.trials[trial].state == TrialState::Completed {
                assert_eq!(
                    stored.len(),
                    printed.len(),
                    "the curve of completed trial {trial} is not whole, seed {seed}"
                );
            }
        }
    }

    /// No step of any trial was trained twice, and some trial went to the end. Returns how many went on after they had rested.
    pub(crate) fn assert_trained_once(&self, seed: u64) -> usize {
        let mut went_on = 0;
        for row in self.trials.values() {
            let attempts =
                (1..=row.attempt.0).map(|attempt| self.points.get(&(row.number, Attempt(attempt))));
            let steps: Vec<i64> = attempts.flatten().flatten().map(|(step, _)| *step).collect();
            let begun = row.stages.parent.as_ref().map_or(0, |parent| parent.step);
            assert!(
                steps.first().is_none_or(|first| *first == begun + 1),
                "trial {} began at {:?}, seed {seed}",
                row.number,
                steps.first()
            );
            assert!(
                steps.is_sorted_by(|a, b| a + 1 == *b),
                "trial {} was trained twice or with a gap: {steps:?}, seed {seed}",
                row.number
            );
            went_on += usize::from(row.attempt.0 > 1);
            assert_eq!(row.last_step, steps.last().copied(), "seed {seed}");
        }
        let whole = |row: &&TrialRow| row.state == TrialState::Completed;
        assert!(
            self.trials.values().any(|row| whole(&row)),
            "no trial went to the end, seed {seed}"
        );
        went_on
    }

    /// Nobody's place was taken twice, nor that of somebody who did not leave it; and whoever was not the first of a line began where another one
    /// was. Returns how many have a parent.
    pub(crate) fn assert_lineage(&self, seed: u64) -> usize {
        let mut replaced = BTreeSet::new();
        let mut children = 0;
        for row in self.trials.values() {
            let Some(parent) = &row.stages.parent else {
                continue;
            };
            children += 1;
            let place = parent.replaces.unwrap();
            assert!(
                replaced.insert(place),
                "two trials in the place of {place}, seed {seed}"
            );
            let before = &self.trials[&place];
            assert!(
                matches!(before.state, TrialState::EarlyStopped(_) | TrialState::Failed(_)),
                "{before:?}, seed {seed}"
            );
            assert!(
                parent.trial < row.number && parent.step > 0,
                "{row:?}, seed {seed}"
            );
        }
        children
    }

    /// Whoever was to be replaced was.
    pub(crate) fn assert_places_taken(&self, seed: u64) {
        let parents = self.trials.values().filter_map(|row| row.stages.parent.as_ref());
        let taken: BTreeSet<TrialNumber> = parents.filter_map(|parent| parent.replaces).collect();
        for row in self.trials.values() {
            if let TrialState::EarlyStopped(StopReason::EarlyStopped { rule, .. }) = &row.state
                && rule == "pbt"
            {
                assert!(taken.contains(&row.number), "{row:?}, seed {seed}");
            }
        }
    }

    pub(crate) fn assert_attempts_at_most(&self, limit: u32, seed: u64) {
        for row in self.trials.values() {
            assert!(
                row.attempt.0 <= limit,
                "trial {} took {} attempts, seed {seed}",
                row.number,
                row.attempt
            );
        }
    }

    /// The points that were committed, by attempt.
    pub(crate) fn points(&self) -> impl Iterator<Item = (TrialNumber, Attempt, &Vec<(i64, f64)>)> {
        self.points
            .iter()
            .map(|((trial, attempt), points)| (*trial, *attempt, points))
    }

    /// Everything that happened, in order.
    pub(crate) fn trace(&self) -> Vec<String> {
        self.lines.clone()
    }
}
