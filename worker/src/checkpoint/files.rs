//! The files of a checkpoint on this machine: which there are, how they are read, and the digest of them all.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Component, Path, PathBuf};

use rustix::fs::StatVfsMountFlags;
use sha2::{Digest, Sha256};

use super::error::CheckpointError;

/// Files and folders of one checkpoint at most.
const MAX_FILES: usize = 100_000;
/// Folders within each other at most: links may lead in circles.
const MAX_DEPTH: usize = 32;
/// Room that is left on a file system.
const LEAVE_FREE: u64 = 256 << 20;
/// Bytes read at a time.
const CHUNK: usize = 1 << 20;

/// A file of a checkpoint.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Below the checkpoint's folder.
    pub(super) name: PathBuf,
    pub(super) length: u64,
}

/// All files below a folder, in the order in which the digest takes them. Links are followed.
pub(super) fn list(root: &Path) -> Result<Vec<Entry>, CheckpointError> {
    let mut files = Vec::new();
    let mut folders = vec![(PathBuf::new(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        let path = root.join(&folder);
        for entry in std::fs::read_dir(&path).map_err(CheckpointError::io("read", &path))? {
            let entry = entry.map_err(CheckpointError::io("read", &path))?;
            let full = entry.path();
            let name = folder.join(entry.file_name());
            if files.len() + folders.len() >= MAX_FILES {
                return Err(CheckpointError::content(
                    &full,
                    format!("is one of more than {MAX_FILES} files, which are too many for a checkpoint"),
                ));
            }
            let metadata = std::fs::metadata(&full).map_err(CheckpointError::io("read", &full))?;
            if metadata.is_dir() {
                if depth == MAX_DEPTH {
                    return Err(CheckpointError::content(
                        &full,
                        format!("lies more than {MAX_DEPTH} folders deep, or links lead in a circle"),
                    ));
                }
                folders.push((name, depth + 1));
            } else if metadata.is_file() {
                let length = metadata.len();
                files.push(Entry { name, length });
            } else {
                return Err(CheckpointError::content(&full, "is neither a file nor a folder"));
            }
        }
    }
    in_order(&mut files);
    Ok(files)
}

/// Puts files into the order in which the digest takes them: that of their names.
pub(super) fn in_order(files: &mut [Entry]) {
    files.sort_by(|a, b| a.name.cmp(&b.name));
}

/// The digest of a checkpoint: for each file, in order, length and text of its name, length and bytes of its content.
#[derive(Debug, Default)]
pub(super) struct Fingerprint(Sha256);

impl Fingerprint {
    /// Whose content comes next.
    pub(super) fn begin(&mut self, file: &Entry) {
        let name = file.name.components().map(|part| match part {
            Component::Normal(name) => name.to_string_lossy(),
            _ => "".into(),
        });
        let name = name.collect::<Vec<_>>().join("/");
        self.0.update((name.len() as u64).to_le_bytes());
        self.0.update(name.as_bytes());
        self.0.update(file.length.to_le_bytes());
    }

    pub(super) fn add(&mut self, content: &[u8]) {
        self.0.update(content);
    }

    pub(super) fn hexadecimal(self) -> String {
        use std::fmt::Write as _;
        self.0.finalize().iter().fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
    }
}

/// A file that is read once, from its beginning to the end that it had when it was listed.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    file: File,
    path: PathBuf,
    entry: &'a Entry,
    read: u64,
}

impl<'a> Reading<'a> {
    pub(super) fn open(
        root: &Path,
        entry: &'a Entry,
        digest: &mut Fingerprint,
    ) -> Result<Self, CheckpointError> {
        let path = root.join(&entry.name);
        let file = File::open(&path).map_err(CheckpointError::io("read", &path))?;
        digest.begin(entry);
        Ok(Self {
            file,
            path,
            entry,
            read: 0,
        })
    }

    /// The next bytes, `buffer` full of them if there are so many; none at the end. An error if the file is not as long as it was.
    pub(super) fn next<'b>(
        &mut self,
        buffer: &'b mut [u8],
        digest: &mut Fingerprint,
    ) -> Result<&'b [u8], CheckpointError> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.file.read(&mut buffer[filled..]) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CheckpointError::io("read", &self.path)(error)),
            }
        }
        self.read += filled as u64;
        if self.read > self.entry.length || (filled < buffer.len() && self.read != self.entry.length) {
            return Err(CheckpointError::content(
                &self.path,
                format!(
                    "had {} bytes and then {}: a checkpoint must not change once it has its name",
                    self.entry.length, self.read
                ),
            ));
        }
        digest.add(&buffer[..filled]);
        Ok(&buffer[..filled])
    }
}

/// Reads a whole file into the digest, and gives what it reads to `sink`.
pub(super) fn read_through(
    root: &Path,
    entry: &Entry,
    digest: &mut Fingerprint,
    mut sink: impl FnMut(&[u8]) -> Result<(), CheckpointError>,
) -> Result<(), CheckpointError> {
    let mut reading = Reading::open(root, entry, digest)?;
    let mut buffer = vec![0; CHUNK];
    loop {
        let content = reading.next(&mut buffer, digest)?;
        if content.is_empty() {
            return Ok(());
        }
        sink(content)?;
    }
}

/// Makes sure that a checkpoint fits on a file system.
pub(super) fn make_sure_of_room_on_disk(at: &Path, bytes: u64) -> Result<(), CheckpointError> {
    let Ok(stat) = rustix::fs::statvfs(at) else {
        return Ok(()); // whether there is room will be seen
    };
    let free = stat.f_bavail.saturating_mul(stat.f_frsize);
    if !stat.f_flag.contains(StatVfsMountFlags::RDONLY) && free < bytes.saturating_add(LEAVE_FREE) {
        return Err(CheckpointError::NoRoom(format!(
            "a checkpoint of {bytes} bytes does not fit into {}, where {free} bytes are free and {LEAVE_FREE} are to be left",
            at.display()
        )));
    }
    Ok(())
}
