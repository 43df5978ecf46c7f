//! All attempts of this machine.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::clock::{Clock, Timestamp};
use tunesmith_common::id::{Attempt as AttemptNumber, CheckpointStoreId, LeaseKey, StudyId, TrialNumber};
use tunesmith_common::worker::AttemptEnd;

use super::ending::StoredEnd;
use super::folder::{self, Folder, daemon_lock, make_dir, trials};
use super::handle::{Attempt, Inner, blocking};
use super::launching::{Launching, launch_record};
use super::log::{LogError, LogReader, LogStart, LogStream};
use super::options::StoreOptions;
use super::pump::Pump;
use super::records::{Launch, State};
use super::runner::{Runner, program};
use super::spool::{Recovered, Spool};
use super::supervisors::{Supervisor, Supervisors};
use super::sweep;
use super::watch::Watcher;
use crate::checkpoint::{Location, Place};

/// Events that may wait to be read.
const EVENTS: usize = 256;
/// Supervisors take the daemon's lock for a moment when they look whether there is a daemon: one such moment is not a daemon.
const LOCK_TRIES: u32 = 100;
pub(super) const LOCK_PAUSE: Duration = Duration::from_millis(10);

/// Something happened to an attempt.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptEvent {
    /// The attempt.
    pub lease: LeaseKey,
    /// What happened.
    pub kind: AttemptEventKind,
}

/// What happened to an attempt. In order: `Started` at most once, then points, then `Ended` exactly once.
#[derive(Clone, Debug, PartialEq)]
pub enum AttemptEventKind {
    /// The program runs.
    Started {
        /// Process id of the program.
        pid: u32,
        /// When it started, by this machine's wall clock.
        at: Timestamp,
    },
    /// There are points in the spool that were not there when this was last sent.
    PointsAvailable,
    /// A checkpoint is stored.
    CheckpointStored,
    /// Nothing of the attempt lives and all its points are in the spool.
    Ended(Box<AttemptEnd>),
}

/// Why something could not be done with an attempt.
#[derive(Debug, thiserror::Error)]
pub enum AttemptError {
    /// Another daemon uses the state folder.
    #[error("another worker daemon uses the state folder {0}: stop it, or give this one a folder of its own")]
    InUse(PathBuf),
    /// The attempt was launched before; the earlier one goes on.
    #[error("this attempt was launched before")]
    Exists,
    /// Nobody wants it any more; the program was not started and nothing of the attempt is on disk.
    #[error("the launch was given up")]
    GivenUp,
    /// The attempt was launched before, and forgotten.
    #[error("this attempt is over and was forgotten")]
    Forgotten,
    /// The operating system refused.
    #[error("cannot {action} {path}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// What it said.
        #[source]
        source: io::Error,
    },
}

/// All attempts of this machine. Cheap to clone.
#[derive(Clone, Debug)]
pub struct AttemptStore(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: StoreOptions,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) events: mpsc::Sender<AttemptEvent>,
    pub(super) tasks: TaskTracker,
    pub(super) shutdown: CancellationToken,
    /// None if the system has no more watches: files are then looked at now and then.
    pub(super) watcher: Option<Watcher>,
    /// Held while this daemon lives.
    lock: File,
    attempts: Mutex<HashMap<LeaseKey, Attempt>>,
    pub(super) launching: Launching,
    /// Where checkpoints are kept.
    pub(super) place: Place,
    pub(super) supervisors: Arc<Supervisors>,
}

impl Shared {
    /// In the background: whoever calls this has just started something, which matters more.
    pub(super) fn make_spare_supervisor(&self) {
        if !self.tasks.is_closed() {
            let supervisors = Arc::clone(&self.supervisors);
            self.tasks.spawn_blocking(move || supervisors.make_spare());
        }
    }

    pub(super) fn attempts(&self) -> MutexGuard<'_, HashMap<LeaseKey, Attempt>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn remove(&self, lease: &LeaseKey) {
        self.attempts().remove(lease);
    }
}

impl AttemptStore {
    /// Takes the state folder for this daemon and adopts the attempts in it. All events of all attempts come through the
    /// returned queue, which must be read: an attempt whose event finds it full waits.
    ///
    /// # Errors
    /// [`AttemptError::InUse`] if another daemon has it, [`AttemptError::Io`] if it cannot be used. A folder of an attempt
    /// that cannot be understood is no error: it is left alone and logged.
    pub async fn open(
        options: StoreOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<(Self, mpsc::Receiver<AttemptEvent>), AttemptError> {
        let state_dir = options.state_dir.clone();
        let io_error = |action, path: &Path, source| AttemptError::Io {
            action,
            path: path.to_owned(),
            source,
        };
        let made = blocking({
            let dir = state_dir.clone();
            let (kept, limit) = (options.checkpoint_dir.clone(), options.checkpoint_limit);
            move || {
                make_dir(&trials(&dir))?;
                // Programs run elsewhere, and sockets need a name that is the same from everywhere.
                let dir = std::fs::canonicalize(dir)?;
                let lock = folder::create(&daemon_lock(&dir))?;
                let checkpoints = kept.unwrap_or_else(|| Location::Folder(dir.join("checkpoints")));
                let place = Place::open(&checkpoints, limit).map_err(io::Error::other)?;
                Ok((dir, lock, place))
            }
        });
        let (dir, lock, place) = made
            .await
            .map_err(|error| io_error("use the state folder", &state_dir, error))?;
        take(&lock).await.map_err(|error| match error {
            std::fs::TryLockError::WouldBlock => AttemptError::InUse(dir.clone()),
            std::fs::TryLockError::Error(error) => io_error("lock the state folder", &dir, error),
        })?;

        let (events, receiver) = mpsc::channel(EVENTS);
        let tasks = TaskTracker::new();
        let watcher = match Watcher::new() {
            Ok((watcher, thread)) => {
                tasks.spawn_blocking(thread);
                Some(watcher)
            }
            Err(error) => {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(
                    error,
                    "files are looked at now and then instead of when they change"
                );
                None
            }
        };
        let shutdown = CancellationToken::new();
        let supervisors = Arc::new(Supervisors::new(options.supervisor.clone()));
        let store = Self(Arc::new(Shared {
            options: StoreOptions {
                state_dir: dir,
                ..options
            },
            clock,
            events,
            tasks,
            launching: Launching::new(&shutdown),
            shutdown,
            watcher,
            lock,
            attempts: Mutex::default(),
            place,
            supervisors,
        }));
        let found = blocking({
            let state_dir = store.0.options.state_dir.clone();
            move || Ok(find(&state_dir))
        });
        let found = found
            .await
            .map_err(|error| io_error("read the state folder", &state_dir, error))?;
        for found in found {
            store.adopt(found).await;
        }
        Ok((store, receiver))
    }

    /// Identity of the place where checkpoints are kept.
    #[must_use]
    pub fn checkpoint_place(&self) -> CheckpointStoreId {
        self.0.place.id()
    }

    /// Removes a checkpoint of a study that nobody needs any more, or all of them, if it is kept here; nobody waits for that.
    pub fn drop_checkpoint(&self, study: StudyId, checkpoint: Option<Checkpoint>) {
        let elsewhere = checkpoint
            .as_ref()
            .is_some_and(|checkpoint| checkpoint.store != self.0.place.id());
        if elsewhere || self.0.tasks.is_closed() {
            return;
        }
        let place = self.0.place.clone();
        self.0.tasks.spawn_blocking(move || {
            let removed = match &checkpoint {
                Some(checkpoint) => place.remove(study, checkpoint),
                None => place.remove_all(study),
            };
            if let Err(error) = removed {
                let error: &dyn std::error::Error = &error;
                tracing::warn!(error, "a checkpoint that nobody needs stays and takes room");
            }
        });
    }

    /// Every attempt that was not forgotten, running or ended.
    #[must_use]
    pub fn attempts(&self) -> Vec<Attempt> {
        self.0.attempts().values().cloned().collect()
    }

    /// The attempt under this lease, unless it was forgotten.
    #[must_use]
    pub fn attempt(&self, lease: &LeaseKey) -> Option<Attempt> {
        self.0.attempts().get(lease).cloned()
    }

    async fn adopt(&self, found: Found) {
        let Found {
            folder,
            launch,
            spool,
            mut recovered,
            supervisor,
            started,
            forgotten,
        } = found;
        if recovered.cut > 0 {
            let path = folder.path().display().to_string();
            tracing::warn!(
                path,
                bytes = recovered.cut,
                "a damaged end of a spool was cut off"
            );
        }
        let ended = recovered
            .end
            .take()
            .and_then(|content| serde_json::from_slice::<StoredEnd>(&content).ok());
        let attempt = self.track(folder, launch, spool, !forgotten);
        if let Some((pid, at)) = started {
            attempt.0.set_started(pid, at);
        }
        if let Some(end) = ended {
            attempt.0.set_end(end.into());
            return;
        }
        if forgotten && let Err(error) = attempt.kill_stale().await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a forgotten attempt still runs"
            );
        }
        self.spawn(&attempt, supervisor, &recovered);
    }

    pub(super) fn track(&self, folder: Folder, launch: Launch, spool: Spool, listed: bool) -> Attempt {
        let lease = launch.lease;
        let inner = Inner::new(folder, launch, Arc::new(spool), Arc::downgrade(&self.0));
        let attempt = Attempt(Arc::new(inner));
        if listed {
            self.0.attempts().insert(lease, attempt.clone());
        }
        attempt
    }

    pub(super) fn spawn(&self, attempt: &Attempt, supervisor: Supervisor, recovered: &Recovered) {
        let inner = Arc::clone(&attempt.0);
        let pump = Pump::new(
            inner.folder.clone(),
            &inner.launch,
            Arc::clone(&inner.spool),
            recovered,
            self.0.options.log_limit,
            Arc::clone(&self.0.clock),
        );
        self.0
            .tasks
            .spawn(Runner::new(inner, pump, supervisor, Arc::clone(&self.0)).run());
    }

    /// Opens a log, also of an attempt that was forgotten but not removed yet.
    ///
    /// # Errors
    /// [`LogError::Absent`] if there is none.
    pub async fn log(
        &self,
        study: StudyId,
        trial: TrialNumber,
        attempt: AttemptNumber,
        stream: LogStream,
        start: LogStart,
    ) -> Result<LogReader, LogError> {
        let folder = Folder::of(&self.0.options.state_dir, study, trial, attempt);
        let running = self
            .0
            .attempts()
            .values()
            .find(|known| known.0.folder == folder)
            .cloned();
        tokio::task::spawn_blocking(move || LogReader::new(&folder, stream, start, running))
            .await
            .map_err(io::Error::other)?
    }

    /// Removes the folders of forgotten attempts whose retention has passed. To be called every few minutes.
    pub async fn sweep(&self) {
        let options = self.0.options.clone();
        let now = self.0.clock.now();
        let swept = blocking(move || {
            sweep::sweep(&options, now);
            Ok(())
        });
        if let Err(error) = swept.await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "old attempts were not removed"
            );
        }
    }

    /// Stops reading and gives the state folder free. Trainings go on; a later daemon adopts them.
    pub async fn close(self) {
        self.0.shutdown.cancel();
        if let Some(watcher) = &self.0.watcher {
            watcher.stop();
        }
        self.0.tasks.close();
        self.0.tasks.wait().await;
        self.0.supervisors.dismiss_spare();
        // Closing the file would do the same, once the last handle is gone.
        let _ = self.0.lock.unlock();
    }
}

async fn take(lock: &File) -> Result<(), std::fs::TryLockError> {
    for _ in 1..LOCK_TRIES {
        match lock.try_lock() {
            Err(std::fs::TryLockError::WouldBlock) => tokio::time::sleep(LOCK_PAUSE).await,
            result => return result,
        }
    }
    lock.try_lock()
}

/// An attempt that an earlier daemon left.
struct Found {
    folder: Folder,
    launch: Launch,
    spool: Spool,
    recovered: Recovered,
    supervisor: Supervisor,
    /// Its program, if it was started.
    started: Option<(u32, Timestamp)>,
    forgotten: bool,
}

/// Every attempt in the state folder that matters: not forgotten, or forgotten and running.
fn find(state_dir: &Path) -> Vec<Found> {
    let mut found = Vec::new();
    for folder in sweep::attempt_folders(state_dir) {
        match one(state_dir, &folder) {
            Ok(Some(attempt)) => found.push(attempt),
            Ok(None) => {}
            Err(error) => {
                let path = folder.path().display().to_string();
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    path,
                    "an attempt cannot be understood and is left alone"
                );
            }
        }
    }
    found
}

fn one(state_dir: &Path, folder: &Folder) -> io::Result<Option<Found>> {
    let forgotten = folder.forgotten().exists();
    if forgotten && folder::create(&folder.supervisor_lock())?.try_lock().is_ok() {
        let _ = std::fs::remove_dir_all(folder.resume());
        return Ok(None);
    }
    let Some(launch) = launch_record(folder)? else {
        // Ended by a kill or a power failure while it was being set up: nothing of it runs.
        let _ = std::fs::remove_dir_all(folder.resume());
        folder::write(&folder.forgotten(), b"")?;
        return Ok(None);
    };
    let lease = launch.lease;
    if Folder::of(state_dir, lease.study, lease.trial, lease.attempt) != *folder {
        return Err(io::Error::other(
            "it is the folder of another attempt, or was moved",
        ));
    }
    let (spool, recovered) = Spool::open(&folder.spool())?;
    let supervisor = Supervisor::adopt(folder)?;
    // One that cannot be read is looked at again while the attempt runs.
    let state = folder::read_json::<State>(&folder.state()).ok().flatten();
    Ok(Some(Found {
        folder: folder.clone(),
        launch,
        spool,
        recovered,
        supervisor,
        started: state.as_ref().and_then(program),
        forgotten,
    }))
}
