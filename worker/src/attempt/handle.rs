//! One attempt, as the daemon sees it.

use std::time::Duration;

use tunesmith_common::clock::Timestamp;
use tunesmith_common::id::LeaseKey;
use tunesmith_common::measurement::PointBatch;
use tunesmith_common::study::Resources;
use tunesmith_common::worker::{AttemptEnd, HeldAttempt};

use super::store::AttemptError;

/// Why an attempt is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopKind {
    /// The coordinator asked: the end carries [`tunesmith_common::worker::StopCause::Asked`].
    Asked,
    /// The worker leaves: the end is [`tunesmith_common::worker::AttemptOutcome::HandedBack`].
    Drain,
}

/// A request to stop an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StopRequest {
    /// On whose behalf.
    pub kind: StopKind,
    /// Why, for the program (stop file, `should_stop`) and for people.
    pub reason: String,
    /// Time between SIGTERM to the leader and SIGTERM to its whole group; SIGKILL comes 5 s later.
    pub grace: Duration,
}

/// One attempt. Cheap to clone; dropping it changes nothing.
#[derive(Clone, Debug)]
pub struct Attempt {}

impl Attempt {
    /// Its lease.
    #[must_use]
    pub fn lease(&self) -> LeaseKey {
        unimplemented!()
    }

    /// UUIDs of the GPUs it was given.
    #[must_use]
    pub fn gpus(&self) -> &[String] {
        unimplemented!()
    }

    /// What it was promised of the machine.
    #[must_use]
    pub fn resources(&self) -> &Resources {
        unimplemented!()
    }

    /// Process id and start time of its program, once it runs.
    #[must_use]
    pub fn started(&self) -> Option<(u32, Timestamp)> {
        unimplemented!()
    }

    /// How it ended, once it has; the same after a restart of the daemon.
    #[must_use]
    pub fn end(&self) -> Option<AttemptEnd> {
        unimplemented!()
    }

    /// What a `hello` says about it.
    #[must_use]
    pub fn held(&self) -> HeldAttempt {
        unimplemented!()
    }

    /// Sequence number of the last point in the spool; 0 if there is none.
    #[must_use]
    pub fn last_seq(&self) -> u64 {
        unimplemented!()
    }

    /// Points `from_seq ..`, at most `max` of them, in order and without gaps; the first one has `from_seq`. Empty if there
    /// are none yet. `metrics` of the batch holds the names that occur in it.
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the spool cannot be read.
    pub async fn read_points(&self, _from_seq: u64, _max: usize) -> Result<PointBatch, AttemptError> {
        unimplemented!()
    }

    /// Asks the attempt to stop; its end arrives as an event. Asking again, or asking an attempt that has ended, changes
    /// nothing, but that [`StopKind::Asked`] takes the place of [`StopKind::Drain`].
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the request could not be written down.
    pub async fn request_stop(&self, _request: StopRequest) -> Result<(), AttemptError> {
        unimplemented!()
    }

    /// The lease is lost: kills everything of the attempt at once and keeps its files. Its end arrives as an event with
    /// [`tunesmith_common::worker::AttemptOutcome::Lost`].
    ///
    /// # Errors
    /// [`AttemptError::Io`] if the request could not be written down.
    pub async fn kill_stale(&self) -> Result<(), AttemptError> {
        unimplemented!()
    }

    /// The end is stored elsewhere, or of no interest: the attempt is no longer listed, and its folder is removed when the retention
    /// has passed. Of an attempt that still runs the folder is kept until it has ended.
    ///
    /// # Errors
    /// [`AttemptError::Io`] if that could not be written down.
    pub async fn forget(&self) -> Result<(), AttemptError> {
        unimplemented!()
    }
}
