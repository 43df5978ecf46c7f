//! What the two databases have in common: the form of their rows. Each has its own statements.
//!
//! A record is a row with plain columns, as both databases have it; conversions check everything, because people can write to
//! databases.

pub(super) mod history;
pub(super) mod json;
pub(super) mod records;
mod stages;
pub(super) mod statements;
pub(super) mod types;

use super::StoreError;

/// The schema that this version writes. Migrations that change tables raise it.
pub(super) const SCHEMA_VERSION: i32 = 9;

/// A refusal to read what is stored.
pub(super) fn corrupt(what: impl std::fmt::Display) -> StoreError {
    StoreError::Corrupt(what.to_string())
}

/// Lines of rows, or the first that could not be read.
pub(super) fn rows<R, T>(records: Vec<R>) -> Result<Vec<T>, StoreError>
where
    R: TryInto<T, Error = StoreError>,
{
    records.into_iter().map(TryInto::try_into).collect()
}

/// The same for a row that need not exist.
pub(super) fn row<R, T>(record: Option<R>) -> Result<Option<T>, StoreError>
where
    R: TryInto<T, Error = StoreError>,
{
    record.map(TryInto::try_into).transpose()
}
