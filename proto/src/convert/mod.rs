//! Checked conversions between wire messages and domain types.
//!
//! Everything that comes over the network passes here: a field that is missing, unknown or out of range is an error that names it.
//! Nothing here panics, whatever the message.

pub mod points;
pub mod study;
pub mod usage;
pub mod value;
pub mod worker;

use std::str::FromStr;
use std::time::Duration;

use tunesmith_common::{
    Attempt, LeaseId, LeaseKey, RequestId, StudyId, StudyName, Timestamp, TrialNumber, WorkerName,
};

use crate::v1;

/// What is wrong with a field of a message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConvertError {
    /// Path of the field, such as `spec.space[2].low`.
    pub field: String,
    /// What is wrong with it, with the value and the remedy.
    pub message: String,
}

impl ConvertError {
    /// An error of `field`.
    pub fn new(field: impl Into<String>, message: impl ToString) -> Self {
        Self {
            field: field.into(),
            message: message.to_string(),
        }
    }

    /// The same error, seen from the message that contains `parent`.
    #[must_use]
    pub fn within(self, parent: &str) -> Self {
        Self {
            field: format!("{parent}.{}", self.field),
            message: self.message,
        }
    }
}

/// The value of a field that must be there.
///
/// # Errors
/// If it is not.
pub fn required<T>(value: Option<T>, field: &str) -> Result<T, ConvertError> {
    value.ok_or_else(|| ConvertError::new(field, "is missing"))
}

/// Parses a text field.
///
/// # Errors
/// If the text does not have the form of `T`.
pub fn parse<T: FromStr>(text: &str, field: &str) -> Result<T, ConvertError>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error: T::Err| ConvertError::new(field, format!("{error} (got {:?})", shorten(text))))
}

/// Wall-clock time on the wire.
#[must_use]
pub fn timestamp_to_wire(at: Timestamp) -> pbjson_types::Timestamp {
    let micros = at.as_micros();
    let nanos = i32::try_from(micros.rem_euclid(1_000_000) * 1_000).unwrap_or(0);
    pbjson_types::Timestamp {
        seconds: micros.div_euclid(1_000_000),
        nanos,
    }
}

/// Wall-clock time from the wire; saturates far from the present.
#[must_use]
pub fn timestamp_from_wire(at: &pbjson_types::Timestamp) -> Timestamp {
    Timestamp::from_micros(
        at.seconds
            .saturating_mul(1_000_000)
            .saturating_add(i64::from(at.nanos) / 1_000),
    )
}

/// A duration on the wire.
#[must_use]
pub fn duration_to_wire(duration: Duration) -> pbjson_types::Duration {
    pbjson_types::Duration {
        seconds: i64::try_from(duration.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(duration.subsec_nanos()).unwrap_or(0),
    }
}

/// A duration from the wire.
///
/// # Errors
/// If it is negative.
pub fn duration_from_wire(duration: &pbjson_types::Duration, field: &str) -> Result<Duration, ConvertError> {
    match (u64::try_from(duration.seconds), u32::try_from(duration.nanos)) {
        (Ok(seconds), Ok(nanos)) if nanos < 1_000_000_000 => Ok(Duration::new(seconds, nanos)),
        _ => Err(ConvertError::new(
            field,
            format!(
                "must not be negative, got {} s {} ns",
                duration.seconds, duration.nanos
            ),
        )),
    }
}

/// A lease on the wire.
#[must_use]
pub fn lease_to_wire(key: &LeaseKey) -> v1::Lease {
    v1::Lease {
        study_uid: key.study.to_string(),
        trial: key.trial.0,
        attempt: key.attempt.0,
        id: key.id.to_string(),
    }
}

/// A lease from the wire.
///
/// # Errors
/// If it is missing or one of its ids is not a UUID.
pub fn lease_from_wire(lease: Option<&v1::Lease>, field: &str) -> Result<LeaseKey, ConvertError> {
    let lease = required(lease, field)?;
    Ok(LeaseKey {
        study: parse::<StudyId>(&lease.study_uid, &format!("{field}.study_uid"))?,
        trial: TrialNumber(lease.trial),
        attempt: Attempt(lease.attempt),
        id: parse::<LeaseId>(&lease.id, &format!("{field}.id"))?,
    })
}

/// A request id from the wire; none if the caller gave none.
///
/// # Errors
/// If it is not a UUID.
pub fn request_id_from_wire(text: &str) -> Result<Option<RequestId>, ConvertError> {
    if text.is_empty() {
        return Ok(None);
    }
    parse(text, "request_id").map(Some)
}

/// `studies/{study}`.
#[must_use]
pub fn study_resource(study: &StudyName) -> String {
    format!("studies/{study}")
}

/// `studies/{study}/trials/{number}`.
#[must_use]
pub fn trial_resource(study: &StudyName, trial: TrialNumber) -> String {
    format!("studies/{study}/trials/{trial}")
}

/// `workers/{worker}`.
#[must_use]
pub fn worker_resource(worker: &WorkerName) -> String {
    format!("workers/{worker}")
}

/// The study named by `studies/{study}`.
///
/// # Errors
/// If `text` does not have that form.
pub fn study_from_resource(text: &str, field: &str) -> Result<StudyName, ConvertError> {
    match text.strip_prefix("studies/") {
        Some(study) if !study.contains('/') => parse(study, field),
        _ => Err(ConvertError::new(
            field,
            format!("must look like \"studies/NAME\", got {:?}", shorten(text)),
        )),
    }
}

/// The study and trial named by `studies/{study}/trials/{number}`.
///
/// # Errors
/// If `text` does not have that form.
pub fn trial_from_resource(text: &str, field: &str) -> Result<(StudyName, TrialNumber), ConvertError> {
    let malformed = || {
        ConvertError::new(
            field,
            format!(
                "must look like \"studies/NAME/trials/NUMBER\", got {:?}",
                shorten(text)
            ),
        )
    };
    let (study, number) = text
        .strip_prefix("studies/")
        .and_then(|rest| rest.split_once("/trials/"))
        .ok_or_else(malformed)?;
    let number = number.parse().map_err(|_| malformed())?;
    Ok((parse(study, field)?, TrialNumber(number)))
}

/// The worker named by `workers/{worker}`.
///
/// # Errors
/// If `text` does not have that form.
pub fn worker_from_resource(text: &str, field: &str) -> Result<WorkerName, ConvertError> {
    match text.strip_prefix("workers/") {
        Some(worker) if !worker.contains('/') => parse(worker, field),
        _ => Err(ConvertError::new(
            field,
            format!("must look like \"workers/NAME\", got {:?}", shorten(text)),
        )),
    }
}

/// A text from outside, short enough for a message.
fn shorten(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
