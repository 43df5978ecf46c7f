//! Rows with plain columns, and the conversions between them and the rows of the store.
//!
//! Numbers that are unsigned here are signed columns there: `check` has made sure that they fit, and reading refuses negative
//! ones. Field names are column names.

mod others;
mod trials;

use std::time::Duration;

use tunesmith_common::measurement::MetricName;

pub(in crate::store) use others::{AuditRecord, StudyRecord, TokenRecord, WorkerRecord};
pub(in crate::store) use trials::{
    AttemptRecord, DecisionRecord, EndedTrialRecord, RequestRecord, TrialRecord,
};

use super::super::StoreError;
use super::corrupt;

/// A number of ours in a signed column. Larger ones were refused by `check`.
pub(in crate::store) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A number of ours from a signed column.
pub(in crate::store) fn unsigned<T: TryFrom<i64>>(what: &str, number: i64) -> Result<T, StoreError> {
    T::try_from(number).map_err(|_| corrupt(format_args!("{what} is {number}")))
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

fn duration(what: &str, micros: i64) -> Result<Duration, StoreError> {
    unsigned(what, micros).map(Duration::from_micros)
}

fn hash(what: &str, bytes: Vec<u8>) -> Result<[u8; 32], StoreError> {
    bytes
        .try_into()
        .map_err(|bytes: Vec<u8>| corrupt(format_args!("{what} has {} bytes", bytes.len())))
}

/// Name of a metric from its column.
pub(in crate::store) fn metric(name: &str) -> Result<MetricName, StoreError> {
    name.parse()
        .map_err(|error| corrupt(format_args!("metric {name:?}: {error}")))
}
