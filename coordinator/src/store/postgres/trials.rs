//! Listing trials by filter and rank, and reading them when a study is loaded.

use futures::TryStreamExt as _;
use sqlx::{PgPool, Row as _};
use tunesmith_common::{StudyId, TrialNumber};

use super::super::sql::records::{EndedTrialRecord, TrialRecord, signed};
use super::super::sql::rows;
use super::super::sql::statements::select_trials;
use super::super::{StoreError, StoredTrial, TrialOrder, TrialQuery, TrialRow};
use super::error::store_error;
use super::statements::add_living;

pub(super) async fn list(
    pool: &PgPool,
    study: StudyId,
    query: &TrialQuery,
) -> Result<Vec<TrialRow>, StoreError> {
    // NaN sorts above infinity here: only finite values are ranked.
    let sql = match query.order {
        TrialOrder::Number => {
            select_trials!("AND (cardinality($2::text[]) = 0 OR state = ANY($2)) ORDER BY number OFFSET $3 LIMIT $4")
        }
        TrialOrder::Newest => select_trials!(
            "AND (cardinality($2::text[]) = 0 OR state = ANY($2)) ORDER BY number DESC OFFSET $3 LIMIT $4"
        ),
        TrialOrder::BestMinimize => select_trials!(
            "AND (cardinality($2::text[]) = 0 OR state = ANY($2))
             ORDER BY CASE WHEN value > '-Infinity' AND value < 'Infinity' THEN value END ASC NULLS LAST, number
             OFFSET $3 LIMIT $4"
        ),
        TrialOrder::BestMaximize => select_trials!(
            "AND (cardinality($2::text[]) = 0 OR state = ANY($2))
             ORDER BY CASE WHEN value > '-Infinity' AND value < 'Infinity' THEN value END DESC NULLS LAST, number
             OFFSET $3 LIMIT $4"
        ),
    };
    let records = sqlx::query_as::<_, TrialRecord>(sql)
        .bind(study.0)
        .bind(&query.states)
        .bind(signed(query.offset))
        .bind(i64::from(query.limit))
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("list trials", error))?;
    rows(records)
}

/// Rows are read where they lie: a study may have a million of them.
pub(super) async fn page(
    pool: &PgPool,
    study: StudyId,
    after: TrialNumber,
    limit: u32,
) -> Result<Vec<StoredTrial>, StoreError> {
    let failed = |error| store_error("list trials", error);
    let mut rows = sqlx::query(
        "SELECT number, state, params, value, last_step, provenance, ended_at, more_values, stages FROM trial WHERE study_id = $1 AND number > $2
         ORDER BY number LIMIT $3",
    )
    .bind(study.0)
    .bind(signed(after.0))
    .bind(i64::from(limit))
    .fetch(pool);
    let mut trials = Vec::new();
    let mut living: Option<(i64, i64)> = None;
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let number: i64 = row.try_get(0).map_err(failed)?;
        let record = EndedTrialRecord {
            number,
            state: row.try_get(1).map_err(failed)?,
            params: row.try_get_unchecked(2).map_err(failed)?,
            value: row.try_get(3).map_err(failed)?,
            last_step: row.try_get(4).map_err(failed)?,
            provenance: row.try_get_unchecked(5).map_err(failed)?,
            ended_at: row.try_get(6).map_err(failed)?,
            more_values: row.try_get_unchecked(7).map_err(failed)?,
            stages: row
                .try_get_unchecked::<Option<&str>, _>(8)
                .map_err(failed)?
                .unwrap_or_default(),
        };
        match record.read()? {
            Some(ended) => trials.push(StoredTrial::Ended(ended)),
            None => living = Some((living.map_or(number, |(first, _)| first), number)),
        }
    }
    drop(rows);
    if let Some((first, last)) = living {
        add_living(pool, study, first, last, &mut trials).await?;
    }
    Ok(trials)
}
