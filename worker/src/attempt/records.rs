//! What the daemon and the supervisor write down for each other.
//!
//! Both may be of different versions, since a supervisor outlives an upgrade of the daemon: fields are only ever added, with a default.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tunesmith_common::clock::Timestamp;
use tunesmith_common::id::{LeaseKey, MetricName};
use tunesmith_common::study::{GpuRequest, MetricSource, Resources};

/// `launch.json`, by the daemon: everything about the attempt that is known before it starts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Launch {
    pub(crate) lease: LeaseKey,
    pub(crate) launched_at: Timestamp,
    /// The program and its arguments, placeholders replaced.
    pub(crate) argv: Vec<String>,
    /// Added to the environment that the supervisor was started with.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) workdir: PathBuf,
    pub(crate) max_runtime: Option<Duration>,
    pub(crate) grace: Duration,
    pub(crate) orphan_timeout: Duration,
    pub(crate) daemon_lock: PathBuf,
    /// Where the daemon listens for the program.
    pub(crate) socket: PathBuf,
    pub(crate) source: Source,
    /// Metrics that the study knows, those of the objectives first.
    pub(crate) metrics: Vec<MetricName>,
    /// How many of them are objectives'; 0, in what an earlier version wrote, is one.
    #[serde(default)]
    pub(crate) objectives: u32,
    pub(crate) step_name: Option<String>,
    pub(crate) gpus: Vec<String>,
    pub(crate) promised: Promised,
    /// Whether its newest checkpoint is to be stored when it ends.
    #[serde(default)]
    pub(crate) keep_checkpoint: bool,
    /// Step of the checkpoint that it goes on from.
    #[serde(default)]
    pub(crate) resumed_at: Option<i64>,
    /// What its owner should know about how it was launched.
    #[serde(default)]
    pub(crate) warnings: Vec<String>,
}

/// Where metrics are read from, beside the metrics file and the socket.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Source {
    StdoutJson,
    Regex(Vec<String>),
    File(PathBuf),
}

impl Source {
    pub(crate) fn to_domain(&self) -> MetricSource {
        match self {
            Self::StdoutJson => MetricSource::StdoutJson,
            Self::Regex(patterns) => MetricSource::Regex(patterns.clone()),
            Self::File(path) => MetricSource::File(path.to_string_lossy().into_owned()),
        }
    }
}

/// What the attempt was promised of the machine.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Promised {
    gpus: u32,
    gpu_memory: u64,
    cpus: f64,
    memory: u64,
    labels: BTreeMap<String, String>,
}

impl From<&Resources> for Promised {
    fn from(resources: &Resources) -> Self {
        Self {
            gpus: resources.gpus.count,
            gpu_memory: resources.gpus.memory,
            cpus: resources.cpus,
            memory: resources.memory,
            labels: resources.labels.clone(),
        }
    }
}

impl From<&Promised> for Resources {
    fn from(promised: &Promised) -> Self {
        Self {
            gpus: GpuRequest {
                count: promised.gpus,
                memory: promised.gpu_memory,
            },
            cpus: promised.cpus,
            memory: promised.memory,
            labels: promised.labels.clone(),
        }
    }
}

/// `state.json`, by the supervisor: written once before the program is started and once after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct State {
    /// Of the running kernel: processes of another one are gone.
    pub(crate) boot_id: String,
    pub(crate) supervisor: ProcessId,
    /// None while starting.
    pub(crate) program: Option<ProcessId>,
    pub(crate) started_at: Option<Timestamp>,
}

/// A process that cannot be mistaken for a later one with the same number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct ProcessId {
    pub(crate) pid: i32,
    /// Clock ticks between boot and its start.
    pub(crate) start_ticks: u64,
}

/// `stop.json`, by the daemon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopOrder {
    pub(crate) why: StopWhy,
    pub(crate) reason: String,
    pub(crate) grace: Duration,
}

/// Why an attempt was stopped, the most telling last: of two, the later one in this list is kept, but that what began by itself is
/// not overridden by [`StopWhy::Asked`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum StopWhy {
    /// The worker leaves.
    Drain,
    /// The coordinator asked.
    Asked,
    /// `max_runtime` was over.
    MaxRuntime,
    /// There was no daemon for too long.
    Orphaned,
    /// The supervisor itself was told to end.
    Signal,
    /// The lease was lost: no grace.
    Stale,
}

/// `stop`, for the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct StopNotice {
    pub(crate) reason: String,
}

/// `exit.json`, by the supervisor, when nothing of the attempt lives; or by the daemon if there never was a supervisor.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Exit {
    pub(crate) how: How,
    pub(crate) stopped: Option<StopWhy>,
    pub(crate) ended_at: Timestamp,
    /// Bytes; 0 if unknown.
    pub(crate) peak_memory: u64,
    /// Whether the kernel killed something of this group of processes for memory when the program died.
    pub(crate) oom_killed: bool,
    /// Processes that outlived the program and were killed.
    pub(crate) leftovers: u64,
}

/// How the program ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    Exited(i32),
    Signalled(i32),
    LaunchFailed(String),
    /// A stop came before it was started.
    NotStarted,
    /// Nobody saw how.
    Lost(String),
}

impl Exit {
    /// An end without a program.
    pub(crate) fn without_program(how: How, ended_at: Timestamp) -> Self {
        Self {
            how,
            stopped: None,
            ended_at,
            peak_memory: 0,
            oom_killed: false,
            leftovers: 0,
        }
    }
}
