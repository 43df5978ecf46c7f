//! One trial's curve of one metric while the trial has not ended.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::Goal;
use tunesmith_common::study::StopperRule;

use super::cells::{Cell, cell};
use super::cohort::Cohort;
use super::fold::Fold;
use super::multiset::Owner;
use super::outlook::Past;
use super::rungs::{Entries, Rungs};

/// What all trials have of one metric, to compare a trial with: told of each change of a curve.
#[derive(Debug, Default)]
pub(super) struct Compared {
    /// For percentile rules.
    pub(super) cohort: Option<Cohort>,
    /// One for each rule of successive halving.
    pub(super) rungs: Vec<Rungs>,
    /// One for each rule that looks ahead.
    pub(super) pasts: Vec<Past>,
}

/// A curve and what follows from it.
#[derive(Debug)]
pub(super) struct Track {
    /// Values as reported by step, ascending.
    points: Vec<(i64, f64)>,
    /// All points but the last, folded: to replace the last, which is what trainings do that report a step twice.
    pub(super) before: Fold,
    /// All points, folded.
    pub(super) now: Fold,
    /// The running average at the end of each cell with a report, from the first finite value on; what the cohort has of this trial.
    averages: Vec<(Cell, f64)>,
    owner: Owner,
    /// What the rungs have of this trial, for each rule that has rungs.
    entries: Vec<Entries>,
}

/// Where a point stands in its trial's curve.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// At the last step.
    Last,
    /// Behind the last step.
    Behind,
}

impl Track {
    /// A curve without points.
    pub(super) fn new(rules: &[StopperRule], trial: TrialNumber, compared: &mut Compared) -> Self {
        let owner = compared.cohort.as_mut().map_or(0, Cohort::new_owner);
        let entries = compared
            .rungs
            .iter()
            .map(|rungs| rungs.new_entries(trial))
            .collect();
        Self {
            points: Vec::new(),
            before: Fold::new(rules),
            now: Fold::new(rules),
            averages: Vec::new(),
            owner,
            entries,
        }
    }

    /// Of a whole curve with its averages, which the cohort has under `owner`, and its entries, which the rungs have.
    pub(super) fn restored(
        rules: &[StopperRule],
        goal: Goal,
        points: Vec<(i64, f64)>,
        averages: Vec<(Cell, f64)>,
        owner: Owner,
        entries: Vec<Entries>,
    ) -> Self {
        let mut track = Self {
            points,
            before: Fold::new(rules),
            now: Fold::new(rules),
            averages,
            owner,
            entries,
        };
        for (index, (step, value)) in track.points.iter().enumerate() {
            if index + 1 == track.points.len() {
                track.before.copy_from(&track.now);
            }
            track.now.take(rules, goal, *step, *value);
        }
        track
    }

    /// The curve.
    pub(super) fn points(&self) -> &[(i64, f64)] {
        &self.points
    }

    /// The curve, to be kept when the trial has ended.
    pub(super) fn into_points(self) -> Vec<(i64, f64)> {
        self.points
    }

    /// What its rule's rungs, the `index`-th of all with rungs, have of this trial.
    pub(super) fn entries(&self, index: usize) -> Option<&Entries> {
        self.entries.get(index)
    }

    /// Who this trial is to the cohort, and its average there at the last step.
    pub(super) fn standing(&self) -> (Owner, Option<f64>) {
        (self.owner, self.averages.last().map(|(_, average)| *average))
    }

    /// Takes in a point; one at the same step gives way.
    pub(super) fn take(
        &mut self,
        rules: &[StopperRule],
        goal: Goal,
        compared: &mut Compared,
        step: i64,
        value: f64,
    ) -> Place {
        match self.points.last_mut() {
            Some((last, _)) if *last > step => {
                match self.points.binary_search_by_key(&step, |(step, _)| *step) {
                    Ok(index) => self.points[index].1 = value,
                    Err(index) => self.points.insert(index, (step, value)),
                }
                self.fold_again(rules, goal, compared, step);
                return Place::Behind;
            }
            Some((last, known)) if *last == step => {
                *known = value;
                self.now.copy_from(&self.before);
            }
            _ => {
                self.points.push((step, value));
                self.before.copy_from(&self.now);
            }
        }
        self.now.take(rules, goal, step, value);
        if let Some(cohort) = &mut compared.cohort {
            self.enter(cohort, step);
        }
        for (rungs, entries) in compared.rungs.iter_mut().zip(&mut self.entries) {
            rungs.enter(entries, self.before.step, step, self.now.best);
        }
        Place::Last
    }

    /// Forgets everything from a step on.
    pub(super) fn truncate(&mut self, rules: &[StopperRule], goal: Goal, compared: &mut Compared, from: i64) {
        let kept = self.points.partition_point(|(step, _)| *step < from);
        if kept < self.points.len() {
            self.points.truncate(kept);
            self.fold_again(rules, goal, compared, from);
        }
    }

    /// Tells the cohort of the average at the last step.
    fn enter(&mut self, cohort: &mut Cohort, step: i64) {
        let here = cell(step);
        let known = self.averages.len();
        let from = match (self.averages.last(), self.now.average()) {
            // Replacing the only value by NaN leaves no average, also where there was one.
            (_, None) => 0,
            (Some((last, _)), _) => here.min(*last + 1),
            (None, _) => here,
        };
        let same_cell = self.averages.last().is_some_and(|(last, _)| *last == here);
        let old = same_cell.then(|| self.averages[known - 1]);
        match self.now.average() {
            None => {
                let old = std::mem::take(&mut self.averages);
                cohort.update(self.owner, from, &old, &[]);
            }
            Some(average) => {
                // Only the end of the list can change: the two lists share the rest.
                if let Some(slot) = self.averages.last_mut().filter(|_| same_cell) {
                    slot.1 = average;
                    let tail = known - 1;
                    cohort.update(self.owner, from, old.as_slice(), &self.averages[tail..]);
                } else {
                    self.averages.push((here, average));
                    let tail = known.saturating_sub(1);
                    cohort.update(
                        self.owner,
                        from,
                        &self.averages[tail..known],
                        &self.averages[tail..],
                    );
                }
            }
        }
    }

    /// Folds the whole curve again after a change at `from`, and tells those who compare.
    fn fold_again(&mut self, rules: &[StopperRule], goal: Goal, compared: &mut Compared, from: i64) {
        let mut averages: Vec<(Cell, f64)> = Vec::new();
        if let Some(cohort) = &mut compared.cohort {
            averages_of(&self.points, goal, &mut averages);
            // A curve that became shorter is gone from all cells after its new end.
            let end = averages.last().map_or(0, |(last, _)| *last + 1);
            cohort.update(self.owner, cell(from).min(end), &self.averages, &averages);
        }
        for (rungs, entries) in compared.rungs.iter_mut().zip(&mut self.entries) {
            rungs.enter_again(entries, goal, &self.points);
        }
        let (points, entries) = (
            std::mem::take(&mut self.points),
            std::mem::take(&mut self.entries),
        );
        *self = Self::restored(rules, goal, points, averages, self.owner, entries);
    }
}

/// Finds the running average of a curve at the end of each cell with a report, from the first finite value on.
pub(super) fn averages_of(points: &[(i64, f64)], goal: Goal, averages: &mut Vec<(Cell, f64)>) {
    averages.clear();
    let mut fold = Fold::new(&[]);
    for (step, value) in points {
        fold.take(&[], goal, *step, *value);
        let Some(average) = fold.average() else {
            continue;
        };
        match averages.last_mut() {
            Some(last) if last.0 == cell(*step) => last.1 = average,
            _ => averages.push((cell(*step), average)),
        }
    }
}
