//! Checkpoints of trials, and the rungs that trials which are trained in stages have reached.
//!
//! A checkpoint is named by whoever saved it: trial, attempt and step together are never used twice, so that what is stored under that name never
//! changes.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::id::{Attempt, CheckpointStoreId, TrialNumber};

/// A checkpoint that is completely stored.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Where it is.
    pub store: CheckpointStoreId,
    /// The trial that saved it; another one may begin from it.
    pub trial: TrialNumber,
    /// The attempt that saved it.
    pub attempt: Attempt,
    /// The step that its folder is named after: the number of steps trained.
    pub step: i64,
    /// Bytes of all its files.
    pub bytes: u64,
    /// Number of its files.
    pub files: u32,
    /// SHA-256 over names, lengths and contents of its files in the order of their names, in hexadecimal.
    pub digest: String,
}

/// How far a trial that is trained in stages has come.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stages {
    /// Rungs that it has reached, ascending.
    pub rungs: Vec<RungResult>,
    /// The newest checkpoint that it can go on from.
    pub checkpoint: Option<Checkpoint>,
}

impl Stages {
    /// Whether there is nothing to tell, as of trials that are trained in one go.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rungs.is_empty() && self.checkpoint.is_none()
    }
}

/// What a trial had come to when it first reported at or after the step of a rung.
#[derive(Clone, Debug, PartialEq)]
pub struct RungResult {
    /// Step of the rung.
    pub rung: i64,
    /// The step reported.
    pub step: i64,
    /// The first objective's value at that moment. May be NaN or infinite.
    pub value: f64,
    /// Values of measured constraints. May be NaN or infinite.
    pub more_values: Box<[Option<f64>]>,
    /// When; of two results of a study the one that was there first has the earlier time.
    pub at: Timestamp,
}
