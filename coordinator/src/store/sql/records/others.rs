//! Studies, the audit log, workers and tokens.

use sqlx::FromRow;
use tunesmith_common::{StudyId, WorkerId};
use uuid::Uuid;

use super::super::super::{
    AuditRow, DoneReason, StoreError, StudyRow, StudyState, TokenKind, TokenRow, WorkerRow,
};
use super::super::corrupt;
use super::super::json::{from_json, text, to_json};
use super::super::types::{Json, Time};
use super::{duration, hash, micros, signed, unsigned};

/// A row of `study`, but for the call that created it.
#[derive(Debug, FromRow)]
pub(in crate::store) struct StudyRecord {
    pub(in crate::store) id: Uuid,
    pub(in crate::store) name: String,
    pub(in crate::store) spec: Json,
    pub(in crate::store) lineage: Json,
    pub(in crate::store) state: String,
    pub(in crate::store) done_reason: Option<String>,
    pub(in crate::store) state_reason: String,
    pub(in crate::store) strategy_note: String,
    pub(in crate::store) active_microseconds: i64,
    pub(in crate::store) gpu_seconds: f64,
    pub(in crate::store) cost: f64,
    pub(in crate::store) creator: String,
    pub(in crate::store) policy: Option<Json>,
    pub(in crate::store) created_at: Time,
    pub(in crate::store) done_at: Option<Time>,
    pub(in crate::store) updated_at: Time,
}

fn done_reason_name(reason: DoneReason) -> &'static str {
    match reason {
        DoneReason::Budget => "BUDGET",
        DoneReason::Target => "TARGET",
        DoneReason::Exhausted => "EXHAUSTED",
        DoneReason::Cancelled => "CANCELLED",
        DoneReason::Failures => "FAILURES",
    }
}

fn done_reason(name: Option<&str>) -> Result<DoneReason, StoreError> {
    Ok(match name {
        Some("BUDGET") => DoneReason::Budget,
        Some("TARGET") => DoneReason::Target,
        Some("EXHAUSTED") => DoneReason::Exhausted,
        Some("CANCELLED") => DoneReason::Cancelled,
        Some("FAILURES") => DoneReason::Failures,
        other => return Err(corrupt(format_args!("done_reason is {other:?}"))),
    })
}

impl TryFrom<&StudyRow> for StudyRecord {
    type Error = StoreError;

    fn try_from(row: &StudyRow) -> Result<Self, StoreError> {
        let (state, reason) = match row.state {
            StudyState::Active => ("ACTIVE", None),
            StudyState::Paused => ("PAUSED", None),
            StudyState::Ending(reason) => ("ENDING", Some(reason)),
            StudyState::Done(reason) => ("DONE", Some(reason)),
            StudyState::Archived(reason) => ("ARCHIVED", Some(reason)),
        };
        Ok(Self {
            id: row.id.0,
            name: row.name.as_str().to_owned(),
            spec: Json(to_json(&row.spec)?),
            lineage: Json(to_json(&row.lineage)?),
            state: state.to_owned(),
            done_reason: reason.map(|reason| done_reason_name(reason).to_owned()),
            state_reason: text(&row.state_reason),
            strategy_note: text(&row.strategy_note),
            active_microseconds: micros(row.active_time),
            gpu_seconds: row.gpu_seconds,
            cost: row.cost,
            creator: text(&row.creator),
            policy: row.policy.as_ref().map(to_json).transpose()?.map(Json),
            created_at: Time(row.created_at),
            done_at: row.done_at.map(Time),
            updated_at: Time(row.updated_at),
        })
    }
}

impl TryFrom<StudyRecord> for StudyRow {
    type Error = StoreError;

    fn try_from(record: StudyRecord) -> Result<Self, StoreError> {
        let reason = record.done_reason.as_deref();
        let state = match record.state.as_str() {
            "ACTIVE" => StudyState::Active,
            "PAUSED" => StudyState::Paused,
            "ENDING" => StudyState::Ending(done_reason(reason)?),
            "DONE" => StudyState::Done(done_reason(reason)?),
            "ARCHIVED" => StudyState::Archived(done_reason(reason)?),
            other => return Err(corrupt(format_args!("state of study {} is {other:?}", record.id))),
        };
        Ok(Self {
            id: StudyId(record.id),
            name: record
                .name
                .parse()
                .map_err(|error| corrupt(format_args!("study {}: {error}", record.id)))?,
            spec: from_json("spec", &record.spec.0)?,
            lineage: from_json("lineage", &record.lineage.0)?,
            state,
            state_reason: record.state_reason,
            strategy_note: record.strategy_note,
            active_time: duration("active_microseconds", record.active_microseconds)?,
            gpu_seconds: record.gpu_seconds,
            cost: record.cost,
            creator: record.creator,
            policy: record
                .policy
                .map(|json| from_json("policy", &json.0))
                .transpose()?,
            created_at: record.created_at.0,
            done_at: record.done_at.map(|at| at.0),
            updated_at: record.updated_at.0,
        })
    }
}

/// A row of `audit`, but for its number.
#[derive(Debug, FromRow)]
pub(in crate::store) struct AuditRecord {
    pub(in crate::store) at: Time,
    pub(in crate::store) actor: String,
    pub(in crate::store) action: String,
    pub(in crate::store) subject: String,
    pub(in crate::store) detail: String,
}

impl From<&AuditRow> for AuditRecord {
    fn from(row: &AuditRow) -> Self {
        Self {
            at: Time(row.at),
            actor: text(&row.actor),
            action: text(&row.action),
            subject: text(&row.subject),
            detail: text(&row.detail),
        }
    }
}

impl TryFrom<AuditRecord> for AuditRow {
    type Error = StoreError;

    fn try_from(record: AuditRecord) -> Result<Self, StoreError> {
        let AuditRecord {
            at,
            actor,
            action,
            subject,
            detail,
        } = record;
        Ok(Self {
            at: at.0,
            actor,
            action,
            subject,
            detail,
        })
    }
}

/// A row of `worker`.
#[derive(Debug, FromRow)]
pub(in crate::store) struct WorkerRecord {
    pub(in crate::store) id: Uuid,
    pub(in crate::store) name: String,
    pub(in crate::store) generation: i64,
    pub(in crate::store) draining: bool,
    pub(in crate::store) version: String,
    pub(in crate::store) address: String,
    pub(in crate::store) resources: Json,
    pub(in crate::store) last_seen_at: Time,
}

impl TryFrom<&WorkerRow> for WorkerRecord {
    type Error = StoreError;

    fn try_from(row: &WorkerRow) -> Result<Self, StoreError> {
        Ok(Self {
            id: row.id.0,
            name: row.name.as_str().to_owned(),
            generation: signed(row.generation),
            draining: row.draining,
            version: text(&row.version),
            address: text(&row.address),
            resources: Json(to_json(&row.resources)?),
            last_seen_at: Time(row.last_seen_at),
        })
    }
}

impl TryFrom<WorkerRecord> for WorkerRow {
    type Error = StoreError;

    fn try_from(record: WorkerRecord) -> Result<Self, StoreError> {
        Ok(Self {
            id: WorkerId(record.id),
            name: record
                .name
                .parse()
                .map_err(|error| corrupt(format_args!("worker {}: {error}", record.id)))?,
            generation: unsigned("generation", record.generation)?,
            draining: record.draining,
            version: record.version,
            address: record.address,
            resources: from_json("resources", &record.resources.0)?,
            last_seen_at: record.last_seen_at.0,
        })
    }
}

/// A row of `token`.
#[derive(Debug, FromRow)]
pub(in crate::store) struct TokenRecord {
    pub(in crate::store) id: String,
    pub(in crate::store) kind: String,
    pub(in crate::store) label: String,
    pub(in crate::store) secret_hash: Vec<u8>,
    pub(in crate::store) created_at: Time,
    pub(in crate::store) revoked_at: Option<Time>,
}

impl From<&TokenRow> for TokenRecord {
    fn from(row: &TokenRow) -> Self {
        let kind = match row.kind {
            TokenKind::User => "USER",
            TokenKind::Worker => "WORKER",
        };
        Self {
            id: row.id.clone(),
            kind: kind.to_owned(),
            label: text(&row.label),
            secret_hash: row.secret_hash.to_vec(),
            created_at: Time(row.created_at),
            revoked_at: row.revoked_at.map(Time),
        }
    }
}

impl TryFrom<TokenRecord> for TokenRow {
    type Error = StoreError;

    fn try_from(record: TokenRecord) -> Result<Self, StoreError> {
        let kind = match record.kind.as_str() {
            "USER" => TokenKind::User,
            "WORKER" => TokenKind::Worker,
            other => return Err(corrupt(format_args!("kind of token {} is {other:?}", record.id))),
        };
        Ok(Self {
            id: record.id,
            kind,
            label: record.label,
            secret_hash: hash("secret_hash", record.secret_hash)?,
            created_at: record.created_at.0,
            revoked_at: record.revoked_at.map(|at| at.0),
        })
    }
}
