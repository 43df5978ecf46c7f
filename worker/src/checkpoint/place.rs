//! A place where checkpoints are kept: a folder, of this machine alone or on a file system that several workers reach.
//!
//! ```text
//! PLACE/store.json                               identity of the place, made by whoever is there first
//! PLACE/STUDY/TRIAL-ATTEMPT/step-N/              the files of a checkpoint
//! PLACE/STUDY/TRIAL-ATTEMPT/step-N.json          what they are: there once all of them are, on the disk
//! ```
//!
//! # Invariants
//!
//! * A checkpoint whose manifest is there is whole, and does not change any more.
//! * Names come from numbers and identities; what programs named stays below the checkpoint's own folder.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Component, Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::id::{CheckpointStoreId, LeaseKey, StudyId};
use uuid::Uuid;

use super::folder::step_folder;
use crate::attempt::folder::{make_dir, read_json, write, write_json};

/// Files and folders of one checkpoint at most.
const MAX_FILES: usize = 100_000;
/// Folders within each other at most: links may lead in circles.
const MAX_DEPTH: usize = 32;
/// Room that is left on the file system.
const LEAVE_FREE: u64 = 256 << 20;
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

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
    #[error("the checkpoint of step {step} in {path} {problem}")]
    Lost {
        /// Its step.
        step: i64,
        /// Where it was to be.
        path: PathBuf,
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
}

impl CheckpointError {
    fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source }
    }
}

/// A place where checkpoints are kept.
#[derive(Clone, Debug)]
pub struct Place {
    id: CheckpointStoreId,
    root: PathBuf,
    /// Bytes of all checkpoints at most.
    quota: Option<u64>,
}

#[derive(Serialize, Deserialize)]
struct Identity {
    id: CheckpointStoreId,
}

/// What a checkpoint consists of.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Manifest {
    bytes: u64,
    files: u32,
    digest: String,
}

impl Place {
    /// The place in a folder, which is made if it is not there. All who open the same folder know it by the same identity.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if it cannot be made, read or written.
    pub fn open(root: impl Into<PathBuf>, quota: Option<u64>) -> Result<Self, CheckpointError> {
        let root = root.into();
        make_dir(&root).map_err(CheckpointError::io("make", &root))?;
        let path = root.join("store.json");
        let read = || read_json::<Identity>(&path).map_err(CheckpointError::io("read", &path));
        let known = match read()? {
            Some(known) => known,
            None => {
                // Whoever comes first decides; a file of another name becomes this one at once or not at all.
                let mine = root.join(format!("store.{}.json", Uuid::new_v4()));
                let id = CheckpointStoreId(Uuid::new_v4());
                write_json(&mine, &Identity { id }).map_err(CheckpointError::io("write", &mine))?;
                let linked = std::fs::hard_link(&mine, &path);
                let _ = std::fs::remove_file(&mine);
                match (linked, read()?) {
                    (_, Some(known)) => known,
                    (Err(error), None) => return Err(CheckpointError::io("write", &path)(error)),
                    (Ok(()), None) => Identity { id },
                }
            }
        };
        Ok(Self {
            id: known.id,
            root,
            quota,
        })
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> CheckpointStoreId {
        self.id
    }

    fn folder(&self, study: StudyId, checkpoint: &Checkpoint) -> PathBuf {
        let Checkpoint {
            trial, attempt, step, ..
        } = checkpoint;
        self.root
            .join(study.to_string())
            .join(format!("{trial}-{attempt}"))
            .join(step_folder(*step))
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
        let target = self.folder(lease.study, &checkpoint);
        let manifest_path = manifest_of(&target);
        let known =
            read_json::<Manifest>(&manifest_path).map_err(CheckpointError::io("read", &manifest_path))?;
        let manifest = match known {
            Some(known) => known,
            None => {
                let files = list(from)?;
                let bytes = files.iter().map(|file| file.length).sum();
                self.make_sure_of_room(bytes)?;
                let partial = target.with_extension("partial");
                let _ = std::fs::remove_dir_all(&partial);
                let _ = std::fs::remove_dir_all(&target);
                let stored = copy(from, &partial, &files).and_then(|manifest| {
                    std::fs::rename(&partial, &target).map_err(CheckpointError::io("rename", &partial))?;
                    let json = serde_json::to_vec(&manifest).unwrap_or_default();
                    write(&manifest_path, &json).map_err(CheckpointError::io("write", &manifest_path))?;
                    Ok(manifest)
                });
                if stored.is_err() {
                    // Half a checkpoint would take room that is needed elsewhere.
                    let _ = std::fs::remove_dir_all(&partial);
                    let _ = std::fs::remove_dir_all(&target);
                }
                stored?
            }
        };
        (checkpoint.bytes, checkpoint.files, checkpoint.digest) =
            (manifest.bytes, manifest.files, manifest.digest);
        Ok(checkpoint)
    }

    /// The folder of a checkpoint, after its files were compared with what was stored.
    ///
    /// # Errors
    /// [`CheckpointError::Lost`] if it is not there or not what it was.
    pub fn read(&self, study: StudyId, checkpoint: &Checkpoint) -> Result<PathBuf, CheckpointError> {
        let path = self.folder(study, checkpoint);
        let lost = |problem| CheckpointError::Lost {
            step: checkpoint.step,
            path: path.clone(),
            problem,
        };
        if !manifest_of(&path).exists() || !path.is_dir() {
            return Err(lost("is not there"));
        }
        let mut digest = Sha256::new();
        for file in list(&path)? {
            add(&mut digest, &path, &file, None)?;
        }
        if hexadecimal(digest) != checkpoint.digest {
            return Err(lost("is not what was stored"));
        }
        Ok(path)
    }

    /// Removes a checkpoint. Does nothing if it is not there.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if something of it stays; what stays is no checkpoint any more.
    pub fn remove(&self, study: StudyId, checkpoint: &Checkpoint) -> Result<(), CheckpointError> {
        let path = self.folder(study, checkpoint);
        let manifest = manifest_of(&path);
        for (what, removed) in [
            (&manifest, std::fs::remove_file(&manifest)),
            (&path, std::fs::remove_dir_all(&path)),
        ] {
            match removed {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(CheckpointError::io("remove", what)(error));
                }
                _ => {}
            }
        }
        // They go with the last of them.
        if let Some(attempt) = path.parent() {
            let _ = std::fs::remove_dir(attempt);
            let _ = attempt.parent().map(std::fs::remove_dir);
        }
        Ok(())
    }

    /// Removes all checkpoints of a study. Does nothing if there are none.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if something of them stays.
    pub fn remove_all(&self, study: StudyId) -> Result<(), CheckpointError> {
        let path = self.root.join(study.to_string());
        match std::fs::remove_dir_all(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(CheckpointError::io("remove", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn make_sure_of_room(&self, bytes: u64) -> Result<(), CheckpointError> {
        if let Some(quota) = self.quota {
            let used = self.used();
            if used.saturating_add(bytes) > quota {
                return Err(CheckpointError::NoRoom(format!(
                    "a checkpoint of {bytes} bytes does not fit beside the {used} bytes in {}, which may hold {quota} bytes; raise --checkpoint-limit, or delete studies that are \
                     no longer needed",
                    self.root.display()
                )));
            }
        }
        let Ok(stat) = rustix::fs::statvfs(&self.root) else {
            return Ok(()); // whether there is room will be seen
        };
        let free = stat.f_bavail.saturating_mul(stat.f_frsize);
        if !stat.f_flag.contains(StatVfsMountFlags::RDONLY) && free < bytes.saturating_add(LEAVE_FREE) {
            return Err(CheckpointError::NoRoom(format!(
                "a checkpoint of {bytes} bytes does not fit into {}, where {free} bytes are free and {LEAVE_FREE} are to be left",
                self.root.display()
            )));
        }
        Ok(())
    }

    /// Bytes of all checkpoints.
    fn used(&self) -> u64 {
        let entries = |dir: &Path| {
            std::fs::read_dir(dir)
                .into_iter()
                .flatten()
                .flatten()
                .map(|entry| entry.path())
        };
        let attempts = entries(&self.root).flat_map(|study| entries(&study).collect::<Vec<_>>());
        let manifests = attempts.flat_map(|attempt| entries(&attempt).collect::<Vec<_>>());
        manifests
            .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
            .filter_map(|path| read_json::<Manifest>(&path).ok().flatten())
            .map(|manifest| manifest.bytes)
            .sum()
    }
}

fn manifest_of(folder: &Path) -> PathBuf {
    folder.with_extension("json")
}

/// A file of a checkpoint.
#[derive(Debug)]
struct Entry {
    /// Below the checkpoint's folder.
    name: PathBuf,
    length: u64,
}

/// All files below a folder, by name. Links are followed.
fn list(root: &Path) -> Result<Vec<Entry>, CheckpointError> {
    let mut files = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let path = root.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(CheckpointError::io("read", &path))? {
            let entry = entry.map_err(CheckpointError::io("read", &path))?;
            let full = entry.path();
            let name = folder.join(entry.file_name());
            let content = |problem: &str| CheckpointError::Content {
                path: full.clone(),
                problem: problem.to_owned(),
            };
            if files.len() + folders.len() >= MAX_FILES {
                return Err(content(&format!(
                    "is one of more than {MAX_FILES} files, which are too many for a checkpoint"
                )));
            }
            let metadata = std::fs::metadata(&full).map_err(CheckpointError::io("read", &full))?;
            if metadata.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(content(&format!(
                        "lies more than {MAX_DEPTH} folders deep, or links lead in a circle"
                    )));
                }
                folders.push((name, depth + 1));
            } else if metadata.is_file() {
                let length = metadata.len();
                files.push(Entry { name, length });
            } else {
                return Err(content("is neither a file nor a folder"));
            }
        }
    }
    files.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(files)
}

/// Copies files to a new folder, down to the disk.
fn copy(from: &Path, to: &Path, files: &[Entry]) -> Result<Manifest, CheckpointError> {
    make_dir(to).map_err(CheckpointError::io("make", to))?;
    let mut digest = Sha256::new();
    let mut bytes = 0;
    for file in files {
        let path = to.join(&file.name);
        if let Some(parent) = path.parent() {
            make_dir(parent).map_err(CheckpointError::io("make", parent))?;
        }
        let mut copy = File::create_new(&path).map_err(CheckpointError::io("write", &path))?;
        bytes += add(&mut digest, from, file, Some((&mut copy, &path)))?;
        copy.sync_all().map_err(CheckpointError::io("write", &path))?;
    }
    let synced = File::open(to).and_then(|folder| folder.sync_all());
    synced.map_err(CheckpointError::io("write", to))?;
    Ok(Manifest {
        bytes,
        files: u32::try_from(files.len()).unwrap_or(u32::MAX),
        digest: hexadecimal(digest),
    })
}

/// Adds a file to a digest: length and text of its name, length and bytes of its content. Writes what it reads to `copy`. Returns the length.
fn add(
    digest: &mut Sha256,
    root: &Path,
    file: &Entry,
    mut copy: Option<(&mut File, &Path)>,
) -> Result<u64, CheckpointError> {
    let path = root.join(&file.name);
    let name = file.name.components().map(|part| match part {
        Component::Normal(name) => name.to_string_lossy(),
        _ => "".into(),
    });
    let name = name.collect::<Vec<_>>().join("/");
    digest.update((name.len() as u64).to_le_bytes());
    digest.update(name.as_bytes());
    digest.update(file.length.to_le_bytes());
    let mut source = File::open(&path).map_err(CheckpointError::io("read", &path))?;
    let mut buffer = vec![0; CHUNK];
    let mut length = 0_u64;
    loop {
        let count = match source.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CheckpointError::io("read", &path)(error)),
        };
        digest.update(&buffer[..count]);
        if let Some((copy, at)) = &mut copy {
            copy.write_all(&buffer[..count])
                .map_err(CheckpointError::io("write", at))?;
        }
        length += count as u64;
    }
    if length != file.length {
        return Err(CheckpointError::Content {
            path,
            problem: format!(
                "had {} bytes and then {length}: a checkpoint must not change once it has its name",
                file.length
            ),
        });
    }
    Ok(length)
}

fn hexadecimal(digest: Sha256) -> String {
    use std::fmt::Write as _;
    digest.finalize().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use tunesmith_common::{Attempt, LeaseId, TrialNumber};

    use super::*;

    fn lease(trial: u64) -> LeaseKey {
        LeaseKey {
            study: StudyId(Uuid::from_u128(1)),
            trial: TrialNumber(trial),
            attempt: Attempt(2),
            id: LeaseId(Uuid::from_u128(3)),
        }
    }

    fn saved(dir: &Path, files: &[(&str, &str)]) -> PathBuf {
        let from = dir.join("step-9");
        for (name, content) in files {
            let path = from.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        from
    }

    #[test]
    fn what_was_saved_is_read_back_by_whoever_reaches_the_place() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(
            dir.path(),
            &[
                ("model.bin", "weights"),
                ("state/optimizer", "momentum"),
                ("empty", ""),
            ],
        );
        std::os::unix::fs::symlink("model.bin", from.join("latest")).unwrap();
        let place = Place::open(dir.path().join("place"), None).unwrap();
        let checkpoint = place.save(&lease(1), 9, &from).unwrap();
        assert_eq!((checkpoint.step, checkpoint.bytes, checkpoint.files), (9, 22, 4));
        // What the program does with its own folder after that does not matter.
        std::fs::remove_dir_all(&from).unwrap();
        let other = Place::open(dir.path().join("place"), None).unwrap();
        assert_eq!(other.id(), place.id());
        let path = other.read(lease(1).study, &checkpoint).unwrap();
        assert_eq!(std::fs::read_to_string(path.join("latest")).unwrap(), "weights");
        assert_eq!(
            std::fs::read_to_string(path.join("state/optimizer")).unwrap(),
            "momentum"
        );
        // Stored again, as by a daemon that was killed before it could tell.
        let from = saved(dir.path(), &[("model.bin", "something else")]);
        assert_eq!(place.save(&lease(1), 9, &from).unwrap(), checkpoint);
        assert_ne!(place.save(&lease(2), 9, &from).unwrap().digest, checkpoint.digest);
    }

    #[test]
    fn one_that_is_not_whole_or_was_changed_is_not_given_out() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path(), &[("a", "1"), ("b", "2")]);
        let place = Place::open(dir.path().join("place"), None).unwrap();
        let checkpoint = place.save(&lease(1), 9, &from).unwrap();
        let path = place.read(lease(1).study, &checkpoint).unwrap();
        std::fs::write(path.join("b"), "3").unwrap();
        let error = place.read(lease(1).study, &checkpoint).unwrap_err();
        assert!(error.to_string().ends_with("is not what was stored"), "{error}");
        std::fs::write(path.join("b"), "2").unwrap();
        std::fs::rename(path.join("b"), path.join("c")).unwrap();
        assert!(place.read(lease(1).study, &checkpoint).is_err(), "another name");
        std::fs::rename(path.join("c"), path.join("b")).unwrap();
        place.read(lease(1).study, &checkpoint).unwrap();
        std::fs::remove_file(path.with_extension("json")).unwrap();
        let error = place.read(lease(1).study, &checkpoint).unwrap_err();
        assert!(error.to_string().ends_with("is not there"), "{error}");
    }

    #[test]
    fn what_was_left_of_an_earlier_try_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path(), &[("a", "1")]);
        let place = Place::open(dir.path().join("place"), None).unwrap();
        let left = dir
            .path()
            .join("place")
            .join(lease(1).study.to_string())
            .join("1-2");
        for name in ["step-9", "step-9.partial"] {
            std::fs::create_dir_all(left.join(name)).unwrap();
            std::fs::write(left.join(name).join("half"), "?").unwrap();
        }
        let checkpoint = place.save(&lease(1), 9, &from).unwrap();
        let path = place.read(lease(1).study, &checkpoint).unwrap();
        assert!(!path.join("half").exists() && !left.join("step-9.partial").exists());
    }

    #[test]
    fn one_that_does_not_fit_is_refused_before_anything_is_written_and_leaves_with_its_folders() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path(), &[("a", "12345")]);
        let place = Place::open(dir.path().join("place"), Some(9)).unwrap();
        let checkpoint = place.save(&lease(1), 9, &from).unwrap();
        let error = place.save(&lease(2), 9, &from).unwrap_err().to_string();
        assert!(
            error.starts_with("a checkpoint of 5 bytes does not fit beside the 5 bytes in ")
                && error.contains("which may hold 9 bytes; raise --checkpoint-limit"),
            "{error}"
        );
        let study = dir.path().join("place").join(lease(1).study.to_string());
        assert!(!study.join("2-2").exists());
        place.remove(lease(1).study, &checkpoint).unwrap();
        place.remove(lease(1).study, &checkpoint).unwrap();
        assert!(!study.exists());
        place.save(&lease(2), 9, &from).unwrap();
        place.remove_all(lease(2).study).unwrap();
        place.remove_all(lease(2).study).unwrap();
        assert!(!study.exists());
    }

    #[test]
    fn what_cannot_be_stored_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let from = saved(dir.path(), &[("a", "1")]);
        std::os::unix::fs::symlink("..", from.join("up")).unwrap();
        let place = Place::open(dir.path().join("place"), None).unwrap();
        let error = place.save(&lease(1), 9, &from).unwrap_err().to_string();
        assert!(error.contains("links lead in a circle"), "{error}");
        std::fs::remove_file(from.join("up")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(from.join("socket")).unwrap();
        let error = place.save(&lease(1), 9, &from).unwrap_err().to_string();
        assert!(
            error.ends_with("socket is neither a file nor a folder"),
            "{error}"
        );
        assert!(place.save(&lease(1), 9, &dir.path().join("nothing")).is_err());
    }
}
