//! Creating and deleting studies.

use sqlx::SqliteConnection;
use tunesmith_common::StudyId;

use super::super::sql::history::to_rows;
use super::super::sql::records::StudyRecord;
use super::super::{AuditRow, PriorTrial, RequestRow, StoreError, StudyRow, study_taken};
use super::commit::name_is_taken;
use super::error::store_error;
use super::statements::audit_add;

/// Inserts a study that no earlier call has made, within the transaction of `connection`.
pub(super) async fn create(
    connection: &mut SqliteConnection,
    study: &StudyRow,
    history: &[PriorTrial],
    request: Option<&RequestRow>,
    audit: &AuditRow,
) -> Result<StudyRow, StoreError> {
    if name_is_taken(connection, study).await? {
        return Err(study_taken(&study.name));
    }
    let record = StudyRecord::try_from(study)?;
    let done = sqlx::query(
        "INSERT INTO study (id, name, spec, state, done_reason, state_reason, strategy_note, active_microseconds,
             gpu_seconds, created_at, done_at, updated_at, create_request_id, create_request_content, lineage, cost, creator, policy)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18) ON CONFLICT (id) DO NOTHING",
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
    .bind(record.lineage)
    .bind(record.cost)
    .bind(record.creator)
    .bind(record.policy)
    .execute(&mut *connection)
    .await
    .map_err(|error| store_error("create a study", error))?;
    if done.rows_affected() == 0 {
        return Err(study_taken(&study.name));
    }
    sqlx::query("INSERT INTO study_owner (study_id) VALUES ($1)")
        .bind(study.id.0)
        .execute(&mut *connection)
        .await
        .map_err(|error| store_error("create a study", error))?;
    for (position, trials) in (0_i64..).zip(to_rows(history)?) {
        sqlx::query("INSERT INTO history (study_id, position, trials) VALUES ($1, $2, $3)")
            .bind(study.id.0)
            .bind(position)
            .bind(trials)
            .execute(&mut *connection)
            .await
            .map_err(|error| store_error("create a study", error))?;
    }
    audit_add(connection, audit).await?;
    Ok(study.clone())
}

/// Removes all rows of a study, within the transaction of `connection`.
pub(super) async fn delete(
    connection: &mut SqliteConnection,
    study: StudyId,
    audit: &AuditRow,
) -> Result<(), StoreError> {
    let mut there = false;
    for statement in [
        "DELETE FROM point_chunk WHERE study_id = $1",
        "DELETE FROM decision WHERE study_id = $1",
        "DELETE FROM request WHERE study_id = $1",
        "DELETE FROM attempt WHERE study_id = $1",
        "DELETE FROM trial WHERE study_id = $1",
        "DELETE FROM history WHERE study_id = $1",
        "DELETE FROM study_owner WHERE study_id = $1",
        "DELETE FROM study WHERE id = $1",
    ] {
        let done = sqlx::query(statement)
            .bind(study.0)
            .execute(&mut *connection)
            .await
            .map_err(|error| store_error("delete a study", error))?;
        there = done.rows_affected() > 0;
    }
    if there {
        audit_add(connection, audit).await
    } else {
        Ok(())
    }
}
