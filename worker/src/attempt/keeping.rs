//! Stores the checkpoints of an attempt while it runs: one at a time, the newest there is.

use std::path::PathBuf;

use tokio::task::JoinHandle;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::id::LeaseKey;

use crate::checkpoint::{CheckpointError, Place};

/// A checkpoint that a program has saved.
#[derive(Debug)]
pub(super) struct Saved {
    pub(super) step: i64,
    pub(super) path: PathBuf,
    /// Number of the last point that was read by then.
    pub(super) after_seq: u64,
}

/// A checkpoint that is stored.
#[derive(Clone, Debug)]
pub(crate) struct Kept {
    pub(crate) checkpoint: Checkpoint,
    /// Number of the last point that came before: whoever goes on from the checkpoint does not report it again.
    pub(crate) after_seq: u64,
}

/// What is being stored, and how far that has come.
#[derive(Debug, Default)]
pub(super) struct Keeping {
    /// Step of the last one that was begun with.
    begun: Option<i64>,
    busy: Option<JoinHandle<Result<Kept, CheckpointError>>>,
    /// Why the last one that could not be stored was not, for people.
    pub(super) problem: Option<String>,
}

impl Keeping {
    /// Whether one is being stored.
    pub(super) fn is_busy(&self) -> bool {
        self.busy.is_some()
    }

    /// Begins to store a checkpoint, unless another is being stored, or this one was tried before.
    pub(super) fn keep(&mut self, place: &Place, lease: LeaseKey, saved: Saved) {
        if self.is_busy() || self.begun.is_some_and(|begun| begun >= saved.step) {
            return;
        }
        self.begun = Some(saved.step);
        let place = place.clone();
        self.busy = Some(tokio::task::spawn_blocking(move || {
            let checkpoint = place.save(&lease, saved.step, &saved.path)?;
            Ok(Kept {
                checkpoint,
                after_seq: saved.after_seq,
            })
        }));
    }

    /// Waits until the one that is being stored is; none if it cannot be stored. Nothing is lost if this is dropped.
    pub(super) async fn kept(&mut self) -> Option<Kept> {
        let stored = self.busy.as_mut()?.await;
        self.busy = None;
        match stored {
            Ok(Ok(kept)) => Some(kept),
            Ok(Err(error)) => {
                self.problem = Some(error.to_string());
                None
            }
            Err(_) => None, // the daemon ends
        }
    }
}
