//! A study from what is stored of it.
//!
//! What comes out decides as the study would have that was never unloaded: the same trials next, the same stops.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::{SpecErrors, StudySpec};
use tunesmith_common::trial::{Trial, TrialState};
use tunesmith_common::{Attempt, Timestamp, TrialNumber};
use tunesmith_optimizer::Stoppers;

use super::curve::Curve;
use super::study::{Counts, Ctx, StudyCore};
use super::trial::{ActiveAttempt, ActiveTrial};
use crate::store::{AttemptRow, DecisionRow, PointChunk, RequestRow, StudyRow, TrialRow};

/// A study in the making. Rows come in the order of the methods below.
#[derive(Debug)]
pub struct Loader {
    core: StudyCore,
    /// Trials that have ended and whose points are still to come.
    waiting_for_points: BTreeMap<TrialNumber, (ActiveTrial, Option<f64>)>,
}

impl Loader {
    /// Begins with the study itself.
    ///
    /// # Errors
    /// If what is stored is not a study file that this version accepts.
    pub fn new(row: StudyRow, revision: u64, ctx: &Ctx<'_>) -> Result<Self, SpecErrors> {
        let spec = StudySpec::try_from(row.spec.clone())?;
        let (strategy, _) = tunesmith_optimizer::build(&spec);
        let stoppers = Stoppers::new(&spec.early_stopping, &spec.objective);
        let warnings = spec.warnings();
        let core = StudyCore {
            id: row.id,
            spec: Arc::new(spec),
            row,
            warnings,
            revision,
            strategy,
            dry: None,
            stoppers,
            active: BTreeMap::new(),
            history: Vec::new(),
            ended: Vec::new(),
            ready: BTreeSet::new(),
            delayed: BTreeSet::new(),
            next_number: 1,
            proposed: 0,
            looked_ahead: None,
            cursor: None,
            counts: Counts::default(),
            best: None,
            steps_saved: 0,
            answers: HashMap::new(),
            answer_order: VecDeque::new(),
            counted_to: ctx.mono,
            lease_floor: ctx.mono,
        };
        Ok(Self {
            core,
            waiting_for_points: BTreeMap::new(),
        })
    }

    /// Metrics whose points are wanted: of all trials those that rules look at, of living trials the objective's too.
    #[must_use]
    pub fn wanted_metrics(&self) -> Vec<MetricName> {
        self.core.known_metrics()
    }

    /// Whether points of trials that have ended are wanted.
    #[must_use]
    pub fn wants_all_points(&self) -> bool {
        !self.core.spec.early_stopping.is_empty()
    }

    /// Trials, ascending by number.
    pub fn trials(&mut self, rows: Vec<TrialRow>, ctx: &Ctx<'_>) {
        for row in rows {
            let number = row.number;
            let encoded = match self.core.spec.space.encode(&row.params) {
                Ok(encoded) => encoded.into(),
                // Stored under another version of the space: kept and shown, not shown to the strategy's model.
                Err(_) => vec![f64::NAN; self.core.spec.space.dimensions().len()].into(),
            };
            self.core.next_number = self.core.next_number.max(number.0 + 1);
            if row.provenance.origin == tunesmith_common::decision::Origin::Strategy {
                self.core.proposed += 1;
                self.core.cursor = row.provenance.cursor.or(self.core.cursor);
            }
            if let Some(count) = self.core.counts.of(row.state.name()) {
                *count += 1;
            }
            let retries = self.core.spec.trial.as_ref().map_or(0, |trial| trial.retries);
            let ended = row.state.is_final();
            let waiting = row.state == TrialState::Pending;
            let value = row.value;
            let trial = ActiveTrial {
                life: Trial::restore(
                    row.state,
                    row.attempt,
                    retries,
                    row.program_failures,
                    row.infrastructure_failures,
                ),
                params: row.params,
                encoded,
                seed: row.seed,
                note: row.note,
                provenance: row.provenance,
                created_at: row.created_at,
                started_at: row.started_at,
                curve: Curve::default(),
                told: None,
                last: row.metrics,
                last_step: row.last_step,
                attempt: None,
                ready_at: ctx.mono,
            };
            if ended {
                if self.wants_all_points() {
                    self.waiting_for_points.insert(number, (trial, value));
                } else {
                    self.core.remember_end(number, &trial, value);
                }
            } else {
                if waiting {
                    self.core.ready.insert(number);
                }
                self.core.active.insert(number, trial);
            }
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
                end: None,
                row,
            });
        }
    }

    /// Points, whole trials at a time and in the order in which the store returns them.
    pub fn points(&mut self, chunks: &[PointChunk]) {
        for group in chunks.chunk_by(|a, b| a.trial == b.trial) {
            let Some(first) = group.first() else { continue };
            self.replay(first.trial, group);
            if let Some((trial, value)) = self.waiting_for_points.remove(&first.trial) {
                self.core.remember_end(first.trial, &trial, value);
            }
        }
    }

    /// Judgements about trials that have not ended, so that none is made twice.
    pub fn decisions(&mut self, rows: &[DecisionRow]) {
        for row in rows {
            self.core
                .stoppers
                .restore_decision(row.trial, row.decision.rule_index);
        }
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
                self.core.remember(row);
            }
        }
    }

    /// The study. Every lease gets a full new term.
    #[must_use]
    pub fn finish(mut self) -> StudyCore {
        for (number, (trial, value)) in std::mem::take(&mut self.waiting_for_points) {
            self.core.remember_end(number, &trial, value);
        }
        // Strategies and people see the trials that ended in the order of their numbers after a restart.
        self.core.history.sort_by_key(|finished| finished.trial);
        self.core.best = None;
        let goal = self.core.spec.objective.goal;
        for finished in &self.core.history {
            if let Some(value) = finished
                .value
                .map(|value| goal.to_minimize(value))
                .filter(|value| value.is_finite())
                && self.core.best.is_none_or(|(_, best)| goal.better(value, best))
            {
                self.core.best = Some((finished.trial, value));
            }
        }
        self.core
    }

    fn replay(&mut self, number: TrialNumber, chunks: &[PointChunk]) {
        let objective = self.core.spec.objective.metric.clone();
        let mut attempts: Vec<Attempt> = chunks.iter().map(|chunk| chunk.attempt).collect();
        attempts.dedup();
        for attempt in attempts {
            let chunks = chunks.iter().filter(|chunk| chunk.attempt == attempt);
            let mut seen: HashSet<&MetricName> = HashSet::new();
            for chunk in chunks {
                let restarted = seen.insert(&chunk.metric);
                if restarted && let Some(&step) = chunk.steps.first() {
                    self.core.stoppers.metric_restarted(number, &chunk.metric, step);
                }
                for (&step, &value) in chunk.steps.iter().zip(&chunk.values) {
                    self.core
                        .stoppers
                        .restore_point(number, &chunk.metric, step, value);
                }
                let Some(trial) = self.core.active.get_mut(&number) else {
                    continue;
                };
                if chunk.metric == objective {
                    if restarted && let Some(&step) = chunk.steps.first() {
                        trial.curve.truncate_from(step);
                    }
                    for (&step, &value) in chunk.steps.iter().zip(&chunk.values) {
                        trial.curve.report(step, value);
                    }
                }
                if let Some(current) = &mut trial.attempt
                    && current.row.attempt == attempt
                    && !current.reported.contains(&chunk.metric)
                {
                    current.reported.push(chunk.metric.clone());
                }
            }
        }
    }
}
