//! A place where checkpoints are kept: a folder, or a bucket of an object store.
//!
//! ```text
//! PLACE/store.json                               identity of the place, made by whoever is there first
//! PLACE/STUDY/TRIAL-ATTEMPT/step-N/              the files of a checkpoint
//! PLACE/STUDY/TRIAL-ATTEMPT/step-N.json          what they are: there once all of them are, to stay
//! ```
//!
//! What is kept where, and in which order, is decided here for both; how, by the [`Backend`].
//!
//! # Invariants
//!
//! * A checkpoint whose manifest is there is whole, and does not change any more.
//! * Names come from numbers and identities; what programs named stays below the checkpoint's own folder.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::id::{CheckpointStoreId, LeaseKey, StudyId};
use uuid::Uuid;

use super::disk::Disk;
use super::error::CheckpointError;
use super::files::{Entry, list};
use super::folder::step_folder;
use super::location::Location;
use super::objects::Objects;

/// Where the identity of a place stands.
const IDENTITY: &str = "store.json";

/// What keeps the files. Names are relative to the place, with `/` between their parts. Blocking.
pub(super) trait Backend: fmt::Debug + Send + Sync {
    /// A name as people look for it.
    fn address(&self, name: &str) -> String;

    /// The content of a small file; none if it is not there.
    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError>;

    /// Writes a small file unless there is one of that name, which is no error. Of several who do this at once, one writes.
    fn create(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError>;

    /// Writes a small file, all of it or nothing. On return it is there to stay.
    fn put(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError>;

    /// Makes sure that there is room for so many bytes.
    fn make_sure_of_room(&self, bytes: u64) -> Result<(), CheckpointError>;

    /// Bytes of all checkpoints that have a manifest.
    fn used(&self) -> Result<u64, CheckpointError>;

    /// Stores `files` of the folder `from` below a name, in place of whatever is there. On return they are there to stay. Returns their digest. What is left
    /// after an error is for the caller to remove.
    fn store(&self, name: &str, from: &Path, files: &[Entry]) -> Result<String, CheckpointError>;

    /// Has what is below a name in a folder of this machine: in `into` if it is not anyway. None if it has no manifest. What is left after an error
    /// is for the caller to remove.
    fn fetch(
        &self,
        name: &str,
        manifest: &str,
        into: &Path,
        given_up: &CancellationToken,
    ) -> Result<Option<Fetched>, CheckpointError>;

    /// Removes a file that may not be there.
    fn remove_file(&self, name: &str) -> Result<(), CheckpointError>;

    /// Removes all that there may be below a name, manifests before what they are of.
    fn remove_below(&self, name: &str) -> Result<(), CheckpointError>;
}

/// A checkpoint's folder on this machine, with the digest of what is in it.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) path: PathBuf,
    pub(super) digest: String,
}

/// What a checkpoint consists of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Manifest {
    pub(super) bytes: u64,
    files: u32,
    digest: String,
}

impl Manifest {
    pub(super) fn read(content: &[u8]) -> Option<Self> {
        serde_json::from_slice(content).ok()
    }
}

#[derive(Serialize, Deserialize)]
struct Identity {
    id: CheckpointStoreId,
}

/// Whether a name is that of a manifest: `STUDY/TRIAL-ATTEMPT/step-N.json`. What programs named lies deeper.
pub(super) fn is_manifest(name: &str) -> bool {
    name.ends_with(".json") && name.matches('/').count() == 2
}

fn manifest_of(folder: &str) -> String {
    format!("{folder}.json")
}

fn folder_of(study: StudyId, checkpoint: &Checkpoint) -> String {
    let Checkpoint {
        trial, attempt, step, ..
    } = checkpoint;
    format!("{study}/{trial}-{attempt}/{}", step_folder(*step))
}

/// A place where checkpoints are kept. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Place {
    id: CheckpointStoreId,
    backend: Arc<dyn Backend>,
    /// Bytes of all checkpoints at most.
    quota: Option<u64>,
}

impl Place {
    /// The place at a location; a folder is made if it is not there, a bucket is not. All who open the same location know it by the same identity.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] or [`CheckpointError::Store`] if it cannot be made, read or written.
    pub fn open(location: &Location, quota: Option<u64>) -> Result<Self, CheckpointError> {
        let backend: Arc<dyn Backend> = match location {
            Location::Folder(path) => Arc::new(Disk::open(path.clone())?),
            Location::Bucket(bucket) => Arc::new(Objects::open(bucket)?),
        };
        Self::on(backend, quota)
    }

    pub(super) fn on(backend: Arc<dyn Backend>, quota: Option<u64>) -> Result<Self, CheckpointError> {
        let id = match identity(&*backend)? {
            Some(id) => id,
            None => {
                // Whoever comes first decides.
                let mine = Identity {
                    id: CheckpointStoreId(Uuid::new_v4()),
                };
                backend.create(IDENTITY, &serde_json::to_vec(&mine).unwrap_or_default())?;
                identity(&*backend)?.ok_or_else(|| CheckpointError::Io {
                    action: "read",
                    path: backend.address(IDENTITY).into(),
                    source: io::Error::new(
                        io::ErrorKind::NotFound,
                        "it is not there though it was just written; try again",
                    ),
                })?
            }
        };
        Ok(Self { id, backend, quota })
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> CheckpointStoreId {
        self.id
    }

    /// Stores what is in `from` as the checkpoint of an attempt at `step`. Done a second time it finds the first.
    ///
    /// # Errors
    /// [`CheckpointError::NoRoom`] before anything is written, if it does not fit; [`CheckpointError::Content`] if there is something in it that
    /// cannot be stored.
    pub fn save(&self, lease: &LeaseKey, step: i64, from: &Path) -> Result<Checkpoint, CheckpointError> {
        let mut checkpoint = Checkpoint {
            store: self.id,
            trial: lease.trial,
            attempt: lease.attempt,
            step,
            bytes: 0,
            files: 0,
            digest: String::new(),
        };
        let folder = folder_of(lease.study, &checkpoint);
        let manifest = match self.manifest(&folder)? {
            Some(known) => known,
            None => {
                let files = list(from)?;
                let bytes = files.iter().map(|file| file.length).sum();
                self.make_sure_of_room(bytes)?;
                let stored = self.store(&folder, from, &files, bytes);
                if stored.is_err() {
                    // Half a checkpoint would take room that is needed elsewhere.
                    let _ = self.discard(&folder);
                }
                stored?
            }
        };
        (checkpoint.bytes, checkpoint.files, checkpoint.digest) =
            (manifest.bytes, manifest.files, manifest.digest);
        Ok(checkpoint)
    }

    fn store(
        &self,
        folder: &str,
        from: &Path,
        files: &[Entry],
        bytes: u64,
    ) -> Result<Manifest, CheckpointError> {
        let manifest = Manifest {
            bytes,
            files: u32::try_from(files.len()).unwrap_or(u32::MAX),
            digest: self.backend.store(folder, from, files)?,
        };
        let json = serde_json::to_vec(&manifest).unwrap_or_default();
        self.backend.put(&manifest_of(folder), &json)?;
        Ok(manifest)
    }

    /// The folder of a checkpoint, after its files were compared with what was stored: `into`, which is made for it, or the one where it is kept.
    ///
    /// # Errors
    /// [`CheckpointError::Lost`] if it is not there or not what it was; [`CheckpointError::NoRoom`] before anything is written, if it does not fit;
    /// [`CheckpointError::GivenUp`] soon after `given_up` was cancelled.
    pub fn read(
        &self,
        study: StudyId,
        checkpoint: &Checkpoint,
        into: &Path,
        given_up: &CancellationToken,
    ) -> Result<PathBuf, CheckpointError> {
        let folder = folder_of(study, checkpoint);
        let lost = |problem| CheckpointError::Lost {
            step: checkpoint.step,
            place: self.backend.address(&folder),
            problem,
        };
        let fetched = self.backend.fetch(&folder, &manifest_of(&folder), into, given_up);
        let read = match fetched {
            Ok(Some(found)) if found.digest == checkpoint.digest => return Ok(found.path),
            Ok(Some(_)) => Err(lost("is not what was stored")),
            Ok(None) => Err(lost("is not there")),
            Err(error) => Err(error),
        };
        let _ = std::fs::remove_dir_all(into);
        read
    }

    /// Removes a checkpoint. Does nothing if it is not there.
    ///
    /// # Errors
    /// If something of it stays; what stays is no checkpoint any more.
    pub fn remove(&self, study: StudyId, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        self.discard(&folder_of(study, checkpoint))
    }

    /// Removes all checkpoints of a study. Does nothing if there are none.
    ///
    /// # Errors
    /// If something of them stays.
    pub fn remove_all(&self, study: StudyId) -> Result<(), CheckpointError> {
        self.backend.remove_below(&study.to_string())
    }

    /// The manifest first: as long as it is there, so are the files.
    fn discard(&self, folder: &str) -> Result<(), CheckpointError> {
        self.backend.remove_file(&manifest_of(folder))?;
        self.backend.remove_below(folder)
    }

    fn manifest(&self, folder: &str) -> Result<Option<Manifest>, CheckpointError> {
        let name = manifest_of(folder);
        let Some(content) = self.backend.get(&name)? else {
            return Ok(None);
        };
        Manifest::read(&content)
            .map(Some)
            .ok_or_else(|| malformed(&*self.backend, &name))
    }

    fn make_sure_of_room(&self, bytes: u64) -> Result<(), CheckpointError> {
        if let Some(quota) = self.quota {
            let used = self.backend.used()?;
            if used.saturating_add(bytes) > quota {
                return Err(CheckpointError::NoRoom(format!(
                    "a checkpoint of {bytes} bytes does not fit beside the {used} bytes in {}, which may hold {quota} bytes; raise --checkpoint-limit, or delete studies that are \
                     no longer needed",
                    self.backend.address("")
                )));
            }
        }
        self.backend.make_sure_of_room(bytes)
    }
}

fn identity(backend: &dyn Backend) -> Result<Option<CheckpointStoreId>, CheckpointError> {
    let Some(content) = backend.get(IDENTITY)? else {
        return Ok(None);
    };
    let known = serde_json::from_slice::<Identity>(&content);
    known
        .map(|known| Some(known.id))
        .map_err(|_| malformed(backend, IDENTITY))
}

fn malformed(backend: &dyn Backend, name: &str) -> CheckpointError {
    CheckpointError::Io {
        action: "understand",
        path: backend.address(name).into(),
        source: io::Error::new(
            io::ErrorKind::InvalidData,
            "it was not written by a worker; remove it",
        ),
    }
}

#[cfg(test)]
#[path = "place_tests.rs"]
pub(super) mod tests;
