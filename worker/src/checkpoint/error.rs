//! Why a checkpoint cannot be stored, or not be had. Never holds what a store is accessed with.

use std::io;
use std::path::{Path, PathBuf};

/// Why a checkpoint cannot be stored, or not be had.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// Something that cannot be part of a checkpoint.
    #[error("{path} {problem}")]
    Content {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// There is no room for it.
    #[error("{0}")]
    NoRoom(String),
    /// It is not there, or not what it was.
    #[error("the checkpoint of step {step} in {place} {problem}")]
    Lost {
        /// Its step.
        step: i64,
        /// Where it was to be.
        place: String,
        /// What was found instead.
        problem: &'static str,
    },
    /// The operating system refused.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
    /// An object store refused, or did not answer.
    #[error("cannot {action} {url}: {problem}")]
    Store {
        /// What was tried.
        action: &'static str,
        /// With what.
        url: String,
        /// What it said, and the remedy.
        problem: String,
    },
    /// Nobody waits for it any more.
    #[error("fetching the checkpoint in {0} was given up")]
    GivenUp(String),
}

impl CheckpointError {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }

    pub(super) fn content(path: &Path, problem: impl Into<String>) -> Self {
        Self::Content {
            path: path.to_owned(),
            problem: problem.into(),
        }
    }
}
