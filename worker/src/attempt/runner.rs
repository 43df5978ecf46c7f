//! The task of one attempt: waits for something to happen, reads it, tells of it, and finds out how it ended.

use std::io;
use std::os::unix::net::UnixListener as StdListener;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use rustix::process::Signal;
use tokio::net::UnixListener;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::clock::{Clock, Timestamp};
use tunesmith_common::worker::AttemptEnd;

use super::ending::{StoredEnd, end_of};
use super::folder::{self, Folder};
use super::handle::Inner;
use super::keeping::{Keeping, Saved};
use super::pump::{Pump, Step};
use super::records::{Exit, How, Launch, Source, State, StopNotice, StopOrder, StopWhy};
use super::socket::{self, Answer, Operation, Request};
use super::store::{AttemptEvent, AttemptEventKind, Shared};
use super::supervisors::Supervisor;
use super::watch::{Watch, Watched};
use crate::checkpoint::{CheckpointError, Place, newest, up_to};
use crate::supervisor::process;

/// How often to look although nobody said that something happened.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// The same where nobody can say so.
const POLL_EVERY: Duration = Duration::from_millis(25);
/// Requests of a program that are answered together.
const REQUESTS: usize = 64;
/// How long the end waits for space on a full disk, in looks.
const FULL_DISK_PATIENCE: u32 = 30;
/// Pause between looking whether a process is gone.
const ROUND: Duration = Duration::from_millis(10);
/// Rounds of killing before other things are looked at again.
const KILL_ROUNDS: u32 = 100;
/// Rounds in which a supervisor may exit after its last words.
const EXIT_ROUNDS: u32 = 500;

/// The part that blocks, shared by the attempt's task and the thread that watches files.
#[derive(Debug)]
struct Reading {
    inner: Arc<Inner>,
    events: mpsc::Sender<AttemptEvent>,
    eyes: Mutex<Eyes>,
    /// Whether the start was told and the end was not: only then may anyone but the task look and tell.
    running: AtomicBool,
}

impl Watched for Reading {
    fn stdout_grew(&self) -> Option<Box<dyn FnOnce() + '_>> {
        let Some(eyes) = self.read_now() else {
            self.inner.wake.stdout();
            return None;
        };
        Some(Box::new(move || {
            self.tell_of_points();
            // Held so far: the task tells of the end only after this was told.
            drop(eyes);
        }))
    }

    fn changed(&self) {
        self.inner.wake.all();
    }
}

impl Reading {
    fn event(&self, kind: AttemptEventKind) -> AttemptEvent {
        AttemptEvent {
            lease: self.inner.launch.lease,
            kind,
        }
    }

    /// Reads what was printed, without waking the task for that. None if that is for the task to do, because it looks itself, or there is too
    /// much to read.
    fn read_now(&self) -> Option<MutexGuard<'_, Eyes>> {
        let mut eyes = self.eyes.try_lock().ok()?;
        let read = self.running.load(Ordering::SeqCst) && eyes.pump.step_stdout() == Step::Idle;
        read.then_some(eyes)
    }

    /// Tells of points, or leaves it to the task if there is no room to tell.
    fn tell_of_points(&self) {
        if !self.inner.has_untold_points() {
            return;
        }
        let told = self
            .events
            .try_send(self.event(AttemptEventKind::PointsAvailable));
        if told.is_err() {
            self.inner.points_were_not_told();
            self.inner.wake.stdout();
        }
    }
}

/// What looks at the attempt's files and its supervisor.
#[derive(Debug)]
struct Eyes {
    inner: Arc<Inner>,
    pump: Pump,
    supervisor: Supervisor,
    clock: Arc<dyn Clock>,
    place: Place,
    started: bool,
}

/// What was seen.
#[derive(Debug)]
struct Look {
    step: Step,
    /// Whether the program runs, or has run.
    running: bool,
    /// Its start, when it is seen for the first time.
    started: Option<(u32, Timestamp)>,
    /// The newest checkpoint that it has saved since it began, if they are to be kept.
    saved: Option<Saved>,
    exit: Option<Exit>,
}

/// The task of one attempt.
#[derive(Debug)]
pub(super) struct Runner {
    inner: Arc<Inner>,
    reading: Arc<Reading>,
    shared: Arc<Shared>,
}

impl Runner {
    /// What runs and reads the attempt. Its program may have been started by an earlier daemon, which `inner` knows then.
    pub(super) fn new(inner: Arc<Inner>, pump: Pump, supervisor: Supervisor, shared: Arc<Shared>) -> Self {
        let started = inner.started();
        let clock = Arc::clone(&shared.clock);
        let eyes = Eyes {
            inner: Arc::clone(&inner),
            pump,
            supervisor,
            clock,
            place: shared.place.clone(),
            started: started.is_some(),
        };
        let reading = Reading {
            inner: Arc::clone(&inner),
            events: shared.events.clone(),
            eyes: Mutex::new(eyes),
            running: AtomicBool::new(false),
        };
        Self {
            inner,
            reading: Arc::new(reading),
            shared,
        }
    }

    /// Runs until the attempt has ended or the store is closed.
    pub(super) async fn run(mut self) {
        let Some((watch, listener)) = self.set_up().await else {
            return;
        };
        let (sender, mut requests) = mpsc::channel(REQUESTS);
        let listening = self.listen(listener, sender);
        let shutdown = self.shared.shutdown.clone();
        let mut asked = Vec::new();
        let mut open = true;
        let pause = if watch.is_none() || matches!(self.inner.launch.source, Source::File(_)) {
            POLL_EVERY
        } else {
            LOOK_EVERY
        };
        let mut next_whole = Instant::now();
        let mut whole = true;
        let mut keeping = Keeping::default();
        let exit = loop {
            whole |= Instant::now() >= next_whole;
            if whole {
                next_whole = Instant::now() + pause;
            }
            let Some(look) = self.look(std::mem::take(&mut asked), whole).await else {
                break None;
            };
            if let Some((pid, at)) = look.started {
                self.inner.set_started(pid, at);
                self.tell(AttemptEventKind::Started { pid, at }).await;
                self.shared.make_spare_supervisor();
            }
            if look.running {
                self.tell_of_points().await;
            }
            self.reading
                .running
                .store(look.running && look.exit.is_none(), Ordering::SeqCst);
            if look.exit.is_some() {
                break look.exit;
            }
            // One that nobody knows of is enough: a worker that is alone for long stores no more than that.
            if let Some(saved) = look.saved
                && !self.inner.has_untold_checkpoint()
            {
                keeping.keep(&self.shared.place, self.inner.launch.lease, saved);
            }
            if look.step == Step::More {
                tokio::task::yield_now().await;
                if shutdown.is_cancelled() {
                    break None;
                }
                continue;
            }
            whole = false;
            tokio::select! {
                () = shutdown.cancelled() => break None,
                all = self.inner.wake.woken() => whole = all,
                () = tokio::time::sleep_until(next_whole) => {}
                count = requests.recv_many(&mut asked, REQUESTS), if open => open = count > 0,
                kept = keeping.kept(), if keeping.is_busy() => {
                    if let Some(kept) = kept {
                        self.inner.set_checkpoint(kept);
                        self.tell(AttemptEventKind::CheckpointStored).await;
                    }
                    // There may be a newer one by now.
                    whole = true;
                }
            }
        };
        listening.cancel();
        if keeping.is_busy() {
            // What is half stored would only have to be stored again.
            keeping.kept().await;
        }
        if let Some(exit) = exit {
            self.finish(exit, keeping.problem).await;
        }
        if let (Some(watcher), Some(watch)) = (&self.shared.watcher, &watch) {
            watcher.remove(watch);
        }
    }

    /// Has the folder watched and the socket made.
    async fn set_up(&mut self) -> Option<(Option<Watch>, io::Result<StdListener>)> {
        let shared = Arc::clone(&self.shared);
        let reading: Arc<dyn Watched> = Arc::clone(&self.reading) as _;
        self.with_eyes(move |eyes| {
            let Inner { folder, launch, .. } = &*eyes.inner;
            let watcher = shared.watcher.as_ref();
            let saves = folder.checkpoint();
            let watch = watcher.and_then(|watcher| watcher.add(folder.path(), &saves, &reading).ok());
            (watch, socket::bind(&launch.socket))
        })
        .await
    }

    /// Serves the program's socket until the returned token is cancelled.
    fn listen(
        &self,
        listener: io::Result<StdListener>,
        requests: mpsc::Sender<Request>,
    ) -> CancellationToken {
        let token = self.shared.shutdown.child_token();
        match listener.and_then(UnixListener::from_std) {
            Ok(listener) => {
                let tasks = self.shared.tasks.clone();
                self.shared
                    .tasks
                    .spawn(socket::serve(listener, requests, tasks, token.clone()));
            }
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                trial = %self.inner.launch.lease.trial,
                "the program cannot use the socket; files and output are read"
            ),
        }
        token
    }

    /// Looks once: at everything, or only at what the program printed. None if that broke down.
    async fn look(&mut self, asked: Vec<Request>, whole: bool) -> Option<Look> {
        self.with_eyes(move |eyes| {
            eyes.answer(asked);
            if whole { eyes.look() } else { eyes.glance() }
        })
        .await
    }

    async fn with_eyes<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Eyes) -> T + Send + 'static,
    ) -> Option<T> {
        let reading = Arc::clone(&self.reading);
        let done = tokio::task::spawn_blocking(move || {
            // Poisoned: whoever looked broke down.
            reading.eyes.lock().ok().map(|mut eyes| work(&mut eyes))
        });
        let done = done.await.ok().flatten();
        if done.is_none() {
            tracing::error!(trial = %self.inner.launch.lease.trial, "reading an attempt broke down");
        }
        done
    }

    async fn tell(&self, kind: AttemptEventKind) {
        // Nobody listens while the daemon ends.
        let _ = self.shared.events.send(self.reading.event(kind)).await;
    }

    async fn tell_of_points(&mut self) {
        if self.inner.has_untold_points() {
            self.tell(AttemptEventKind::PointsAvailable).await;
        }
    }

    /// Reads what is left, writes down how it ended, and tells.
    async fn finish(&mut self, exit: Exit, problem: Option<String>) {
        for _ in 0..FULL_DISK_PATIENCE {
            match self.with_eyes(Eyes::read_all).await {
                Some(true) | None => break,
                Some(false) => tokio::select! {
                    () = self.shared.shutdown.cancelled() => return,
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                },
            }
        }
        self.tell_of_points().await;
        let Some(end) = self.with_eyes(move |eyes| eyes.end(&exit, problem)).await else {
            return;
        };
        self.inner.set_end(end.clone());
        self.tell(AttemptEventKind::Ended(Box::new(end))).await;
        // Nobody need wait for this: until the end is on the disk, the supervisor's own record of it is.
        self.with_eyes(Eyes::clear_away).await;
    }
}

/// The newest checkpoint that an attempt has saved beyond where it began.
fn new_checkpoint(folder: &Folder, launch: &Launch) -> Option<(i64, PathBuf)> {
    let newest = newest(&folder.checkpoint());
    newest.filter(|(step, _)| launch.resumed_at.is_none_or(|resumed| *step > resumed))
}

/// Stores the newest checkpoint of an attempt, if that is wanted and it has saved any.
fn keep_checkpoint(
    place: &Place,
    folder: &Folder,
    launch: &Launch,
) -> Result<Option<Checkpoint>, CheckpointError> {
    if !launch.keep_checkpoint {
        return Ok(None);
    }
    let Some((step, path)) = new_checkpoint(folder, launch) else {
        return Ok(None);
    };
    let stored = place.save(&launch.lease, step, &path)?;
    // The trial goes on from there: what it saved here would take the same room again.
    for path in up_to(&folder.checkpoint(), step) {
        let _ = std::fs::remove_dir_all(path);
    }
    Ok(Some(stored))
}

/// The program of a supervisor that has started it.
pub(super) fn program(state: &State) -> Option<(u32, Timestamp)> {
    Some((u32::try_from(state.program?.pid).ok()?, state.started_at?))
}

impl Eyes {
    fn look(&mut self) -> Look {
        // Before the output: what was printed before it was saved is read then.
        let saved = self.saved();
        // Before the files: a supervisor writes them before it goes.
        let gone = self.supervisor.is_gone();
        let exit = folder::read_json::<Exit>(&self.inner.folder.exit());
        let started = if self.started {
            None
        } else {
            self.state().as_ref().and_then(program)
        };
        self.started |= started.is_some();
        let exit = match exit {
            Ok(Some(exit)) => Some(exit),
            Ok(None) | Err(_) if gone => self.clear_up(),
            Ok(None) | Err(_) => None,
        };
        // Whoever listens hears of the start before of what was printed.
        let step = if self.started {
            self.pump.step(false)
        } else {
            Step::Idle
        };
        Look {
            step,
            running: self.started,
            started,
            saved: saved.filter(|_| step == Step::Idle).map(|(at, path)| Saved {
                step: at,
                path,
                after_seq: self.inner.spool.last_seq(),
            }),
            exit,
        }
    }

    /// Looks only at what was printed.
    fn glance(&mut self) -> Look {
        let step = if self.started {
            self.pump.step_stdout()
        } else {
            Step::Idle
        };
        Look {
            step,
            running: self.started,
            started: None,
            saved: None,
            exit: None,
        }
    }

    fn saved(&self) -> Option<(i64, PathBuf)> {
        let Inner { folder, launch, .. } = &*self.inner;
        launch
            .keep_checkpoint
            .then(|| new_checkpoint(folder, launch))
            .flatten()
    }

    fn state(&self) -> Option<State> {
        folder::read_json(&self.inner.folder.state()).ok().flatten()
    }

    /// The supervisor is gone and has left no word: kills what is left of the attempt. None if that takes longer.
    fn clear_up(&self) -> Option<Exit> {
        let text = match self.state() {
            Some(state) if state.boot_id != process::boot_id() => "the machine was restarted",
            Some(state) => {
                if !self.kill_leftovers(&state) {
                    return None;
                }
                "its supervisor was killed; the program was killed too, because nobody could have seen its end"
            }
            None => "its supervisor did not start",
        };
        let order = folder::read_json::<StopOrder>(&self.inner.folder.stop_order())
            .ok()
            .flatten();
        let exit = Exit::without_program(How::Lost(text.to_owned()), self.clock.now());
        Some(Exit {
            stopped: order.map(|order| order.why).filter(|why| *why == StopWhy::Stale),
            ..exit
        })
    }

    /// Kills what carries the attempt's mark. Returns whether nothing of it is left.
    fn kill_leftovers(&self, state: &State) -> bool {
        for _ in 0..KILL_ROUNDS {
            let left = process::leftovers(self.inner.folder.path(), Some(state.supervisor));
            if left.is_empty() {
                return true;
            }
            left.iter()
                .for_each(|process| process::signal(process.id, Signal::KILL));
            std::thread::sleep(ROUND);
        }
        false
    }

    fn answer(&mut self, asked: Vec<Request>) {
        for Request { operation, answer } in asked {
            let said = match operation {
                Operation::Report { values, step } => {
                    if self.pump.report(values, step) {
                        Answer::done(self.stop_reason())
                    } else {
                        Answer::refused("the worker's disk is full; try again later")
                    }
                }
                Operation::ShouldStop => Answer::done(self.stop_reason()),
                Operation::Infeasible(reason) => {
                    let folder = &self.inner.folder;
                    match folder.with_reserve(|| folder::write(&folder.infeasible(), reason.as_bytes())) {
                        Ok(()) => Answer::done(self.stop_reason()),
                        Err(error) => Answer::refused(format!("cannot write that down: {error}")),
                    }
                }
            };
            // The program may have gone.
            let _ = answer.send(said);
        }
    }

    fn stop_reason(&self) -> Option<String> {
        // The order first: it is there before the supervisor has acted on it.
        let folder = &self.inner.folder;
        let order = folder::read_json::<StopOrder>(&folder.stop_order())
            .ok()
            .flatten()
            .map(|order| order.reason);
        order.or_else(|| {
            folder::read_json::<StopNotice>(&folder.stop())
                .ok()
                .flatten()
                .map(|notice| notice.reason)
        })
    }

    /// Reads everything that the program has left. False if the disk is full.
    fn read_all(&mut self) -> bool {
        loop {
            match self.pump.step(true) {
                Step::More => {}
                Step::Idle => return true,
                // Nothing else needs it any more.
                Step::Full if std::fs::remove_file(self.inner.folder.reserve()).is_ok() => {}
                Step::Full => return false,
            }
        }
    }

    /// Puts the end together and writes it down.
    ///
    /// `problem`: why a checkpoint could not be stored while it ran.
    fn end(&mut self, exit: &Exit, problem: Option<String>) -> AttemptEnd {
        let Inner {
            folder,
            launch,
            spool,
            ..
        } = &*self.inner;
        let objectives = usize::try_from(launch.objectives.max(1)).unwrap_or(1);
        let mut objectives = launch.metrics.iter().take(objectives);
        let has_objectives = objectives.all(|metric| spool.has(metric));
        let mut warnings = launch.warnings.clone();
        warnings.extend(self.pump.warnings());
        let (checkpoint, problem) = match keep_checkpoint(&self.place, folder, launch) {
            Ok(checkpoint) => (checkpoint, problem),
            Err(error) => (None, Some(error.to_string())),
        };
        warnings.extend(problem.map(|problem| format!("a checkpoint could not be stored: {problem}")));
        // Before the end is written down, after which nobody would look for it. Its room may be needed for the end itself.
        let _ = std::fs::remove_dir_all(folder.resume());
        let mut end = end_of(
            folder,
            launch,
            exit,
            spool.last_seq(),
            has_objectives,
            warnings,
            checkpoint,
        );
        end.usage = self.inner.usage();
        let content = serde_json::to_vec(&StoredEnd::from(&end)).unwrap_or_default();
        if let Err(error) = folder.with_reserve(|| spool.append_end(content.clone())) {
            // A later daemon will put it together again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the end of an attempt could not be written down"
            );
        }
        let _ = std::fs::remove_file(folder.reserve());
        socket::remove(&launch.socket, folder);
        end
    }

    /// What is left to do once the end is told.
    fn clear_away(&mut self) {
        if let Err(error) = self.inner.spool.sync() {
            // A later daemon will put it together again.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the end of an attempt may not survive a power failure"
            );
        }
        self.reap();
    }

    /// Waits for the supervisor, which has nothing left to do, so that no zombie stays.
    fn reap(&mut self) {
        for _ in 0..EXIT_ROUNDS {
            if self.supervisor.is_gone() {
                return;
            }
            std::thread::sleep(ROUND);
        }
    }
}
