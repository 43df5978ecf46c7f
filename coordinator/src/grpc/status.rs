//! Errors of all layers as gRPC statuses: the one place where codes and reasons are chosen.
//!
//! Exhaustive, so that a new error does not compile before its code was chosen. Causes go to our log, not to clients. Reasons are
//! part of the API and listed in `docs/api.md`.
#![deny(clippy::wildcard_enum_match_arm)]

use std::collections::HashMap;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tunesmith_common::study::SpecErrors;
use tunesmith_common::trial::TransitionError;
use tunesmith_proto::convert::ConvertError;

use crate::decide::{CoreError, NoTrial};
use crate::engine::EngineError;
use crate::pool::ConnectError;
use crate::store::StoreError;

/// Domain of all reasons.
const DOMAIN: &str = "tunesmith.v1";
/// Bytes of a message that are sent. Statuses travel in headers, of which clients accept 16 KiB by default, percent-encoded.
const MAX_MESSAGE: usize = 2_048;
/// Bytes of all field violations together, for the same reason.
const MAX_VIOLATIONS: usize = 4_096;
/// When to call again after UNAVAILABLE.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// Why a call was refused.
#[derive(Debug, thiserror::Error)]
pub enum ApiError {
    /// By the study.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// By the store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A field is malformed.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// The study is not one that can be run.
    #[error("{0}")]
    Spec(#[from] SpecErrors),
    /// There is no such thing.
    #[error("there is no {0}")]
    NotFound(String),
    /// The state of what was named forbids it.
    #[error("{message}")]
    Precondition {
        /// For machines.
        reason: &'static str,
        /// For people, with the remedy.
        message: String,
    },
    /// A limit on what may be asked for at once.
    #[error("{0}")]
    TooMuch(String),
    /// The watcher was too slow.
    #[error("{0}")]
    OutOfRange(String),
    /// A worker may not join.
    #[error(transparent)]
    Connect(#[from] ConnectError),
    /// The coordinator is stopping, or the like: come back.
    #[error("{0}")]
    Unavailable(&'static str),
    /// A bug, or broken hardware.
    #[error("{0}")]
    Internal(String),
}

impl ApiError {
    /// A field is wrong.
    pub fn invalid(field: impl Into<String>, message: impl ToString) -> Self {
        Self::Convert(ConvertError::new(field, message))
    }

    /// gRPC code, and the reason on which clients may match.
    #[must_use]
    pub fn code(&self) -> (Code, &'static str) {
        match self {
            Self::Engine(error) => engine_code(error),
            Self::Store(error) => store_code(error),
            Self::Convert(_) | Self::Spec(_) => (Code::InvalidArgument, "INVALID_ARGUMENT"),
            Self::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
            Self::Precondition { reason, .. } => (Code::FailedPrecondition, reason),
            Self::TooMuch(_) => (Code::ResourceExhausted, "TOO_MUCH"),
            Self::OutOfRange(_) => (Code::OutOfRange, "WATCH_LAGGED"),
            Self::Connect(ConnectError::OtherInstance { .. }) => (Code::FailedPrecondition, "OTHER_INSTANCE"),
            Self::Connect(ConnectError::NameTaken { .. }) => (Code::FailedPrecondition, "WORKER_NAME_TAKEN"),
            Self::Unavailable(_) => (Code::Unavailable, "UNAVAILABLE"),
            Self::Internal(_) => (Code::Internal, "INTERNAL"),
        }
    }

    /// What clients read. Generic where the cause is none of their business.
    fn message(&self) -> String {
        match self.code().0 {
            Code::Internal => "internal error; the coordinator's log has the details".to_owned(),
            Code::Ok
            | Code::Cancelled
            | Code::Unknown
            | Code::InvalidArgument
            | Code::DeadlineExceeded
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unavailable
            | Code::DataLoss
            | Code::Unauthenticated => self.to_string(),
        }
    }

    fn violations(&self) -> Vec<(String, String)> {
        match self {
            Self::Convert(error) => vec![(error.field.clone(), error.message.clone())],
            Self::Spec(SpecErrors(errors)) => errors
                .iter()
                .map(|error| (error.path.clone(), error.message.clone()))
                .collect(),
            Self::Engine(EngineError::Core(CoreError::Invalid { field, message })) => {
                vec![(field.clone(), message.clone())]
            }
            Self::Engine(EngineError::Core(CoreError::Space(errors))) => errors
                .iter()
                .map(|error| (error.path("parameters"), error.message.clone()))
                .collect(),
            Self::Engine(_)
            | Self::Store(_)
            | Self::NotFound(_)
            | Self::Precondition { .. }
            | Self::TooMuch(_)
            | Self::OutOfRange(_)
            | Self::Connect(_)
            | Self::Unavailable(_)
            | Self::Internal(_) => vec![],
        }
    }
}

fn engine_code(error: &EngineError) -> (Code, &'static str) {
    match error {
        EngineError::Core(error) => core_code(error),
        EngineError::Unavailable(_) => (Code::Unavailable, "UNAVAILABLE"),
        EngineError::Full(_) => (Code::ResourceExhausted, "STORE_FULL"),
        EngineError::StudyNotFound(_) => (Code::NotFound, "NOT_FOUND"),
        EngineError::Broken(_) => (Code::Internal, "STORE_CORRUPT"),
    }
}

fn core_code(error: &CoreError) -> (Code, &'static str) {
    match error {
        CoreError::TrialNotFound(_) => (Code::NotFound, "NOT_FOUND"),
        CoreError::Transition(TransitionError::StaleLease { .. }) => (Code::Aborted, "STALE_LEASE"),
        CoreError::Transition(TransitionError::Illegal { .. }) => {
            (Code::FailedPrecondition, "ILLEGAL_TRANSITION")
        }
        CoreError::AlreadyEnded { .. } => (Code::FailedPrecondition, "ALREADY_ENDED"),
        CoreError::StudyState { .. } => (Code::FailedPrecondition, "STUDY_STATE"),
        CoreError::NoTrial(reason) => no_trial_code(reason),
        CoreError::Invalid { .. } | CoreError::Space(_) => (Code::InvalidArgument, "INVALID_ARGUMENT"),
        CoreError::Busy => (Code::Unavailable, "BUSY"),
        CoreError::RequestReused(_) => (Code::AlreadyExists, "REQUEST_REUSED"),
    }
}

fn no_trial_code(reason: &NoTrial) -> (Code, &'static str) {
    match reason {
        NoTrial::Paused => (Code::FailedPrecondition, "STUDY_PAUSED"),
        NoTrial::Over(_) => (Code::FailedPrecondition, "STUDY_ENDED"),
        NoTrial::Manual => (Code::FailedPrecondition, "STUDY_MANUAL"),
        NoTrial::Exhausted => (Code::FailedPrecondition, "SPACE_EXHAUSTED"),
        NoTrial::Infeasible(_) => (Code::FailedPrecondition, "SPACE_INFEASIBLE"),
        NoTrial::Parallel(_) => (Code::ResourceExhausted, "PARALLEL_LIMIT"),
        NoTrial::Budget(_) => (Code::ResourceExhausted, "BUDGET_USED_UP"),
        NoTrial::Population(_) => (Code::ResourceExhausted, "POPULATION_COMPLETE"),
        NoTrial::BackingOff(_) => (Code::ResourceExhausted, "BACKING_OFF"),
        NoTrial::Thinking => (Code::Unavailable, "STRATEGY_COMPUTING"),
    }
}

fn store_code(error: &StoreError) -> (Code, &'static str) {
    match error {
        StoreError::NotOwner(_) | StoreError::Unavailable { .. } => (Code::Unavailable, "STORE_UNAVAILABLE"),
        StoreError::Full(_) => (Code::ResourceExhausted, "STORE_FULL"),
        StoreError::AlreadyExists(_) => (Code::AlreadyExists, "ALREADY_EXISTS"),
        StoreError::NotFound(_) => (Code::NotFound, "NOT_FOUND"),
        StoreError::Invalid(_) => (Code::Internal, "INTERNAL"),
        StoreError::Corrupt(_) => (Code::Internal, "STORE_CORRUPT"),
    }
}

impl From<CoreError> for ApiError {
    fn from(error: CoreError) -> Self {
        Self::Engine(error.into())
    }
}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Self {
        let (code, reason) = error.code();
        if code == Code::Internal {
            tracing::error!(error = &error as &dyn std::error::Error, "request failed");
        } else if code == Code::Unavailable {
            tracing::debug!(error = &error as &dyn std::error::Error, "request not served");
        }
        let mut details = ErrorDetails::new();
        details.set_error_info(reason, DOMAIN, HashMap::new());
        let mut room = MAX_VIOLATIONS;
        for (field, message) in error.violations() {
            let (field, message) = (shorten(&field, 256), shorten(&message, 1_024));
            let Some(left) = room.checked_sub(field.len() + message.len()) else {
                break;
            };
            room = left;
            details.add_bad_request_violation(field, message);
        }
        if code == Code::Unavailable {
            details.set_retry_info(Some(RETRY_AFTER));
        }
        Status::with_error_details(code, shorten(&error.message(), MAX_MESSAGE), details)
    }
}

/// A refusal that no layer below knows: of the transport, before anything was looked at.
pub(crate) fn refuse(code: Code, reason: &'static str, message: impl Into<String>) -> Status {
    Status::with_error_details(
        code,
        message,
        ErrorDetails::with_error_info(reason, DOMAIN, HashMap::new()),
    )
}

fn shorten(text: &str, limit: usize) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    format!("{}...", &text[..text.floor_char_boundary(limit)])
}

#[cfg(test)]
mod tests {
    use super::*;
    use tunesmith_common::study::FieldError;

    #[test]
    fn causes_of_internal_errors_stay_here() {
        let status = Status::from(ApiError::Store(StoreError::Corrupt("secret path".to_owned())));
        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("secret"), "{}", status.message());
    }

    #[test]
    fn only_unavailable_says_when_to_come_back() {
        let status = Status::from(ApiError::Unavailable("the coordinator is stopping"));
        assert!(status.get_details_retry_info().is_some());
        assert!(
            Status::from(ApiError::NotFound("study x".to_owned()))
                .get_details_retry_info()
                .is_none()
        );
    }

    #[test]
    fn a_study_with_a_thousand_errors_fits_into_headers() {
        let error = FieldError {
            path: "space.x".repeat(40),
            message: "\u{e9}<\n".repeat(400),
        };
        let status = Status::from(ApiError::Spec(SpecErrors(vec![error; 1_000])));
        assert!(status.message().len() <= MAX_MESSAGE + 3);
        // Percent-encoded text and base64, both in headers.
        let sent = 3 * status.message().len() + status.details().len() * 4 / 3;
        assert!(sent < 15 << 10, "{sent}");
        assert!(
            !status
                .get_details_bad_request()
                .unwrap()
                .field_violations
                .is_empty()
        );
    }
}
