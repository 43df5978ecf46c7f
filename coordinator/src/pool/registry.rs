//! The table of workers: their sessions, what they hold, their logs. Every method is short and takes one lock; nothing waits under it.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{Notify, mpsc};
use tokio_util::sync::CancellationToken;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::study::Resources;
use tunesmith_common::worker::{HeldAttempt, WorkerResources};
use tunesmith_common::{CheckpointStoreId, Clock, LeaseKey, StudyId, Timestamp, WorkerId, WorkerName};

use super::logs::{LogChunk, LogRequest, LogSender, READERS, WAITING_CHUNKS};
use super::presence::Presence;
use super::usage::Told;
use super::worker::{Link, PoolWorker, Taken, ToWorker, WorkerState, WorkerStatus};
use crate::decide::{Demand, Order, Terms};
use crate::store::WorkerRow;

/// Messages that wait for a slow session at most. A session that is slower is ended: when it comes back, everything that it
/// missed is worked out again from what it holds.
const WAITING_ORDERS: usize = 4_096;

/// What a worker says first.
#[derive(Clone, Debug)]
pub struct Hello {
    /// Identity.
    pub id: WorkerId,
    /// Name.
    pub name: WorkerName,
    /// Random, made at each start of the daemon.
    pub instance: String,
    /// Counts the starts of the daemon.
    pub generation: u64,
    /// Software version.
    pub version: String,
    /// Address it connects from.
    pub address: String,
    /// What it has.
    pub resources: WorkerResources,
    /// What it holds.
    pub attempts: Vec<HeldAttempt>,
    /// Whether it wants no new trials.
    pub leaving: bool,
}

/// Why a worker may not join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConnectError {
    /// Its identity is in use by a daemon that was started later.
    #[error(
        "another instance of worker {name} is connected from {address}; stop one of the two, or give each its own state folder"
    )]
    OtherInstance {
        /// Name of the worker.
        name: WorkerName,
        /// Where the other connects from.
        address: String,
    },
    /// Its name is in use by another worker.
    #[error(
        "the name {name} belongs to another worker, connected from {address}; choose another with --name"
    )]
    NameTaken {
        /// The name.
        name: WorkerName,
        /// Where the other connects from.
        address: String,
    },
}

/// The coordinator's end of a worker's session.
#[derive(Debug)]
pub struct Session {
    /// The worker.
    pub worker: WorkerId,
    number: u64,
    /// What to send down, in order.
    pub outgoing: mpsc::Receiver<ToWorker>,
    /// Cancelled when the session is to end.
    pub end: CancellationToken,
    /// Whether a person asked for the worker to get nothing new.
    pub drained: bool,
    /// The worker that had the name before, which this one has taken the place of.
    pub replaced: Option<WorkerId>,
}

impl Session {
    /// Number that tells this session from others of the same worker.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) workers: HashMap<WorkerId, PoolWorker>,
    pub(super) demands: HashMap<StudyId, Demand>,
    /// Places on offer by study.
    pub(super) offered: HashMap<StudyId, u32>,
    /// Number of the last offer to each study: of two that have the same right to a place, the one that waits longer gets it.
    pub(super) served: HashMap<StudyId, u64>,
    pub(super) reasons: HashMap<StudyId, String>,
    logs: HashMap<u64, (WorkerId, LogSender)>,
    pub(super) next_number: u64,
}

/// The pool. Shared by sessions, engines and the dispatcher.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
    pub(super) changed: Notify,
    pub(super) terms: Arc<Terms>,
    presence: Arc<Presence>,
    clock: Arc<dyn Clock>,
    next_log: AtomicU64,
}

impl Pool {
    /// An empty pool, or one that knows workers from before as offline.
    #[must_use]
    pub fn new(
        clock: Arc<dyn Clock>,
        known: Vec<(WorkerRow, WorkerResources)>,
        terms: Arc<Terms>,
    ) -> Arc<Self> {
        let workers = known
            .into_iter()
            .map(|(row, resources)| {
                let worker = PoolWorker {
                    name: row.name,
                    generation: row.generation,
                    version: row.version,
                    address: row.address,
                    resources,
                    last_seen_at: row.last_seen_at,
                    drained: row.draining,
                    leaving: false,
                    link: None,
                    leases: HashMap::new(),
                    offers: HashMap::new(),
                    told: Told::default(),
                };
                (row.id, worker)
            })
            .collect();
        Arc::new(Self {
            state: Mutex::new(State {
                workers,
                ..State::default()
            }),
            changed: Notify::new(),
            terms,
            presence: Arc::default(),
            clock,
            next_log: AtomicU64::new(1),
        })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When workers were last heard of.
    #[must_use]
    pub fn presence(&self) -> &Arc<Presence> {
        &self.presence
    }

    /// Waits until a round of dispatching may find something to do.
    pub(super) async fn changed(&self) {
        self.changed.notified().await;
    }

    /// Lets a worker join. An earlier session of it ends. Nothing is offered to it before [`Self::attached`].
    ///
    /// # Errors
    /// If its identity or name is in use.
    pub fn connect(&self, hello: &Hello) -> Result<Session, ConnectError> {
        let mut state = self.lock();
        let mut replaced = None;
        let namesake = state
            .workers
            .iter()
            .find(|(id, worker)| **id != hello.id && worker.name == hello.name);
        if let Some((&id, other)) = namesake {
            if other.link.is_some() {
                return Err(ConnectError::NameTaken {
                    name: hello.name.clone(),
                    address: other.address.clone(),
                });
            }
            state.workers.remove(&id); // a machine that was set up anew
            replaced = Some(id);
        }
        if let Some(known) = state.workers.get(&hello.id)
            && let Some(link) = &known.link
            && link.instance != hello.instance
            && known.generation >= hello.generation
        {
            return Err(ConnectError::OtherInstance {
                name: hello.name.clone(),
                address: known.address.clone(),
            });
        }
        state.next_number += 1;
        let number = state.next_number;
        let (sender, outgoing) = mpsc::channel(WAITING_ORDERS);
        let end = CancellationToken::new();
        let now = self.clock.now();
        let link = Link {
            number,
            instance: hello.instance.clone(),
            out: sender,
            end: end.clone(),
            since: now,
            attached: false,
            studies: hello.attempts.iter().map(|attempt| attempt.lease.study).collect(),
        };
        let before = state.workers.remove(&hello.id);
        let drained = before.as_ref().is_some_and(|worker| worker.drained);
        if let Some(old) = before.and_then(|worker| worker.link) {
            old.end.cancel();
        }
        let worker = PoolWorker {
            name: hello.name.clone(),
            generation: hello.generation,
            version: hello.version.clone(),
            address: hello.address.clone(),
            resources: hello.resources.clone(),
            last_seen_at: now,
            drained,
            leaving: hello.leaving,
            link: Some(link),
            leases: HashMap::new(),
            offers: HashMap::new(),
            told: Told::default(),
        };
        state.workers.insert(hello.id, worker);
        drop(state);
        self.heard(hello.id);
        Ok(Session {
            worker: hello.id,
            number,
            outgoing,
            end,
            drained,
            replaced,
        })
    }

    /// What a worker's attempts occupy is known: it may be offered trials from now on.
    pub fn attached(&self, session: &Session, occupied: Vec<(LeaseKey, Resources, Vec<String>)>) {
        let mut state = self.lock();
        if let Some(worker) = state.workers.get_mut(&session.worker)
            && let Some(link) = &mut worker.link
            && link.number == session.number
        {
            link.attached = true;
            for (lease, resources, gpus) in occupied {
                worker.leases.insert(lease, Taken::new(&resources, gpus));
            }
        }
        drop(state);
        self.changed.notify_one();
    }

    /// A session has ended. What its worker runs goes on running.
    pub fn disconnect(&self, session: &Session) {
        let mut state = self.lock();
        if let Some(worker) = state.workers.get_mut(&session.worker)
            && worker
                .link
                .as_ref()
                .is_some_and(|link| link.number == session.number)
        {
            worker.link = None;
            worker.told.end_of_session();
            worker.last_seen_at = self.clock.now();
            state.logs.retain(|_, (worker, _)| *worker != session.worker);
        }
    }

    /// A sign of life.
    pub fn heard(&self, worker: WorkerId) {
        self.presence.heard(worker, self.clock.monotonic());
    }

    /// A worker wants no new trials, or does again.
    pub fn leaving(&self, worker: WorkerId, leaving: bool) {
        if let Some(worker) = self.lock().workers.get_mut(&worker) {
            worker.leaving = leaving;
        }
        self.changed.notify_one();
    }

    /// Sends an order that a commit led to. One for a worker that is not connected is dropped: it will be worked out again
    /// when the worker comes back.
    pub fn order(&self, worker: WorkerId, order: Order) {
        let mut state = self.lock();
        let Some(entry) = state.workers.get_mut(&worker) else {
            return;
        };
        if let Order::Assign(assignment) = &order {
            let taken = Taken::new(&assignment.spec.resources, assignment.gpus.clone());
            entry.leases.insert(assignment.lease, taken);
        }
        if let Some(link) = &mut entry.link {
            link.studies.insert(order.lease().study);
            if link.out.try_send(ToWorker::Order(order)).is_err() {
                link.end.cancel();
            }
        }
    }

    /// A study's engine has lost its memory and with it orders that it had not sent yet. Sessions that had to do with the study
    /// end: when their workers are back, a moment later, everything is worked out again from what they hold.
    pub fn study_reloaded(&self, study: StudyId, holders: &[WorkerId]) {
        for (id, worker) in &self.lock().workers {
            if let Some(link) = &worker.link
                && (link.studies.contains(&study) || holders.contains(id))
            {
                link.end.cancel();
            }
        }
    }

    /// All workers, by name.
    #[must_use]
    pub fn workers(&self) -> Vec<WorkerStatus> {
        let state = self.lock();
        let mut workers: Vec<_> = state
            .workers
            .iter()
            .map(|(&id, worker)| self.status_of(id, worker))
            .collect();
        workers.sort_by(|a, b| a.name.cmp(&b.name));
        workers
    }

    /// One worker by name.
    #[must_use]
    pub fn worker(&self, name: &WorkerName) -> Option<WorkerStatus> {
        let state = self.lock();
        let (&id, worker) = state.workers.iter().find(|(_, worker)| worker.name == *name)?;
        Some(self.status_of(id, worker))
    }

    fn status_of(&self, id: WorkerId, worker: &PoolWorker) -> WorkerStatus {
        let mut status = worker.status(id);
        if let (true, Some(heard)) = (worker.link.is_some(), self.presence.last_heard(id)) {
            let ago = self.clock.monotonic().saturating_since(heard);
            status.last_seen_at = Timestamp::from_micros(
                self.clock
                    .now()
                    .as_micros()
                    .saturating_sub(i64::try_from(ago.as_micros()).unwrap_or(i64::MAX)),
            );
        }
        status
    }

    /// Whether any connected worker reaches this place of checkpoints.
    #[must_use]
    pub fn reaches(&self, store: CheckpointStoreId) -> bool {
        let state = self.lock();
        let mut connected = state.workers.values().filter(|worker| worker.link.is_some());
        connected.any(|worker| worker.resources.stores.contains(&store))
    }

    /// Has a checkpoint removed by one of the workers that reach it. If none is connected it stays, and takes room.
    pub fn drop_checkpoint(&self, study: StudyId, checkpoint: Checkpoint) {
        let state = self.lock();
        let mut reaching = state
            .workers
            .values()
            .filter(|worker| worker.resources.stores.contains(&checkpoint.store));
        match reaching.find_map(|worker| worker.link.as_ref()) {
            // A full queue ends with the session anyway.
            Some(link) => drop(
                link.out
                    .try_send(ToWorker::DropCheckpoint(study, Some(checkpoint))),
            ),
            None => {
                tracing::debug!(%study, trial = %checkpoint.trial, "nobody can remove a checkpoint that is no longer needed")
            }
        }
    }

    /// A study was deleted: has its checkpoints removed by all workers that are connected.
    pub fn drop_checkpoints(&self, study: StudyId) {
        for link in self
            .lock()
            .workers
            .values()
            .filter_map(|worker| worker.link.as_ref())
        {
            // A full queue ends with the session anyway.
            let _ = link.out.try_send(ToWorker::DropCheckpoint(study, None));
        }
    }

    /// Gives a worker nothing new, or lets it take trials again. Returns it, if there is such a worker.
    pub fn drain(&self, name: &WorkerName, drained: bool) -> Option<WorkerStatus> {
        let mut state = self.lock();
        let (&id, worker) = state
            .workers
            .iter_mut()
            .find(|(_, worker)| worker.name == *name)?;
        worker.drained = drained;
        let status = self.status_of(id, worker);
        drop(state);
        self.changed.notify_one();
        Some(status)
    }

    /// Forgets a worker that is offline. Returns whether it was.
    pub fn remove(&self, id: WorkerId) -> bool {
        let mut state = self.lock();
        if state
            .workers
            .get(&id)
            .is_some_and(|worker| worker.state().0 != WorkerState::Offline)
        {
            return false;
        }
        state.workers.remove(&id);
        drop(state);
        self.presence.forget(id);
        true
    }

    /// Asks a worker for a log. None if it is not connected, or too many logs are being read.
    pub fn read_log(&self, worker: WorkerId, log: LogRequest) -> Option<(u64, mpsc::Receiver<LogChunk>)> {
        let mut state = self.lock();
        if state.logs.len() >= READERS {
            return None;
        }
        let request = self.next_log.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = mpsc::channel(WAITING_CHUNKS);
        let link = state.workers.get(&worker)?.link.as_ref()?;
        link.out.try_send(ToWorker::ReadLog { request, log }).ok()?;
        state.logs.insert(request, (worker, sender));
        Some((request, receiver))
    }

    /// A piece of a log has come.
    pub fn log_chunk(&self, worker: WorkerId, request: u64, chunk: LogChunk) {
        let mut state = self.lock();
        let Some((from, sender)) = state.logs.get(&request) else {
            return;
        };
        if *from != worker {
            return;
        }
        let end = chunk.end;
        let gone = sender.try_send(chunk).is_err();
        if end || gone {
            state.logs.remove(&request);
        }
        if gone && !end {
            state.cancel_log(worker, request);
        }
    }

    /// Nobody reads a log any more.
    pub fn cancel_log(&self, request: u64) {
        let mut state = self.lock();
        if let Some((worker, _)) = state.logs.remove(&request) {
            state.cancel_log(worker, request);
        }
    }

    /// Ends all sessions, so that the server can stop.
    pub fn end_sessions(&self) {
        for link in self
            .lock()
            .workers
            .values()
            .filter_map(|worker| worker.link.as_ref())
        {
            link.end.cancel();
        }
    }
}

impl State {
    fn cancel_log(&self, worker: WorkerId, request: u64) {
        if let Some(link) = self.workers.get(&worker).and_then(|worker| worker.link.as_ref()) {
            // A full queue ends with the session anyway.
            let _ = link.out.try_send(ToWorker::CancelLog(request));
        }
    }
}
