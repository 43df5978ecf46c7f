//! A study in memory, and the one way in which its trials change.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::clock::Monotonic;
use tunesmith_common::space::SpaceError;
use tunesmith_common::study::StudySpec;
use tunesmith_common::trial::{Effect, Event, Holder, TransitionError, TrialState};
use tunesmith_common::{CheckpointStoreId, LeaseKey, RequestId, StudyId, Timestamp, TrialNumber, WorkerId};
use tunesmith_optimizer::{FinishedTrial, RungView, Stoppers};

use super::advice::Adviser;
use super::ask::Answer;
use super::best::{Best, value_that_ranks};
use super::checkpoints::Uses;
use super::course::Course;
use super::improvement::{Improvement, Improving};
use super::more_time::end_count;
use super::order::Order;
use super::outbox::Outbox;
use super::propose::NoTrial;
use super::results::{Outcome, Results};
use super::trial::ActiveTrial;
use super::values::{Ended, Past, Readings, Values};
use crate::store::{AuditRow, Changes, End, StudyRow, StudyState, TrialRow};

/// What a step needs from outside: the time, and random numbers for lease ids.
pub struct Ctx<'a> {
    /// Wall-clock time.
    pub now: Timestamp,
    /// Monotonic time.
    pub mono: Monotonic,
    /// Source of unguessable numbers.
    pub random: &'a mut (dyn FnMut() -> u128 + Send),
}

impl fmt::Debug for Ctx<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ctx")
            .field("now", &self.now)
            .field("mono", &self.mono)
            .finish_non_exhaustive()
    }
}

/// Why a study refused a command. Nothing has changed then.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum CoreError {
    /// The study has no such trial.
    #[error("there is no trial {0}")]
    TrialNotFound(TrialNumber),
    /// The trial's state does not allow it, or the lease is stale.
    #[error(transparent)]
    Transition(#[from] TransitionError),
    /// The trial has ended, with another result than the one told.
    #[error("trial {trial} has ended already: {state} with value {}", value.map_or("none".to_owned(), |value| value.to_string()))]
    AlreadyEnded {
        /// The trial.
        trial: TrialNumber,
        /// Its state.
        state: &'static str,
        /// Its value.
        value: Option<f64>,
    },
    /// The study's state does not allow it.
    #[error("the study is {state}: {remedy}")]
    StudyState {
        /// State of the study.
        state: &'static str,
        /// What can be done about it.
        remedy: String,
    },
    /// There is no trial to hand out.
    #[error(transparent)]
    NoTrial(#[from] NoTrial),
    /// A field of the call is wrong.
    #[error("{field}: {message}")]
    Invalid {
        /// The field.
        field: String,
        /// What is wrong with it.
        message: String,
    },
    /// Values of parameters do not fit the search space.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Space(Vec<SpaceError>),
    /// A trial that had ended has just gone on, or the like.
    #[error("the study is just changing; try again")]
    Busy,
    /// The request id was used for a call with other content.
    #[error("request id {0} was used before with other content; use a new one for a new call")]
    RequestReused(RequestId),
}

/// Trials by state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Waiting.
    pub pending: u64,
    /// Handed out, not started.
    pub leased: u64,
    /// Running.
    pub running: u64,
    /// Asked to stop.
    pub stopping: u64,
    /// Resting.
    pub paused: u64,
    /// Ended by themselves.
    pub completed: u64,
    /// Stopped by a rule.
    pub early_stopped: u64,
    /// Stopped because time was up.
    pub timed_out: u64,
    /// Failed for good.
    pub failed: u64,
    /// Cancelled.
    pub cancelled: u64,
}

impl Counts {
    /// The count of trials whose state has this name ([`TrialState::name`]).
    pub fn of(&mut self, state: &str) -> Option<&mut u64> {
        Some(match state {
            "PENDING" => &mut self.pending,
            "LEASED" => &mut self.leased,
            "RUNNING" => &mut self.running,
            "STOPPING" => &mut self.stopping,
            "PAUSED" => &mut self.paused,
            "COMPLETED" => &mut self.completed,
            "EARLY_STOPPED" => &mut self.early_stopped,
            "TIMED_OUT" => &mut self.timed_out,
            "FAILED" => &mut self.failed,
            "CANCELLED" => &mut self.cancelled,
            _ => return None,
        })
    }

    /// Trials that hold a lease.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.leased + self.running + self.stopping
    }

    /// Trials that have not ended.
    #[must_use]
    pub fn alive(&self) -> u64 {
        self.in_flight() + self.pending + self.paused
    }

    /// Trials that ended with a result that counts.
    #[must_use]
    pub fn usable(&self) -> u64 {
        self.completed + self.early_stopped + self.timed_out
    }

    fn add(&mut self, state: &TrialState) {
        if let Some(count) = self.of(state.name()) {
            *count += 1;
        }
    }

    fn remove(&mut self, state: &TrialState) {
        if let Some(count) = self.of(state.name()) {
            *count = count.saturating_sub(1);
        }
    }
}

/// What people see of a study as a whole, as of its last commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Summary {
    /// The study as stored, with its times brought up to the moment.
    pub study: StudyRow,
    /// Number of commits.
    pub revision: u64,
    /// Trials by state.
    pub counts: Counts,
    /// The best trial that has ended, with its value. None with several objectives.
    pub best: Option<(TrialNumber, f64)>,
    /// With several objectives the Pareto set of the trials that have ended, best in the first objective first.
    pub pareto_set: Arc<[TrialNumber]>,
    /// Steps that stopping early saved, against the declared maximum.
    pub steps_saved: u64,
    /// GPU time that trials which run may still use up to their limit, in seconds.
    pub committed_gpu_seconds: f64,
    /// What trials which run may still cost up to their limit.
    pub committed_cost: f64,
    /// Things its owner should know.
    pub warnings: Vec<String>,
    /// Why the study itself hands nothing out at the moment; empty if it does.
    pub waits_for: String,
    /// What its early-stopping rules are waiting for.
    pub stoppers: Vec<String>,
    /// If trials are trained in stages: the rungs of each bracket.
    pub rungs: Vec<Vec<RungView>>,
    /// How its results become better, and whether going on is worth it.
    pub improving: Improving,
}

/// A study in memory.
#[derive(Debug)]
pub struct StudyCore {
    pub(super) id: StudyId,
    pub(super) spec: Arc<StudySpec>,
    /// How trials' values are taken from their curves.
    pub(super) readings: Readings,
    pub(super) row: StudyRow,
    pub(super) warnings: Vec<String>,
    pub(super) revision: u64,
    pub(super) adviser: Adviser,
    /// When the last trial ended.
    pub(super) last_end: Timestamp,
    /// Why the strategy proposes nothing more, once it has said so.
    pub(super) dry: Option<NoTrial>,
    pub(super) stoppers: Stoppers,
    /// What trials go through, if they are not trained in one go.
    pub(super) course: Option<Course>,
    /// Who refers to which checkpoint.
    pub(super) uses: Uses,
    /// Places of checkpoints that trials wait for and that nobody reaches, and since when.
    pub(super) unreached: BTreeMap<CheckpointStoreId, Monotonic>,
    /// Limits that are nearly reached, as far as that was recorded.
    pub(super) near: BTreeSet<&'static str>,
    pub(super) active: BTreeMap<TrialNumber, ActiveTrial>,
    /// Indexed by trial number minus one.
    pub(super) ended: Vec<Option<Ended>>,
    /// The same, in the order in which they ended.
    pub(super) results: Results,
    pub(super) ready: BTreeSet<TrialNumber>,
    pub(super) delayed: BTreeSet<(Monotonic, TrialNumber)>,
    pub(super) next_number: u64,
    /// Trials that the strategy has proposed.
    pub(super) proposed: u64,
    /// How many it had proposed when it was last asked whether it is at its end.
    pub(super) looked_ahead: Option<u64>,
    /// Where the strategy's enumeration stands, for strategies that enumerate.
    pub(super) cursor: Option<u64>,
    pub(super) counts: Counts,
    pub(super) best: Best,
    pub(super) improvement: Improvement,
    pub(super) steps_saved: u64,
    /// Answers to calls that may be repeated.
    pub(super) answers: HashMap<RequestId, Answer>,
    /// The same, oldest first.
    pub(super) answer_order: VecDeque<RequestId>,
    /// Up to when `row.active_time` is counted.
    pub(super) counted_to: Monotonic,
    /// Leases that existed when this process loaded the study, or when it noticed a pause of its own, run from here.
    pub(super) lease_floor: Monotonic,
    /// The revision at which it was loaded.
    pub(super) loaded_at: u64,
}

impl StudyCore {
    /// Identity of the study.
    #[must_use]
    pub fn id(&self) -> StudyId {
        self.id
    }

    /// What its owner declared.
    #[must_use]
    pub fn spec(&self) -> &Arc<StudySpec> {
        &self.spec
    }

    /// Number of commits so far.
    #[must_use]
    pub fn revision(&self) -> u64 {
        self.revision
    }

    /// Takes note that the last changes were committed.
    pub fn committed(&mut self, revision: u64) {
        self.revision = revision;
    }

    /// State of the study.
    #[must_use]
    pub fn state(&self) -> StudyState {
        self.row.state
    }

    /// Whether nothing is left to do or to wait for.
    #[must_use]
    pub fn is_over(&self) -> bool {
        matches!(self.row.state, StudyState::Done(_) | StudyState::Archived(_)) && self.active.is_empty()
    }

    /// The changes and orders that `outbox` has collected. To be committed, in this order: changes first.
    pub fn close(&mut self, outbox: Outbox, ctx: &Ctx<'_>) -> (Changes, Vec<(WorkerId, Order)>) {
        let study = outbox.study.then(|| {
            self.count_time(ctx.mono);
            self.row.updated_at = ctx.now;
            self.row.clone()
        });
        outbox.close(study, |number| self.active_row(number))
    }

    /// What people see of the study.
    #[must_use]
    pub fn summary(&self, ctx: &Ctx<'_>) -> Summary {
        let mut study = self.row.clone();
        study.active_time = self.active_time(ctx.mono);
        study.gpu_seconds = self.gpu_seconds(ctx.mono);
        study.cost = self.cost(ctx.mono);
        let near = self.near_limits(ctx.mono);
        let warnings = self.warnings.iter().cloned();
        let warnings = warnings
            .chain(near.iter().map(ToString::to_string))
            .chain(self.without_checkpoint())
            .collect();
        Summary {
            study,
            revision: self.revision,
            counts: self.counts,
            best: self.best.one,
            pareto_set: Arc::clone(self.best.set.numbers()),
            steps_saved: self.steps_saved,
            committed_gpu_seconds: self.committed_gpu_seconds(ctx.mono),
            committed_cost: self.committed_cost(ctx.mono),
            warnings,
            waits_for: self.waits_for(ctx),
            stoppers: self.stoppers.status(),
            rungs: self.rungs(),
            improving: self.improving(),
        }
    }

    /// The row of a trial that has not ended, as it would be stored.
    #[must_use]
    pub fn active_row(&self, number: TrialNumber) -> Option<TrialRow> {
        let trial = self.active.get(&number)?;
        Some(trial.row(number, self.values_of(trial), None))
    }

    pub(super) fn values_of(&self, trial: &ActiveTrial) -> Values {
        self.readings.values(&trial.curves, &trial.told)
    }

    pub(super) fn lease_key(&self, number: TrialNumber) -> Option<LeaseKey> {
        let lease = self.active.get(&number)?.life.state().lease()?;
        Some(LeaseKey {
            study: self.id,
            trial: number,
            attempt: lease.attempt,
            id: lease.id,
        })
    }

    pub(super) fn audit(
        &self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        actor: &str,
        action: &str,
        trial: Option<TrialNumber>,
        detail: &str,
    ) {
        let subject = match trial {
            Some(number) => format!("studies/{}/trials/{number}", self.row.name),
            None => format!("studies/{}", self.row.name),
        };
        out.audit(AuditRow {
            at: ctx.now,
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject,
            detail: detail.to_owned(),
        });
    }

    /// Adds a new trial that waits.
    pub(super) fn insert(&mut self, out: &mut Outbox, number: TrialNumber, trial: ActiveTrial) {
        self.counts.add(trial.life.state());
        let unused = self.enter_course(number, &trial.encoded, &trial.stages, trial.provenance.origin);
        self.release(out, unused);
        self.ready.insert(number);
        self.active.insert(number, trial);
        out.trials.insert(number, None);
    }

    /// Applies `event` to a trial and carries out what follows inside the study. The only way in which a trial changes.
    ///
    /// `outcome` describes, for people, how the attempt ended if this event ends it.
    pub(super) fn apply(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        event: Event,
        outcome: &str,
    ) -> Result<(), CoreError> {
        let Some(trial) = self.active.get_mut(&number) else {
            return Err(self.not_active(number, &event));
        };
        let before = trial.life.state().clone();
        let effects = trial.life.apply(event)?;
        let after = trial.life.state();
        if before != *after {
            self.counts.remove(&before);
            self.counts.add(after);
        }
        if before == TrialState::Pending && *after != TrialState::Pending {
            self.ready.remove(&number);
            self.delayed.remove(&(trial.ready_at, number));
        }
        let rests = *after == TrialState::Paused;
        if before.lease().is_some() && after.lease().is_none() {
            self.end_attempt(out, ctx, number, outcome);
        }
        if rests {
            self.rest(number);
        }
        out.trials.insert(number, None);
        for effect in effects {
            match effect {
                Effect::AskToStop(lease, reason) => {
                    if let Holder::Worker(worker) = lease.holder {
                        let key = LeaseKey {
                            study: self.id,
                            trial: number,
                            attempt: lease.attempt,
                            id: lease.id,
                        };
                        let grace = self.grace();
                        out.order(
                            worker,
                            Order::Stop {
                                lease: key,
                                reason: reason.to_string(),
                                grace,
                            },
                        );
                    }
                }
                Effect::Requeue { after } => self.requeue(ctx, number, after),
                Effect::RecordOutcome => self.record_outcome(out, ctx, number),
            }
        }
        Ok(())
    }

    pub(super) fn grace(&self) -> Duration {
        const DEFAULT: Duration = Duration::from_secs(30);
        self.spec.trial.as_ref().map_or(DEFAULT, |trial| trial.grace)
    }

    fn not_active(&self, number: TrialNumber, event: &Event) -> CoreError {
        match self.ended_trial(number) {
            Some(ended) => TransitionError::Illegal {
                from: ended.state,
                event: event.name(),
            }
            .into(),
            None => CoreError::TrialNotFound(number),
        }
    }

    pub(super) fn ended_trial(&self, number: TrialNumber) -> Option<&Ended> {
        let index = usize::try_from(number.0.checked_sub(1)?).ok()?;
        self.ended.get(index)?.as_ref()
    }

    fn requeue(&mut self, ctx: &Ctx<'_>, number: TrialNumber, after: Duration) {
        let Some(trial) = self.active.get_mut(&number) else {
            return;
        };
        trial.ready_at = ctx.mono + after;
        if after.is_zero() {
            self.ready.insert(number);
        } else {
            self.delayed.insert((trial.ready_at, number));
        }
    }

    fn end_attempt(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, number: TrialNumber, outcome: &str) {
        let Some(trial) = self.active.get_mut(&number) else {
            return;
        };
        let Some(mut attempt) = trial.attempt.take() else {
            return;
        };
        let run_time = attempt.run_time(ctx.mono);
        attempt.row.cost = attempt.cost_of(run_time);
        if !attempt.row.gpus.is_empty() || attempt.row.cost > 0.0 {
            self.row.gpu_seconds += attempt.gpu_seconds_of(run_time);
            self.row.cost += attempt.row.cost;
            out.study = true;
        }
        Arc::make_mut(&mut trial.stages).trained += attempt.ran.unwrap_or(run_time);
        attempt.row.ended_at.get_or_insert(ctx.now);
        if attempt.row.outcome.is_empty() {
            outcome.clone_into(&mut attempt.row.outcome);
        }
        if attempt.batches > 1 {
            out.scattered(number, attempt.row.attempt);
        }
        out.attempt(attempt.row);
    }

    fn record_outcome(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, number: TrialNumber) {
        let Some(mut trial) = self.active.remove(&number) else {
            return;
        };
        let values = self.values_of(&trial);
        if let Some(started) = trial.started_at {
            self.adviser.trial_took(ctx.now.saturating_since(started));
        }
        end_count(&mut trial);
        self.end_heir(out, number, &mut trial, values.first);
        let at = self.end_time(ctx.now);
        self.remember_end(number, &trial, values.clone(), at);
        self.end_checkpoint(out, number, &mut trial);
        out.trials
            .insert(number, Some(trial.row(number, values, Some(at))));
    }

    /// When something happens that happens now: later than all that has, whatever the clock says. So these times tell in which order rules and
    /// strategies saw the results.
    pub(super) fn end_time(&mut self, now: Timestamp) -> Timestamp {
        later_than(&mut self.last_end, now)
    }

    /// Takes a trial that has ended into the history.
    pub(super) fn remember_end(
        &mut self,
        number: TrialNumber,
        trial: &ActiveTrial,
        values: Values,
        at: Timestamp,
    ) {
        let Some(end) = End::of(trial.life.state()) else {
            return;
        };
        let first = values.first;
        let past = Past {
            number,
            end,
            values,
            encoded: trial.encoded.clone(),
            last_step: trial.last_step,
        };
        let (value, finished) = self.remember(past, at);
        let results = self.adviser.own_results() + 1;
        self.improvement.result(&self.spec, &finished, results);
        self.adviser.result(finished);
        self.stoppers.trial_ended(number, value);
        self.leave_course(number, (end, first), &trial.stages);
    }

    /// The same, but for early stoppers and the strategy. Returns what they need: the first objective's value, if the trial may be the best, and
    /// the trial as strategies see it.
    pub(super) fn remember(&mut self, past: Past, at: Timestamp) -> (Option<f64>, FinishedTrial) {
        // What a population replaces it trains all the same.
        let is_replaced = matches!(self.course, Some(Course::Population(_) | Course::Replay(_)));
        if let (End::EarlyStopped, Some(max), false) = (past.end, self.max_step(), is_replaced) {
            self.steps_saved += u64::try_from(max.saturating_sub(past.last_step.unwrap_or(0))).unwrap_or(0);
        }
        let index = usize::try_from(past.number.0.saturating_sub(1)).unwrap_or(usize::MAX);
        if self.ended.len() <= index {
            self.ended.resize_with(index + 1, || None);
        }
        self.ended[index] = Some(Ended {
            state: past.end.name(),
            values: past.values.clone(),
        });
        let (trial, end) = (past.number, past.end);
        let finished = past.finished(&self.spec);
        let value = value_that_ranks(&self.spec, &finished);
        self.results.push(Outcome {
            trial,
            ended_at: at,
            end,
            value: value.filter(|value| value.is_finite()),
        });
        self.best.consider(&self.spec, &finished);
        (value, finished)
    }

    fn max_step(&self) -> Option<i64> {
        self.spec.trial.as_ref().and_then(|trial| trial.steps.max)
    }
}

/// `now`, or the next moment after the last if that is later.
pub(super) fn later_than(last: &mut Timestamp, now: Timestamp) -> Timestamp {
    let next = Timestamp::from_micros(last.as_micros().saturating_add(1));
    *last = now.max(next);
    *last
}
