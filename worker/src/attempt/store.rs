//! All attempts of this machine.

use std::sync::Arc;

use tokio::sync::mpsc;
use tunesmith_common::clock::{Clock, Timestamp};
use tunesmith_common::id::{Attempt as AttemptNumber, LeaseKey, StudyId, TrialNumber};
use tunesmith_common::worker::{Assignment, AttemptEnd};

use super::handle::Attempt;
use super::log::{LogError, LogReader, LogStart, LogStream};
use super::options::StoreOptions;

/// Something happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEvent {
    /// The attempt.
    pub lease: LeaseKey,
    /// What happened.
    pub kind: AttemptEventKind,
}

/// What happened to an attempt. In order: `Started` at most once, then points, then `Ended` exactly once.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptEventKind {
    /// The program runs.
    Started {
        /// Process id of the program.
        pid: u32,
        /// When it started, by this machine's wall clock.
        at: Timestamp,
    },
    /// There are points in the spool that were not there when [`Attempt::read_points`] was last called. Sent once until
    /// then.
    PointsAvailable,
    /// Nothing of the attempt lives and all its points are in the spool.
    Ended(Box<AttemptEnd>),
}

/// Why something could not be done with an attempt.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// Another daemon uses the state folder.
    #[error("another worker daemon uses the state folder {0}: stop it, or give this one a folder of its own")]
    InUse(std::path::PathBuf),
    /// The attempt was launched before; the earlier one goes on.
    #[error("this attempt was launched before")]
    Exists,
    /// The attempt is of no interest any more.
    #[error("this attempt was forgotten")]
    Forgotten,
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: std::path::PathBuf,
        /// What it said.
        #[source]
        source: std::io::Error,
    },
}

/// All attempts of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AttemptStore {}

impl AttemptStore {
    /// Takes the state folder for this daemon and adopts the attempts in it. All events of all attempts come through the
    /// returned queue, which must be read: an attempt whose event finds it full waits.
    ///
    /// # Errors
    /// [`AttemptError::InUse`] if another daemon has it, [`AttemptError::Io`] if it cannot be used. A folder of an attempt
    /// that cannot be understood is no error: it is left alone and logged.
    pub async fn open(
        _options: StoreOptions,
        _clock: Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::Receiver<AttemptEvent>), AttemptError> {
        unimplemented!()
    }

    /// Every attempt that was not forgotten, running or ended.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        unimplemented!()
    }

    /// The attempt under this lease, unless it was forgotten.
    #[must_use]
    pub fn attempt(&self, _lease: &LeaseKey) -> Option<Attempt> {
        unimplemented!()
    }

    /// Launches an attempt. A program that cannot be started is not an error here but an event
    /// [`AttemptEventKind::Ended`] with [`tunesmith_common::worker::AttemptOutcome::LaunchFailed`].
    ///
    /// If the folder is taken by an attempt under *another* lease with the same number (numbers are issued again after a restore of the
    /// coordinator), that one is killed and its folder set aside.
    ///
    /// # Errors
    /// [`AttemptError::Exists`] if it was launched before, [`AttemptError::Io`] if nothing could be written: the caller reports
    /// a launch failure, nothing of it is on disk.
    pub async fn launch(&self, _assignment: Assignment) -> Result<Attempt, AttemptError> {
        unimplemented!()
    }

    /// Opens a log, also of an attempt that was forgotten but not removed yet.
    ///
    /// # Errors
    /// [`LogError::Absent`] if there is none.
    pub async fn log(
        &self,
        _study: StudyId,
        _trial: TrialNumber,
        _attempt: AttemptNumber,
        _stream: LogStream,
        _start: LogStart,
    ) -> Result<LogReader, LogError> {
        unimplemented!()
    }

    /// Removes the folders of forgotten attempts whose retention has passed. To be called every few minutes.
    pub async fn sweep(&self) {
        unimplemented!()
    }

    /// Stops reading and gives the state folder free. Trainings go on; a later daemon adopts them.
    pub async fn close(self) {
        unimplemented!()
    }
}
