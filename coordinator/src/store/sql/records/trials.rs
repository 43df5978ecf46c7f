//! Trials, their attempts, judgements about them, and answers about them.

use std::sync::Arc;

use serde::Deserialize;
use sqlx::FromRow;
use tunesmith_common::decision::{Origin, StopDecision};
use tunesmith_common::trial::{Lease, TrialState};
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{Attempt, LeaseId, RequestId, TrialNumber};
use uuid::Uuid;

use super::super::super::{AttemptRow, DecisionRow, End, EndedTrial, RequestRow, StoreError, TrialRow};
use super::super::corrupt;
use super::super::json::{Metrics, Number, from_json, text, to_json, values_from_json, values_to_json};
use super::super::stages::{stages_from_json, stages_to_json};
use super::super::types::{Json, Time};
use super::{duration, hash, metric, micros, signed, unsigned};

/// A row of `trial`.
#[derive(Debug, FromRow)]
pub(in crate::store) struct TrialRecord {
    pub(in crate::store) number: i64,
    pub(in crate::store) state: String,
    pub(in crate::store) reason: Option<Json>,
    pub(in crate::store) lease_id: Option<Uuid>,
    pub(in crate::store) lease_holder: Option<Json>,
    pub(in crate::store) attempt: i64,
    pub(in crate::store) program_failures: i64,
    pub(in crate::store) infrastructure_failures: i64,
    pub(in crate::store) params: Json,
    pub(in crate::store) seed: i64,
    pub(in crate::store) value: Option<Number>,
    pub(in crate::store) more_values: Json,
    pub(in crate::store) last_step: Option<i64>,
    pub(in crate::store) metrics: Json,
    pub(in crate::store) stages: Option<Json>,
    pub(in crate::store) note: String,
    pub(in crate::store) tags: Json,
    pub(in crate::store) provenance: Json,
    pub(in crate::store) created_at: Time,
    pub(in crate::store) started_at: Option<Time>,
    pub(in crate::store) ended_at: Option<Time>,
}

impl TryFrom<&TrialRow> for TrialRecord {
    type Error = StoreError;

    fn try_from(row: &TrialRow) -> Result<Self, StoreError> {
        let reason = match &row.state {
            TrialState::Pending
            | TrialState::Leased(_)
            | TrialState::Running(_)
            | TrialState::Paused
            | TrialState::Completed => None,
            TrialState::Stopping(_, reason)
            | TrialState::EarlyStopped(reason)
            | TrialState::TimedOut(reason)
            | TrialState::Cancelled(reason) => Some(to_json(reason)?),
            TrialState::Failed(cause) => Some(to_json(cause)?),
        };
        let lease = row.state.lease();
        Ok(Self {
            number: signed(row.number.0),
            state: row.state.name().to_owned(),
            reason: reason.map(Json),
            lease_id: lease.map(|lease| lease.id.0),
            lease_holder: lease.map(|lease| to_json(&lease.holder)).transpose()?.map(Json),
            attempt: i64::from(row.attempt.0),
            program_failures: i64::from(row.program_failures),
            infrastructure_failures: i64::from(row.infrastructure_failures),
            params: Json(to_json(&*row.params)?),
            seed: row.seed.cast_signed(),
            value: row.value.map(Number),
            more_values: Json(values_to_json(&row.more_values)?),
            last_step: row.last_step,
            metrics: Json(to_json(&Metrics(&row.metrics[..]))?),
            stages: stages_to_json(&row.stages)?.map(Json),
            note: text(&row.note),
            tags: Json(to_json(&row.tags)?),
            provenance: Json(to_json(&*row.provenance)?),
            created_at: Time(row.created_at),
            started_at: row.started_at.map(Time),
            ended_at: row.ended_at.map(Time),
        })
    }
}

impl TrialRecord {
    fn read_state(&self) -> Result<TrialState, StoreError> {
        let missing = |what| {
            corrupt(format_args!(
                "trial {}: state {} without {what}",
                self.number, self.state
            ))
        };
        let reason = || {
            self.reason
                .as_ref()
                .map(|json| json.0.as_str())
                .ok_or_else(|| missing("reason"))
        };
        let stop_reason = || from_json("reason", reason()?);
        let lease = || {
            let holder = self
                .lease_holder
                .as_ref()
                .ok_or_else(|| missing("lease_holder"))?;
            Ok::<_, StoreError>(Lease {
                attempt: Attempt(unsigned("attempt", self.attempt)?),
                id: LeaseId(self.lease_id.ok_or_else(|| missing("lease_id"))?),
                holder: from_json("lease_holder", &holder.0)?,
            })
        };
        Ok(match self.state.as_str() {
            "PENDING" => TrialState::Pending,
            "LEASED" => TrialState::Leased(lease()?),
            "RUNNING" => TrialState::Running(lease()?),
            "STOPPING" => TrialState::Stopping(lease()?, stop_reason()?),
            "PAUSED" => TrialState::Paused,
            "COMPLETED" => TrialState::Completed,
            "EARLY_STOPPED" => TrialState::EarlyStopped(stop_reason()?),
            "TIMED_OUT" => TrialState::TimedOut(stop_reason()?),
            "FAILED" => TrialState::Failed(from_json("reason", reason()?)?),
            "CANCELLED" => TrialState::Cancelled(stop_reason()?),
            other => {
                return Err(corrupt(format_args!(
                    "state of trial {} is {other:?}",
                    self.number
                )));
            }
        })
    }
}

impl TryFrom<TrialRecord> for TrialRow {
    type Error = StoreError;

    fn try_from(record: TrialRecord) -> Result<Self, StoreError> {
        Ok(Self {
            number: TrialNumber(unsigned("number", record.number)?),
            state: record.read_state()?,
            attempt: Attempt(unsigned("attempt", record.attempt)?),
            program_failures: unsigned("program_failures", record.program_failures)?,
            infrastructure_failures: unsigned("infrastructure_failures", record.infrastructure_failures)?,
            params: Arc::new(from_json("params", &record.params.0)?),
            seed: record.seed.cast_unsigned(),
            value: record.value.map(|number| number.0),
            more_values: values_from_json(&record.more_values.0)?,
            last_step: record.last_step,
            metrics: from_json::<Metrics<_>>("metrics", &record.metrics.0)?.0,
            stages: match &record.stages {
                None => Arc::default(),
                Some(json) => Arc::new(stages_from_json(&json.0)?),
            },
            note: record.note,
            tags: from_json("tags", &record.tags.0)?,
            provenance: Arc::new(from_json("provenance", &record.provenance.0)?),
            created_at: record.created_at.0,
            started_at: record.started_at.map(|at| at.0),
            ended_at: record.ended_at.map(|at| at.0),
        })
    }
}

/// What is read of a row of `trial` when a study is loaded.
#[derive(Debug)]
pub(in crate::store) struct EndedTrialRecord<'r> {
    pub(in crate::store) number: i64,
    pub(in crate::store) state: &'r str,
    pub(in crate::store) params: &'r str,
    pub(in crate::store) value: Option<Number>,
    pub(in crate::store) more_values: &'r str,
    /// Empty if there are none.
    pub(in crate::store) stages: &'r str,
    pub(in crate::store) last_step: Option<i64>,
    pub(in crate::store) provenance: &'r str,
    pub(in crate::store) ended_at: Option<Time>,
}

impl EndedTrialRecord<'_> {
    /// The trial; none if it has not ended.
    pub(in crate::store) fn read(self) -> Result<Option<EndedTrial>, StoreError> {
        #[derive(Deserialize)]
        struct Chosen {
            origin: Origin,
            #[serde(default)]
            cursor: Option<u64>,
        }
        let Some(end) = End::named(self.state) else {
            return Ok(None);
        };
        let ended_at = self
            .ended_at
            .ok_or_else(|| corrupt(format_args!("trial {} ended at no time", self.number)))?;
        let chosen: Chosen = from_json("provenance", self.provenance)?;
        Ok(Some(EndedTrial {
            number: TrialNumber(unsigned("number", self.number)?),
            end,
            params: from_json("params", self.params)?,
            value: self.value.map(|number| number.0),
            more_values: values_from_json(self.more_values)?,
            last_step: self.last_step,
            stages: match self.stages {
                "" => None,
                json => Some(Box::new(stages_from_json(json)?)),
            },
            origin: chosen.origin,
            cursor: chosen.cursor,
            ended_at: ended_at.0,
        }))
    }
}

/// A row of `attempt`.
#[derive(Debug, FromRow)]
pub(in crate::store) struct AttemptRecord {
    pub(in crate::store) trial: i64,
    pub(in crate::store) attempt: i64,
    pub(in crate::store) lease_id: Uuid,
    pub(in crate::store) holder: Json,
    pub(in crate::store) holder_name: String,
    pub(in crate::store) gpus: Json,
    pub(in crate::store) price_per_hour: f64,
    pub(in crate::store) cost: f64,
    pub(in crate::store) client_ttl_microseconds: Option<i64>,
    pub(in crate::store) leased_at: Time,
    pub(in crate::store) started_at: Option<Time>,
    pub(in crate::store) ended_at: Option<Time>,
    pub(in crate::store) outcome: String,
    pub(in crate::store) failure: Option<Json>,
    pub(in crate::store) pid: i64,
    pub(in crate::store) exit_code: Option<i64>,
    pub(in crate::store) peak_memory: i64,
    pub(in crate::store) log_tail: String,
    /// None if nothing is known.
    pub(in crate::store) usage: Option<Json>,
}

impl TryFrom<&AttemptRow> for AttemptRecord {
    type Error = StoreError;

    fn try_from(row: &AttemptRow) -> Result<Self, StoreError> {
        Ok(Self {
            trial: signed(row.trial.0),
            attempt: i64::from(row.attempt.0),
            lease_id: row.lease.0,
            holder: Json(to_json(&row.holder)?),
            holder_name: text(&row.holder_name),
            gpus: Json(to_json(&row.gpus)?),
            price_per_hour: row.price_per_hour,
            cost: row.cost,
            client_ttl_microseconds: row.client_ttl.map(micros),
            leased_at: Time(row.leased_at),
            started_at: row.started_at.map(Time),
            ended_at: row.ended_at.map(Time),
            outcome: text(&row.outcome),
            failure: row.failure.as_ref().map(to_json).transpose()?.map(Json),
            pid: i64::from(row.pid),
            exit_code: row.exit_code.map(i64::from),
            peak_memory: signed(row.peak_memory),
            log_tail: text(&row.log_tail),
            usage: match row.usage.entries() {
                [] => None,
                _ => Some(Json(to_json(&row.usage)?)),
            },
        })
    }
}

impl TryFrom<AttemptRecord> for AttemptRow {
    type Error = StoreError;

    fn try_from(record: AttemptRecord) -> Result<Self, StoreError> {
        Ok(Self {
            trial: TrialNumber(unsigned("trial", record.trial)?),
            attempt: Attempt(unsigned("attempt", record.attempt)?),
            lease: LeaseId(record.lease_id),
            holder: from_json("holder", &record.holder.0)?,
            holder_name: record.holder_name,
            gpus: from_json("gpus", &record.gpus.0)?,
            price_per_hour: record.price_per_hour,
            cost: record.cost,
            client_ttl: record
                .client_ttl_microseconds
                .map(|ttl| duration("client_ttl_microseconds", ttl))
                .transpose()?,
            leased_at: record.leased_at.0,
            started_at: record.started_at.map(|at| at.0),
            ended_at: record.ended_at.map(|at| at.0),
            outcome: record.outcome,
            failure: record
                .failure
                .map(|json| from_json("failure", &json.0))
                .transpose()?,
            pid: unsigned("pid", record.pid)?,
            exit_code: record
                .exit_code
                .map(|code| unsigned("exit_code", code))
                .transpose()?,
            peak_memory: unsigned("peak_memory", record.peak_memory)?,
            log_tail: record.log_tail,
            usage: match &record.usage {
                None => UsageSeries::default(),
                Some(json) => from_json("usage", &json.0)?,
            },
        })
    }
}

/// A row of `decision`, but for its place.
#[derive(Debug, FromRow)]
pub(in crate::store) struct DecisionRecord {
    pub(in crate::store) trial: i64,
    pub(in crate::store) attempt: i64,
    pub(in crate::store) rule_index: i64,
    pub(in crate::store) rule: String,
    pub(in crate::store) shadow: bool,
    pub(in crate::store) metric: String,
    pub(in crate::store) step: i64,
    pub(in crate::store) value: Number,
    pub(in crate::store) reference: Number,
    pub(in crate::store) compared_trials: i64,
    pub(in crate::store) explanation: String,
    pub(in crate::store) at: Time,
}

impl From<&DecisionRow> for DecisionRecord {
    fn from(row: &DecisionRow) -> Self {
        let DecisionRow {
            trial,
            attempt,
            decision,
            at,
        } = row;
        Self {
            trial: signed(trial.0),
            attempt: i64::from(attempt.0),
            rule_index: i64::from(decision.rule_index),
            rule: text(&decision.rule),
            shadow: decision.shadow,
            metric: decision.metric.as_str().to_owned(),
            step: decision.step,
            value: Number(decision.value),
            reference: Number(decision.reference),
            compared_trials: signed(decision.compared_trials),
            explanation: text(&decision.text),
            at: Time(*at),
        }
    }
}

impl TryFrom<DecisionRecord> for DecisionRow {
    type Error = StoreError;

    fn try_from(record: DecisionRecord) -> Result<Self, StoreError> {
        let decision = StopDecision {
            rule_index: unsigned("rule_index", record.rule_index)?,
            rule: record.rule,
            shadow: record.shadow,
            metric: metric(&record.metric)?,
            step: record.step,
            value: record.value.0,
            reference: record.reference.0,
            compared_trials: unsigned("compared_trials", record.compared_trials)?,
            text: record.explanation,
        };
        Ok(Self {
            trial: TrialNumber(unsigned("trial", record.trial)?),
            attempt: Attempt(unsigned("attempt", record.attempt)?),
            decision,
            at: record.at.0,
        })
    }
}

/// A row of `request`.
#[derive(Debug, FromRow)]
pub(in crate::store) struct RequestRecord {
    pub(in crate::store) id: Uuid,
    pub(in crate::store) content: Vec<u8>,
    pub(in crate::store) trials: Json,
    pub(in crate::store) at: Time,
}

impl TryFrom<&RequestRow> for RequestRecord {
    type Error = StoreError;

    fn try_from(row: &RequestRow) -> Result<Self, StoreError> {
        let trials = Json(to_json(&row.trials)?);
        Ok(Self {
            id: row.id.0,
            content: row.content.to_vec(),
            trials,
            at: Time(row.at),
        })
    }
}

impl TryFrom<RequestRecord> for RequestRow {
    type Error = StoreError;

    fn try_from(record: RequestRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: RequestId(record.id),
            content: hash("content of a request", record.content)?,
            trials: from_json("trials", &record.trials.0)?,
            at: record.at.0,
        })
    }
}
