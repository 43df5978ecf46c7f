//! Who this worker is: an identity for life, a count of its starts, and a random number for this start.
//!
//! The count is on disk before it is used, so that of two daemons started from copies of one disk the coordinator can tell the
//! later one.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tunesmith_common::WorkerId;
use uuid::Uuid;

const FILE: &str = "identity.json";

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file cannot be read or written.
    #[error("cannot {action} the identity of this worker in {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file is not what this program writes.
    #[error(
        "{path} cannot be understood: {message}; restore it, or remove it to join the pool as a new worker"
    )]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

/// Who this worker is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Made at the first start, kept for life.
    pub(super) uid: WorkerId,
    /// How many times the daemon has started on this state folder, this time included.
    pub(super) generation: u64,
    /// Random, made at each start.
    pub(super) instance: Uuid,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    uid: WorkerId,
    generation: u64,
}

impl Identity {
    /// Counts a start of the daemon on `state_dir`, which the caller holds alone.
    ///
    /// # Errors
    /// [`IdentityError`]. A later start counts on from whatever was written.
    pub(super) fn start(state_dir: &Path) -> Result<Self, IdentityError> {
        let path = state_dir.join(FILE);
        let io = |action| {
            let path = path.clone();
            move |source| IdentityError::Io { action, path, source }
        };
        let before = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| IdentityError::Malformed {
                path: path.clone(),
                message: error.to_string(),
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Stored {
                uid: WorkerId(Uuid::new_v4()),
                generation: 0,
            },
            Err(error) => return Err(io("read")(error)),
        };
        let stored = Stored {
            uid: before.uid,
            generation: before.generation.saturating_add(1),
        };
        replace(&path, &serde_json::to_vec(&stored).unwrap_or_default()).map_err(io("write"))?;
        Ok(Self {
            uid: stored.uid,
            generation: stored.generation,
            instance: Uuid::new_v4(),
        })
    }
}

/// Puts `content` in the place of the file at `path`: after a power loss there is either the old or the new content.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    match path.parent() {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_identity_stays_and_each_start_is_counted() {
        let folder = tempfile::tempdir().unwrap();
        let first = Identity::start(folder.path()).unwrap();
        let second = Identity::start(folder.path()).unwrap();
        assert_eq!((first.uid, first.generation), (second.uid, 1));
        assert_eq!(second.generation, 2);
        assert_ne!(first.instance, second.instance);
    }

    #[test]
    fn a_damaged_file_is_not_replaced_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(FILE), "{\"uid\": 3").unwrap();
        let error = Identity::start(folder.path()).unwrap_err().to_string();
        assert!(error.contains("identity.json cannot be understood"), "{error}");
        assert_eq!(
            std::fs::read_to_string(folder.path().join(FILE)).unwrap(),
            "{\"uid\": 3"
        );
    }
}
