//! Creating and deleting studies.

use sqlx::PgPool;
use tunesmith_common::StudyId;

use super::super::sql::history::to_rows;
use super::super::sql::records::{AuditRecord, StudyRecord};
use super::super::{AuditRow, PriorTrial, RequestRow, StoreError, StudyRow, study_taken};
use super::error::{broken_constraint, store_error};
use super::statements::study_created_by;

/// Rows of a study that deleting removes at a time, so that no statement runs into a time limit.
const ROWS_PER_REMOVAL: i64 = 5_000;

pub(super) async fn create(
    pool: &PgPool,
    study: &StudyRow,
    history: &[PriorTrial],
    request: Option<&RequestRow>,
    audit: &AuditRow,
) -> Result<StudyRow, StoreError> {
    if let Some(request) = request
        && let Some(earlier) = study_created_by(pool, request).await?
    {
        return Ok(earlier);
    }
    let record = StudyRecord::try_from(study)?;
    let audit = AuditRecord::from(audit);
    let history = to_rows(history)?;
    let inserted = sqlx::query(
        "WITH study_part AS (
             INSERT INTO study (id, name, spec, state, done_reason, state_reason, strategy_note, active_microseconds,
                 gpu_seconds, created_at, done_at, updated_at, create_request_id, create_request_content,
                 lineage, cost, creator, policy)
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $20, $22, $23, $24) RETURNING id),
         owner_part AS (INSERT INTO study_owner (study_id) SELECT id FROM study_part),
         history_part AS (
             INSERT INTO history (study_id, position, trials)
             SELECT study_part.id, row.position - 1, row.trials FROM study_part, unnest($21) WITH ORDINALITY AS row (trials, position))
         INSERT INTO audit (at, actor, action, subject, detail) VALUES ($15, $16, $17, $18, $19)",
    )
    .bind(record.id)
    .bind(record.name)
    .bind(record.spec)
    .bind(record.state)
    .bind(record.done_reason)
    .bind(record.state_reason)
    .bind(record.strategy_note)
    .bind(record.active_microseconds)
    .bind(record.gpu_seconds)
    .bind(record.created_at)
    .bind(record.done_at)
    .bind(record.updated_at)
    .bind(request.map(|request| request.id.0))
    .bind(request.map(|request| request.content.to_vec()))
    .bind(audit.at)
    .bind(audit.actor)
    .bind(audit.action)
    .bind(audit.subject)
    .bind(audit.detail)
    .bind(record.lineage)
    .bind(history)
    .bind(record.cost)
    .bind(record.creator)
    .bind(record.policy)
    .execute(pool)
    .await;
    let Err(error) = inserted else {
        return Ok(study.clone());
    };
    match (broken_constraint(&error), request) {
        // The same call, made twice at once: the other one was first. It may have been for either constraint.
        (
            Some("study_create_request_is_unique" | "study_name_is_unique" | "study_id_is_unique"),
            Some(request),
        ) => study_created_by(pool, request)
            .await?
            .ok_or_else(|| study_taken(&study.name)),
        (Some("study_name_is_unique" | "study_id_is_unique"), None) => Err(study_taken(&study.name)),
        _ => Err(store_error("create a study", error)),
    }
}

/// First the study goes, in one statement that fences its owner; from then on nobody sees its rows, which go in batches. What
/// a crash leaves over is removed when the next study is deleted or the store is opened.
pub(super) async fn delete(pool: &PgPool, study: StudyId, audit: &AuditRow) -> Result<(), StoreError> {
    let audit = AuditRecord::from(audit);
    sqlx::query(
        "WITH owner AS (DELETE FROM study_owner WHERE study_id = $1 RETURNING study_id),
         gone AS (DELETE FROM study USING owner WHERE study.id = owner.study_id RETURNING study.id),
         removal AS (INSERT INTO study_removal (study_id) SELECT id FROM gone)
         INSERT INTO audit (at, actor, action, subject, detail) SELECT $2, $3, $4, $5, $6 FROM gone",
    )
    .bind(study.0)
    .bind(audit.at)
    .bind(audit.actor)
    .bind(audit.action)
    .bind(audit.subject)
    .bind(audit.detail)
    .execute(pool)
    .await
    .map_err(|error| store_error("delete a study", error))?;
    finish_removals(pool).await
}

/// Removes the rows of all studies that are gone.
pub(super) async fn finish_removals(pool: &PgPool) -> Result<(), StoreError> {
    let failed = |error| store_error("remove the rows of a deleted study", error);
    let gone: Vec<uuid::Uuid> = sqlx::query_scalar("SELECT study_id FROM study_removal")
        .fetch_all(pool)
        .await
        .map_err(failed)?;
    for study in gone {
        for batch in [
            "DELETE FROM point_chunk WHERE ctid = ANY(ARRAY(SELECT ctid FROM point_chunk WHERE study_id = $1 LIMIT $2))",
            "DELETE FROM decision WHERE ctid = ANY(ARRAY(SELECT ctid FROM decision WHERE study_id = $1 LIMIT $2))",
            "DELETE FROM request WHERE ctid = ANY(ARRAY(SELECT ctid FROM request WHERE study_id = $1 LIMIT $2))",
            "DELETE FROM attempt WHERE ctid = ANY(ARRAY(SELECT ctid FROM attempt WHERE study_id = $1 LIMIT $2))",
            "DELETE FROM history WHERE ctid = ANY(ARRAY(SELECT ctid FROM history WHERE study_id = $1 LIMIT $2))",
            "DELETE FROM trial WHERE ctid = ANY(ARRAY(SELECT ctid FROM trial WHERE study_id = $1 LIMIT $2))",
        ] {
            loop {
                let done = sqlx::query(batch)
                    .bind(study)
                    .bind(ROWS_PER_REMOVAL)
                    .execute(pool)
                    .await
                    .map_err(failed)?;
                if done.rows_affected() == 0 {
                    break;
                }
            }
        }
        sqlx::query("DELETE FROM study_removal WHERE study_id = $1")
            .bind(study)
            .execute(pool)
            .await
            .map_err(failed)?;
    }
    Ok(())
}
