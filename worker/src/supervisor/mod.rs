//! The small process between the daemon and a training: starts it, outlives the daemon, and sees that nothing of it stays.
//!
//! Synchronous and single-threaded: no tokio, no network, no logging but its own small file. Run by the daemon as `tunesmith-worker supervise
//! FOLDER`; what it must know is in that folder's `launch.json`, what it learns goes to `state.json` and `exit.json`.
//!
//! # Invariants
//!
//! * `exit.json` is written only when nothing of the attempt lives: the supervisor is the subreaper of everything the program starts, so
//!   that a process that leaves its group, its session or its parent is still found.
//! * A signal is sent only to a process that is known, by its start time, to be the one that is meant.
//! * One supervisor per attempt: it holds `supervisor.lock`, and never starts if somebody else does.

mod plan;
pub(crate) mod process;
mod program;
mod run;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use crate::attempt::folder::Folder;

/// Runs the attempt in `dir` to its end. To be called before any thread or runtime was started.
#[must_use]
pub fn main(dir: &Path) -> ExitCode {
    match run::supervise(&Folder::at(dir)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the attempt's `supervisor.log`; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
