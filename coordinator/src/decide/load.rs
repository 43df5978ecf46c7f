//! A study from what is stored of it.
//!
//! What comes out decides as the study would have that was never unloaded: the same trials next, the same stops.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::checkpoint::Stages;
use tunesmith_common::decision::Origin;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{SpecErrors, StudySpec};
use tunesmith_common::trial::{StopReason, Trial, TrialState};
use tunesmith_common::{Attempt, Params, Timestamp, TrialNumber};
use tunesmith_optimizer::{FinishedTrial, Restorer, Stoppers};

use super::advice::Adviser;
use super::best::Best;
use super::checkpoints::Uses;
use super::course::Course;
use super::curve::Curve;
use super::history::seen;
use super::improvement::Improvement;
use super::results::Results;
use super::stages::{counts_for_best, seen_at, seen_earlier, shown};
use super::study::{Counts, Ctx, StudyCore};
use super::trial::{ActiveAttempt, ActiveTrial};
use super::values::{Past, Readings, Values};
use crate::store::{
    AttemptRow, DecisionRow, EndedTrial, PointRun, PointRuns, PriorTrial, RequestRow, StoredTrial, StudyRow,
    TrialRow,
};

/// A study in the making. Rows come in the order of the methods below.
#[derive(Debug)]
pub struct Loader {
    core: StudyCore,
    stoppers: Restorer,
    /// The metrics that values are taken from, and those that rules look at.
    metrics: Vec<MetricName>,
    /// Metrics whose curves rules compare, of all trials.
    compared_metrics: Vec<MetricName>,
    /// Trials that have ended and whose whole curves rules compare with.
    compared_trials: Vec<TrialNumber>,
    curves: Curves,
    /// What the strategy has seen, with when.
    results: Vec<(Timestamp, Kind, FinishedTrial)>,
}

/// What kind of result it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// What a trial had come to at a rung, or when its time was up for the first time.
    Rung,
    /// What it came to in the end.
    End,
}

/// The curves of the trial whose points are being read, by metric; the memory is used again for the next trial.
#[derive(Debug, Default)]
struct Curves(Vec<Curve>);

impl Loader {
    /// Begins with the study itself.
    ///
    /// # Errors
    /// If what is stored is not a study file that this version accepts.
    pub fn new(row: StudyRow, revision: u64, ctx: &Ctx<'_>) -> Result<Self, SpecErrors> {
        let spec = StudySpec::try_from(row.spec.clone())?;
        let restorer = Restorer::new(&spec.early_stopping, &spec.objective);
        let stoppers = Stoppers::new(&spec.early_stopping, &spec.objective);
        let course = Course::of(&spec);
        let warnings = spec.warnings();
        let core = StudyCore {
            id: row.id,
            readings: Readings::new(&spec),
            adviser: Adviser::of(&spec),
            spec: Arc::new(spec),
            row,
            warnings,
            revision,
            last_end: Timestamp::UNIX_EPOCH,
            dry: None,
            stoppers,
            course,
            uses: Uses::default(),
            unreached: BTreeMap::new(),
            near: BTreeSet::new(),
            active: BTreeMap::new(),
            ended: Vec::new(),
            results: Results::default(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            next_number: 1,
            proposed: 0,
            looked_ahead: None,
            cursor: None,
            counts: Counts::default(),
            best: Best::default(),
            improvement: Improvement::default(),
            steps_saved: 0,
            answers: HashMap::new(),
            answer_order: VecDeque::new(),
            counted_to: ctx.mono,
            lease_floor: ctx.mono,
            loaded_at: revision,
        };
        Ok(Self {
            metrics: core.known_metrics(),
            compared_metrics: restorer.metrics_of_all_trials(),
            compared_trials: Vec::new(),
            curves: Curves::default(),
            stoppers: restorer,
            core,
            results: Vec::new(),
        })
    }

    /// The trials of other studies that it knows.
    pub fn history(&mut self, trials: Vec<PriorTrial>) {
        let seen = trials
            .into_iter()
            .map(|trial| seen(trial, &self.core.spec))
            .collect();
        self.core.adviser.begin_with(seen);
    }

    /// Trials, ascending by number.
    pub fn trials(&mut self, trials: Vec<StoredTrial>, ctx: &Ctx<'_>) {
        for trial in trials {
            match trial {
                StoredTrial::Ended(ended) => self.ended(ended),
                StoredTrial::Living(row) => self.living(*row, ctx),
            }
        }
        self.compared_trials = self.stoppers.trials_compared_with();
    }

    fn ended(&mut self, trial: EndedTrial) {
        self.count(trial.number, trial.end.name(), trial.origin, trial.cursor);
        let past = Past {
            number: trial.number,
            end: trial.end,
            values: Values {
                first: trial.value,
                more: trial.more_values,
            },
            encoded: self.encode(&trial.params),
            last_step: trial.last_step,
        };
        self.core.last_end = self.core.last_end.max(trial.ended_at);
        let stages = trial.stages.map(|stages| *stages).unwrap_or_default();
        self.core.uses.add_all(&stages);
        self.rungs(trial.number, trial.origin, &past.encoded, &stages);
        self.core
            .leave_course(trial.number, (trial.end, trial.value), &stages);
        let (value, finished) = self.core.remember(past, trial.ended_at);
        self.results.push((trial.ended_at, Kind::End, finished));
        self.stoppers.trial_ended(trial.number, value);
    }

    /// Where a trial began, and what it had come to at rungs.
    fn rungs(&mut self, number: TrialNumber, origin: Origin, encoded: &[f64], stages: &Stages) {
        let used = self.core.enter_course(number, encoded, stages, origin);
        self.core.uses.remove_of(used.map(|used| *used));
        let spec = &self.core.spec;
        for result in &stages.rungs {
            let Some(course) = &mut self.core.course else {
                break;
            };
            course.reach(number, result.rung, spec.objective.goal.to_minimize(result.value));
            self.core.last_end = self.core.last_end.max(result.at);
        }
        for end in &stages.earlier_ends {
            self.core.last_end = self.core.last_end.max(end.went_on_at);
            self.results
                .push((end.at, Kind::Rung, seen_earlier(number, encoded, end, spec)));
        }
        for result in shown(&stages.rungs) {
            self.results
                .push((result.at, Kind::Rung, seen_at(number, encoded, result, spec)));
        }
    }

    fn living(&mut self, row: TrialRow, ctx: &Ctx<'_>) {
        self.count(
            row.number,
            row.state.name(),
            row.provenance.origin,
            row.provenance.cursor,
        );
        let retries = self.core.spec.trial.as_ref().map_or(0, |trial| trial.retries);
        if row.state == TrialState::Pending {
            self.core.ready.insert(row.number);
        }
        let encoded = self.encode(&row.params);
        self.core.uses.add_all(&row.stages);
        self.rungs(row.number, row.provenance.origin, &encoded, &row.stages);
        if matches!(
            row.state,
            TrialState::Paused | TrialState::Stopping(_, StopReason::Paused { .. })
        ) {
            self.core.rest(row.number);
        }
        let trial = ActiveTrial {
            life: Trial::restore(
                row.state,
                row.attempt,
                retries,
                row.program_failures,
                row.infrastructure_failures,
            ),
            encoded,
            params: row.params,
            seed: row.seed,
            note: row.note,
            tags: row.tags,
            provenance: row.provenance,
            created_at: row.created_at,
            started_at: row.started_at,
            curves: self.core.readings.no_curves(),
            told: Box::default(),
            last: row.metrics,
            last_step: row.last_step,
            stages: row.stages,
            attempt: None,
            ready_at: ctx.mono,
        };
        self.core.active.insert(row.number, trial);
    }

    fn count(&mut self, number: TrialNumber, state: &str, origin: Origin, cursor: Option<u64>) {
        self.core.next_number = self.core.next_number.max(number.0 + 1);
        if origin == Origin::Strategy {
            self.core.proposed += 1;
            self.core.cursor = cursor.or(self.core.cursor);
        }
        if let Some(count) = self.core.counts.of(state) {
            *count += 1;
        }
    }

    fn encode(&self, params: &Params) -> Box<[f64]> {
        match self.core.spec.space.encode(params) {
            Ok(encoded) => encoded.into(),
            // Stored under another version of the space: kept and shown, not shown to the strategy's model.
            Err(_) => vec![f64::NAN; self.core.spec.space.dimensions().len()].into(),
        }
    }

    /// Attempts that have not ended, with the sequence number of the last point stored of each.
    pub fn attempts(
        &mut self,
        rows: Vec<AttemptRow>,
        committed: &[(TrialNumber, Attempt, u64)],
        ctx: &Ctx<'_>,
    ) {
        let committed: HashMap<_, _> = committed
            .iter()
            .map(|&(trial, attempt, seq)| ((trial, attempt), seq))
            .collect();
        for row in rows {
            let Some(trial) = self.core.active.get_mut(&row.trial) else {
                continue;
            };
            if trial
                .life
                .state()
                .lease()
                .is_none_or(|lease| lease.id != row.lease)
            {
                continue;
            }
            let run_before = row
                .started_at
                .map_or(Duration::ZERO, |at| ctx.now.saturating_since(at));
            let committed = committed.get(&(row.trial, row.attempt)).copied().unwrap_or(0);
            trial.attempt = Some(ActiveAttempt {
                committed,
                batches: committed,
                reported: Vec::new(),
                renewed: ctx.mono,
                running_since: row.started_at.map(|_| ctx.mono),
                run_before,
                ran: None,
                end: None,
                row,
            });
        }
    }

    /// Trials that have not ended; their judgements are wanted, for [`Self::decisions`].
    #[must_use]
    pub fn living_trials(&self) -> Vec<TrialNumber> {
        self.core.active.keys().copied().collect()
    }

    /// Judgements about trials that have not ended, so that none is made twice.
    pub fn decisions(&mut self, rows: &[DecisionRow]) {
        for row in rows {
            self.stoppers.decision(row.trial, row.decision.rule_index);
        }
    }

    /// Trials whose points of [`Self::metrics`] are wanted, for [`Self::points`].
    #[must_use]
    pub fn trials_apart(&self) -> Vec<TrialNumber> {
        let living = self.core.active.keys();
        living.chain(&self.compared_trials).copied().collect()
    }

    /// Metrics whose points are wanted of those trials.
    #[must_use]
    pub fn metrics(&self) -> &[MetricName] {
        &self.metrics
    }

    /// All points of [`Self::metrics`] of some of [`Self::trials_apart`].
    pub fn points(&mut self, runs: &PointRuns) {
        self.take(runs, false);
    }

    /// Metrics whose points are wanted of all trials, for [`Self::points_of_all`].
    #[must_use]
    pub fn metrics_of_all(&self) -> &[MetricName] {
        &self.compared_metrics
    }

    /// Points of [`Self::metrics_of_all`], whole trials at a time. Those of [`Self::trials_apart`] may be among them.
    pub fn points_of_all(&mut self, runs: &PointRuns) {
        self.take(runs, true);
    }

    /// Metrics that rules look at and that are not known to have been reported by any trial.
    #[must_use]
    pub fn unreported(&self) -> Vec<MetricName> {
        self.stoppers.unreported()
    }

    /// Some trial has reported this metric.
    pub fn reported(&mut self, metric: &MetricName) {
        self.stoppers.metric_reported(metric);
    }

    /// When the oldest of the trials that have not ended was made.
    #[must_use]
    pub fn alive_since(&self) -> Option<Timestamp> {
        self.core.active.values().map(|trial| trial.created_at).min()
    }

    /// Answers to calls that may be repeated, oldest first. Those from before `since` count while one of their trials has not ended.
    pub fn requests(&mut self, rows: Vec<RequestRow>, since: Timestamp) {
        for row in rows {
            let is_alive = |trial: &TrialNumber| self.core.active.contains_key(trial);
            if row.at >= since || row.trials.iter().any(is_alive) {
                self.core.remember_request(row);
            }
        }
    }

    /// The study. Every lease gets a full new term.
    #[must_use]
    pub fn finish(mut self) -> StudyCore {
        self.core.stoppers = self.stoppers.finish();
        // Strategies saw the results in the order in which they came.
        let mut results = self.results;
        results.sort_by_key(|(at, kind, finished)| (*at, finished.trial, *kind));
        self.core.results.sort();
        // Of equal trials the one that ended first is the best.
        let at_rungs = counts_for_best(&self.core.spec);
        let mut best = Best::default();
        let mut improvement = Improvement::default();
        for (known, (_, kind, finished)) in (1..).zip(&results) {
            if at_rungs || *kind == Kind::End {
                best.consider(&self.core.spec, finished);
            }
            match kind {
                Kind::End => improvement.result(&self.core.spec, finished, known),
                _ if at_rungs => improvement.at_rung(&self.core.spec, finished),
                _ => {}
            }
        }
        self.core.improvement = improvement.loaded(&self.core.spec);
        self.core.best = best;
        self.core
            .adviser
            .known(results.into_iter().map(|(_, _, finished)| finished));
        self.core.near_limits_known(self.core.counted_to);
        self.core
    }

    fn take(&mut self, runs: &PointRuns, of_all: bool) {
        let mut curves = std::mem::take(&mut self.curves);
        let mut runs = runs.iter().peekable();
        while let Some(&PointRun { trial: number, .. }) = runs.peek() {
            let mut of_trial = std::iter::from_fn(|| runs.next_if(|run| run.trial == number));
            let apart = self.core.active.contains_key(&number) || self.compared_trials.contains(&number);
            if of_all && apart {
                of_trial.by_ref().for_each(drop);
                continue;
            }
            let metrics = if of_all {
                &self.compared_metrics
            } else {
                &self.metrics
            };
            let current = self
                .core
                .active
                .get_mut(&number)
                .and_then(|trial| trial.attempt.as_mut());
            curves.read(metrics, of_trial, current);
            for (metric, curve) in metrics.iter().zip(&mut curves.0) {
                if !curve.points().is_empty() {
                    self.stoppers.curve(number, metric, curve.points());
                }
            }
            // The metrics begin with those that values are taken from.
            if let Some(trial) = self.core.active.get_mut(&number) {
                for (kept, read) in trial.curves.iter_mut().zip(&mut curves.0) {
                    *kept = std::mem::take(read);
                }
            }
        }
        self.curves = curves;
    }
}

impl Curves {
    /// Reads the points of one trial. Each attempt's first point of a metric replaces what earlier ones reported from its step on.
    fn read<'a>(
        &mut self,
        metrics: &[MetricName],
        runs: impl Iterator<Item = PointRun<'a>>,
        mut current: Option<&mut ActiveAttempt>,
    ) {
        self.0.resize_with(metrics.len(), Curve::default);
        self.0.iter_mut().for_each(Curve::clear);
        let mut last: Option<(Attempt, usize)> = None;
        for run in runs {
            let Some(curve) = self.0.get_mut(run.metric) else {
                continue;
            };
            // Runs are ordered by attempt, then metric.
            let begins = last.replace((run.attempt, run.metric)) != Some((run.attempt, run.metric));
            if begins && let Some(&(step, _)) = run.points.first() {
                curve.truncate_from(step);
            }
            for &(step, value) in run.points {
                curve.report(step, value);
            }
            if let Some(current) = &mut current
                && current.row.attempt == run.attempt
                && begins
                && let Some(metric) = metrics.get(run.metric)
            {
                current.reported.push(metric.clone());
            }
        }
    }
}
