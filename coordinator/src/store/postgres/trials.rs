//! Listing trials by filter and rank.

use sqlx::PgPool;
use tunesmith_common::StudyId;

use super::super::sql::records::{TrialRecord, signed};
use super::super::sql::rows;
use super::super::sql::statements::select_trials;
use super::super::{StoreError, TrialOrder, TrialQuery, TrialRow};
use super::error::store_error;

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
