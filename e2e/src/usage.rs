//! What a running program takes of its machine, and that it gives it back after a fault.

use std::fs;
use std::path::Path;

use crate::process::Program;
use crate::wait::eventually;

/// What a program takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Usage {
    /// Main memory, in bytes.
    pub memory: u64,
    /// Open descriptors that are no connections.
    pub files: usize,
    /// Connections.
    pub sockets: usize,
    /// Threads.
    pub threads: u64,
}

/// How much more than before is nothing: caches, and pools of connections and threads that have a bound of their own.
const MEMORY: u64 = 64 << 20;
const FILES: usize = 8;
const THREADS: u64 = 8;

impl Usage {
    /// What a program takes now.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn of(program: &Program) -> Self {
        let folder = format!("/proc/{}", program.pid());
        let status = fs::read_to_string(format!("{folder}/status")).unwrap();
        let field = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.trim().trim_end_matches(" kB").parse().unwrap()
        };
        // One that is closed while we look is not there.
        let open: Vec<_> = fs::read_dir(format!("{folder}/fd"))
            .unwrap()
            .flatten()
            .filter_map(|entry| fs::read_link(entry.path()).ok())
            .collect();
        let sockets = open
            .iter()
            .filter(|target| target.to_string_lossy().starts_with("socket:"))
            .count();
        Self {
            memory: field("VmRSS:") * 1024,
            files: open.len() - sockets,
            sockets,
            threads: field("Threads:"),
        }
    }

    /// Waits until a program takes no more than this again, but for `sockets` more connections that it may keep.
    ///
    /// # Panics
    /// If it does not.
    pub async fn returns(self, program: &Program, sockets: usize) {
        eventually("what the fault took is given back", async || {
            let now = Self::of(program);
            let back = now.memory <= self.memory + MEMORY
                && now.files <= self.files + FILES
                && now.sockets <= self.sockets + sockets
                && now.threads <= self.threads + THREADS;
            if back {
                Ok(())
            } else {
                Err(format!("{now:?}, before {self:?}"))
            }
        })
        .await;
    }
}

/// Bytes of all files in a folder and below.
#[must_use]
pub fn bytes_in(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let kind = entry.file_type().ok()?;
            if kind.is_dir() {
                return Some(bytes_in(&entry.path()));
            }
            Some(entry.metadata().ok()?.len())
        })
        .sum()
}
