//! Starting and ending programs. Only processes that a test started are ever signalled.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use rustix::process::{Pid, kill_process, test_kill_process};

use crate::wait::eventually;

pub use rustix::process::Signal;

/// Folder of the repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Path of a program of the workspace: in the folder `TUNESMITH_TEST_PROGRAMS` if it is there, else beside this test.
///
/// # Panics
/// If it was not built.
#[must_use]
pub fn program(name: &str) -> PathBuf {
    let given = std::env::var_os("TUNESMITH_TEST_PROGRAMS").map(|folder| PathBuf::from(folder).join(name));
    if let Some(given) = given.filter(|path| path.exists()) {
        return given;
    }
    // target/debug/deps/test-1234 -> target/debug
    let folder = std::env::current_exe()
        .unwrap()
        .parent()
        .and_then(Path::parent)
        .unwrap()
        .to_owned();
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not built; run the tests by `make e2e`",
        path.display()
    );
    path
}

/// Whether a process lives.
#[must_use]
pub fn alive(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let zombie = stat
        .rsplit(')')
        .next()
        .is_some_and(|rest| rest.trim_start().starts_with('Z'));
    !zombie && pid_of(pid).is_some_and(|pid| test_kill_process(pid).is_ok())
}

fn pid_of(pid: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(pid).ok()?)
}

/// A program that runs; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    log: PathBuf,
}

impl Program {
    /// Starts a program whose output goes to `log`, at its end.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn start(mut command: Command, log: &Path) -> Self {
        let file = File::options().create(true).append(true).open(log).unwrap();
        let errors = file.try_clone().unwrap();
        let child = command
            .stdin(Stdio::null())
            .stdout(file)
            .stderr(errors)
            .spawn()
            .unwrap();
        Self {
            child,
            log: log.to_owned(),
        }
    }

    /// Its process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// If that is refused.
    pub fn signal(&self, signal: Signal) {
        kill_process(pid_of(self.pid()).unwrap(), signal).unwrap();
    }

    /// Kills it as `kill -9` does, and waits until it is gone.
    ///
    /// # Panics
    /// If it cannot be killed.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Waits until it has ended by itself.
    pub async fn ended(&mut self) -> ExitStatus {
        eventually("program ends", async || {
            self.child.try_wait().unwrap().ok_or("still runs")
        })
        .await
    }

    /// Whether it still runs.
    ///
    /// # Panics
    /// If the operating system does not say.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has printed so far.
    #[must_use]
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let output = self.output();
            let start = output
                .char_indices()
                .rev()
                .nth(6_000)
                .map_or(0, |(index, _)| index);
            #[expect(
                clippy::print_stderr,
                reason = "the log of a program is what explains a failed test"
            )]
            {
                eprintln!("--- end of {}:\n{}", self.log.display(), &output[start..]);
            }
        }
    }
}
