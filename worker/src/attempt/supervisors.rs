//! Starts supervisors. One is kept ready, because to start a process takes longer than all else between an assignment and its training.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::folder::{self, Folder};
use super::prepare::base_env;

/// Whether the supervisor lives.
#[derive(Debug)]
pub(super) enum Supervisor {
    /// Started by this daemon.
    Child(Child),
    /// Started by an earlier one: it holds its lock while it lives. Once taken, the lock also keeps a late one from starting.
    Adopted(File),
    /// There never was one.
    Never,
}

impl Supervisor {
    /// One that an earlier daemon may have started.
    pub(super) fn adopt(folder: &Folder) -> io::Result<Self> {
        folder::create(&folder.supervisor_lock()).map(Self::Adopted)
    }

    pub(super) fn is_gone(&mut self) -> bool {
        match self {
            Self::Child(child) => !matches!(child.try_wait(), Ok(None)),
            Self::Adopted(lock) => lock.try_lock().is_ok(),
            Self::Never => true,
        }
    }
}

/// Starts supervisors of one daemon.
#[derive(Debug)]
pub(super) struct Supervisors {
    program: PathBuf,
    /// Waits for the name of a folder; ends if the daemon does.
    spare: Mutex<Option<Child>>,
}

impl Supervisors {
    pub(super) fn new(program: PathBuf) -> Self {
        Self {
            program,
            spare: Mutex::default(),
        }
    }

    fn spare(&self) -> MutexGuard<'_, Option<Child>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Has the attempt in `folder` supervised: by the one that is ready, or else by a new one.
    pub(super) fn start(&self, folder: &Folder) -> io::Result<Supervisor> {
        let spare = self.spare().take();
        let spare = spare.and_then(|spare| hand_over(spare, folder).ok());
        match spare {
            Some(child) => Ok(Supervisor::Child(child)),
            None => hand_over(self.spawn()?, folder).map(Supervisor::Child),
        }
    }

    /// Makes one ready, unless one is. Without it the next start only takes longer.
    pub(super) fn make_spare(&self) {
        let mut spare = self.spare();
        if spare.is_none() {
            *spare = self.spawn().ok();
        }
    }

    /// Ends the one that is ready.
    pub(super) fn dismiss_spare(&self) {
        if let Some(mut child) = self.spare().take() {
            // Closes its input first, at which it ends.
            let _ = child.wait();
        }
    }

    /// Starts one, in a session of its own, so that nothing that happens to the daemon's terminal or group reaches it.
    fn spawn(&self) -> io::Result<Child> {
        let mut command = Command::new(&self.program);
        command
            .arg0("tunesmith-worker")
            .arg("supervise")
            .env_clear()
            .envs(base_env(std::env::vars_os()))
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        detach(&mut command);
        command.spawn()
    }
}

/// Tells a supervisor which attempt is its own. An error if it has ended, which nobody asked of it.
fn hand_over(mut child: Child, folder: &Folder) -> io::Result<Child> {
    // A path is written at once or not at all, since a pipe takes so much; the end of the input is the end of the name.
    let written = match child.stdin.take() {
        Some(mut input) => input.write_all(folder.path().as_os_str().as_bytes()),
        None => Err(io::ErrorKind::BrokenPipe.into()),
    };
    match written {
        Ok(()) => Ok(child),
        Err(error) => {
            let _ = child.wait();
            Err(error)
        }
    }
}

/// What [`hand_over`] says, as the supervisor hears it: the folder of its attempt, or none if the daemon does not need it.
pub(crate) fn await_folder(mut input: impl io::Read) -> io::Result<Option<Folder>> {
    let mut path = Vec::new();
    input.read_to_end(&mut path)?;
    Ok((!path.is_empty()).then(|| Folder::at(OsStr::from_bytes(&path))))
}

#[expect(
    unsafe_code,
    reason = "std offers no safe way to make a child the leader of a new session"
)]
fn detach(command: &mut Command) {
    let new_session = || rustix::process::setsid().map(|_| ()).map_err(io::Error::from);
    // SAFETY: between fork and exec only async-signal-safe functions may run; this is one bare system call that
    // allocates nothing.
    unsafe {
        command.pre_exec(new_session);
    }
}
