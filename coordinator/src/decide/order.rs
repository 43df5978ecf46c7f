//! What the engine of a study tells a worker.

use std::time::Duration;

use tunesmith_common::LeaseKey;
use tunesmith_common::worker::Assignment;

/// One order. All may be sent twice or get lost: what a worker holds is compared again each time it connects.
#[derive(Clone, Debug, PartialEq)]
pub enum Order {
    /// Run this trial.
    Assign(Box<Assignment>),
    /// Points up to here are stored.
    Ack {
        /// The attempt.
        lease: LeaseKey,
        /// Sequence number of the last point stored.
        seq: u64,
    },
    /// Send points again from here.
    Resend {
        /// The attempt.
        lease: LeaseKey,
        /// Sequence number of the first point wanted.
        from: u64,
    },
    /// Stop the program.
    Stop {
        /// The attempt.
        lease: LeaseKey,
        /// Why, for the program and for people.
        reason: String,
        /// Time between SIGTERM and SIGKILL.
        grace: Duration,
    },
    /// The end of the attempt is stored, or of no interest.
    Forget(LeaseKey),
    /// The lease is no longer valid: kill the program.
    Stale(LeaseKey),
}

impl Order {
    /// The attempt that it is about.
    #[must_use]
    pub fn lease(&self) -> &LeaseKey {
        match self {
            Self::Assign(assignment) => &assignment.lease,
            Self::Ack { lease, .. } | Self::Resend { lease, .. } | Self::Stop { lease, .. } => lease,
            Self::Forget(lease) | Self::Stale(lease) => lease,
        }
    }
}
