//! Reading a log from the worker that has it: requests travel down its session, pieces come back up.

use tokio::sync::mpsc;
use tunesmith_common::{Attempt, StudyId, TrialNumber};

/// Which log to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRequest {
    /// The study.
    pub study: StudyId,
    /// The trial.
    pub trial: TrialNumber,
    /// The attempt.
    pub attempt: Attempt,
    /// Start that many bytes before the end; from the beginning if none.
    pub tail: Option<u64>,
    /// Go on until the program ends.
    pub follow: bool,
    /// Standard error instead of standard output.
    pub stderr: bool,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogChunk {
    /// Bytes as printed.
    pub data: Vec<u8>,
    /// Bytes dropped before this piece.
    pub skipped: u64,
    /// Nothing follows.
    pub end: bool,
    /// Why there is no log; empty if there is one.
    pub error: String,
}

/// Pieces that wait for a slow reader at most. With the worker's pieces of 64 KiB this holds a whole log of the size that
/// workers keep, so that a session never has to wait for a reader.
pub(super) const WAITING_CHUNKS: usize = 1_100;
/// Logs that are read at the same time at most.
pub(super) const READERS: usize = 64;

/// Where the pieces of one request go.
pub(super) type LogSender = mpsc::Sender<LogChunk>;
