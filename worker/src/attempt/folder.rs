//! Names of everything in an attempt's folder, and writing so that a file is whole or absent.
//!
//! Names come from numbers and identities only, never from what people or programs chose.
//!
//! ```text
//! STATE/daemon.lock                     held by the daemon while it lives
//! STATE/trials/STUDY/TRIAL/             the trial's own folder: what programs run in unless told otherwise
//!   checkpoint/                         the same for all attempts
//!   ATTEMPT/
//!     launch.json params.json           written by the daemon before anything starts
//!     supervisor.lock supervisor.log    held, and written, by the supervisor
//!     state.json exit.json              written by the supervisor
//!     stop.json doorbell                order to the supervisor, and the pipe that wakes it
//!     stop                              for the program: there once it should stop
//!     stdout.log stderr.log metrics.jsonl socket
//!     infeasible forgotten usage.json   written by the daemon
//!     resume/step-N/                    checkpoint that the program goes on from, fetched for it; goes with the program
//!     spool/points                      the same; in a folder of its own, whose changes wake nobody
//!     reserve                           space kept for the last words when the disk is full
//! ```

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tunesmith_common::id::{Attempt, StudyId, TrialNumber};

/// Space kept so that the end of an attempt can be written to a full disk.
const RESERVE: u64 = 1 << 20;

/// The folder of one attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Folder(PathBuf);

macro_rules! files {
    ($($(#[$doc:meta])* $method:ident = $name:literal;)*) => {
        impl Folder {
            $($(#[$doc])* pub(crate) fn $method(&self) -> PathBuf { self.0.join($name) })*
        }
    };
}

files! {
    launch = "launch.json";
    params = "params.json";
    supervisor_lock = "supervisor.lock";
    supervisor_log = "supervisor.log";
    state = "state.json";
    exit = "exit.json";
    stop_order = "stop.json";
    doorbell = "doorbell";
    stop = "stop";
    stdout = "stdout.log";
    stderr = "stderr.log";
    metrics = "metrics.jsonl";
    socket = "socket";
    spool = "spool/points";
    usage = "usage.json";
    infeasible = "infeasible";
    forgotten = "forgotten";
    reserve = "reserve";
    resume = "resume";
}

impl Folder {
    pub(crate) fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    pub(crate) fn of(state_dir: &Path, study: StudyId, trial: TrialNumber, attempt: Attempt) -> Self {
        Self(
            trials(state_dir)
                .join(study.to_string())
                .join(trial.to_string())
                .join(attempt.to_string()),
        )
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of the trial.
    pub(crate) fn trial(&self) -> &Path {
        self.0.parent().unwrap_or(&self.0)
    }

    pub(crate) fn checkpoint(&self) -> PathBuf {
        self.trial().join("checkpoint")
    }

    /// Makes the folder and what stands above it, for its owner alone.
    pub(crate) fn make(&self) -> io::Result<()> {
        make_dir(&self.checkpoint())?;
        make_dir(&self.0.join("spool"))
    }

    /// Sets space aside. Without it only the end on a full disk is at risk, so that failing is no error.
    pub(crate) fn make_reserve(&self) {
        if let Ok(file) = create(&self.reserve()) {
            let _ = rustix::fs::fallocate(file, FallocateFlags::empty(), 0, RESERVE);
        }
    }

    /// Runs `write`, and once more without the reserve if the disk is full.
    pub(crate) fn with_reserve<T>(&self, mut write: impl FnMut() -> io::Result<T>) -> io::Result<T> {
        match write() {
            Err(error) if is_full(&error) && std::fs::remove_file(self.reserve()).is_ok() => write(),
            result => result,
        }
    }
}

/// Folder of all trials.
pub(crate) fn trials(state_dir: &Path) -> PathBuf {
    state_dir.join("trials")
}

/// Held by the daemon.
pub(crate) fn daemon_lock(state_dir: &Path) -> PathBuf {
    state_dir.join("daemon.lock")
}

/// Whether an error says that there is no space left.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::NOSPC | Errno::DQUOT))
}

/// Makes a folder and those above it, readable by their owner alone.
pub(crate) fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path)
}

/// Opens a file for appending, making it if absent; never through a link that somebody planted.
pub(crate) fn create(path: &Path) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    OpenOptions::new()
        .append(true)
        .create(true)
        .mode(0o600)
        .custom_flags(flags)
        .open(path)
}

/// Replaces a file so that whoever reads it, also after a power failure, finds the old content or the new one.
pub(crate) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let synced = write_file(&temporary, content).and_then(|file| file.sync_all());
    let result = synced.and_then(|()| std::fs::rename(&temporary, path));
    if result.is_err() {
        // Half a file would take space that is needed elsewhere.
        let _ = std::fs::remove_file(&temporary);
        return result;
    }
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

fn temporary(path: &Path) -> PathBuf {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    path.with_file_name(name)
}

fn write_file(path: &Path, content: &[u8]) -> io::Result<File> {
    let flags = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let mut options = OpenOptions::new();
    options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .custom_flags(flags);
    let mut file = options.open(path)?;
    file.write_all(content)?;
    Ok(file)
}

/// Replaces a file by a value as JSON.
pub(crate) fn write_json<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write(path, &serde_json::to_vec(value)?)
}

/// Replaces a file so that whoever reads it finds the old content or the new one; after a power failure possibly neither. Fast: for what a
/// power failure makes worthless.
pub(crate) fn write_unsynced(path: &Path, content: &[u8]) -> io::Result<()> {
    let temporary = temporary(path);
    let result = write_file(&temporary, content).and_then(|_| std::fs::rename(&temporary, path));
    if result.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    result
}

/// Replaces a file by a value as JSON, as [`write_unsynced`] does.
pub(crate) fn write_json_unsynced<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    write_unsynced(path, &serde_json::to_vec(value)?)
}

/// Waits until a file that was written without waiting is on the disk, with its name.
pub(crate) fn sync(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()?;
    path.parent()
        .map_or(Ok(()), |parent| File::open(parent)?.sync_all())
}

/// Whether an error of [`read_json`] says that the file is not whole, as after a power failure; not merely of another version.
pub(crate) fn is_torn(error: &io::Error) -> bool {
    let json = error
        .get_ref()
        .and_then(|error| error.downcast_ref::<serde_json::Error>());
    json.is_some_and(|error| error.is_eof() || error.is_syntax())
}

/// Reads a value from JSON; None if there is no file.
pub(crate) fn read_json<T: DeserializeOwned>(path: &Path) -> io::Result<Option<T>> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(serde_json::from_slice(&bytes)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
