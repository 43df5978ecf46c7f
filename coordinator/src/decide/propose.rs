//! Which trial comes next, and handing it out.

use std::sync::Arc;
use std::time::Duration;

use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::measurement::{MetricName, PointBatch};
use tunesmith_common::study::TrialSpec;
use tunesmith_common::trial::{Event, FailureCause, Holder, StopReason, Trial, TrialState};
use tunesmith_common::worker::Assignment;
use tunesmith_common::{
    Attempt, CheckpointStoreId, LeaseId, LeaseKey, Params, RequestId, TrialNumber, WorkerId,
};
use tunesmith_optimizer::{StrategyError, StudyView};
use uuid::Uuid;

use super::advice::Advised;
use super::checkpoints::Reach;
use super::course::Course;
use super::dispatch::Demand;
use super::order::Order;
use super::outbox::Outbox;
use super::study::{CoreError, Ctx, StudyCore};
use super::trial::{ActiveAttempt, ActiveTrial};
use crate::store::AttemptRow;

/// Why there is no trial to hand out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoTrial {
    /// A person paused the study.
    #[error("the study is paused")]
    Paused,
    /// The study has ended or is about to.
    #[error("the study has ended: {0}")]
    Over(String),
    /// As many trials run as may.
    #[error("{0} trials run at the same time, as many as the budget allows")]
    Parallel(u32),
    /// A budget is used up.
    #[error("budget: {0}")]
    Budget(String),
    /// Every point of the space was tried.
    #[error("every point of the search space was tried")]
    Exhausted,
    /// The strategy finds no point that satisfies the constraints.
    #[error("{0}")]
    Infeasible(String),
    /// Only people add trials, and none is waiting.
    #[error("no trial is waiting, and the strategy \"manual\" leaves it to people to add some")]
    Manual,
    /// The strategy has not made its next proposal yet.
    #[error("the strategy is computing its next proposal")]
    Thinking,
    /// The strategy has all the trials that it needs.
    #[error("{0}")]
    Population(String),
    /// Trials wait before they are tried again after a failure.
    #[error("{0} trials wait to be tried again after a failure")]
    BackingOff(usize),
}

/// Trials that are placed in one round at most.
const ROUND: u64 = 1_024;

/// A free place on a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The worker.
    pub worker: WorkerId,
    /// Its name, for people.
    pub worker_name: String,
    /// Places of checkpoints that it reaches.
    pub stores: Vec<CheckpointStoreId>,
    /// UUIDs of the GPUs set aside for the trial.
    pub gpus: Vec<String>,
    /// What an hour of it costs.
    pub price_per_hour: f64,
}

/// A trial added by a person or a program.
#[derive(Clone, Debug)]
pub struct AddRequest {
    /// Values of some or all parameters; the others are drawn at random.
    pub params: Params,
    /// Free text for people.
    pub note: String,
    /// Short labels for people.
    pub tags: Vec<String>,
    /// The result, if it was run elsewhere.
    pub result: Option<TrialResult>,
    /// Makes repeating the call safe.
    pub request: Option<(RequestId, [u8; 32])>,
    /// Who adds it.
    pub actor: String,
}

/// Result of a trial that was run elsewhere.
#[derive(Clone, Debug)]
pub struct TrialResult {
    /// The first objective's value.
    pub value: Option<f64>,
    /// Values of objectives and measured constraints by metric; not the one above again.
    pub values: Vec<(MetricName, f64)>,
    /// How it ended: COMPLETED, EARLY_STOPPED or FAILED.
    pub end: ImportedEnd,
    /// Its curves.
    pub points: PointBatch,
}

/// How a trial that was run elsewhere ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ImportedEnd {
    /// By itself.
    Completed,
    /// Early.
    EarlyStopped,
    /// Without a result.
    Failed,
}

/// What an attempt is given at least.
const LEAST_RUNTIME: Duration = Duration::from_millis(1);

impl StudyCore {
    /// Offers a free place on a worker: the next trial is handed out to it.
    ///
    /// # Errors
    /// Why there is none.
    pub fn offer(&mut self, out: &mut Outbox, ctx: &mut Ctx<'_>, offer: Offer) -> Result<LeaseKey, NoTrial> {
        let Some(spec) = self.spec.trial.clone() else {
            return Err(NoTrial::Manual);
        };
        let number = self.next_trial(out, ctx, Reach::Stores(&offer.stores))?;
        let worker = offer.worker;
        let lease = self
            .hand_out(
                out,
                ctx,
                number,
                Holder::Worker(worker),
                offer.worker_name,
                offer.gpus.clone(),
                offer.price_per_hour,
                None,
            )
            .ok_or_else(|| NoTrial::Over("the trial to hand out vanished".to_owned()))?;
        if let Some(assignment) = self.assignment(lease, &spec, offer.gpus) {
            out.order(worker, Order::Assign(Box::new(assignment)));
        }
        Ok(lease)
    }

    /// What a worker needs to know to run a trial that it holds.
    pub(super) fn assignment(
        &self,
        lease: LeaseKey,
        spec: &TrialSpec,
        gpus: Vec<String>,
    ) -> Option<Assignment> {
        let trial = self.active.get(&lease.trial)?;
        Some(Assignment {
            lease,
            study: self.row.name.clone(),
            params: Params::clone(&trial.params),
            spec: TrialSpec {
                // Worth a start, even where a limit was lowered: whoever trains sees that time is up.
                max_runtime: self
                    .time_left(trial.stages.trained)
                    .map(|left| left.max(LEAST_RUNTIME)),
                ..spec.clone()
            },
            gpus,
            seed: trial.seed,
            metrics: self.known_metrics(),
            objectives: u32::try_from(self.spec.objectives().count()).unwrap_or(1),
            resume: trial.stages.checkpoint.clone(),
            until: self.until(lease.trial),
            keep_checkpoint: true,
        })
    }

    /// Adds a trial with given parameters, and with its result if it was run elsewhere.
    ///
    /// # Errors
    /// If the parameters do not fit the space, the study has ended, or the request id was used for another call.
    pub fn add(
        &mut self,
        out: &mut Outbox,
        ctx: &mut Ctx<'_>,
        add: AddRequest,
    ) -> Result<TrialNumber, CoreError> {
        if let Some(answer) = self.answered(add.request)?
            && let Some(&number) = answer.trials.first()
        {
            return Ok(number);
        }
        if add.result.is_none() {
            self.must_be_alive("resume it first, or clone it")?;
        }
        let number = TrialNumber(self.next_number);
        let told = match &add.result {
            Some(result) => self.readings.told("result.", result.value, &result.values)?,
            None => Box::default(),
        };
        let params = self.complete(add.params, number)?;
        let origin = if add.result.is_some() {
            Origin::Imported
        } else {
            Origin::Manual
        };
        let provenance = self.provenance(origin, "", format!("added by {}", add.actor));
        self.audit(out, ctx, &add.actor, "add_trial", Some(number), "");
        let mut trial = self.new_trial(ctx, number, params, provenance, add.note)?;
        trial.told = told;
        trial.tags = add.tags;
        self.next_number += 1;
        match add.result {
            None => self.insert(out, number, trial),
            Some(result) => self.insert_ended(out, ctx, number, trial, result),
        }
        self.remember_answer(out, ctx, add.request, vec![number]);
        Ok(number)
    }

    /// What the study could use of the pool; none if its trials are not run by workers, or it has ended.
    #[must_use]
    pub fn demand(&self, ctx: &Ctx<'_>) -> Option<Demand> {
        let trial = self.spec.trial.as_ref().filter(|_| !self.is_over())?;
        let bound = self.bound(ctx);
        let elsewhere: u64 = bound.values().map(|count| u64::from(*count)).sum();
        let free = self.could_start(ctx).saturating_sub(elsewhere);
        Some(Demand {
            study: self.id,
            wants: self.wants(ctx),
            running: u32::try_from(self.counts.in_flight()).unwrap_or(u32::MAX),
            priority: self.spec.priority.get(),
            served: 0,
            bound,
            free: u32::try_from(free).unwrap_or(u32::MAX),
            resources: trial.resources.clone(),
        })
    }

    /// How many trials could start now if there were places for them.
    #[must_use]
    pub fn wants(&self, ctx: &Ctx<'_>) -> u32 {
        if self.spec.trial.is_none() || self.may_start(ctx).is_err() {
            return 0;
        }
        let room = self.spec.budget.parallel.map_or(ROUND, |limit| {
            u64::from(limit).saturating_sub(self.counts.in_flight())
        });
        u32::try_from(self.could_start(ctx).min(room).min(ROUND)).unwrap_or(u32::MAX)
    }

    /// The same if any number of trials might run at the same time.
    fn could_start(&self, ctx: &Ctx<'_>) -> u64 {
        let waiting = self.ready.len() as u64 + self.due(ctx) as u64 + u64::from(self.has_promotions());
        let proposable = match (&self.dry, self.spec.budget.trials) {
            (Some(_), _) => 0,
            _ if self.not_worth_it().is_some() => 0,
            (None, None) => ROUND,
            (None, Some(limit)) => limit.saturating_sub(self.created()),
        };
        let proposable = match &self.course {
            Some(Course::Population(_)) => proposable.min(self.members_wanted(Reach::All).unwrap_or(0)),
            Some(Course::Replay(segments)) => {
                proposable.min(u64::from(segments.next().is_some() && self.active.is_empty()))
            }
            Some(Course::Halving(..)) | None => proposable,
        };
        let proposable = match self.proposals_ready() {
            Some(ready) => proposable.min(u64::from(ready)),
            None => proposable,
        };
        waiting + proposable
    }

    /// Why the study itself hands nothing out; empty if it does.
    pub(super) fn waits_for(&self, ctx: &Ctx<'_>) -> String {
        if let Err(reason) = self.may_start(ctx) {
            return reason.to_string();
        }
        if !self.ready.is_empty() || self.due(ctx) > 0 || self.has_promotions() {
            return String::new();
        }
        let reason = match (&self.dry, self.may_create()) {
            (Some(reason), _) => reason.clone(),
            (None, Err(reason)) => reason,
            (None, Ok(())) if self.proposals_ready() == Some(0) => NoTrial::Thinking,
            (None, Ok(())) => return String::new(),
        };
        match self.delayed.len() {
            0 => reason.to_string(),
            waiting => NoTrial::BackingOff(waiting).to_string(),
        }
    }

    fn due(&self, ctx: &Ctx<'_>) -> usize {
        self.delayed.iter().take_while(|&&(at, _)| at <= ctx.mono).count()
    }

    /// The trial to hand out next to somebody with this reach: one that waits, else one that rests and may go on, else a new one from the strategy.
    pub(super) fn next_trial(
        &mut self,
        out: &mut Outbox,
        ctx: &mut Ctx<'_>,
        reach: Reach<'_>,
    ) -> Result<TrialNumber, NoTrial> {
        self.may_start(ctx)?;
        while let Some(&(at, number)) = self.delayed.first()
            && at <= ctx.mono
        {
            self.delayed.pop_first();
            self.ready.insert(number);
        }
        if let Some(number) = self.first_waiting(reach) {
            return Ok(number);
        }
        // A population is whole before any of it goes on.
        let wants_new =
            self.members_wanted(reach).is_some_and(|wanted| wanted > 0) && self.may_create().is_ok();
        if !wants_new && let Some(number) = self.promote(out, ctx, reach) {
            return Ok(number);
        }
        let stuck = |reason: NoTrial, waiting: usize| {
            if waiting > 0 {
                NoTrial::BackingOff(waiting)
            } else {
                reason
            }
        };
        self.may_create()
            .map_err(|reason| stuck(reason, self.delayed.len()))?;
        if let Some(reason) = &self.dry {
            return Err(stuck(reason.clone(), self.delayed.len()));
        }
        match self.course {
            Some(Course::Population(_)) => self.propose_member(out, ctx, reach),
            Some(Course::Replay(_)) => self.propose_segment(out, ctx, reach),
            Some(Course::Halving(..)) | None => self.propose_by_strategy(out, ctx),
        }
    }

    /// Makes a trial of the strategy's next proposal.
    pub(super) fn propose_by_strategy(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
    ) -> Result<TrialNumber, NoTrial> {
        let number = TrialNumber(self.next_number);
        let Advised {
            suggestion: point,
            seen,
        } = self.advice()?;
        let provenance = Provenance {
            settings: Some(self.adviser.settings()),
            results: seen as u64,
            cursor: point.cursor,
            ..self.provenance(Origin::Strategy, self.adviser.name(), point.note)
        };
        let trial = self.active_trial(
            ctx,
            number,
            point.params,
            point.encoded.into(),
            provenance,
            String::new(),
        );
        self.next_number += 1;
        self.proposed += 1;
        self.cursor = point.cursor.or(self.cursor);
        self.insert(out, number, trial);
        Ok(number)
    }

    /// Notes that the strategy is at its end, before anybody asks it for another point. Once for each point that it has proposed.
    pub(super) fn look_ahead(&mut self) {
        if self.dry.is_some() || self.looked_ahead == Some(self.proposed) {
            return;
        }
        self.looked_ahead = Some(self.proposed);
        let view = StudyView {
            space: &self.spec.space,
            seed: self.spec.strategy.seed,
            next: TrialNumber(self.next_number),
            proposed: self.proposed,
            cursor: self.cursor,
            finished: self.adviser.of_others(),
            running: &[],
        };
        if let Some(error) = self.adviser.strategy().at_end(&view) {
            self.run_dry(error);
        }
    }

    pub(super) fn run_dry(&mut self, error: StrategyError) -> NoTrial {
        let reason = match error {
            StrategyError::Exhausted => NoTrial::Exhausted,
            StrategyError::WaitsForPeople => NoTrial::Manual,
            StrategyError::NoFeasiblePoint { .. }
            | StrategyError::NoModel { .. }
            | StrategyError::Fit { .. } => NoTrial::Infeasible(error.to_string()),
        };
        self.dry = Some(reason.clone());
        if self.delayed.is_empty() {
            reason
        } else {
            NoTrial::BackingOff(self.delayed.len())
        }
    }

    /// Fills in the parameters that were left out, and checks them all.
    fn complete(&self, given: Params, number: TrialNumber) -> Result<Params, CoreError> {
        let space = &self.spec.space;
        let fixed = space.normalize_partial(given).map_err(CoreError::Space)?;
        let seed = self.spec.strategy.seed;
        let params = tunesmith_optimizer::complete(space, seed, number, &fixed).map_err(|error| {
            CoreError::Invalid {
                field: "parameters".to_owned(),
                message: error.to_string(),
            }
        })?;
        space.check(&params).map_err(CoreError::Space)?;
        Ok(params)
    }

    pub(super) fn new_trial(
        &self,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        params: Params,
        provenance: Provenance,
        note: String,
    ) -> Result<ActiveTrial, CoreError> {
        let encoded = self
            .spec
            .space
            .encode(&params)
            .map_err(|error| CoreError::Space(vec![error]))?;
        Ok(self.active_trial(ctx, number, params, encoded.into(), provenance, note))
    }

    fn active_trial(
        &self,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        params: Params,
        encoded: Box<[f64]>,
        provenance: Provenance,
        note: String,
    ) -> ActiveTrial {
        ActiveTrial {
            life: Trial::new(self.spec.trial.as_ref().map_or(0, |trial| trial.retries)),
            params: Arc::new(params),
            encoded,
            seed: training_seed(self.spec.strategy.seed, number),
            note,
            tags: Vec::new(),
            provenance: Arc::new(provenance),
            created_at: ctx.now,
            started_at: None,
            curves: self.readings.no_curves(),
            told: Box::default(),
            last: Vec::new(),
            last_step: None,
            stages: Arc::default(),
            attempt: None,
            ready_at: ctx.mono,
        }
    }

    /// Takes in a trial that was run elsewhere.
    fn insert_ended(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        number: TrialNumber,
        mut trial: ActiveTrial,
        result: TrialResult,
    ) {
        let elsewhere = || "run elsewhere".to_owned();
        let state = match result.end {
            ImportedEnd::Completed => TrialState::Completed,
            ImportedEnd::EarlyStopped => TrialState::EarlyStopped(StopReason::EarlyStopped {
                rule: "imported".to_owned(),
                text: elsewhere(),
            }),
            ImportedEnd::Failed => TrialState::Failed(FailureCause::Told { reason: elsewhere() }),
        };
        let attempt = Attempt(u32::from(!result.points.points.is_empty()));
        trial.life = Trial::restore(state, attempt, 0, 0, 0);
        self.active.insert(number, trial);
        self.take_points(out, ctx, number, attempt, 1, &result.points, 0);
        let Some(mut trial) = self.active.remove(&number) else {
            return;
        };
        let values = self.values_of(&trial);
        let missing = self.readings.missing(&values);
        if result.end == ImportedEnd::Completed && !missing.is_empty() {
            let cause = FailureCause::NoMetric {
                metrics: missing,
                last_lines: String::new(),
            };
            trial.life = Trial::restore(TrialState::Failed(cause), attempt, 0, 0, 0);
        }
        if let Some(count) = self.counts.of(trial.life.state().name()) {
            *count += 1;
        }
        let at = self.end_time(ctx.now);
        self.remember_end(number, &trial, values.clone(), at);
        out.trials
            .insert(number, Some(trial.row(number, values, Some(at))));
    }

    #[expect(clippy::too_many_arguments, reason = "everything that an attempt begins with")]
    pub(super) fn hand_out(
        &mut self,
        out: &mut Outbox,
        ctx: &mut Ctx<'_>,
        number: TrialNumber,
        holder: Holder,
        holder_name: String,
        gpus: Vec<String>,
        price_per_hour: f64,
        client_ttl: Option<Duration>,
    ) -> Option<LeaseKey> {
        let id = LeaseId(Uuid::from_u128((ctx.random)()));
        self.apply(
            out,
            ctx,
            number,
            Event::Lease {
                id,
                holder: holder.clone(),
            },
            "",
        )
        .ok()?;
        self.count_from(number);
        let lease = self.lease_key(number)?;
        let row = AttemptRow {
            trial: number,
            attempt: lease.attempt,
            lease: id,
            holder,
            holder_name,
            gpus,
            price_per_hour,
            cost: 0.0,
            client_ttl,
            leased_at: ctx.now,
            started_at: None,
            ended_at: None,
            outcome: String::new(),
            failure: None,
            pid: 0,
            exit_code: None,
            peak_memory: 0,
            usage: Default::default(),
            log_tail: String::new(),
        };
        out.attempt(row.clone());
        let trial = self.active.get_mut(&number)?;
        // What was told of an attempt before counts for that one alone.
        trial.told = Box::default();
        trial.attempt = Some(ActiveAttempt {
            row,
            committed: 0,
            batches: 0,
            reported: Vec::new(),
            renewed: ctx.mono,
            running_since: None,
            run_before: Duration::ZERO,
            ran: None,
            end: None,
        });
        Some(lease)
    }
}

/// Seed for everything random in a training: 32 bits, since that is what NumPy and friends take.
pub(super) fn training_seed(study: u64, trial: TrialNumber) -> u64 {
    // SplitMix64's finaliser: every bit of both numbers matters to every bit of the result.
    let mut z = study.wrapping_add(trial.0.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    (z ^ (z >> 31)) >> 32
}
