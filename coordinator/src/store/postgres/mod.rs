//! The store in Postgres, for one or several coordinators.
//!
//! Every write is a single statement, and none is sent between BEGIN and COMMIT: statements are atomic by themselves, cost one
//! round trip, and leave no transaction open on a pooled connection when their caller goes away.

mod commit;
mod committers;
mod connect;
mod error;
mod points;
mod statements;
mod studies;
mod trials;

use std::fmt;
use std::ops::RangeInclusive;

use async_trait::async_trait;
use sqlx::PgPool;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, StudyName, Timestamp, TrialNumber, WorkerId};

pub use connect::PostgresOptions;

use committers::Committers;

use super::check::{check_changes, check_study, fits};
use super::open::OpenError;
use super::sql::records::signed;
use super::{
    AttemptRow, AuditRow, Changes, ChunkPlace, DecisionRow, Ownership, PointChunk, PointRuns, PriorTrial,
    RequestRow, StateCounts, Store, StoreError, StoredTrial, StudyRow, TokenRow, TrialQuery, TrialRow,
    WorkerRow,
};

/// A store in a Postgres database.
pub struct PostgresStore {
    /// For everything but commits.
    pool: PgPool,
    committers: Committers,
}

impl fmt::Debug for PostgresStore {
    /// Without the pool, whose options hold the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore")
            .field("connections", &self.pool.size())
            .finish_non_exhaustive()
    }
}

impl PostgresStore {
    /// Connects to the database at `url`, and creates or migrates its tables.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed then, but by migrations that had succeeded.
    pub async fn connect(url: &str, options: &PostgresOptions) -> Result<Self, OpenError> {
        let (pool, committers) = connect::connect(url, options).await?;
        if let Err(error) = studies::finish_removals(&pool).await {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(
                error,
                "rows of deleted studies are left; deleting another study tries again"
            );
        }
        Ok(Self { pool, committers })
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn study_create(
        &self,
        study: &StudyRow,
        history: &[PriorTrial],
        request: Option<&RequestRow>,
        audit: &AuditRow,
    ) -> Result<StudyRow, StoreError> {
        check_study(study)?;
        studies::create(&self.pool, study, history, request, audit).await
    }

    async fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
        statements::study_created_by(&self.pool, request).await
    }

    async fn study_take(&self, study: StudyId) -> Result<Ownership, StoreError> {
        statements::study_take(&self.pool, study).await
    }

    async fn commit(&self, owner: &Ownership, changes: &Changes) -> Result<Ownership, StoreError> {
        check_changes(owner.study, changes)?;
        let commit_seq = commit::commit(&self.committers, owner, changes).await?;
        Ok(Ownership { commit_seq, ..*owner })
    }

    async fn study_delete(&self, study: StudyId, audit: &AuditRow) -> Result<(), StoreError> {
        studies::delete(&self.pool, study, audit).await
    }

    async fn study_find(&self, name: &StudyName) -> Result<Option<StudyRow>, StoreError> {
        statements::study_find(&self.pool, name.as_str()).await
    }

    async fn study_fetch(&self, study: StudyId) -> Result<Option<StudyRow>, StoreError> {
        statements::study_fetch(&self.pool, study).await
    }

    async fn study_list(&self, archived: bool, offset: u64, limit: u32) -> Result<Vec<StudyRow>, StoreError> {
        statements::study_list(&self.pool, archived, signed(offset), limit).await
    }

    async fn study_list_alive(&self) -> Result<Vec<StudyId>, StoreError> {
        statements::study_list_alive(&self.pool).await
    }

    async fn history_list(&self, study: StudyId) -> Result<Vec<PriorTrial>, StoreError> {
        statements::history_list(&self.pool, study).await
    }

    async fn trial_list(&self, study: StudyId, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError> {
        trials::list(&self.pool, study, query).await
    }

    async fn trial_page(
        &self,
        study: StudyId,
        after: TrialNumber,
        limit: u32,
    ) -> Result<Vec<StoredTrial>, StoreError> {
        trials::page(&self.pool, study, after, limit).await
    }

    async fn trial_fetch(&self, study: StudyId, trial: TrialNumber) -> Result<Option<TrialRow>, StoreError> {
        statements::trial_fetch(&self.pool, study, trial).await
    }

    async fn trial_counts(&self, study: StudyId) -> Result<StateCounts, StoreError> {
        statements::trial_counts(&self.pool, study).await
    }

    async fn attempt_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        statements::attempt_list_of(&self.pool, study, trials).await
    }

    async fn attempt_list_open(&self, study: StudyId) -> Result<Vec<AttemptRow>, StoreError> {
        statements::attempt_list_open(&self.pool, study).await
    }

    async fn decision_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        statements::decision_list_of(&self.pool, study, trials).await
    }

    async fn decision_list_all(&self, study: StudyId) -> Result<Vec<DecisionRow>, StoreError> {
        statements::decision_list_all(&self.pool, study).await
    }

    async fn request_list(&self, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
        statements::request_list(&self.pool, study, since).await
    }

    async fn request_prune(&self, study: StudyId, before: Timestamp) -> Result<u64, StoreError> {
        statements::request_prune(&self.pool, study, before).await
    }

    async fn point_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<PointChunk>, StoreError> {
        points::list(&self.pool, study, trial).await
    }

    async fn point_page(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        after: TrialNumber,
        limit: u32,
    ) -> Result<PointRuns, StoreError> {
        points::page(&self.pool, study, metrics, after, limit).await
    }

    async fn point_runs(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        trials: &[TrialNumber],
    ) -> Result<PointRuns, StoreError> {
        points::runs(&self.pool, study, metrics, trials).await
    }

    async fn point_exists(&self, study: StudyId, metric: &MetricName) -> Result<bool, StoreError> {
        statements::point_exists(&self.pool, study, metric.as_str()).await
    }

    async fn point_committed(&self, study: StudyId) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
        points::committed(&self.pool, study).await
    }

    async fn point_count(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<(Attempt, u64)>, StoreError> {
        points::count(&self.pool, study, trial).await
    }

    async fn point_compact(
        &self,
        owner: &Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        from: Option<&ChunkPlace>,
    ) -> Result<Option<ChunkPlace>, StoreError> {
        points::compact(&self.pool, owner, trial, attempt, from).await
    }

    async fn audit_list(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        statements::audit_list(&self.pool, subject, limit).await
    }

    async fn audit_add(&self, row: &AuditRow) -> Result<(), StoreError> {
        statements::audit_add(&self.pool, row).await
    }

    async fn worker_save(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        fits("generation", worker.generation)?;
        statements::worker_save(&self.pool, worker).await
    }

    async fn worker_list(&self) -> Result<Vec<WorkerRow>, StoreError> {
        statements::worker_list(&self.pool).await
    }

    async fn worker_delete(&self, worker: WorkerId) -> Result<(), StoreError> {
        statements::worker_delete(&self.pool, worker).await
    }

    async fn token_add(&self, token: &TokenRow) -> Result<(), StoreError> {
        statements::token_add(&self.pool, token).await
    }

    async fn token_list(&self) -> Result<Vec<TokenRow>, StoreError> {
        statements::token_list(&self.pool).await
    }

    async fn token_revoke(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        statements::token_revoke(&self.pool, id, at).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.pool)
            .await
            .map_err(|error| error::store_error("ping", error))?;
        Ok(())
    }

    async fn close(&self) {
        self.committers.close().await;
        self.pool.close().await;
    }
}
