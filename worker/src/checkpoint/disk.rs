//! A place of checkpoints that is a folder: of this machine alone, or on a file system that several workers reach.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::error::CheckpointError;
use super::files::{Entry, Fingerprint, list, make_sure_of_room_on_disk, read_through};
use super::place::{Backend, Fetched, Manifest, is_manifest};
use crate::attempt::folder::{make_dir, write};

/// A folder.
#[derive(Debug)]
pub(super) struct Disk {
    root: PathBuf,
}

impl Disk {
    pub(super) fn open(root: PathBuf) -> Result<Self, CheckpointError> {
        make_dir(&root).map_err(CheckpointError::io("make", &root))?;
        Ok(Self { root })
    }
}

impl Backend for Disk {
    fn address(&self, name: &str) -> String {
        let path = if name.is_empty() {
            self.root.clone()
        } else {
            self.root.join(name)
        };
        path.display().to_string()
    }

    fn get(&self, name: &str) -> Result<Option<Vec<u8>>, CheckpointError> {
        let path = self.root.join(name);
        match std::fs::read(&path) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(CheckpointError::io("read", &path)(error)),
        }
    }

    fn create(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
        let path = self.root.join(name);
        // A file of another name becomes this one at once or not at all.
        let mine = path.with_extension(format!("{}.json", Uuid::new_v4()));
        write(&mine, content).map_err(CheckpointError::io("write", &mine))?;
        let linked = std::fs::hard_link(&mine, &path);
        let _ = std::fs::remove_file(&mine);
        match linked {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                Err(CheckpointError::io("write", &path)(error))
            }
            _ => Ok(()),
        }
    }

    fn put(&self, name: &str, content: &[u8]) -> Result<(), CheckpointError> {
        let path = self.root.join(name);
        write(&path, content).map_err(CheckpointError::io("write", &path))
    }

    fn make_sure_of_room(&self, bytes: u64) -> Result<(), CheckpointError> {
        make_sure_of_room_on_disk(&self.root, bytes)
    }

    fn used(&self) -> Result<u64, CheckpointError> {
        let manifests = entries(&self.root).flat_map(|study| self.manifests(&study));
        Ok(manifests
            .filter_map(|path| Manifest::read(&std::fs::read(path).ok()?))
            .map(|manifest| manifest.bytes)
            .sum())
    }

    fn store(&self, name: &str, from: &Path, files: &[Entry]) -> Result<String, CheckpointError> {
        let target = self.root.join(name);
        let partial = target.with_extension("partial");
        let _ = std::fs::remove_dir_all(&partial);
        let _ = std::fs::remove_dir_all(&target);
        let digest = copy(from, &partial, files)?;
        std::fs::rename(&partial, &target).map_err(CheckpointError::io("rename", &partial))?;
        Ok(digest)
    }

    fn fetch(
        &self,
        name: &str,
        manifest: &str,
        _into: &Path,
        given_up: &CancellationToken,
    ) -> Result<Option<Fetched>, CheckpointError> {
        let path = self.root.join(name);
        if !self.root.join(manifest).exists() || !path.is_dir() {
            return Ok(None);
        }
        let mut digest = Fingerprint::default();
        for file in list(&path)? {
            read_through(&path, &file, &mut digest, |_| match given_up.is_cancelled() {
                true => Err(CheckpointError::GivenUp(self.address(name))),
                false => Ok(()),
            })?;
        }
        let digest = digest.hexadecimal();
        Ok(Some(Fetched { path, digest }))
    }

    fn remove_file(&self, name: &str) -> Result<(), CheckpointError> {
        remove(&self.root.join(name), |path| std::fs::remove_file(path))
    }

    fn remove_below(&self, name: &str) -> Result<(), CheckpointError> {
        let path = self.root.join(name);
        if !name.contains('/') {
            for manifest in self.manifests(&path) {
                remove(&manifest, |path| std::fs::remove_file(path))?;
            }
        }
        let _ = std::fs::remove_dir_all(path.with_extension("partial"));
        remove(&path, |path| std::fs::remove_dir_all(path))?;
        // They go with the last of them.
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| *folder != self.root) {
            if std::fs::remove_dir(folder).is_err() {
                break;
            }
            above = folder.parent();
        }
        Ok(())
    }
}

impl Disk {
    /// The manifests of a study.
    fn manifests<'a>(&'a self, study: &Path) -> impl Iterator<Item = PathBuf> + use<'a> {
        let attempts = entries(study).collect::<Vec<_>>();
        let files = attempts.into_iter().flat_map(|attempt| entries(&attempt));
        files.filter(|path| {
            let name = path.strip_prefix(&self.root).ok().and_then(Path::to_str);
            name.is_some_and(is_manifest)
        })
    }
}

fn entries(dir: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    entries.map(|entry| entry.path())
}

/// Removes something that may not be there.
fn remove(path: &Path, how: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), CheckpointError> {
    match how(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(CheckpointError::io("remove", path)(error))
        }
        _ => Ok(()),
    }
}

/// Copies files to a new folder, down to the disk. Returns their digest.
fn copy(from: &Path, to: &Path, files: &[Entry]) -> Result<String, CheckpointError> {
    make_dir(to).map_err(CheckpointError::io("make", to))?;
    let mut digest = Fingerprint::default();
    for file in files {
        let path = to.join(&file.name);
        if let Some(parent) = path.parent() {
            make_dir(parent).map_err(CheckpointError::io("make", parent))?;
        }
        let mut copy = File::create_new(&path).map_err(CheckpointError::io("write", &path))?;
        read_through(from, file, &mut digest, |content| {
            copy.write_all(content)
                .map_err(CheckpointError::io("write", &path))
        })?;
        copy.sync_all().map_err(CheckpointError::io("write", &path))?;
    }
    let synced = File::open(to).and_then(|folder| folder.sync_all());
    synced.map_err(CheckpointError::io("write", to))?;
    Ok(digest.hexadecimal())
}
