//! The store in one SQLite file, for one coordinator.
//!
//! One connection writes, in transactions; others read what is committed. The file belongs to this store alone while it is open.

mod commit;
mod connect;
mod error;
mod points;
mod statements;
mod studies;
mod trials;
mod writer;

use std::fs::File;
use std::ops::RangeInclusive;
use std::path::Path;

use async_trait::async_trait;
use sqlx::SqlitePool;
use tokio::sync::Mutex;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, StudyName, Timestamp, TrialNumber, WorkerId};

use self::writer::Writer;
use super::check::{check_changes, check_study, fits};
use super::open::OpenError;
use super::sql::corrupt;
use super::sql::records::signed;
use super::{
    AttemptRow, AuditRow, Changes, ChunkPlace, DecisionRow, Ownership, PointChunk, PointRuns, PriorTrial,
    RequestRow, StateCounts, Store, StoreError, StoredTrial, StudyRow, TokenRow, TrialQuery, TrialRow,
    WorkerRow,
};
use crate::crash::crash_point;

/// Between columns that are read as one text: a character that is in no name and in no JSON. `char(31)` in SQL.
const FIELD: char = '\u{1f}';

/// A whole number that was read as a part of a text.
fn number(what: &str, text: &str) -> Result<i64, StoreError> {
    text.parse()
        .map_err(|_| corrupt(format_args!("{what} is {text:?}")))
}

/// A store in a SQLite file.
#[derive(Debug)]
pub struct SqliteStore {
    writer: Writer,
    readers: SqlitePool,
    /// Keeps other coordinators out until the store is closed or dropped.
    lock: Mutex<Option<File>>,
}

impl SqliteStore {
    /// Opens the file at `path`, made with mode 0600 if there is none, and creates or migrates its tables.
    ///
    /// Locks `<path>.lock` until the store is closed or dropped.
    ///
    /// # Errors
    /// [`OpenError`]; nothing is changed then, but by migrations that had succeeded.
    pub async fn open(path: &Path) -> Result<Self, OpenError> {
        let connect::Opened {
            writer,
            readers,
            lock,
        } = connect::open(path).await?;
        Ok(Self {
            writer: Writer::new(writer),
            readers,
            lock: Mutex::new(Some(lock)),
        })
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn study_create(
        &self,
        study: &StudyRow,
        history: &[PriorTrial],
        request: Option<&RequestRow>,
        audit: &AuditRow,
    ) -> Result<StudyRow, StoreError> {
        check_study(study)?;
        let mut transaction = self.writer.begin().await?;
        let result = match request {
            Some(request) => match statements::study_created_by(&self.readers, request).await {
                Ok(None) => {
                    studies::create(transaction.connection(), study, history, Some(request), audit).await
                }
                Ok(Some(earlier)) => Ok(earlier),
                Err(error) => Err(error),
            },
            None => studies::create(transaction.connection(), study, history, None, audit).await,
        };
        transaction.end(result).await
    }

    async fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
        statements::study_created_by(&self.readers, request).await
    }

    async fn study_take(&self, study: StudyId) -> Result<Ownership, StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::study_take(transaction.connection(), study).await;
        crash_point!(TakeSwapped);
        transaction.end(result).await
    }

    async fn commit(&self, owner: &Ownership, changes: &Changes) -> Result<Ownership, StoreError> {
        check_changes(owner.study, changes)?;
        let mut transaction = commit::begin(&self.writer, owner).await?;
        let result = commit::commit(transaction.connection(), owner, changes).await;
        crash_point!(Written);
        let commit_seq = transaction.end(result).await?;
        Ok(Ownership { commit_seq, ..*owner })
    }

    async fn study_delete(&self, study: StudyId, audit: &AuditRow) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = studies::delete(transaction.connection(), study, audit).await;
        transaction.end(result).await
    }

    async fn study_find(&self, name: &StudyName) -> Result<Option<StudyRow>, StoreError> {
        statements::study_find(&self.readers, name.as_str()).await
    }

    async fn study_fetch(&self, study: StudyId) -> Result<Option<StudyRow>, StoreError> {
        statements::study_fetch(&self.readers, study).await
    }

    async fn study_list(&self, archived: bool, offset: u64, limit: u32) -> Result<Vec<StudyRow>, StoreError> {
        statements::study_list(&self.readers, archived, signed(offset), limit).await
    }

    async fn study_list_alive(&self) -> Result<Vec<StudyId>, StoreError> {
        statements::study_list_alive(&self.readers).await
    }

    async fn history_list(&self, study: StudyId) -> Result<Vec<PriorTrial>, StoreError> {
        statements::history_list(&self.readers, study).await
    }

    async fn trial_list(&self, study: StudyId, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError> {
        trials::list(&self.readers, study, query).await
    }

    async fn trial_page(
        &self,
        study: StudyId,
        after: TrialNumber,
        limit: u32,
    ) -> Result<Vec<StoredTrial>, StoreError> {
        trials::page(&self.readers, study, after, limit).await
    }

    async fn trial_fetch(&self, study: StudyId, trial: TrialNumber) -> Result<Option<TrialRow>, StoreError> {
        statements::trial_fetch(&self.readers, study, trial).await
    }

    async fn trial_counts(&self, study: StudyId) -> Result<StateCounts, StoreError> {
        statements::trial_counts(&self.readers, study).await
    }

    async fn attempt_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        statements::attempt_list_of(&self.readers, study, trials).await
    }

    async fn attempt_list_open(&self, study: StudyId) -> Result<Vec<AttemptRow>, StoreError> {
        statements::attempt_list_open(&self.readers, study).await
    }

    async fn decision_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        statements::decision_list_of(&self.readers, study, trials).await
    }

    async fn decision_list_all(&self, study: StudyId) -> Result<Vec<DecisionRow>, StoreError> {
        statements::decision_list_all(&self.readers, study).await
    }

    async fn request_list(&self, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
        statements::request_list(&self.readers, study, since).await
    }

    async fn request_prune(&self, study: StudyId, before: Timestamp) -> Result<u64, StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::request_prune(transaction.connection(), study, before).await;
        transaction.end(result).await
    }

    async fn point_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<PointChunk>, StoreError> {
        points::list(&self.readers, study, trial).await
    }

    async fn point_page(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        after: TrialNumber,
        limit: u32,
    ) -> Result<PointRuns, StoreError> {
        points::page(&self.readers, study, metrics, after, limit).await
    }

    async fn point_runs(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        trials: &[TrialNumber],
    ) -> Result<PointRuns, StoreError> {
        points::runs(&self.readers, study, metrics, trials).await
    }

    async fn point_exists(&self, study: StudyId, metric: &MetricName) -> Result<bool, StoreError> {
        statements::point_exists(&self.readers, study, metric.as_str()).await
    }

    async fn point_committed(&self, study: StudyId) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
        points::committed(&self.readers, study).await
    }

    async fn point_count(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<(Attempt, u64)>, StoreError> {
        points::count(&self.readers, study, trial).await
    }

    async fn point_compact(
        &self,
        owner: &Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        from: Option<&ChunkPlace>,
    ) -> Result<Option<ChunkPlace>, StoreError> {
        let round = points::to_join(&self.readers, owner.study, trial, attempt, from).await?;
        let mut transaction = self.writer.begin().await?;
        let result = points::join(transaction.connection(), owner, trial, attempt, &round.joined).await;
        transaction.end(result).await?;
        Ok(round.next)
    }

    async fn audit_list(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        statements::audit_list(&self.readers, subject, limit).await
    }

    async fn audit_add(&self, row: &AuditRow) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::audit_add(transaction.connection(), row).await;
        transaction.end(result).await
    }

    async fn worker_save(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        fits("generation", worker.generation)?;
        let mut transaction = self.writer.begin().await?;
        let result = statements::worker_save(transaction.connection(), worker).await;
        transaction.end(result).await
    }

    async fn worker_list(&self) -> Result<Vec<WorkerRow>, StoreError> {
        statements::worker_list(&self.readers).await
    }

    async fn worker_delete(&self, worker: WorkerId) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::worker_delete(transaction.connection(), worker).await;
        transaction.end(result).await
    }

    async fn token_add(&self, token: &TokenRow) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::token_add(transaction.connection(), token).await;
        transaction.end(result).await
    }

    async fn token_list(&self) -> Result<Vec<TokenRow>, StoreError> {
        statements::token_list(&self.readers).await
    }

    async fn token_revoke(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut transaction = self.writer.begin().await?;
        let result = statements::token_revoke(transaction.connection(), id, at).await;
        transaction.end(result).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        sqlx::query("SELECT 1")
            .execute(&self.readers)
            .await
            .map_err(|error| error::store_error("ping", error))?;
        Ok(())
    }

    async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
        drop(self.lock.lock().await.take());
    }
}
