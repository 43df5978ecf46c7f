//! Checkpoints on disk: whole or absent, checked when read, the newest two kept.
//!
//! A checkpoint is a folder `step-<epoch>/` with `manifest.json` (what the numbers mean) and `numbers.bin` (parameters,
//! then the optimiser's state, as little-endian `f64`). It is written as `step-<epoch>.tmp/`, forced to disk and renamed,
//! so that whoever sees `step-<epoch>/` sees all of it, also after a power cut. Names that end in `.tmp` are never
//! checkpoints.
//!
//! # Invariants
//!
//! * What is read equals what was written, bit for bit, or is refused.
//! * A diverged network is never written: all numbers are finite.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::network::Architecture;
use crate::optimizer::OptimizerKind;
use crate::report::EpochReport;

/// Version of the layout; another one is refused.
const FORMAT: u32 = 1;
/// Checkpoints left on disk: the newest, and one more for the case that somebody reads while the next is written.
const KEPT: usize = 2;
/// Longest manifest that is read; a real one has about 400 bytes.
const MANIFEST_LIMIT: u64 = 64 * 1024;

/// What a checkpoint says about itself.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Manifest {
    format: u32,
    /// Shape of the network.
    pub(crate) architecture: Architecture,
    /// Which optimiser the state belongs to.
    pub(crate) optimizer: OptimizerKind,
    /// Steps the optimiser has taken.
    pub(crate) optimizer_steps: u32,
    /// What was reported for the last epoch trained, with its number.
    pub(crate) report: EpochReport,
    /// CRC-32 (IEEE) of `numbers.bin`.
    crc32: u32,
}

/// A checkpoint in memory.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Checkpoint {
    /// What it says about itself.
    pub(crate) manifest: Manifest,
    /// The network's parameters.
    pub(crate) parameters: Vec<f64>,
    /// The optimiser's state.
    pub(crate) optimizer_state: Vec<f64>,
}

/// Why a checkpoint could not be written or used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CheckpointError {
    /// The file system refused.
    #[error("cannot {action} {path}", path = path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// On which file or folder.
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// There is something, but not a whole checkpoint of this program.
    #[error("{path} is not a usable checkpoint: {reason}; start without it or name another one", path = path.display())]
    Damaged {
        /// The checkpoint's folder.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl Checkpoint {
    /// A checkpoint of what the arguments say.
    pub(crate) fn new(
        architecture: Architecture,
        optimizer: OptimizerKind,
        optimizer_steps: u32,
        report: EpochReport,
        parameters: Vec<f64>,
        optimizer_state: Vec<f64>,
    ) -> Self {
        let crc32 = crc32fast::hash(&to_bytes(&parameters, &optimizer_state));
        let manifest = Manifest {
            format: FORMAT,
            architecture,
            optimizer,
            optimizer_steps,
            report,
            crc32,
        };
        Self {
            manifest,
            parameters,
            optimizer_state,
        }
    }

    /// Writes the checkpoint to `root/step-<epoch>` and deletes all but the newest two up to this one.
    ///
    /// Atomic: after an error, a kill or a power cut the folder is there with all its content or not at all. A folder
    /// of the same name is replaced; later ones, left by an earlier attempt, stay until they are replaced themselves.
    ///
    /// # Errors
    /// [`CheckpointError::Io`], for instance when the disk is full.
    pub(crate) fn save(&self, root: &Path) -> Result<PathBuf, CheckpointError> {
        let epoch = self.manifest.report.epoch;
        let target = root.join(format!("step-{epoch}"));
        let building = root.join(format!("step-{epoch}.tmp"));
        let replaced = root.join(format!("step-{epoch}.replaced.tmp"));
        fs::create_dir_all(root).map_err(io_error("create", root))?;
        for leftover in [&building, &replaced] {
            remove_if_there(leftover)?;
        }
        fs::create_dir(&building).map_err(io_error("create", &building))?;
        write_synced(
            &building.join("numbers.bin"),
            &to_bytes(&self.parameters, &self.optimizer_state),
        )?;
        let manifest =
            serde_json::to_vec_pretty(&self.manifest).map_err(|error| CheckpointError::Damaged {
                path: building.clone(),
                reason: format!("its manifest cannot be written: {error}"),
            })?;
        write_synced(&building.join("manifest.json"), &manifest)?;
        sync_folder(&building)?;
        if target.exists() {
            fs::rename(&target, &replaced).map_err(io_error("replace", &target))?;
        }
        fs::rename(&building, &target).map_err(io_error("rename", &building))?;
        sync_folder(root)?;
        remove_if_there(&replaced)?;
        remove_older(root, epoch)?;
        Ok(target)
    }

    /// Reads the checkpoint in the folder `path`.
    ///
    /// # Errors
    /// [`CheckpointError::Io`] if a file is missing or unreadable, [`CheckpointError::Damaged`] if the content is not
    /// what was written.
    pub(crate) fn load(path: &Path) -> Result<Self, CheckpointError> {
        let damaged = |reason: String| CheckpointError::Damaged {
            path: path.to_owned(),
            reason,
        };
        let manifest_path = path.join("manifest.json");
        if file_length(&manifest_path)? > MANIFEST_LIMIT {
            return Err(damaged(format!(
                "manifest.json has more than {MANIFEST_LIMIT} bytes"
            )));
        }
        let text = fs::read(&manifest_path).map_err(io_error("read", &manifest_path))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| damaged(format!("manifest.json: {error}")))?;
        if manifest.format != FORMAT {
            return Err(damaged(format!(
                "it has format {}, this program reads {FORMAT}",
                manifest.format
            )));
        }
        let numbers_path = path.join("numbers.bin");
        let parameters = manifest.architecture.checked_parameter_count().ok_or_else(|| {
            damaged(format!(
                "no network has {} layers of {} units",
                manifest.architecture.depth, manifest.architecture.width
            ))
        })?;
        let count = parameters * (1 + manifest.optimizer.slots());
        // Compared before reading, so that a damaged manifest cannot make us read without limit.
        let length = file_length(&numbers_path)?;
        if usize::try_from(length).ok() != Some(count * size_of::<f64>()) {
            return Err(damaged(format!(
                "numbers.bin has {length} bytes instead of {}",
                count * size_of::<f64>()
            )));
        }
        let bytes = fs::read(&numbers_path).map_err(io_error("read", &numbers_path))?;
        if crc32fast::hash(&bytes) != manifest.crc32 {
            return Err(damaged(
                "numbers.bin is not what was written (CRC-32 differs)".to_owned(),
            ));
        }
        let mut parameters_then_state: Vec<f64> = bytes
            .as_chunks::<8>()
            .0
            .iter()
            .map(|chunk| f64::from_le_bytes(*chunk))
            .collect();
        let optimizer_state = parameters_then_state.split_off(parameters);
        Ok(Self {
            manifest,
            parameters: parameters_then_state,
            optimizer_state,
        })
    }
}

fn to_bytes(parameters: &[f64], state: &[f64]) -> Vec<u8> {
    parameters
        .iter()
        .chain(state)
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn io_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CheckpointError {
    move |source| CheckpointError::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

fn file_length(path: &Path) -> Result<u64, CheckpointError> {
    Ok(fs::metadata(path).map_err(io_error("read", path))?.len())
}

fn write_synced(path: &Path, content: &[u8]) -> Result<(), CheckpointError> {
    let mut file = File::create(path).map_err(io_error("create", path))?;
    file.write_all(content)
        .and_then(|()| file.sync_all())
        .map_err(io_error("write", path))
}

/// Forces the names in a folder to disk; without it a rename may be lost in a power cut.
fn sync_folder(path: &Path) -> Result<(), CheckpointError> {
    File::open(path)
        .and_then(|folder| folder.sync_all())
        .map_err(io_error("sync", path))
}

fn remove_if_there(path: &Path) -> Result<(), CheckpointError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Deletes the checkpoints before the newest [`KEPT`] among those up to `epoch`.
fn remove_older(root: &Path, epoch: u32) -> Result<(), CheckpointError> {
    let mut epochs = Vec::new();
    for entry in fs::read_dir(root).map_err(io_error("list", root))? {
        let name = entry.map_err(io_error("list", root))?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix("step-"))
            .and_then(|text| text.parse().ok());
        epochs.extend(number.filter(|&found: &u32| found <= epoch));
    }
    epochs.sort_unstable_by(|a, b| b.cmp(a));
    for old in epochs.into_iter().skip(KEPT) {
        remove_if_there(&root.join(format!("step-{old}")))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activation::Activation;

    fn checkpoint(epoch: u32) -> Checkpoint {
        let architecture = Architecture {
            depth: 1,
            width: 3,
            activation: Activation::Tanh,
        };
        let count = architecture.parameter_count();
        let parameters = (0..count)
            .map(|index| (crate::activation::to_f64(index) + 0.1).sin())
            .collect();
        let report = EpochReport {
            epoch,
            val_acc: 1.0 / 3.0,
            val_loss: 0.1,
            loss: 2e-300,
        };
        Checkpoint::new(
            architecture,
            OptimizerKind::Adam,
            77,
            report,
            parameters,
            vec![-0.0; 2 * count],
        )
    }

    fn names(root: &Path) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(root)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_read_is_what_was_written() {
        let root = tempfile::tempdir().unwrap();
        let written = checkpoint(4);
        let path = written.save(&root.path().join("new/folder")).unwrap();
        let read = Checkpoint::load(&path).unwrap();
        assert_eq!(read, written);
        assert!(
            read.optimizer_state[0].is_sign_negative(),
            "bit for bit, also the sign of zero"
        );
    }

    #[test]
    fn the_newest_two_are_kept_and_leftovers_of_a_killed_save_are_removed() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("step-10.tmp")).unwrap();
        fs::write(root.path().join("step-10.tmp/numbers.bin"), "half").unwrap();
        fs::write(root.path().join("notes.txt"), "not ours").unwrap();
        for epoch in [2, 8, 9, 10] {
            checkpoint(epoch).save(root.path()).unwrap();
        }
        assert_eq!(names(root.path()), ["notes.txt", "step-10", "step-9"]);
    }

    #[test]
    fn a_new_start_replaces_an_earlier_checkpoint_and_does_not_delete_its_own_first_one() {
        let root = tempfile::tempdir().unwrap();
        for epoch in [8, 9] {
            checkpoint(epoch).save(root.path()).unwrap();
        }
        checkpoint(1).save(root.path()).unwrap();
        assert_eq!(names(root.path()), ["step-1", "step-8", "step-9"]);
        let mut other = checkpoint(8);
        other.manifest.optimizer_steps = 1;
        let path = other.save(root.path()).unwrap();
        assert_eq!(Checkpoint::load(&path).unwrap(), other);
        assert_eq!(names(root.path()), ["step-1", "step-8", "step-9"]);
    }

    #[test]
    fn damage_is_refused_and_named() {
        let root = tempfile::tempdir().unwrap();
        let refused = |break_it: &dyn Fn(&Path), expected: &str| {
            let path = checkpoint(3).save(root.path()).unwrap();
            break_it(&path);
            let error = Checkpoint::load(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        let replace = |path: &Path, from: &str, to: &str| {
            let manifest = path.join("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            assert!(text.contains(from), "{text}");
            fs::write(manifest, text.replace(from, to)).unwrap();
        };
        refused(
            &|path| fs::remove_file(path.join("numbers.bin")).unwrap(),
            "cannot read",
        );
        refused(
            &|path| fs::write(path.join("manifest.json"), "{").unwrap(),
            "manifest.json: EOF",
        );
        refused(
            &|path| fs::write(path.join("numbers.bin"), [0; 8]).unwrap(),
            "8 bytes instead of",
        );
        refused(
            &|path| replace(path, "\"format\": 1", "\"format\": 2"),
            "it has format 2",
        );
        refused(
            &|path| replace(path, "\"width\": 3", "\"width\": 99999999999999999"),
            "no network has 1 layers",
        );
        let flip = |path: &Path| {
            let numbers = path.join("numbers.bin");
            let mut bytes = fs::read(&numbers).unwrap();
            bytes[20] ^= 1;
            fs::write(numbers, bytes).unwrap();
        };
        refused(&flip, "CRC-32");
    }
}
