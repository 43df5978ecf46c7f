//! The small process between the daemon and a training: starts it, outlives the daemon, and sees that nothing of it stays.
//!
//! Synchronous and single-threaded: no tokio, no network. Run as `tunesmith-worker supervise <folder of the attempt>`.

use std::path::Path;
use std::process::ExitCode;

/// Runs the attempt in `dir` to its end. To be called before any thread or runtime was started.
#[must_use]
pub fn main(_dir: &Path) -> ExitCode {
    unimplemented!()
}
