//! Launching attempts: what happens between an assignment and a supervisor that runs.
//!
//! May take minutes, where a checkpoint has to be fetched first. Launches of different trials do not wait for each other.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::OwnedMutexGuard;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tunesmith_common::id::LeaseKey;
use tunesmith_common::template::params_json;
use tunesmith_common::worker::Assignment;

use super::folder::{self, Folder};
use super::handle::{Attempt, StopKind, StopRequest, blocking};
use super::prepare::prepare;
use super::records::{Exit, How, Launch};
use super::spool::{Recovered, Spool};
use super::store::{AttemptError, AttemptStore, LOCK_PAUSE, Shared};
use super::supervisors::Supervisor;
use super::{socket, sweep};

/// How often it is looked whether a supervisor has gone, with the pause of locks.
const LAST_WORDS_ROUNDS: u32 = 500;
/// How long an attempt that is in the way may take to be killed.
const SET_ASIDE: Duration = Duration::from_secs(30);

/// The launches under way.
#[derive(Debug)]
pub(super) struct Launching {
    /// One launch at a time in a trial's folder: two of the same attempt cannot both find theirs free, and of two attempts the first has been given up, or
    /// is known to run, before the next begins.
    turns: Mutex<HashMap<PathBuf, Arc<tokio::sync::Mutex<()>>>>,
    given_up: CancellationToken,
}

impl Launching {
    /// Launches of a store that ends with that token.
    pub(super) fn new(shutdown: &CancellationToken) -> Self {
        Self {
            turns: Mutex::default(),
            given_up: shutdown.child_token(),
        }
    }

    async fn turn(&self, folder: &Folder) -> OwnedMutexGuard<()> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            // Those that nobody has or waits for.
            turns.retain(|_, turn| Arc::strong_count(turn) > 1);
            Arc::clone(turns.entry(folder.trial().to_owned()).or_default())
        };
        turn.lock_owned().await
    }
}

impl AttemptStore {
    /// Launches an attempt as [`Self::launch`] does, whether or not anybody waits for that. The token gives it up, unless it has come to a program by then.
    #[must_use]
    pub(crate) fn begin_launch(
        &self,
        assignment: Assignment,
    ) -> (JoinHandle<Result<Attempt, AttemptError>>, CancellationToken) {
        let (store, token) = (self.clone(), self.0.launching.given_up.child_token());
        let given_up = token.clone();
        let task = async move { store.launch_unless(assignment, &given_up).await };
        (self.0.tasks.spawn(task), token)
    }

    /// Gives up launches that have not come to a program yet, and those to come: the worker ends.
    pub(crate) fn give_up_launches(&self) {
        self.0.launching.given_up.cancel();
    }

    /// Launches an attempt. A program that cannot be started is not an error here but an event
    /// [`AttemptEventKind::Ended`] with [`tunesmith_common::worker::AttemptOutcome::LaunchFailed`].
    ///
    /// If the folder is taken by an attempt under *another* lease with the same number (numbers are issued again after a restore of the
    /// coordinator), that one is killed and its folder set aside.
    ///
    /// # Errors
    /// [`AttemptError::Exists`] or [`AttemptError::Forgotten`] if it was launched before, [`AttemptError::Io`] if nothing could be written: the caller reports
    /// a launch failure, nothing of it is on disk. [`AttemptError::GivenUp`] if the worker ends meanwhile.
    pub async fn launch(&self, assignment: Assignment) -> Result<Attempt, AttemptError> {
        self.launch_unless(assignment, &self.0.launching.given_up).await
    }

    async fn launch_unless(
        &self,
        assignment: Assignment,
        given_up: &CancellationToken,
    ) -> Result<Attempt, AttemptError> {
        let lease = assignment.lease;
        let folder = Folder::of(&self.0.options.state_dir, lease.study, lease.trial, lease.attempt);
        let _turn = self.0.launching.turn(&folder).await;
        let io_error = |action, source| AttemptError::Io {
            action,
            path: folder.path().to_owned(),
            source,
        };
        let earlier = blocking({
            let folder = folder.clone();
            move || {
                let earlier = launch_record(&folder)?;
                if earlier.is_none() && folder.path().exists() {
                    // Nothing of what is left there may be taken for the new one's.
                    folder::write_unsynced(&folder.forgotten(), b"")?;
                    sweep::set_aside(&folder)?;
                }
                Ok(earlier)
            }
        });
        if let Some(earlier) = earlier.await.map_err(|error| io_error("read", error))? {
            if earlier.lease == lease {
                let listed = self.0.attempts().contains_key(&lease);
                return Err(if listed {
                    AttemptError::Exists
                } else {
                    AttemptError::Forgotten
                });
            }
            self.set_aside(&earlier.lease, &folder).await?;
        }
        let prepared = blocking({
            let (folder, shared) = (folder.clone(), Arc::clone(&self.0));
            let given_up = given_up.clone();
            move || {
                let result = start(&assignment, &folder, &shared, &given_up);
                if result.is_err() {
                    let _ = std::fs::remove_dir_all(folder.path());
                }
                result
            }
        });
        let (launch, spool, supervisor) = prepared.await.map_err(|error| {
            if given_up.is_cancelled() {
                AttemptError::GivenUp
            } else {
                io_error("set up", error)
            }
        })?;
        let attempt = self.track(folder, launch, spool, true);
        self.spawn(&attempt, supervisor, &Recovered::default());
        if self.0.launching.given_up.is_cancelled() && !self.0.shutdown.is_cancelled() {
            // Too late to be given up, and maybe too early to be stopped with the others.
            let request = StopRequest {
                kind: StopKind::Drain,
                reason: "the worker is ending".to_owned(),
                grace: attempt.grace(),
            };
            if let Err(error) = attempt.request_stop(request).await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot stop a trial");
            }
        }
        Ok(attempt)
    }

    async fn set_aside(&self, lease: &LeaseKey, folder: &Folder) -> Result<(), AttemptError> {
        if let Some(attempt) = self.attempt(lease) {
            attempt.kill_stale().await?;
            // What cannot be killed keeps its folder, and the launch fails.
            let _ = tokio::time::timeout(SET_ASIDE, attempt.0.over.cancelled()).await;
            attempt.forget().await?;
        }
        let from = folder.clone();
        let moved = blocking(move || {
            if !gone(&from)? {
                return Err(io::Error::other(
                    "an attempt under another lease still runs in it",
                ));
            }
            folder::write(&from.forgotten(), b"")?;
            sweep::set_aside(&from)
        });
        moved.await.map_err(|source| AttemptError::Io {
            action: "set aside",
            path: folder.path().to_owned(),
            source,
        })
    }
}

/// Waits for the supervisor of an attempt that has ended: it goes once its last words are on the disk. False if it stays.
fn gone(folder: &Folder) -> io::Result<bool> {
    let lock = folder::create(&folder.supervisor_lock())?;
    for _ in 1..LAST_WORDS_ROUNDS {
        if lock.try_lock().is_ok() {
            return Ok(true);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Ok(lock.try_lock().is_ok())
}

/// Writes the attempt's folder and starts its supervisor. What only this attempt can be blamed for becomes its end.
fn start(
    assignment: &Assignment,
    folder: &Folder,
    shared: &Shared,
    given_up: &CancellationToken,
) -> io::Result<(Launch, Spool, Supervisor)> {
    let (options, now) = (&shared.options, shared.clock.now());
    folder.make()?;
    folder.make_reserve();
    let (launch, mut failure) = prepare(
        assignment,
        folder,
        socket::place(folder)?,
        options,
        &shared.place,
        given_up,
        now,
    );
    if given_up.is_cancelled() {
        return Err(io::ErrorKind::Interrupted.into());
    }
    // Not synced: they are about a program that a power failure ends, or keeps from being started.
    folder::write_unsynced(&folder.params(), params_json(&assignment.params).as_bytes())?;
    let (spool, _) = Spool::open(&folder.spool())?;
    folder::write_json_unsynced(&folder.launch(), &launch)?;
    if failure.is_none() {
        match shared.supervisors.start(folder) {
            Ok(supervisor) => return Ok((launch, spool, supervisor)),
            Err(error) => {
                failure = Some(format!(
                    "cannot start a supervisor ({}): {error}",
                    options.supervisor.display()
                ));
            }
        }
    }
    let how = How::LaunchFailed(failure.unwrap_or_default());
    folder::write_json(&folder.exit(), &Exit::without_program(how, now))?;
    Ok((launch, spool, Supervisor::Never))
}

/// What an attempt was launched with. None if there is no such record, or one that a power failure left torn, in which case nothing runs.
pub(super) fn launch_record(folder: &Folder) -> io::Result<Option<Launch>> {
    match folder::read_json(&folder.launch()) {
        Err(error)
            if folder::is_torn(&error) && folder::create(&folder.supervisor_lock())?.try_lock().is_ok() =>
        {
            Ok(None)
        }
        read => read,
    }
}
