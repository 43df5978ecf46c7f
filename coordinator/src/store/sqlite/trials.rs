//! Listing trials by filter and rank, and reading them when a study is loaded.

use futures::TryStreamExt as _;
use sqlx::{Row as _, SqlitePool};
use tunesmith_common::{StudyId, Timestamp, TrialNumber};

use super::super::sql::json::{Number, to_json};
use super::super::sql::records::{EndedTrialRecord, TrialRecord, signed};
use super::super::sql::statements::select_trials;
use super::super::sql::types::Time;
use super::super::sql::{corrupt, rows};
use super::super::{StoreError, StoredTrial, TrialOrder, TrialQuery, TrialRow};
use super::error::store_error;
use super::statements::add_living;
use super::{FIELD, number};

pub(super) async fn list(
    readers: &SqlitePool,
    study: StudyId,
    query: &TrialQuery,
) -> Result<Vec<TrialRow>, StoreError> {
    // Numbers that are not finite are texts here: only finite values are ranked.
    let sql = match query.order {
        TrialOrder::Number => select_trials!(
            "AND (json_array_length($2) = 0 OR state IN (SELECT value FROM json_each($2)))
             ORDER BY number LIMIT $4 OFFSET $3"
        ),
        TrialOrder::Newest => select_trials!(
            "AND (json_array_length($2) = 0 OR state IN (SELECT value FROM json_each($2)))
             ORDER BY number DESC LIMIT $4 OFFSET $3"
        ),
        TrialOrder::BestMinimize => select_trials!(
            "AND (json_array_length($2) = 0 OR state IN (SELECT value FROM json_each($2)))
             ORDER BY CASE WHEN typeof(value) = 'real' THEN value END ASC NULLS LAST, number LIMIT $4 OFFSET $3"
        ),
        TrialOrder::BestMaximize => select_trials!(
            "AND (json_array_length($2) = 0 OR state IN (SELECT value FROM json_each($2)))
             ORDER BY CASE WHEN typeof(value) = 'real' THEN value END DESC NULLS LAST, number LIMIT $4 OFFSET $3"
        ),
    };
    let records = sqlx::query_as::<_, TrialRecord>(sql)
        .bind(study.0)
        .bind(to_json(&query.states)?)
        .bind(signed(query.offset))
        .bind(i64::from(query.limit))
        .fetch_all(readers)
        .await
        .map_err(|error| store_error("list trials", error))?;
    rows(records)
}

/// Rows are read where they lie: a study may have a million of them. What can be is one column, because each costs an allocation;
/// `value` cannot, because SQLite writes numbers with 15 digits.
pub(super) async fn page(
    readers: &SqlitePool,
    study: StudyId,
    after: TrialNumber,
    limit: u32,
) -> Result<Vec<StoredTrial>, StoreError> {
    let failed = |error| store_error("list trials", error);
    let mut rows = sqlx::query(
        "SELECT value, number || char(31) || state || char(31) || coalesce(last_step, '') || char(31) || coalesce(ended_at, '')
             || char(31) || more_values || char(31) || coalesce(stages, '') || char(31) || params || char(31)
             || provenance FROM trial WHERE study_id = $1 AND number > $2 ORDER BY number LIMIT $3",
    )
    .bind(study.0)
    .bind(signed(after.0))
    .bind(i64::from(limit))
    .fetch(readers);
    let mut trials = Vec::new();
    let mut living: Option<(i64, i64)> = None;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let value: Option<Number> = row.try_get(0).map_err(failed)?;
        let joined: &str = row.try_get(1).map_err(failed)?;
        let mut fields = joined.split(FIELD);
        let mut field = || {
            fields
                .next()
                .ok_or_else(|| corrupt(format_args!("a trial: {joined:?}")))
        };
        let at = number("number", field()?)?;
        let record = EndedTrialRecord {
            number: at,
            state: field()?,
            last_step: match field()? {
                "" => None,
                step => Some(number("last_step", step)?),
            },
            ended_at: match field()? {
                "" => None,
                at => Some(Time(Timestamp::from_micros(number("ended_at", at)?))),
            },
            more_values: field()?,
            stages: field()?,
            params: field()?,
            value,
            provenance: field()?,
        };
        match record.read()? {
            Some(ended) => trials.push(StoredTrial::Ended(ended)),
            None => living = Some((living.map_or(at, |(first, _)| first), at)),
        }
    }
    drop(rows);
    if let Some((first, last)) = living {
        add_living(readers, study, first, last, &mut trials).await?;
    }
    Ok(trials)
}
