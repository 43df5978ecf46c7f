//! One worker as the pool sees it: its session, what is taken of it, what is free.

use std::collections::{HashMap, HashSet};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::study::Resources;
use tunesmith_common::worker::WorkerResources;
use tunesmith_common::{LeaseKey, StudyId, Timestamp, WorkerId, WorkerName};

use super::logs::LogRequest;
use super::usage::{GpuStatus, MachineUse, Told};
use crate::decide::{Order, WorkerView};

/// What is sent down a session.
#[derive(Clone, Debug, PartialEq)]
pub enum ToWorker {
    /// An order of a study's engine.
    Order(Order),
    /// Read a log.
    ReadLog {
        /// To be repeated in the pieces.
        request: u64,
        /// Which log.
        log: LogRequest,
    },
    /// No longer read a log.
    CancelLog(u64),
    /// Remove a checkpoint of a study, or all of them.
    DropCheckpoint(StudyId, Option<Checkpoint>),
}

/// State of a worker, for people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerState {
    /// Connected and taking trials.
    Ready,
    /// Connected, finishing what it has.
    Draining,
    /// Not connected.
    Offline,
}

/// A worker as people see it.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkerStatus {
    /// Identity.
    pub id: WorkerId,
    /// Name.
    pub name: WorkerName,
    /// State.
    pub state: WorkerState,
    /// Why it is in this state.
    pub reason: String,
    /// Software version.
    pub version: String,
    /// Address it connects from.
    pub address: String,
    /// What it has.
    pub resources: WorkerResources,
    /// Attempts that occupy it.
    pub leases: Vec<LeaseKey>,
    /// Since when it is connected.
    pub connected_at: Option<Timestamp>,
    /// When it was last heard of.
    pub last_seen_at: Timestamp,
    /// What is in use of its machine, if it has told in this session.
    pub usage: Option<MachineUse>,
    /// Its GPUs in their order.
    pub gpus: Vec<GpuStatus>,
}

/// What an attempt occupies.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Taken {
    pub(super) gpus: Vec<String>,
    pub(super) cpus: f64,
    pub(super) memory: u64,
}

impl Taken {
    pub(super) fn new(resources: &Resources, gpus: Vec<String>) -> Self {
        Self {
            gpus,
            cpus: resources.cpus,
            memory: resources.memory,
        }
    }
}

/// The connected session of a worker.
#[derive(Debug)]
pub(super) struct Link {
    /// Tells sessions of the same worker apart.
    pub(super) number: u64,
    pub(super) instance: String,
    pub(super) out: mpsc::Sender<ToWorker>,
    /// Cancelled when the session is to end.
    pub(super) end: CancellationToken,
    pub(super) since: Timestamp,
    /// What it held is accounted for; nothing is offered to it before.
    pub(super) attached: bool,
    /// Studies that the worker had to do with in this session.
    pub(super) studies: HashSet<StudyId>,
}

/// A worker of the pool.
#[derive(Debug)]
pub(super) struct PoolWorker {
    pub(super) name: WorkerName,
    pub(super) generation: u64,
    pub(super) version: String,
    pub(super) address: String,
    pub(super) resources: WorkerResources,
    pub(super) last_seen_at: Timestamp,
    /// A person asked for it to get nothing new.
    pub(super) drained: bool,
    /// It said itself that it wants nothing new.
    pub(super) leaving: bool,
    pub(super) link: Option<Link>,
    pub(super) leases: HashMap<LeaseKey, Taken>,
    /// Places offered to studies that have not answered yet, by the offer's number.
    pub(super) offers: HashMap<u64, Taken>,
    /// What it says is in use.
    pub(super) told: Told,
}

impl PoolWorker {
    pub(super) fn state(&self) -> (WorkerState, String) {
        match &self.link {
            None => (WorkerState::Offline, "not connected".to_owned()),
            Some(_) if self.leaving => (WorkerState::Draining, "it is shutting down".to_owned()),
            Some(_) if self.drained => (WorkerState::Draining, "drained by a person".to_owned()),
            Some(_) => (WorkerState::Ready, String::new()),
        }
    }

    pub(super) fn takes_trials(&self) -> bool {
        !self.leaving && !self.drained && self.link.as_ref().is_some_and(|link| link.attached)
    }

    /// What is free, if it takes trials.
    pub(super) fn view(&self, id: WorkerId) -> Option<WorkerView> {
        if !self.takes_trials() {
            return None;
        }
        let taken = || self.leases.values().chain(self.offers.values());
        let count = u32::try_from(self.leases.len() + self.offers.len()).unwrap_or(u32::MAX);
        Some(WorkerView {
            id,
            slots: self.resources.slots.saturating_sub(count),
            cpus: self.resources.cpus - taken().map(|taken| taken.cpus).sum::<f64>(),
            memory: self
                .resources
                .memory
                .saturating_sub(taken().map(|taken| taken.memory).sum()),
            gpus: self
                .resources
                .gpus
                .iter()
                .filter(|gpu| !taken().any(|taken| taken.gpus.contains(&gpu.uuid)))
                .cloned()
                .collect(),
            labels: self.resources.labels.clone(),
            stores: self.resources.stores.clone(),
        })
    }

    /// What it would have free if it had nothing to do.
    pub(super) fn empty_view(&self, id: WorkerId) -> WorkerView {
        WorkerView {
            id,
            slots: self.resources.slots,
            cpus: self.resources.cpus,
            memory: self.resources.memory,
            gpus: self.resources.gpus.clone(),
            labels: self.resources.labels.clone(),
            stores: self.resources.stores.clone(),
        }
    }

    pub(super) fn status(&self, id: WorkerId) -> WorkerStatus {
        let (state, reason) = self.state();
        let mut leases: Vec<LeaseKey> = self.leases.keys().copied().collect();
        leases.sort_by_key(|lease| (lease.study, lease.trial, lease.attempt));
        WorkerStatus {
            id,
            name: self.name.clone(),
            state,
            reason,
            version: self.version.clone(),
            address: self.address.clone(),
            resources: self.resources.clone(),
            leases,
            connected_at: self.link.as_ref().map(|link| link.since),
            last_seen_at: self.last_seen_at,
            usage: self.told.machine,
            gpus: self.gpus(),
        }
    }
}
