//! What comes in about a running trial: that it started, points of its curves, its end.

use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::{MAX_METRICS_PER_TRIAL, MetricName, PointBatch};
use tunesmith_common::trial::{
    Event, FailureCause, Holder, StopReason, TransitionError, TrialState, last_lines,
};
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, StopCause};
use tunesmith_common::{Attempt, LeaseKey, Timestamp, TrialNumber, WorkerId};

use super::order::Order;
use super::outbox::Outbox;
use super::study::{CoreError, Ctx, StudyCore};

/// What a caller that reports points is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reported {
    /// Why the trial should stop, if it should.
    pub stop: Option<StopReason>,
    /// Sequence number of the last point stored.
    pub committed: u64,
}

/// The end of a trial that a caller ran itself.
#[derive(Clone, Debug)]
pub struct TellRequest {
    /// The trial.
    pub trial: TrialNumber,
    /// Its lease, if the caller kept it.
    pub lease: Option<LeaseKey>,
    /// The first objective's value, if told.
    pub value: Option<f64>,
    /// Values of objectives and measured constraints by metric, as far as told; not the one above again.
    pub values: Vec<(MetricName, f64)>,
    /// The failure, if it failed.
    pub failure: Option<FailureCause>,
}

impl StudyCore {
    /// The program of an assignment runs.
    pub fn started(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, worker: WorkerId, lease: LeaseKey, pid: u32) {
        if !self.is_current(&lease) {
            return out.order(worker, Order::Stale(lease));
        }
        if let Some(attempt) = self
            .active
            .get_mut(&lease.trial)
            .and_then(|trial| trial.attempt.as_mut())
        {
            attempt.row.pid = pid;
        }
        if self.start(out, ctx, lease).is_err() {
            out.order(worker, Order::Stale(lease));
        }
    }

    pub(super) fn start(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        lease: LeaseKey,
    ) -> Result<(), CoreError> {
        self.apply(out, ctx, lease.trial, Event::Started(lease.id), "")?;
        if let Some(trial) = self.active.get_mut(&lease.trial) {
            trial.started_at.get_or_insert(ctx.now);
            if let Some(attempt) = &mut trial.attempt
                && attempt.running_since.is_none()
            {
                attempt.running_since = Some(ctx.mono);
                attempt.row.started_at = Some(ctx.now);
                out.attempt(attempt.row.clone());
            }
        }
        Ok(())
    }

    /// Points from a worker: those that are new are stored and judged.
    pub fn points(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        worker: WorkerId,
        lease: LeaseKey,
        first_seq: u64,
        batch: &PointBatch,
    ) {
        if !self.is_current(&lease) {
            return out.order(worker, Order::Stale(lease));
        }
        let committed = self.committed_seq(lease.trial);
        if first_seq > committed + 1 {
            return out.order(
                worker,
                Order::Resend {
                    lease,
                    from: committed + 1,
                },
            );
        }
        let committed = self.take_points(out, ctx, lease.trial, lease.attempt, first_seq, batch, committed);
        out.ack(worker, lease, committed);
        self.end_if_whole(out, ctx, worker, lease);
    }

    /// Points from a caller that runs the trial itself.
    ///
    /// # Errors
    /// If the trial is not this caller's to report about, or points are missing before `first_seq`.
    pub fn report(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        trial: TrialNumber,
        lease: Option<LeaseKey>,
        first_seq: u64,
        batch: &PointBatch,
    ) -> Result<Reported, CoreError> {
        let lease = self.clients_lease(trial, lease, "report")?;
        let committed = self.committed_seq(trial);
        let first_seq = if first_seq == 0 { committed + 1 } else { first_seq };
        if first_seq > committed + 1 {
            let message = format!(
                "is {first_seq}, but the last point stored is number {committed}; send from {}",
                committed + 1
            );
            return Err(CoreError::Invalid {
                field: "first_seq".to_owned(),
                message,
            });
        }
        self.check_metric_count(trial, batch)?;
        let committed = self.take_points(out, ctx, trial, lease.attempt, first_seq, batch, committed);
        if let Some(attempt) = self
            .active
            .get_mut(&trial)
            .and_then(|trial| trial.attempt.as_mut())
        {
            attempt.renewed = ctx.mono;
        }
        let stop = self
            .active
            .get(&trial)
            .and_then(|trial| match trial.life.state() {
                TrialState::Stopping(_, reason) => Some(reason.clone()),
                _ => None,
            });
        Ok(Reported { stop, committed })
    }

    /// An attempt has ended on its worker. Counts once all its points are stored.
    pub fn ended(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, worker: WorkerId, end: AttemptEnd) {
        let lease = end.lease;
        out.released(worker, lease);
        if !self.is_current(&lease) {
            // Of an attempt that ended before, or that lost its lease: nothing more is wanted of it.
            if let Some(checkpoint) = end.checkpoint {
                self.unneeded(out, checkpoint);
            }
            return out.order(worker, Order::Forget(lease));
        }
        let committed = self.committed_seq(lease.trial);
        if end.last_seq > committed {
            out.order(
                worker,
                Order::Resend {
                    lease,
                    from: committed + 1,
                },
            );
        }
        if let Some(attempt) = self
            .active
            .get_mut(&lease.trial)
            .and_then(|trial| trial.attempt.as_mut())
        {
            attempt.end = Some(Box::new(end));
        }
        self.end_if_whole(out, ctx, worker, lease);
    }

    /// The end of a trial that a caller ran itself. Telling the same end twice is accepted.
    ///
    /// # Errors
    /// If the trial is not this caller's to end, has ended otherwise, or has no value.
    pub fn tell(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, tell: TellRequest) -> Result<(), CoreError> {
        let told = self.readings.told("", tell.value, &tell.values)?;
        if let Some(ended) = self.ended_trial(tell.trial) {
            let same_value = self.readings.agree(&told, &ended.values);
            let same_end = (ended.state == "FAILED") == tell.failure.is_some();
            if same_value && same_end && ended.state != "CANCELLED" {
                return Ok(());
            }
            return Err(CoreError::AlreadyEnded {
                trial: tell.trial,
                state: ended.state,
                value: ended.values.first,
            });
        }
        if self.rests_after(tell.trial, tell.lease.as_ref()) {
            return Ok(());
        }
        let lease = self.clients_lease(tell.trial, tell.lease, "tell")?;
        let Some(trial) = self.active.get_mut(&tell.trial) else {
            return Err(CoreError::TrialNotFound(tell.trial));
        };
        let (event, outcome) = match tell.failure {
            Some(cause) => {
                let text = cause.to_string();
                if let Some(attempt) = &mut trial.attempt {
                    attempt.row.failure = Some(cause.clone());
                }
                (Event::Failed(lease.id, cause), text)
            }
            None => {
                let missing = self.readings.missing(&self.readings.values(&trial.curves, &told));
                // Of several objectives some are measured at the end only, which a trial that was told to stop has not reached.
                let cut_short = matches!(trial.life.state(), TrialState::Stopping(..))
                    && !self.spec.more_objectives.is_empty();
                if !missing.is_empty() && !cut_short {
                    return Err(self.misses(&missing));
                }
                trial.told = told;
                (
                    self.ended_well(tell.trial, lease.id),
                    "told by its caller".to_owned(),
                )
            }
        };
        self.apply(out, ctx, tell.trial, event, &outcome)
    }

    /// Whether a trial rests since the attempt that is told about ended: the end is told a second time.
    fn rests_after(&self, number: TrialNumber, lease: Option<&LeaseKey>) -> bool {
        self.active.get(&number).is_some_and(|trial| {
            *trial.life.state() == TrialState::Paused
                && lease.is_none_or(|lease| lease.attempt == trial.life.attempt())
        })
    }

    /// What a caller is told that ends a trial without a value of each objective.
    fn misses(&self, missing: &[MetricName]) -> CoreError {
        let names: Vec<String> = missing.iter().map(|metric| format!("\"{metric}\"")).collect();
        let names = names.join(" and of ");
        let (field, message) = if self.spec.more_objectives.is_empty() {
            (
                "value",
                format!(
                    "is missing, and no point of {names} was reported; give a value, or say that the trial failed"
                ),
            )
        } else {
            (
                "values",
                format!(
                    "has no value of {names}, and no point of it was reported; give a value for each objective, or say that the trial \
                     failed"
                ),
            )
        };
        CoreError::Invalid {
            field: field.to_owned(),
            message,
        }
    }

    pub(super) fn is_current(&self, lease: &LeaseKey) -> bool {
        self.lease_key(lease.trial)
            .is_some_and(|current| current == *lease)
    }

    /// Sequence number of the last point taken of the current attempt.
    pub(super) fn committed_seq(&self, trial: TrialNumber) -> u64 {
        self.active
            .get(&trial)
            .and_then(|trial| trial.attempt.as_ref())
            .map_or(0, |attempt| attempt.committed)
    }

    pub(super) fn known_metrics(&self) -> Vec<MetricName> {
        let mut metrics = self.readings.metrics().to_vec();
        for metric in self
            .spec
            .early_stopping
            .iter()
            .filter_map(|stopper| stopper.rule.metric())
        {
            if !metrics.contains(metric) {
                metrics.push(metric.clone());
            }
        }
        metrics
    }

    /// The lease of a trial that a caller runs itself: the one it gave, which must be current, or the current one.
    fn clients_lease(
        &self,
        number: TrialNumber,
        given: Option<LeaseKey>,
        action: &'static str,
    ) -> Result<LeaseKey, CoreError> {
        let Some(trial) = self.active.get(&number) else {
            return Err(match self.ended_trial(number) {
                Some(ended) => CoreError::AlreadyEnded {
                    trial: number,
                    state: ended.state,
                    value: ended.values.first,
                },
                None => CoreError::TrialNotFound(number),
            });
        };
        let stale = TransitionError::StaleLease {
            state: trial.life.state().name(),
            attempt: trial.life.attempt(),
        };
        match (self.lease_key(number), given) {
            (Some(current), Some(given)) if current == given => Ok(current),
            (_, Some(_)) => Err(stale.into()),
            (Some(current), None) => match trial.life.state().lease().map(|lease| &lease.holder) {
                Some(Holder::Client(_)) => Ok(current),
                _ => Err(TransitionError::Illegal {
                    from: "worker's",
                    event: action,
                }
                .into()),
            },
            (None, None) => Err(TransitionError::Illegal {
                from: trial.life.state().name(),
                event: action,
            }
            .into()),
        }
    }

    fn check_metric_count(&self, number: TrialNumber, batch: &PointBatch) -> Result<(), CoreError> {
        let Some(trial) = self.active.get(&number) else {
            return Ok(());
        };
        let new = batch
            .metrics
            .iter()
            .filter(|metric| trial.last.iter().all(|(known, _)| known != *metric))
            .count();
        if trial.last.len() + new <= MAX_METRICS_PER_TRIAL {
            return Ok(());
        }
        Err(CoreError::Invalid {
            field: "points.metrics".to_owned(),
            message: format!(
                "a trial has at most {MAX_METRICS_PER_TRIAL} metrics, this one would have {}",
                trial.last.len() + new
            ),
        })
    }

    /// Stores the points after `committed` and judges them. Returns the sequence number of the last point taken.
    #[expect(clippy::too_many_arguments, reason = "everything that a point is filed under")]
    pub(super) fn take_points(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        attempt: Attempt,
        first_seq: u64,
        batch: &PointBatch,
        committed: u64,
    ) -> u64 {
        if !self.active.contains_key(&number) {
            return committed;
        }
        // Where each metric of this batch stands among the curves that are kept, and in the trial's list of last values.
        let kept = self.readings.metrics();
        let kept: Vec<Option<usize>> = batch
            .metrics
            .iter()
            .map(|metric| kept.iter().position(|known| known == metric))
            .collect();
        let mut slots: Vec<Option<usize>> = vec![None; batch.metrics.len()];
        let mut decisions: Vec<StopDecision> = Vec::new();
        let mut last_taken = committed;
        let mut at_rung = false;
        for (seq, point) in (first_seq..).zip(&batch.points) {
            if seq <= committed {
                continue;
            }
            last_taken = seq;
            let index = usize::try_from(point.metric).unwrap_or(usize::MAX);
            let Some(metric) = batch.metrics.get(index) else {
                continue;
            };
            let Some(trial) = self.active.get_mut(&number) else {
                break;
            };
            let slot = *slots[index].get_or_insert_with(|| {
                trial
                    .last
                    .iter()
                    .position(|(known, _)| known == metric)
                    .unwrap_or_else(|| {
                        trial.last.push((metric.clone(), f64::NAN));
                        trial.last.len() - 1
                    })
            });
            if let Some(current) = &mut trial.attempt
                && !current.reported.contains(metric)
            {
                current.reported.push(metric.clone());
                if let Some(place) = kept[index] {
                    trial.curves[place].truncate_from(point.step);
                }
                self.stoppers.metric_restarted(number, metric, point.step);
            }
            trial.last[slot].1 = point.value;
            trial.last_step = Some(trial.last_step.map_or(point.step, |last| last.max(point.step)));
            if let Some(place) = kept[index] {
                trial.curves[place].report(point.step, point.value);
            }
            decisions.extend(self.stoppers.report(number, metric, point.step, point.value));
            let arrival = self.end_time(ctx.now);
            out.point(number, attempt, (seq, arrival), batch, point);
            // The first of the kept curves is the objective's.
            at_rung |= kept[index] == Some(0) && self.reach_rungs(ctx, number, point.step);
        }
        let attempt_now = self
            .active
            .get_mut(&number)
            .and_then(|trial| trial.attempt.as_mut());
        if let Some(current) = attempt_now {
            current.batches += u64::from(last_taken > committed);
            current.committed = last_taken;
        }
        out.trials.entry(number).or_insert(None);
        for decision in decisions {
            self.take_decision(out, ctx, number, attempt, decision);
        }
        if at_rung {
            self.judge_rung(out, ctx, number, attempt);
        }
        last_taken
    }

    fn take_decision(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        attempt: Attempt,
        decision: StopDecision,
    ) {
        let running = self.active.get(&number).is_some_and(|trial| {
            matches!(trial.life.state(), TrialState::Leased(_) | TrialState::Running(_))
        });
        if !running {
            return;
        }
        let reason = StopReason::EarlyStopped {
            rule: decision.rule.clone(),
            text: decision.text.clone(),
        };
        let shadow = decision.shadow;
        out.decision(number, attempt, decision, ctx.now);
        if !shadow {
            // Cannot be refused: the trial runs.
            let _ = self.apply(out, ctx, number, Event::StopRequested(reason), "");
        }
    }

    fn end_if_whole(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, worker: WorkerId, lease: LeaseKey) {
        let Some(attempt) = self
            .active
            .get_mut(&lease.trial)
            .and_then(|trial| trial.attempt.as_mut())
        else {
            return;
        };
        let Some(end) = attempt.end.take_if(|end| end.last_seq <= attempt.committed) else {
            return;
        };
        out.order(worker, Order::Forget(lease));
        self.finish_attempt(out, ctx, *end);
    }

    /// Ends an attempt as its worker saw it.
    fn finish_attempt(&mut self, out: &mut Outbox, ctx: &Ctx<'_>, end: AttemptEnd) {
        let number = end.lease.trial;
        let lease = end.lease.id;
        let missing = self
            .active
            .get(&number)
            .map(|trial| self.readings.missing(&self.values_of(trial)))
            .unwrap_or_default();
        let event = match &end.outcome {
            AttemptOutcome::HandedBack => Event::HandedBack(lease),
            _ => match failure_of(&end, missing) {
                Some(cause) => Event::Failed(lease, cause),
                None => self.ended_well(number, lease),
            },
        };
        if let Some(checkpoint) = end.checkpoint.clone() {
            self.take_checkpoint(out, number, checkpoint);
        }
        let event = match end.stop_cause {
            Some(StopCause::MaxRuntime(limit)) if self.at_max_runtime(out, ctx, number, limit) => {
                Event::HandedBack(lease)
            }
            _ => event,
        };
        let outcome = describe(&end, &event);
        if let Some(attempt) = self
            .active
            .get_mut(&number)
            .and_then(|trial| trial.attempt.as_mut())
        {
            let row = &mut attempt.row;
            row.ended_at = Some(end.ended_at.max(row.started_at.unwrap_or(Timestamp::UNIX_EPOCH)));
            row.peak_memory = end.peak_memory;
            row.log_tail = end.log_tail;
            row.usage = end.usage;
            if let AttemptOutcome::Exited(code) = end.outcome {
                row.exit_code = Some(code);
            }
            if let Event::Failed(_, cause) = &event {
                row.failure = Some(cause.clone());
            }
        }
        // Cannot be refused: the lease is current.
        let _ = self.apply(out, ctx, number, event, &outcome);
    }
}

/// Why the attempt counts as failed, if it does.
fn failure_of(end: &AttemptEnd, missing: Vec<MetricName>) -> Option<FailureCause> {
    const INFEASIBLE: i32 = 78;
    if let Some(reason) = &end.infeasible {
        return Some(FailureCause::Infeasible {
            reason: reason.clone(),
        });
    }
    match &end.outcome {
        AttemptOutcome::Exited(0) if missing.is_empty() => None,
        AttemptOutcome::Exited(0) => Some(FailureCause::NoMetric {
            metrics: missing,
            last_lines: last_lines(&end.log_tail),
        }),
        AttemptOutcome::Exited(INFEASIBLE) => Some(FailureCause::Infeasible {
            reason: String::new(),
        }),
        AttemptOutcome::Exited(_) | AttemptOutcome::Signalled(_) if end.out_of_memory => {
            Some(FailureCause::OutOfMemory)
        }
        AttemptOutcome::Exited(code) => Some(FailureCause::ExitCode { code: *code }),
        AttemptOutcome::Signalled(signal) => Some(FailureCause::Signal { signal: *signal }),
        AttemptOutcome::LaunchFailed(reason) => Some(FailureCause::Launch {
            reason: reason.clone(),
        }),
        AttemptOutcome::Lost(reason) => Some(FailureCause::WorkerLost {
            reason: reason.clone(),
        }),
        AttemptOutcome::HandedBack => None,
    }
}

/// How the attempt ended, for people.
fn describe(end: &AttemptEnd, event: &Event) -> String {
    let how = match (event, &end.outcome) {
        (Event::Failed(_, cause), _) => cause.to_string(),
        (_, AttemptOutcome::HandedBack) if end.stop_cause.is_some() => {
            "its program was not started".to_owned()
        }
        (_, AttemptOutcome::HandedBack) => "given back: the worker was drained".to_owned(),
        (_, AttemptOutcome::Exited(code)) => format!("exited with status {code}"),
        (_, AttemptOutcome::Signalled(signal)) => format!("ended by signal {signal}"),
        (_, AttemptOutcome::LaunchFailed(reason) | AttemptOutcome::Lost(reason)) => reason.clone(),
    };
    let mut text = match end.stop_cause {
        None => how,
        Some(StopCause::Asked) => format!("stopped as asked; {how}"),
        Some(StopCause::MaxRuntime(_)) => format!("stopped at max_runtime; {how}"),
    };
    for warning in &end.warnings {
        text.push_str("; ");
        text.push_str(warning);
    }
    text
}
