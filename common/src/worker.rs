//! What a worker has, what it is told to run, and what it says about how that ended.
//!
//! Plain data that both ends of a session share. What follows from it is decided by the coordinator ([`crate::trial`]).

use std::time::Duration;

use std::collections::BTreeMap;

use crate::checkpoint::Checkpoint;
use crate::clock::Timestamp;
use crate::id::{CheckpointStoreId, LeaseKey, MetricName, StudyName};
use crate::params::Params;
use crate::study::TrialSpec;
use crate::usage::UsageSeries;

/// What a worker offers to the pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WorkerResources {
    /// Trials it runs at the same time at most.
    pub slots: u32,
    /// Processor cores, at least 0; fractions come from container limits.
    pub cpus: f64,
    /// Main memory in bytes.
    pub memory: u64,
    /// GPUs, in the order of the machine.
    pub gpus: Vec<Gpu>,
    /// Labels that trials may ask for.
    pub labels: BTreeMap<String, String>,
    /// Places of checkpoints that it reaches.
    pub stores: Vec<CheckpointStoreId>,
}

/// One GPU of a worker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gpu {
    /// UUID, as `CUDA_VISIBLE_DEVICES` takes it.
    pub uuid: String,
    /// Model name, for people; may be empty.
    pub model: String,
    /// Memory in bytes.
    pub memory: u64,
}

/// One attempt at a trial, handed out to a worker.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    /// The lease, repeated in every report.
    pub lease: LeaseKey,
    /// Name of the study, for people and for placeholders.
    pub study: StudyName,
    /// Values of the active parameters, in order.
    pub params: Params,
    /// How to run it.
    pub spec: TrialSpec,
    /// UUIDs of the GPUs it may use.
    pub gpus: Vec<String>,
    /// Seed for everything random in the training.
    pub seed: u64,
    /// Metrics that the study knows; those of the objectives come first.
    pub metrics: Vec<MetricName>,
    /// How many of them are objectives'.
    pub objectives: u32,
    /// The checkpoint to go on from; from the beginning if none.
    pub resume: Option<Checkpoint>,
    /// The step after which the training is looked at: the program may end there, with a checkpoint, and be told later to go on. None if
    /// that is not foreseen.
    pub until: Option<i64>,
    /// Whether the newest checkpoint is to be stored when the attempt ends, since it may be gone on with elsewhere.
    pub keep_checkpoint: bool,
}

/// An attempt on a worker's disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HeldAttempt {
    /// Its lease.
    pub lease: LeaseKey,
    /// Whether its program has started.
    pub started: bool,
    /// Whether it has ended.
    pub ended: bool,
}

/// How an attempt ended, as its worker saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// Its lease.
    pub lease: LeaseKey,
    /// Sequence number of its last point; 0 if it has none.
    pub last_seq: u64,
    /// When it ended, by the worker's clock.
    pub ended_at: Timestamp,
    /// How.
    pub outcome: AttemptOutcome,
    /// Why the worker stopped it, if it did.
    pub stop_cause: Option<StopCause>,
    /// The program's own word that its parameters can never work.
    pub infeasible: Option<String>,
    /// Whether it ran out of memory, of the machine or of its device.
    pub out_of_memory: bool,
    /// Most main memory its processes used, in bytes; 0 if unknown.
    pub peak_memory: u64,
    /// What it used of its machine over time; empty if unknown.
    pub usage: UsageSeries,
    /// Its newest checkpoint, if one was to be stored and is.
    pub checkpoint: Option<Checkpoint>,
    /// The last lines of its output if it failed, at most [`MAX_LOG_TAIL`] bytes.
    pub log_tail: String,
    /// Things its owner should know, at most [`MAX_WARNINGS`].
    pub warnings: Vec<String>,
}

/// Bytes of output that travel with the end of an attempt at most.
pub const MAX_LOG_TAIL: usize = 64 * 1024;
/// Warnings that travel with the end of an attempt at most.
pub const MAX_WARNINGS: usize = 100;

/// How an attempt's program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptOutcome {
    /// Exited with this status. 0 is well, 78 is infeasible.
    Exited(i32),
    /// Ended by this signal.
    Signalled(i32),
    /// Could not be started, for this reason.
    LaunchFailed(String),
    /// The worker lost sight of it, or ended it for this reason of its own.
    Lost(String),
    /// Given back unstarted, or stopped, because the worker leaves.
    HandedBack,
}

/// Why a worker stopped an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopCause {
    /// The coordinator asked it to.
    Asked,
    /// `max_runtime` was over: it was given so long.
    MaxRuntime(Duration),
}
