//! The small process between the daemon and a training: starts it, outlives the daemon, and sees that nothing of it stays.
//!
//! Synchronous and single-threaded: no tokio, no network, no logging but its own small file. Run by the daemon as `tunesmith-worker supervise`,
//! which is told on standard input the folder of its attempt; what it must know is in that folder's `launch.json`, what it learns goes to
//! `state.json` and `exit.json`.
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
use std::process::ExitCode;

use crate::attempt::supervisors::await_folder;

/// Waits to be told of an attempt, and runs it to its end. To be called before any thread or runtime was started.
#[must_use]
pub fn main() -> ExitCode {
    let done = match await_folder(std::io::stdin()) {
        Ok(Some(folder)) => run::supervise(&folder),
        Ok(None) => Ok(()),
        Err(error) => Err(error),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Standard error is the attempt's `supervisor.log`; there is nobody else to tell.
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::FAILURE
        }
    }
}
