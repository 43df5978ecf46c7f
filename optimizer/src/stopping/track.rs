//! One trial's curve of one metric while the trial has not ended.

use tunesmith_common::measurement::Goal;
use tunesmith_common::study::StopperRule;

use super::cells::{Cell, cell};
use super::cohort::Cohort;
use super::fold::Fold;
use super::multiset::Owner;

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
    pub(super) fn new(rules: &[StopperRule], cohort: Option<&mut Cohort>) -> Self {
        let owner = cohort.map_or(0, Cohort::new_owner);
        Self {
            points: Vec::new(),
            before: Fold::new(rules),
            now: Fold::new(rules),
            averages: Vec::new(),
            owner,
        }
    }

    /// Of a whole curve with its averages, which the cohort has under `owner`.
    pub(super) fn restored(
        rules: &[StopperRule],
        goal: Goal,
        points: Vec<(i64, f64)>,
        averages: Vec<(Cell, f64)>,
        owner: Owner,
    ) -> Self {
        let mut track = Self {
            points,
            before: Fold::new(rules),
            now: Fold::new(rules),
            averages,
            owner,
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

    /// Who this trial is to the cohort, and its average there at the last step.
    pub(super) fn standing(&self) -> (Owner, Option<f64>) {
        (self.owner, self.averages.last().map(|(_, average)| *average))
    }

    /// Takes in a point; one at the same step gives way.
    pub(super) fn take(
        &mut self,
        rules: &[StopperRule],
        goal: Goal,
        cohort: Option<&mut Cohort>,
        step: i64,
        value: f64,
    ) -> Place {
        match self.points.last_mut() {
            Some((last, _)) if *last > step => {
                match self.points.binary_search_by_key(&step, |(step, _)| *step) {
                    Ok(index) => self.points[index].1 = value,
                    Err(index) => self.points.insert(index, (step, value)),
                }
                self.fold_again(rules, goal, cohort, step);
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
        if let Some(cohort) = cohort {
            self.enter(cohort, step);
        }
        Place::Last
    }

    /// Forgets everything from a step on.
    pub(super) fn truncate(
        &mut self,
        rules: &[StopperRule],
        goal: Goal,
        cohort: Option<&mut Cohort>,
        from: i64,
    ) {
        let kept = self.points.partition_point(|(step, _)| *step < from);
        if kept < self.points.len() {
            self.points.truncate(kept);
            self.fold_again(rules, goal, cohort, from);
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

    /// Folds the whole curve again after a change at `from`, and tells the cohort.
    fn fold_again(&mut self, rules: &[StopperRule], goal: Goal, cohort: Option<&mut Cohort>, from: i64) {
        let mut averages: Vec<(Cell, f64)> = Vec::new();
        if let Some(cohort) = cohort {
            averages_of(&self.points, goal, &mut averages);
            // A curve that became shorter is gone from all cells after its new end.
            let end = averages.last().map_or(0, |(last, _)| *last + 1);
            cohort.update(self.owner, cell(from).min(end), &self.averages, &averages);
        }
        let points = std::mem::take(&mut self.points);
        *self = Self::restored(rules, goal, points, averages, self.owner);
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
