//! A store that counts the commits of another one. Changes nothing.

use std::ops::RangeInclusive;
use std::sync::Arc;

use async_trait::async_trait;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, Clock, StudyId, StudyName, Timestamp, TrialNumber, WorkerId};

use super::Metrics;
use crate::store::{
    AttemptRow, AuditRow, Changes, ChunkPlace, DecisionRow, Ownership, PointChunk, PointRuns, PriorTrial,
    RequestRow, StateCounts, Store, StoreError, StoredTrial, StudyRow, TokenRow, TrialQuery, TrialRow,
    WorkerRow,
};

/// A store whose commits are counted.
#[derive(Debug)]
pub struct MeteredStore {
    inner: Arc<dyn Store>,
    metrics: Arc<Metrics>,
    clock: Arc<dyn Clock>,
}

impl MeteredStore {
    /// Counts the commits of `inner`.
    #[must_use]
    pub fn new(inner: Arc<dyn Store>, metrics: Arc<Metrics>, clock: Arc<dyn Clock>) -> Self {
        Self {
            inner,
            metrics,
            clock,
        }
    }
}

#[async_trait]
impl Store for MeteredStore {
    async fn study_create(
        &self,
        study: &StudyRow,
        history: &[PriorTrial],
        request: Option<&RequestRow>,
        audit: &AuditRow,
    ) -> Result<StudyRow, StoreError> {
        self.inner.study_create(study, history, request, audit).await
    }

    async fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
        self.inner.study_created_by(request).await
    }

    async fn study_take(&self, study: StudyId) -> Result<Ownership, StoreError> {
        self.inner.study_take(study).await
    }

    async fn commit(&self, owner: &Ownership, changes: &Changes) -> Result<Ownership, StoreError> {
        let from = self.clock.monotonic();
        let result = self.inner.commit(owner, changes).await;
        let points = changes.points.iter().map(|chunk| chunk.steps.len()).sum();
        self.metrics.commit(
            result.is_ok(),
            points,
            self.clock.monotonic().saturating_since(from),
        );
        result
    }

    async fn study_delete(&self, study: StudyId, audit: &AuditRow) -> Result<(), StoreError> {
        self.inner.study_delete(study, audit).await
    }

    async fn study_find(&self, name: &StudyName) -> Result<Option<StudyRow>, StoreError> {
        self.inner.study_find(name).await
    }

    async fn study_fetch(&self, study: StudyId) -> Result<Option<StudyRow>, StoreError> {
        self.inner.study_fetch(study).await
    }

    async fn study_list(&self, archived: bool, offset: u64, limit: u32) -> Result<Vec<StudyRow>, StoreError> {
        self.inner.study_list(archived, offset, limit).await
    }

    async fn study_list_alive(&self) -> Result<Vec<StudyId>, StoreError> {
        self.inner.study_list_alive().await
    }

    async fn history_list(&self, study: StudyId) -> Result<Vec<PriorTrial>, StoreError> {
        self.inner.history_list(study).await
    }

    async fn trial_list(&self, study: StudyId, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError> {
        self.inner.trial_list(study, query).await
    }

    async fn trial_page(
        &self,
        study: StudyId,
        after: TrialNumber,
        limit: u32,
    ) -> Result<Vec<StoredTrial>, StoreError> {
        self.inner.trial_page(study, after, limit).await
    }

    async fn trial_fetch(&self, study: StudyId, trial: TrialNumber) -> Result<Option<TrialRow>, StoreError> {
        self.inner.trial_fetch(study, trial).await
    }

    async fn trial_counts(&self, study: StudyId) -> Result<StateCounts, StoreError> {
        self.inner.trial_counts(study).await
    }

    async fn attempt_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        self.inner.attempt_list_of(study, trials).await
    }

    async fn attempt_list_open(&self, study: StudyId) -> Result<Vec<AttemptRow>, StoreError> {
        self.inner.attempt_list_open(study).await
    }

    async fn decision_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        self.inner.decision_list_of(study, trials).await
    }

    async fn decision_list_all(&self, study: StudyId) -> Result<Vec<DecisionRow>, StoreError> {
        self.inner.decision_list_all(study).await
    }

    async fn request_list(&self, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
        self.inner.request_list(study, since).await
    }

    async fn request_prune(&self, study: StudyId, before: Timestamp) -> Result<u64, StoreError> {
        self.inner.request_prune(study, before).await
    }

    async fn point_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<PointChunk>, StoreError> {
        self.inner.point_list(study, trial).await
    }

    async fn point_page(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        after: TrialNumber,
        limit: u32,
    ) -> Result<PointRuns, StoreError> {
        self.inner.point_page(study, metrics, after, limit).await
    }

    async fn point_runs(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        trials: &[TrialNumber],
    ) -> Result<PointRuns, StoreError> {
        self.inner.point_runs(study, metrics, trials).await
    }

    async fn point_exists(&self, study: StudyId, metric: &MetricName) -> Result<bool, StoreError> {
        self.inner.point_exists(study, metric).await
    }

    async fn point_committed(&self, study: StudyId) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
        self.inner.point_committed(study).await
    }

    async fn point_count(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<(Attempt, u64)>, StoreError> {
        self.inner.point_count(study, trial).await
    }

    async fn point_compact(
        &self,
        owner: &Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        from: Option<&ChunkPlace>,
    ) -> Result<Option<ChunkPlace>, StoreError> {
        self.inner.point_compact(owner, trial, attempt, from).await
    }

    async fn audit_list(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit_list(subject, limit).await
    }

    async fn audit_add(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.inner.audit_add(row).await
    }

    async fn worker_save(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        self.inner.worker_save(worker).await
    }

    async fn worker_list(&self) -> Result<Vec<WorkerRow>, StoreError> {
        self.inner.worker_list().await
    }

    async fn worker_delete(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.inner.worker_delete(worker).await
    }

    async fn token_add(&self, token: &TokenRow) -> Result<(), StoreError> {
        self.inner.token_add(token).await
    }

    async fn token_list(&self) -> Result<Vec<TokenRow>, StoreError> {
        self.inner.token_list().await
    }

    async fn token_revoke(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        self.inner.token_revoke(id, at).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.inner.ping().await
    }

    async fn close(&self) {
        self.inner.close().await
    }
}
