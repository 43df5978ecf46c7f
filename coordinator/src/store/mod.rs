//! What is kept: a log of facts about studies and trials, not a queue.
//!
//! One trait, three implementations (Postgres, SQLite, memory), one contract suite. Nothing here decides anything; SQL lives
//! nowhere else. Times and ids come from the caller.
//!
//! Only tasks that nobody cancels may call a method that writes: whether a cancelled write is stored, nobody knows. Request handlers
//! never do; the engines and the coordinator's own services run in such tasks. Should it happen, no transaction stays open that
//! could swallow the writes of others, as sqlx 0.9 allows when a `begin` is cancelled: each store sees to that.
//!
//! In texts, NUL characters may come back as U+FFFD, because Postgres keeps none. Durations are kept in whole microseconds.

mod calls;
mod check;
mod compact;
#[cfg(test)]
pub(crate) mod contract;
mod lineage;
mod loading;
mod memory;
mod open;
mod policy;
mod postgres;
mod query;
mod sql;
mod sqlite;
#[cfg(test)]
pub(crate) mod testing;
mod whole_trials;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tunesmith_common::checkpoint::Stages;
use tunesmith_common::decision::{Provenance, StopDecision};
use tunesmith_common::measurement::MetricName;
use tunesmith_common::study::RawStudy;
use tunesmith_common::trial::{FailureCause, Holder, TrialState};
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{
    Attempt, LeaseId, Params, RequestId, StudyId, StudyName, Timestamp, TrialNumber, WorkerId, WorkerName,
};

pub use calls::{AuditRow, RequestRow};
pub use lineage::{Lineage, PriorTrial, Relative, Source};
pub use loading::{End, EndedTrial, PointRun, PointRuns, StoredTrial};
pub use memory::MemoryStore;
pub use open::{OpenError, open};
pub use policy::ByPolicy;
pub use postgres::{PostgresOptions, PostgresStore};
pub use query::{StateCounts, TrialOrder, TrialQuery};
pub use sqlite::SqliteStore;

/// Why the store could not do what it was asked to: one variant per reaction of the caller.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else owns the study by now, or an earlier commit of this owner landed late: write nothing more, load again.
    #[error("this coordinator no longer owns study {0}")]
    NotOwner(StudyId),
    /// The database could not be reached or refused for now. What was being written may or may not be stored: forget the state
    /// in memory and load it again.
    #[error("the database is not available: {context}")]
    Unavailable {
        /// What was tried.
        context: String,
        /// What the database or its driver said.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The disk or a quota of the database is full. Nothing of the batch is stored.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// The name is taken.
    #[error("{0} exists already")]
    AlreadyExists(String),
    /// There is no such thing.
    #[error("{0} does not exist")]
    NotFound(String),
    /// Rows contradict each other or what is stored: a bug of the caller. Nothing of the batch is stored.
    #[error("rows that cannot be stored: {0}")]
    Invalid(String),
    /// Stored data does not have the form that this version writes: a person must look.
    #[error("stored data cannot be read: {0}")]
    Corrupt(String),
}

/// State of a study.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StudyState {
    /// Trials are handed out.
    Active,
    /// No new trial starts; running ones go on.
    Paused,
    /// About to end for this reason: nothing starts any more, what runs is being stopped.
    Ending(DoneReason),
    /// Ended; nothing runs.
    Done(DoneReason),
    /// Ended, and hidden from lists.
    Archived(DoneReason),
}

/// Why a study ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DoneReason {
    /// A budget is used up.
    Budget,
    /// The target was reached.
    Target,
    /// Every point of the space was tried.
    Exhausted,
    /// A person stopped it.
    Cancelled,
    /// Too many trials failed.
    Failures,
}

/// A study as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StudyRow {
    /// Identity.
    pub id: StudyId,
    /// Name, unique among studies.
    pub name: StudyName,
    /// What its owner declared, with the seed in force.
    pub spec: RawStudy,
    /// Where it comes from. Commits do not change it.
    pub lineage: Lineage,
    /// State.
    pub state: StudyState,
    /// Why it is in this state, for people; may be empty.
    pub state_reason: String,
    /// Which strategy is in use, and why, for people.
    pub strategy_note: String,
    /// Time during which the study was active, up to `updated_at`.
    pub active_time: Duration,
    /// GPU time of attempts that have ended, in seconds.
    pub gpu_seconds: f64,
    /// What attempts that have ended have cost.
    pub cost: f64,
    /// Label of the token that it was made with; empty if unknown. Commits do not change it.
    pub creator: String,
    /// The policy that it falls under.
    pub policy: Option<ByPolicy>,
    /// When it was created.
    pub created_at: Timestamp,
    /// When it reached DONE.
    pub done_at: Option<Timestamp>,
    /// When this row was written last.
    pub updated_at: Timestamp,
}

/// A trial as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialRow {
    /// Number within the study.
    pub number: TrialNumber,
    /// State, with the lease or the reason that belongs to it.
    pub state: TrialState,
    /// The newest attempt; 0 before the first.
    pub attempt: Attempt,
    /// Attempts that the program itself failed.
    pub program_failures: u32,
    /// Attempts lost to infrastructure.
    pub infrastructure_failures: u32,
    /// Values of the active parameters.
    pub params: Arc<Params>,
    /// Seed for everything random in the training.
    pub seed: u64,
    /// The first objective's value so far, or finally. May be NaN or infinite.
    pub value: Option<f64>,
    /// Values of the second and further objectives, then those that measured constraints are about. May be NaN or infinite. What is
    /// missing at the end has no value.
    pub more_values: Box<[Option<f64>]>,
    /// The highest step reported.
    pub last_step: Option<i64>,
    /// Last value of each metric; may be NaN or infinite.
    pub metrics: Vec<(MetricName, f64)>,
    /// How far it has come, if it is trained in stages.
    pub stages: Arc<Stages>,
    /// Free text for people.
    pub note: String,
    /// Short labels for people.
    pub tags: Vec<String>,
    /// Why these parameters.
    pub provenance: Arc<Provenance>,
    /// When it was proposed.
    pub created_at: Timestamp,
    /// When its first attempt started.
    pub started_at: Option<Timestamp>,
    /// When it reached its final state.
    pub ended_at: Option<Timestamp>,
}

/// One attempt at a trial as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRow {
    /// The trial.
    pub trial: TrialNumber,
    /// The attempt.
    pub attempt: Attempt,
    /// Its lease.
    pub lease: LeaseId,
    /// Who had it.
    pub holder: Holder,
    /// The holder's name at the time, for people.
    pub holder_name: String,
    /// UUIDs of the GPUs it had.
    pub gpus: Vec<String>,
    /// What an hour of it costs, as of when it was handed out.
    pub price_per_hour: f64,
    /// What it has cost; 0 until it has ended.
    pub cost: f64,
    /// Time without a sign of life after which a client's lease ends, in whole milliseconds; never if none. Workers' leases
    /// end by the coordinator's setting.
    pub client_ttl: Option<Duration>,
    /// When it was handed out.
    pub leased_at: Timestamp,
    /// When its program started.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// How it ended, for people; empty while it runs.
    pub outcome: String,
    /// Why it failed, if it did.
    pub failure: Option<FailureCause>,
    /// Process id on its machine; 0 if unknown.
    pub pid: u32,
    /// Exit status, if it exited.
    pub exit_code: Option<i32>,
    /// Most main memory its processes used, in bytes; 0 if unknown.
    pub peak_memory: u64,
    /// What it used of its machine over time; empty until it has ended, or if unknown.
    pub usage: UsageSeries,
    /// The last lines of its output, kept when it failed.
    pub log_tail: String,
}

/// Some points of one metric of one attempt, in the order of their sequence numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct PointChunk {
    /// The trial.
    pub trial: TrialNumber,
    /// The attempt.
    pub attempt: Attempt,
    /// The metric.
    pub metric: MetricName,
    /// Sequence number of the first point, within the attempt over all metrics.
    pub first_seq: u64,
    /// Sequence number of the last point.
    pub last_seq: u64,
    /// Steps.
    pub steps: Vec<i64>,
    /// Values; may be NaN or infinite. As many as steps.
    pub values: Vec<f64>,
    /// When each was reported, by the clock of the machine that reported it. As many as steps.
    pub times: Vec<Timestamp>,
    /// When each was taken in, by the coordinator's clock: of any two things that strategies and rules of a study have seen, the later one has the
    /// later time. As many as steps.
    pub arrivals: Vec<Timestamp>,
}

/// A judgement of an early-stopping rule as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// The trial judged.
    pub trial: TrialNumber,
    /// The attempt judged.
    pub attempt: Attempt,
    /// The judgement.
    pub decision: StopDecision,
    /// When it was made.
    pub at: Timestamp,
}

/// Everything that one commit writes. Rows carry their keys and whole content: writing the same batch twice changes nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Changes {
    /// The study itself.
    pub study: Option<StudyRow>,
    /// Trials, new or changed; at most one row for each.
    pub trials: Vec<TrialRow>,
    /// Attempts, new or changed; at most one row for each.
    pub attempts: Vec<AttemptRow>,
    /// New points.
    pub points: Vec<PointChunk>,
    /// New judgements.
    pub decisions: Vec<DecisionRow>,
    /// New answers.
    pub requests: Vec<RequestRow>,
    /// New audit rows.
    pub audit: Vec<AuditRow>,
}

impl Changes {
    /// Whether there is nothing to write.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Where the joining of an attempt's chunks goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChunkPlace {
    /// The metric.
    pub metric: MetricName,
    /// Sequence number of the first point of a chunk.
    pub first_seq: u64,
}

/// Answers that [`Store::request_prune`] forgets at a time.
pub const PRUNED_AT_A_TIME: u32 = 1_000;

/// Proof of owning a study, advanced by each commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ownership {
    /// The study.
    pub study: StudyId,
    /// Grows each time the study gets an owner.
    pub epoch: u64,
    /// Number of the owner's last commit; it is the study's revision.
    pub commit_seq: u64,
}

/// A worker as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerRow {
    /// Identity, made by the worker.
    pub id: WorkerId,
    /// Name.
    pub name: WorkerName,
    /// Counts the starts of the daemon.
    pub generation: u64,
    /// Whether a person asked for it to get nothing new.
    pub draining: bool,
    /// Software version.
    pub version: String,
    /// Address it last connected from.
    pub address: String,
    /// What it has, as JSON of the wire message `WorkerResources`.
    pub resources: serde_json::Value,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
}

/// What a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Everything people do.
    User,
    /// Joining as a worker, and nothing else.
    Worker,
}

/// A token as it is stored: never its secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Identity, a part of the token.
    pub id: String,
    /// What it is for.
    pub kind: TokenKind,
    /// Who has it, for people.
    pub label: String,
    /// SHA-256 of the secret part.
    pub secret_hash: [u8; 32],
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was made worthless.
    pub revoked_at: Option<Timestamp>,
}

/// Where studies and trials are kept. See the module for who may call what.
#[async_trait]
pub trait Store: fmt::Debug + Send + Sync {
    /// Stores a new study with nothing in it but the trials of other studies that it knows, owned by nobody, at revision 0.
    ///
    /// Atomic. Repeating it with the same `request` and content returns the study that the first call made.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken by another study, or the request id was used with other content.
    async fn study_create(
        &self,
        study: &StudyRow,
        history: &[PriorTrial],
        request: Option<&RequestRow>,
        audit: &AuditRow,
    ) -> Result<StudyRow, StoreError>;

    /// The study that an earlier call made by `request`, if one did.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the request id was used with other content.
    async fn study_created_by(&self, request: &RequestRow) -> Result<Option<StudyRow>, StoreError>;

    /// Makes the caller the owner of a study: whoever owned it before can no longer commit.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such study.
    async fn study_take(&self, study: StudyId) -> Result<Ownership, StoreError>;

    /// Writes `changes` of one study in one transaction, if `owner` still owns the study, and returns the ownership after it.
    ///
    /// Atomic: all changes or none. The caller must not answer anyone before this returns.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] if the study has another owner, or `commit_seq` is not the stored one: load again.
    /// [`StoreError::Unavailable`]: the changes may or may not be stored; take the study again and load it.
    /// [`StoreError::AlreadyExists`] if the study's new name is taken, [`StoreError::Invalid`] if rows contradict each other:
    /// nothing is stored, and the ownership is still good.
    async fn commit(&self, owner: &Ownership, changes: &Changes) -> Result<Ownership, StoreError>;

    /// Deletes a study with everything it has but audit rows, and adds `audit`. Does nothing if there is none.
    async fn study_delete(&self, study: StudyId, audit: &AuditRow) -> Result<(), StoreError>;

    /// One study by name.
    async fn study_find(&self, name: &StudyName) -> Result<Option<StudyRow>, StoreError>;

    /// One study by identity.
    async fn study_fetch(&self, study: StudyId) -> Result<Option<StudyRow>, StoreError>;

    /// Studies, newest first (by creation time, then identity), after skipping `offset`; archived ones only if `archived`.
    async fn study_list(&self, archived: bool, offset: u64, limit: u32) -> Result<Vec<StudyRow>, StoreError>;

    /// Identities of all studies that have not ended.
    async fn study_list_alive(&self) -> Result<Vec<StudyId>, StoreError>;

    /// The trials of other studies that a study knows, as it was created with them.
    async fn history_list(&self, study: StudyId) -> Result<Vec<PriorTrial>, StoreError>;

    /// Trials of a study.
    async fn trial_list(&self, study: StudyId, query: &TrialQuery) -> Result<Vec<TrialRow>, StoreError>;

    /// Trials with a number above `after`, ascending. For loading a study page by page.
    async fn trial_page(
        &self,
        study: StudyId,
        after: TrialNumber,
        limit: u32,
    ) -> Result<Vec<StoredTrial>, StoreError>;

    /// One trial.
    async fn trial_fetch(&self, study: StudyId, trial: TrialNumber) -> Result<Option<TrialRow>, StoreError>;

    /// How many trials are in each state, by name of the state; states without trials are left out.
    async fn trial_counts(&self, study: StudyId) -> Result<StateCounts, StoreError>;

    /// All attempts at a trial, oldest first.
    async fn attempt_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<AttemptRow>, StoreError> {
        self.attempt_list_of(study, trial..=trial).await
    }

    /// All attempts at trials with these numbers, by trial, the oldest first.
    async fn attempt_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<AttemptRow>, StoreError>;

    /// The attempts that have not ended, in no particular order.
    async fn attempt_list_open(&self, study: StudyId) -> Result<Vec<AttemptRow>, StoreError>;

    /// Judgements about a trial in the order in which they were made.
    async fn decision_list(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        self.decision_list_of(study, trial..=trial).await
    }

    /// Judgements about trials with these numbers, by trial, in the order in which they were made.
    async fn decision_list_of(
        &self,
        study: StudyId,
        trials: RangeInclusive<TrialNumber>,
    ) -> Result<Vec<DecisionRow>, StoreError>;

    /// Judgements about all trials of a study, in order of trial; for loading.
    async fn decision_list_all(&self, study: StudyId) -> Result<Vec<DecisionRow>, StoreError>;

    /// Answers given at `since` or later, by time, then identity.
    async fn request_list(&self, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError>;

    /// Forgets answers given before `before`, but none about a trial that has not ended, the oldest first and at most
    /// [`PRUNED_AT_A_TIME`] of them. Returns how many.
    async fn request_prune(&self, study: StudyId, before: Timestamp) -> Result<u64, StoreError>;

    /// All points of a trial: by attempt, then metric, then sequence number.
    async fn point_list(&self, study: StudyId, trial: TrialNumber) -> Result<Vec<PointChunk>, StoreError>;

    /// How many points are stored of each attempt at a trial, in no particular order; attempts without points are left out.
    async fn point_count(
        &self,
        study: StudyId,
        trial: TrialNumber,
    ) -> Result<Vec<(Attempt, u64)>, StoreError>;

    /// Points of `metrics` of trials with a number above `after`, whole trials at a time: at least one trial's if there is one, at
    /// most about `limit` chunks. For loading a study page by page.
    async fn point_page(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        after: TrialNumber,
        limit: u32,
    ) -> Result<PointRuns, StoreError>;

    /// Points of `metrics` of these trials.
    async fn point_runs(
        &self,
        study: StudyId,
        metrics: &[MetricName],
        trials: &[TrialNumber],
    ) -> Result<PointRuns, StoreError>;

    /// Whether any trial has reported a metric.
    async fn point_exists(&self, study: StudyId, metric: &MetricName) -> Result<bool, StoreError>;

    /// Highest sequence number stored of each attempt that has not ended, in no particular order; attempts without points are
    /// left out.
    async fn point_committed(&self, study: StudyId) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError>;

    /// Joins the chunks of each metric of a trial's attempt, as far as the result has at most 4,096 points: a few of them at a time, from
    /// `from` on, or from the first. Returns where to go on, if there may be more. Readers see the same points in the same order.
    ///
    /// For attempts that have ended. Atomic and idempotent: wherever it is cut off, no point is lost or there twice. Is no commit: the
    /// study's revision stays what it is, and commits do not wait for it.
    ///
    /// # Errors
    /// [`StoreError::NotOwner`] if the study has a newer owner, who may know another past: nothing is changed.
    async fn point_compact(
        &self,
        owner: &Ownership,
        trial: TrialNumber,
        attempt: Attempt,
        from: Option<&ChunkPlace>,
    ) -> Result<Option<ChunkPlace>, StoreError>;

    /// Audit rows about `subject` and what lies below it, newest first; all rows if `subject` is empty. They outlive the studies
    /// they are about.
    async fn audit_list(&self, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError>;

    /// Adds an audit row about something that is not part of a study.
    async fn audit_add(&self, row: &AuditRow) -> Result<(), StoreError>;

    /// Writes a worker, new or changed.
    async fn worker_save(&self, worker: &WorkerRow) -> Result<(), StoreError>;

    /// All workers, by name.
    async fn worker_list(&self) -> Result<Vec<WorkerRow>, StoreError>;

    /// Forgets a worker. Does nothing if there is none.
    async fn worker_delete(&self, worker: WorkerId) -> Result<(), StoreError>;

    /// Adds a token.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is a token with this identity.
    async fn token_add(&self, token: &TokenRow) -> Result<(), StoreError>;

    /// All tokens, newest first.
    async fn token_list(&self) -> Result<Vec<TokenRow>, StoreError>;

    /// Makes a token worthless from `at` on; a second time changes nothing.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] if there is no such token.
    async fn token_revoke(&self, id: &str, at: Timestamp) -> Result<(), StoreError>;

    /// Whether the database answers.
    async fn ping(&self) -> Result<(), StoreError>;

    /// Waits for what is under way and closes all connections.
    async fn close(&self);
}

fn study_taken(name: &StudyName) -> StoreError {
    StoreError::AlreadyExists(format!("study {name}"))
}

fn request_taken(id: RequestId) -> StoreError {
    StoreError::AlreadyExists(format!("request {id} with other content"))
}

fn token_taken(id: &str) -> StoreError {
    StoreError::AlreadyExists(format!("token {id}"))
}

fn no_study(id: StudyId) -> StoreError {
    StoreError::NotFound(format!("study {id}"))
}

fn no_token(id: &str) -> StoreError {
    StoreError::NotFound(format!("token {id}"))
}
