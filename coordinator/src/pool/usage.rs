//! What is in use on workers' machines, as they tell it. In memory only: of attempts that have ended it is stored with them, of those that run
//! their workers tell all of it again in each session.

use std::collections::HashMap;

use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{LeaseKey, StudyId, WorkerId};

use super::registry::Pool;
use super::worker::PoolWorker;

/// What is in use of a machine, by whomever.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct MachineUse {
    /// Processor cores in use.
    pub cpus: f64,
    /// Those there are.
    pub all_cpus: f64,
    /// Main memory in use, in bytes.
    pub memory: u64,
    /// That there is.
    pub all_memory: u64,
}

/// What is in use of a GPU.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuUse {
    /// UUID.
    pub uuid: String,
    /// How busy it is, from 0 to 100, if it tells.
    pub percent: Option<u32>,
    /// Bytes in use, if it tells.
    pub memory: Option<u64>,
}

/// What an attempt uses.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptUse {
    /// The attempt.
    pub lease: LeaseKey,
    /// What is new, or all that is known.
    pub series: UsageSeries,
    /// Whether it is all.
    pub whole: bool,
}

/// What a worker tells at a time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct UsageReport {
    /// Of the machine.
    pub machine: MachineUse,
    /// Of its GPUs.
    pub gpus: Vec<GpuUse>,
    /// Of its attempts.
    pub attempts: Vec<AttemptUse>,
}

/// A GPU of a worker, for people.
#[derive(Clone, Debug, PartialEq)]
pub struct GpuStatus {
    /// What is in use.
    pub used: GpuUse,
    /// The attempt that has it.
    pub lease: Option<LeaseKey>,
}

/// What a worker has told in its session.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) machine: Option<MachineUse>,
    gpus: HashMap<String, GpuUse>,
    series: HashMap<LeaseKey, UsageSeries>,
}

impl Told {
    /// Nothing of an attempt lives any more.
    pub(super) fn forget(&mut self, lease: &LeaseKey) {
        self.series.remove(lease);
    }

    /// The session is over: what was in use then may not be now.
    pub(super) fn end_of_session(&mut self) {
        self.machine = None;
        self.gpus.clear();
    }
}

/// A study whose trials wait for places.
#[derive(Clone, Debug, PartialEq)]
pub struct Waiting {
    /// The study.
    pub study: StudyId,
    /// Trials that would start now if there were places.
    pub waiting: u32,
    /// Trials that run.
    pub running: u32,
    /// Its share of the pool in relation to other studies.
    pub priority: u32,
    /// Why they wait; empty if nobody has looked yet.
    pub reason: String,
}

impl Pool {
    /// A worker tells what is in use. What it says of attempts and GPUs that are not its own is ignored.
    pub fn used(&self, worker: WorkerId, report: UsageReport) {
        let mut state = self.lock();
        let Some(worker) = state.workers.get_mut(&worker) else {
            return;
        };
        let PoolWorker {
            told,
            leases,
            resources,
            ..
        } = worker;
        told.machine = Some(report.machine);
        let own = |gpu: &GpuUse| resources.gpus.iter().any(|own| own.uuid == gpu.uuid);
        told.gpus = report
            .gpus
            .into_iter()
            .filter(own)
            .map(|gpu| (gpu.uuid.clone(), gpu))
            .collect();
        for AttemptUse { lease, series, whole } in report.attempts {
            if !leases.contains_key(&lease) {
                continue;
            }
            if whole {
                told.series.insert(lease, series);
            } else if let Some(known) = told.series.get_mut(&lease) {
                for sample in series.entries() {
                    known.push(*sample);
                }
            }
        }
    }

    /// What an attempt that runs on a worker has used so far, as far as it was told.
    #[must_use]
    pub fn usage_of(&self, worker: WorkerId, lease: &LeaseKey) -> UsageSeries {
        let state = self.lock();
        let told = state.workers.get(&worker).map(|worker| &worker.told);
        told.and_then(|told| told.series.get(lease))
            .cloned()
            .unwrap_or_default()
    }

    /// Studies whose trials wait for places, in the order in which they would get the next ones that fit them.
    #[must_use]
    pub fn queue(&self) -> Vec<Waiting> {
        let state = self.lock();
        let mut demands = state.open_demands();
        crate::decide::by_right(&mut demands);
        let waiting = demands.into_iter().map(|demand| Waiting {
            reason: state.reasons.get(&demand.study).cloned().unwrap_or_default(),
            study: demand.study,
            waiting: demand.wants,
            running: demand.running,
            priority: demand.priority,
        });
        waiting.collect()
    }
}

impl PoolWorker {
    /// Its GPUs in their order, with what was told of each and who has it.
    pub(super) fn gpus(&self) -> Vec<GpuStatus> {
        let status = |gpu: &tunesmith_common::worker::Gpu| {
            let holder = self
                .leases
                .iter()
                .find(|(_, taken)| taken.gpus.contains(&gpu.uuid));
            let unknown = || GpuUse {
                uuid: gpu.uuid.clone(),
                percent: None,
                memory: None,
            };
            GpuStatus {
                used: self.told.gpus.get(&gpu.uuid).cloned().unwrap_or_else(unknown),
                lease: holder.map(|(lease, _)| *lease),
            }
        };
        self.resources.gpus.iter().map(status).collect()
    }
}
