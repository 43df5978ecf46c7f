//! What is kept of calls: the answers to those that may be repeated, and who changed what.

use tunesmith_common::{RequestId, Timestamp, TrialNumber};

/// The answer to a call that may be repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRow {
    /// Chosen by the caller.
    pub id: RequestId,
    /// SHA-256 of the call's content.
    pub content: [u8; 32],
    /// Trials that the call made or handed out.
    pub trials: Vec<TrialNumber>,
    /// When it was answered: [`AttemptRow::leased_at`](super::AttemptRow::leased_at) of the attempts that it handed out.
    pub at: Timestamp,
}

/// Who changed what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRow {
    /// When.
    pub at: Timestamp,
    /// Who: label of the token, or the rule of the coordinator.
    pub actor: String,
    /// What was done, such as `stop_trial`.
    pub action: String,
    /// To what, such as `studies/digits/trials/3`.
    pub subject: String,
    /// With what, for people; may be empty.
    pub detail: String,
}
