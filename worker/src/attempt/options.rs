//! What the daemon's configuration says about attempts.

use std::path::PathBuf;
use std::time::Duration;

use crate::checkpoint::Location;

/// How attempts are kept on this machine.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// Folder of everything the worker keeps; made if absent, readable by its owner alone.
    pub state_dir: PathBuf,
    /// Place of stored checkpoints that other workers reach, too; in the state folder if none.
    pub checkpoint_dir: Option<Location>,
    /// Bytes of stored checkpoints at most, counted in that place.
    pub checkpoint_limit: Option<u64>,
    /// Program that is started as `PROGRAM supervise` for each attempt.
    pub supervisor: PathBuf,
    /// Bytes of each output file that are kept on disk; older ones are given back to the file system. Output that was not
    /// read for metrics yet is always kept.
    pub log_limit: u64,
    /// Time without a daemon after which a supervisor stops its training.
    pub orphan_timeout: Duration,
    /// Time that the folder of a forgotten attempt is kept, for people who want to read its output.
    pub retention: Duration,
    /// Bytes of forgotten attempts' folders beyond which the oldest are removed before their time.
    pub retention_bytes: u64,
}

impl StoreOptions {
    /// Defaults for `state_dir`: 64 MiB of output, 15 minutes without a daemon, forgotten attempts for a day or 1 GiB; the
    /// supervisor is this same program, also when its file has been replaced meanwhile.
    #[must_use]
    pub fn new(state_dir: impl Into<PathBuf>) -> Self {
        Self {
            state_dir: state_dir.into(),
            checkpoint_dir: None,
            checkpoint_limit: None,
            supervisor: PathBuf::from("/proc/self/exe"),
            log_limit: 64 << 20,
            orphan_timeout: Duration::from_secs(15 * 60),
            retention: Duration::from_secs(24 * 60 * 60),
            retention_bytes: 1 << 30,
        }
    }
}
