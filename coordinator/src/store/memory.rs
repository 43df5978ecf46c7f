//! A store that forgets everything when it is dropped, for simulations and tests.
//!
//! Behaves as the databases do, which the contract suite checks; it must not be faster by promising less. Clones share their
//! content: drop whatever uses one clone, start it again with another, and it finds what was committed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use tunesmith_common::checkpoint::Stages;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, Params, RequestId, StudyId, StudyName, Timestamp, TrialNumber, WorkerId};

use super::check::{check_changes, check_study, fits};
use super::compact::{CHUNKS_PER_ROUND, Joined, join_chunks};
use super::whole_trials::{self, Page};
use super::{
    AttemptRow, AuditRow, Changes, ChunkPlace, DecisionRow, End, EndedTrial, Ownership, PRUNED_AT_A_TIME,
    PointChunk, PointRuns, PriorTrial, RequestRow, StateCounts, Store, StoreError, StoredTrial, StudyRow,
    StudyState, TokenRow, TrialQuery, TrialRow, WorkerRow,
};

/// A store in memory. Cheap to clone; clones are the same store.
#[derive(Clone, Debug, Default)]
pub struct MemoryStore {
    data: Arc<Mutex<Data>>,
}

#[derive(Debug, Default)]
struct Data {
    studies: BTreeMap<StudyId, Study>,
    audit: Vec<AuditRow>,
    workers: BTreeMap<WorkerId, WorkerRow>,
    tokens: BTreeMap<String, TokenRow>,
}

impl Data {
    /// The study that an earlier call made by this request.
    fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
        let made = |known: &&Study| known.create_request.is_some_and(|(id, _)| id == request.id);
        match self.studies.values().find(made) {
            Some(known) if known.create_request == Some((request.id, request.content)) => {
                Ok(Some(known.row.clone()))
            }
            Some(_) => Err(super::request_taken(request.id)),
            None => Ok(None),
        }
    }
}

type ChunkKey = (TrialNumber, Attempt, MetricName, u64);

#[derive(Debug)]
struct Study {
    row: StudyRow,
    history: Vec<PriorTrial>,
    create_request: Option<(RequestId, [u8; 32])>,
    owner_epoch: u64,
    commit_seq: u64,
    trials: BTreeMap<TrialNumber, TrialRow>,
    attempts: BTreeMap<(TrialNumber, Attempt), AttemptRow>,
    points: BTreeMap<ChunkKey, PointChunk>,
    /// By trial, revision of the commit, position within the commit.
    decisions: BTreeMap<(TrialNumber, u64, usize), DecisionRow>,
    requests: BTreeMap<(Timestamp, RequestId), RequestRow>,
}

impl Study {
    fn new(row: StudyRow, history: Vec<PriorTrial>, create_request: Option<(RequestId, [u8; 32])>) -> Self {
        Self {
            row,
            history,
            create_request,
            owner_epoch: 0,
            commit_seq: 0,
            trials: BTreeMap::new(),
            attempts: BTreeMap::new(),
            points: BTreeMap::new(),
            decisions: BTreeMap::new(),
            requests: BTreeMap::new(),
        }
    }

    fn apply(&mut self, changes: &Changes) {
        self.commit_seq += 1;
        if let Some(row) = &changes.study {
            self.row = row.clone();
        }
        self.trials
            .extend(changes.trials.iter().map(|row| (row.number, row.clone())));
        self.attempts.extend(
            changes
                .attempts
                .iter()
                .map(|row| ((row.trial, row.attempt), row.clone())),
        );
        self.points.extend(
            changes
                .points
                .iter()
                .map(|chunk| (chunk_key(chunk), chunk.clone())),
        );
        for (position, row) in changes.decisions.iter().enumerate() {
            self.decisions
                .insert((row.trial, self.commit_seq, position), row.clone());
        }
        self.requests
            .extend(changes.requests.iter().map(|row| ((row.at, row.id), row.clone())));
    }
}

impl Study {
    /// Whether a trial that a request made has not ended.
    fn has_unfinished_trials(&self, request: &RequestRow) -> bool {
        let mut made = request.trials.iter().filter_map(|number| self.trials.get(number));
        made.any(|trial| trial.ended_at.is_none())
    }
}

fn chunk_key(chunk: &PointChunk) -> ChunkKey {
    (chunk.trial, chunk.attempt, chunk.metric.clone(), chunk.first_seq)
}

fn page<T>(rows: impl Iterator<Item = T>, offset: u64, limit: u32) -> Vec<T> {
    let count = |n: u64| usize::try_from(n).unwrap_or(usize::MAX);
    rows.skip(count(offset)).take(count(u64::from(limit))).collect()
}

fn stored(row: &TrialRow) -> StoredTrial {
    match End::of(&row.state) {
        None => StoredTrial::Living(Box::new(row.clone())),
        Some(end) => StoredTrial::Ended(EndedTrial {
            number: row.number,
            end,
            params: Params::clone(&row.params),
            value: row.value,
            more_values: row.more_values.clone(),
            last_step: row.last_step,
            stages: (!row.stages.is_empty()).then(|| Box::new(Stages::clone(&row.stages))),
            origin: row.provenance.origin,
            cursor: row.provenance.cursor,
            ended_at: row.ended_at.unwrap_or(Timestamp::UNIX_EPOCH),
        }),
    }
}

fn runs<'a>(chunks: impl Iterator<Item = &'a PointChunk>, metrics: &[MetricName], limit: u32) -> PointRuns {
    let mut runs = PointRuns::default();
    let place = |chunk: &PointChunk| metrics.iter().position(|metric| *metric == chunk.metric);
    let wanted = chunks.filter_map(|chunk| Some((chunk, place(chunk)?)));
    for (chunk, metric) in wanted.take(usize::try_from(limit).unwrap_or(usize::MAX)) {
        let points = chunk.steps.iter().copied().zip(chunk.values.iter().copied());
        runs.open_run().extend(points);
        runs.close_run(chunk.trial, chunk.attempt, metric);
    }
    runs
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn data(&self) -> MutexGuard<'_, Data> {
        self.data.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What `read` finds in a study; the default if there is no such study.
    fn in_study<T: Default>(&self, study: StudyId, read: impl FnOnce(&Study) -> T) -> T {
        self.data().studies.get(&study).map(read).unwrap_or_default()
    }
}

#[async_trait]
impl Store for MemoryStore {
    async fn study_create(
        &self,
        study: &StudyRow,
        history: &[PriorTrial],
        request: Option<&RequestRow>,
        audit: &AuditRow,
    ) -> Result<StudyRow, StoreError> {
        check_study(study)?;
        let mut data = self.data();
        if let Some(request) = request
            && let Some(earlier) = data.study_created_by(request)?
        {
            return Ok(earlier);
        }
        if data.studies.contains_key(&study.id)
            || data.studies.values().any(|known| known.row.name == study.name)
        {
            return Err(super::study_taken(&study.name));
        }
        data.studies.insert(
            study.id,
            Study::new(
                study.clone(),
                history.to_vec(),
                request.map(|request| (request.id, request.content)),
            ),
        );
        data.audit.push(audit.clone());
        Ok(study.clone())
    }

    async fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
        self.data().study_created_by(request)
    }

    async fn study_take(&self, study: StudyId) -> Result<Ownership, StoreError> {
        let mut data = self.data();
        let known = data
            .studies
            .get_mut(&study)
            .ok_or_else(|| super::no_study(study))?;
        known.owner_epoch += 1;
        Ok(Ownership {
            study,
            epoch: known.owner_epoch,
            commit_seq: known.commit_seq,
        })
    }

    async fn commit(&self, owner: &Ownership, changes: &Changes) -> Result<Ownership, StoreError> {
        check_changes(owner.study, changes)?;
        let mut data = self.data();
        let Data { studies, audit, .. } = &mut *data;
        let current = studies
            .get(&owner.study)
            .map(|study| (study.owner_epoch, study.commit_seq));
        if current != Some((owner.epoch, owner.commit_seq)) {
            return Err(StoreError::NotOwner(owner.study));
        }
        if let Some(row) = &changes.study
            && studies
                .values()
                .any(|other| other.row.name == row.name && other.row.id != row.id)
        {
            return Err(super::study_taken(&row.name));
        }
        let study = studies
            .get_mut(&owner.study)
            .ok_or(StoreError::NotOwner(owner.study))?;
        study.apply(changes);
        audit.extend(changes.audit.iter().cloned());
        Ok(Ownership {
            commit_seq: study.commit_seq,
            ..*owner
        })
    }

    async fn study_delete(&self, study: StudyId, audit: &AuditRow) -> Result<(), StoreError> {
        let mut data = self.data();
        if data.studies.remove(&study).is_some() {
            data.audit.push(audit.clone());
        }
        Ok(())
    }

    async fn study_find(&self, name: &StudyName) -> Result<Option<StudyRow>, StoreError> {
        Ok(self
            .data()
            .studies
            .values()
            .find(|study| study.row.name == *name)
            .map(|study| study.row.clone()))
    }

    async fn study_fetch(&self, study: StudyId) -> Result<Option<StudyRow>, StoreError> {
        Ok(self.in_study(study, |study| Some(study.row.clone())))
    }

    async fn study_list(&self, archived: bool, offset: u64, limit: u32) -> Result<Vec<StudyRow>, StoreError> {
        let data = self.data();
        let mut rows: Vec<&StudyRow> = data
            .studies
            .values()
            .map(|study| &study.row)
            .filter(|row| archived || !matches!(row.state, StudyState::Archived(_)))
            .collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created_at, row.id)));
        Ok(page(rows.into_iter().cloned(), offset, limit))
    }

    async fn study_list_alive(&self) -> Result<Vec<StudyId>, StoreError> {
        let alive = |study: &Study| !matches!(study.row.state, StudyState::Done(_) | StudyState::Archived(_));
        Ok(self
            .data()
            .studies
            .iter()
            .filter(|(_, study)| alive(study))
            .map(|(id, _)| *id)
            .collect())
    }

    async fn history_list(&self, study: StudyId) -> Result<Vec<PriorTrial>, StoreError> {
        Ok(self.in_study(study, |study| study.history.clone()))
    }

    async fn trial_list(&self, study: StudyId, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError> {
        Ok(self.in_study(study, |study| {
            let wanted =
                |row: &&TrialRow| query.states.is_empty() || query.states.contains(&row.state.name());
            let mut rows: Vec<&TrialRow> = study.trials.values().filter(wanted).collect();
            rows.sort_by(|a, b| query.order.compare(a, b));
            page(rows.into_iter().cloned(), query.offset, query.limit)
        }))
    }

    async fn trial_page(
        &self,
        study: StudyId,
        after: TrialNumber,
        limit: u32,
    ) -> Result<Vec<StoredTrial>, StoreError> {
        Ok(self.in_study(study, |study| {
            let above = study.trials.values().filter(|row| row.number > after);
            page(above.map(stored), 0, limit)
        }))
    }

    async fn trial_fetch(&self, study: StudyId, trial: TrialNumber) -> Result<Option<TrialRow>, StoreError> {
        Ok(self.in_study(study, |study| study.trials.get(&trial).cloned()))
    }

    async fn trial_counts(&self, study: StudyId) -> Result<StateCounts, StoreError> {
        Ok(self.in_study(study, |study| {
            let mut counts = BTreeMap::<&str, u64>::new();
            for row in study.trials.values() {
                *counts.entry(row.state.name()).or_default() += 1;
            }
            counts
                .into_iter()
                .map(|(state, count)| (state.to_owned(), count))
                .collect()
        }))
    }

    async fn attempt_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(self.in_study(study, |study| {
            let rows = study.attempts.values();
            rows.filter(|row| trials.contains(&row.trial)).cloned().collect()
        }))
    }

    async fn attempt_list_open(&self, study: StudyId) -> Result<Vec<AttemptRow>, StoreError> {
        Ok(self.in_study(study, |study| {
            study
                .attempts
                .values()
                .filter(|row| row.ended_at.is_none())
                .cloned()
                .collect()
        }))
    }

    async fn decision_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        Ok(self.in_study(study, |study| {
            let rows = study.decisions.values();
            rows.filter(|row| trials.contains(&row.trial)).cloned().collect()
        }))
    }

    async fn decision_list_all(&self, study: StudyId) -> Result<Vec<DecisionRow>, StoreError> {
        Ok(self.in_study(study, |study| study.decisions.values().cloned().collect()))
    }

    async fn request_list(&self, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
        Ok(self.in_study(study, |study| {
            let rows = study.requests.values();
            rows.filter(|row| row.at >= since).cloned().collect()
        }))
    }

    async fn request_prune(&self, study: StudyId, before: Timestamp) -> Result<u64, StoreError> {
        let mut data = self.data();
        let Some(study) = data.studies.get_mut(&study) else {
            return Ok(0);
        };
        let old = study.requests.values().filter(|row| row.at < before);
        let old: Vec<_> = old
            .filter(|row| !study.has_unfinished_trials(row))
            .map(|row| (row.at, row.id))
            .take(usize::try_from(PRUNED_AT_A_TIME).unwrap_or(usize::MAX))
            .collect();
        for key in &old {
            study.requests.remove(key);
        }
        Ok(u64::try_from(old.len()).unwrap_or(u64::MAX))
    }

    async fn point_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<PointChunk>, StoreError> {
        Ok(self.in_study(study, |study| {
            study
                .points
                .values()
                .filter(|row| row.trial == trial)
                .cloned()
                .collect()
        }))
    }

    async fn point_page(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        after: TrialNumber,
        limit: u32,
    ) -> Result<PointRuns, StoreError> {
        Ok(self.in_study(study, |study| {
            let above = study.points.values().filter(|chunk| chunk.trial > after);
            let found = runs(above, metrics, limit.max(1).saturating_add(1));
            match whole_trials::cut(found, limit) {
                Page::Whole(runs) => runs,
                Page::PartOf(trial) => {
                    let of_trial = study.points.values().filter(|chunk| chunk.trial == trial);
                    runs(of_trial, metrics, u32::MAX)
                }
            }
        }))
    }

    async fn point_runs(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        trials: &[TrialNumber],
    ) -> Result<PointRuns, StoreError> {
        Ok(self.in_study(study, |study| {
            let wanted = study
                .points
                .values()
                .filter(|chunk| trials.contains(&chunk.trial));
            runs(wanted, metrics, u32::MAX)
        }))
    }

    async fn point_exists(&self, study: StudyId, metric: &MetricName) -> Result<bool, StoreError> {
        Ok(self.in_study(study, |study| {
            study.points.values().any(|chunk| chunk.metric == *metric)
        }))
    }

    async fn point_committed(&self, study: StudyId) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
        Ok(self.in_study(study, |study| {
            let open = study.attempts.values().filter(|row| row.ended_at.is_none());
            open.filter_map(|row| {
                let chunks = study
                    .points
                    .values()
                    .filter(|c| (c.trial, c.attempt) == (row.trial, row.attempt));
                chunks
                    .map(|chunk| chunk.last_seq)
                    .max()
                    .map(|last_seq| (row.trial, row.attempt, last_seq))
            })
            .collect()
        }))
    }

    async fn point_count(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<(Attempt, u64)>, StoreError> {
        Ok(self.in_study(study, |study| {
            let attempts = study.attempts.keys().filter(|(number, _)| *number == trial);
            let count = |attempt| {
                let chunks = study.points.values();
                let of_it = chunks.filter(|chunk| (chunk.trial, chunk.attempt) == (trial, attempt));
                Some((attempt, of_it.map(|chunk| chunk.last_seq).max()?))
            };
            attempts.filter_map(|(_, attempt)| count(*attempt)).collect()
        }))
    }

    async fn point_compact(
        &self,
        owner: &Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        from: Option<&ChunkPlace>,
    ) -> Result<Option<ChunkPlace>, StoreError> {
        let mut data = self.data();
        let study = data.studies.get_mut(&owner.study);
        let Some(study) = study.filter(|study| study.owner_epoch == owner.epoch) else {
            return Err(StoreError::NotOwner(owner.study));
        };
        let start = from.map(|from| (from.metric.clone(), from.first_seq));
        let chunks = study
            .points
            .values()
            .filter(|chunk| (chunk.trial, chunk.attempt) == (trial, attempt))
            .filter(|chunk| Some((chunk.metric.clone(), chunk.first_seq)) >= start)
            .take(usize::try_from(CHUNKS_PER_ROUND).unwrap_or(usize::MAX))
            .cloned()
            .collect();
        let round = join_chunks(chunks);
        for group in round.joined {
            let Joined {
                chunk,
                absorbed_up_to,
                ..
            } = group;
            study.points.retain(|key, _| {
                let same = (key.0, key.1, &key.2) == (trial, attempt, &chunk.metric);
                !(same && key.3 > chunk.first_seq && Some(key.3) <= absorbed_up_to)
            });
            study.points.insert(chunk_key(&chunk), chunk);
        }
        Ok(round.next)
    }

    async fn audit_list(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        let data = self.data();
        let about = |row: &AuditRow| {
            subject.is_empty()
                || row
                    .subject
                    .strip_prefix(subject)
                    .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let mut rows: Vec<&AuditRow> = data.audit.iter().rev().filter(|row| about(row)).collect();
        rows.sort_by_key(|row| std::cmp::Reverse(row.at));
        Ok(page(rows.into_iter().cloned(), 0, limit))
    }

    async fn audit_add(&self, row: &AuditRow) -> Result<(), StoreError> {
        self.data().audit.push(row.clone());
        Ok(())
    }

    async fn worker_save(&self, worker: &WorkerRow) -> Result<(), StoreError> {
        fits("generation", worker.generation)?;
        self.data().workers.insert(worker.id, worker.clone());
        Ok(())
    }

    async fn worker_list(&self) -> Result<Vec<WorkerRow>, StoreError> {
        let mut rows: Vec<_> = self.data().workers.values().cloned().collect();
        rows.sort_by(|a, b| (&a.name, a.id).cmp(&(&b.name, b.id)));
        Ok(rows)
    }

    async fn worker_delete(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.data().workers.remove(&worker);
        Ok(())
    }

    async fn token_add(&self, token: &TokenRow) -> Result<(), StoreError> {
        let mut data = self.data();
        if data.tokens.contains_key(&token.id) {
            return Err(super::token_taken(&token.id));
        }
        data.tokens.insert(token.id.clone(), token.clone());
        Ok(())
    }

    async fn token_list(&self) -> Result<Vec<TokenRow>, StoreError> {
        let mut rows: Vec<_> = self.data().tokens.values().cloned().collect();
        rows.sort_by(|a, b| b.created_at.cmp(&a.created_at).then_with(|| a.id.cmp(&b.id)));
        Ok(rows)
    }

    async fn token_revoke(&self, id: &str, at: Timestamp) -> Result<(), StoreError> {
        let mut data = self.data();
        let token = data.tokens.get_mut(id).ok_or_else(|| super::no_token(id))?;
        token.revoked_at.get_or_insert(at);
        Ok(())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }

    async fn close(&self) {}
}
