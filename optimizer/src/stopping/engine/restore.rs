//! Early stoppers from what is stored of a study, all at once.
//!
//! What comes out decides as if it had been told of every point when it was reported; only what [`Stoppers::status`] says of how
//! much was judged begins anew.

use tunesmith_common::TrialNumber;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{Objective, StopperSpec};

use super::super::bulk::Bulk;
use super::super::cells::Cell;
use super::super::track::{Track, averages_of};
use super::Stoppers;

/// [`Stoppers`] in the making. What is stored comes in the order of the methods.
#[derive(Debug)]
pub struct Restorer {
    stoppers: Stoppers,
    /// By metric: the averages of all trials, for percentile rules.
    bulks: Vec<Bulk>,
    averages: Vec<(Cell, f64)>,
}

impl Restorer {
    /// Begins with the rules of a study.
    #[must_use]
    pub fn new(rules: &[StopperSpec], objective: &Objective) -> Self {
        let stoppers = Stoppers::new(rules, objective);
        let bulks = stoppers.metrics.iter().map(|_| Bulk::default()).collect();
        Self {
            stoppers,
            bulks,
            averages: Vec::new(),
        }
    }

    /// A trial that has ended, with its value as for [`Stoppers::trial_ended`]. All of them come before the first curve.
    pub fn trial_ended(&mut self, trial: TrialNumber, value: Option<f64>) {
        self.stoppers.trial_ended(trial, value);
    }

    /// Metrics of which it is not known yet that any trial has reported them.
    #[must_use]
    pub fn unreported(&self) -> Vec<MetricName> {
        let unreported = self.stoppers.metrics.iter().filter(|watched| !watched.reported);
        unreported.map(|watched| watched.name.clone()).collect()
    }

    /// Some trial has reported a metric, whether or not its points follow.
    pub fn metric_reported(&mut self, metric: &MetricName) {
        for watched in &mut self.stoppers.metrics {
            watched.reported |= watched.name == *metric;
        }
    }

    /// Metrics whose curves are wanted of all trials.
    #[must_use]
    pub fn metrics_of_all_trials(&self) -> Vec<MetricName> {
        let compared = self.stoppers.metrics.iter().filter(|watched| {
            let compared = &watched.compared;
            compared.cohort.is_some() || !compared.rungs.is_empty() || !compared.pasts.is_empty()
        });
        compared.map(|watched| watched.name.clone()).collect()
    }

    /// Trials that have ended and are compared with, so that their curves of all metrics with rules are wanted. Of other trials
    /// that have ended, those of [`Self::metrics_of_all_trials`] are enough.
    #[must_use]
    pub fn trials_compared_with(&self) -> Vec<TrialNumber> {
        let mut trials: Vec<TrialNumber> = Vec::new();
        for watched in &self.stoppers.metrics {
            let ended = watched.baselines.iter().filter(|(_, curve)| curve.is_some());
            trials.extend(ended.map(|(trial, _)| *trial));
            trials.extend(watched.best.as_ref().map(|(trial, _)| *trial));
        }
        trials.sort_unstable();
        trials.dedup();
        trials
    }

    /// A trial's curve of a metric: values by step, ascending, one for each step; what a later attempt replaced is not in it. At
    /// most one for each trial and metric.
    pub fn curve(&mut self, trial: TrialNumber, metric: &MetricName, points: &[(i64, f64)]) {
        let stoppers = &mut self.stoppers;
        let Some(index) = stoppers
            .metrics
            .iter()
            .position(|watched| watched.name == *metric)
        else {
            return;
        };
        let count = stoppers.metrics.len();
        let watched = &mut stoppers.metrics[index];
        watched.reported = true;
        self.averages.clear();
        let mut owner = 0;
        if watched.compared.cohort.is_some() {
            averages_of(points, watched.goal, &mut self.averages);
            owner = self.bulks[index].add(&self.averages);
        }
        let goal = watched.goal;
        let rungs = watched.compared.rungs.iter_mut();
        let entries = rungs.map(|rungs| {
            let mut entries = rungs.new_entries(trial);
            rungs.enter_again(&mut entries, goal, points);
            entries
        });
        let entries: Vec<_> = entries.collect();
        if stoppers.ended.contains(trial) {
            for past in &mut watched.compared.pasts {
                past.ended(trial, watched.goal, points);
            }
            if let Some((best, curve)) = &mut watched.best
                && *best == trial
            {
                *curve = points.to_vec();
            }
            if let Some(curve) = watched.baselines.get_mut(&trial) {
                *curve = Some(points.to_vec());
            }
            return;
        }
        let tracks = &mut stoppers.trials.entry(trial).or_default().tracks;
        tracks.resize_with(count, || None);
        tracks[index] = Some(Box::new(Track::restored(
            &watched.rules,
            watched.goal,
            points.to_vec(),
            self.averages.clone(),
            owner,
            entries,
        )));
    }

    /// A rule has said stop of a trial: it will not say so again. Unknown rules are ignored.
    pub fn decision(&mut self, trial: TrialNumber, rule_index: u32) {
        self.stoppers.note_decision(trial, rule_index);
    }

    /// The rules, ready to judge.
    #[must_use]
    pub fn finish(self) -> Stoppers {
        let mut stoppers = self.stoppers;
        for (watched, bulk) in stoppers.metrics.iter_mut().zip(self.bulks) {
            if watched.compared.cohort.is_some() {
                watched.compared.cohort = Some(bulk.into_cohort());
            }
        }
        stoppers
    }
}
