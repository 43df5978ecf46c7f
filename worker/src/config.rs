//! The worker's configuration: a TOML file, over it `TUNESMITH_` variables, over these flags; checked once, at start.
//!
//! The only code of the daemon that reads the environment. Secrets never appear in `Debug`, in messages or in `--check-config`.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tonic::transport::Uri;
use tunesmith_common::WorkerName;
use tunesmith_common::units::{ByteSize, HumanDuration};

use crate::checkpoint::{Access, Location};

mod token;
mod values;

pub use token::{Token, TokenSource};
pub use values::{GpuChoice, Label, LogFormat, OnExit};

use values::label_table;

/// Variable that holds the token itself.
const TOKEN_VARIABLE: &str = "TUNESMITH_TOKEN";
/// Where `tunesmith up` and the coordinator listen unless told otherwise.
const DEFAULT_COORDINATOR: &str = "http://127.0.0.1:7700";
/// Slots a worker may have at most; the coordinator refuses more.
const MAX_SLOTS: u32 = 10_000;

/// Why the worker cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The configuration file cannot be read.
    #[error("cannot read the configuration file {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is not well-formed, or has an unknown key.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A value is missing or cannot be.
    #[error("{field}: {message}")]
    Value {
        /// Name of the flag, without dashes.
        field: &'static str,
        /// What is wrong, with the value and the remedy.
        message: String,
    },
}

impl ConfigError {
    fn value(field: &'static str, message: impl ToString) -> Self {
        Self::Value {
            field,
            message: message.to_string(),
        }
    }
}

/// Configuration as given. The keys of the file are the long flags with `_` for `-`.
#[derive(Debug, Clone, Default, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Address of the coordinator [default: http://127.0.0.1:7700]
    #[arg(long, env = "TUNESMITH_COORDINATOR", value_name = "URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub coordinator: Option<String>,
    /// File that holds the worker's token (or give the token itself in TUNESMITH_TOKEN)
    #[arg(long, env = "TUNESMITH_TOKEN_FILE", value_name = "FILE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Name of this worker [default: the host name]
    #[arg(long, env = "TUNESMITH_WORKER_NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Folder for identity, trials and logs [default: ~/.local/state/tunesmith-worker; as root /var/lib/tunesmith-worker]
    #[arg(long, env = "TUNESMITH_WORKER_STATE_DIR", value_name = "DIR")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_dir: Option<PathBuf>,
    /// Trials to run at the same time [default: the number of GPUs, or 1]
    #[arg(long, env = "TUNESMITH_WORKER_SLOTS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slots: Option<u32>,
    /// GPUs to use: all, none, or indices and UUIDs such as 0,1 [default: all]. CUDA_VISIBLE_DEVICES is respected as a ceiling
    #[arg(long, env = "TUNESMITH_WORKER_GPUS", value_name = "LIST")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gpus: Option<GpuChoice>,
    /// Pretend to have N GPUs, for tests
    #[arg(long, env = "TUNESMITH_WORKER_FAKE_GPUS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fake_gpus: Option<u32>,
    /// Label that trials may ask for; repeatable
    #[arg(
        long = "label",
        env = "TUNESMITH_WORKER_LABELS",
        value_name = "KEY=VALUE",
        value_delimiter = ','
    )]
    #[serde(default, with = "label_table", skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<Label>,
    /// Processor cores to offer [default: all that this process may use]
    #[arg(long, env = "TUNESMITH_WORKER_CPUS", value_name = "N")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpus: Option<f64>,
    /// Main memory to offer, such as 64GiB [default: all that this process may use]
    #[arg(long, env = "TUNESMITH_WORKER_MEMORY", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<ByteSize>,
    /// What becomes of running trials when the worker is told to end [default: stop]
    #[arg(long, env = "TUNESMITH_WORKER_ON_EXIT", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub on_exit: Option<OnExit>,
    /// How long to wait for trials to stop when the worker ends [default: 2m]
    #[arg(long, env = "TUNESMITH_WORKER_DRAIN_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain_timeout: Option<HumanDuration>,
    /// End when there was nothing to run for this long
    #[arg(long, env = "TUNESMITH_WORKER_EXIT_WHEN_IDLE", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exit_when_idle: Option<HumanDuration>,
    /// How long to keep files of attempts that the coordinator has stored, for people to look at [default: 7d]
    #[arg(long, env = "TUNESMITH_WORKER_KEEP_ATTEMPTS", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_attempts: Option<HumanDuration>,
    /// Room for such files; the oldest go first [default: 10GiB]
    #[arg(long, env = "TUNESMITH_WORKER_KEEP_ATTEMPTS_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_attempts_limit: Option<ByteSize>,
    /// Where checkpoints are kept that other workers are to go on with: a folder on a file system that all of them reach, or s3://BUCKET/PREFIX,
    /// gs://BUCKET/PREFIX or az://CONTAINER/PREFIX, with access by the usual AWS_, GOOGLE_ or AZURE_ variables [default: in the state folder, which only this
    /// worker reaches]
    #[arg(long, env = "TUNESMITH_WORKER_CHECKPOINT_DIR", value_name = "DIR|URL")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_dir: Option<PathBuf>,
    /// Room for checkpoints in that place, of all who use it together [default: all but 256MiB of the file system; in a bucket, no limit]
    #[arg(long, env = "TUNESMITH_WORKER_CHECKPOINT_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint_limit: Option<ByteSize>,
    /// Room for each output file of an attempt; the oldest lines go first [default: 64MiB]
    #[arg(long, env = "TUNESMITH_WORKER_OUTPUT_LIMIT", value_name = "SIZE")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<ByteSize>,
    /// How long trainings go on when no worker daemon watches them [default: 15m]
    #[arg(long, env = "TUNESMITH_WORKER_ORPHAN_TIMEOUT", value_name = "TIME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub orphan_timeout: Option<HumanDuration>,
    /// Form of log lines [default: text]
    #[arg(long, env = "TUNESMITH_LOG_FORMAT", value_enum)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Which log lines, such as info or tunesmith_worker=debug [default: info]
    #[arg(long, env = "TUNESMITH_LOG", value_name = "FILTER")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
}

impl RawConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// If it cannot be read, is not TOML, or has an unknown key or a malformed value.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        toml::from_str(&text).map_err(|error| ConfigError::Parse {
            path: path.to_owned(),
            message: error.to_string().trim_end().to_owned(),
        })
    }

    /// These values where they are given, those of `below` elsewhere. Labels of both are kept.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        let mut labels = below.labels;
        labels.retain(|label| self.labels.iter().all(|above| above.key != label.key));
        labels.extend(self.labels);
        Self {
            coordinator: self.coordinator.or(below.coordinator),
            token_file: self.token_file.or(below.token_file),
            name: self.name.or(below.name),
            state_dir: self.state_dir.or(below.state_dir),
            slots: self.slots.or(below.slots),
            gpus: self.gpus.or(below.gpus),
            fake_gpus: self.fake_gpus.or(below.fake_gpus),
            labels,
            cpus: self.cpus.or(below.cpus),
            memory: self.memory.or(below.memory),
            on_exit: self.on_exit.or(below.on_exit),
            drain_timeout: self.drain_timeout.or(below.drain_timeout),
            exit_when_idle: self.exit_when_idle.or(below.exit_when_idle),
            keep_attempts: self.keep_attempts.or(below.keep_attempts),
            keep_attempts_limit: self.keep_attempts_limit.or(below.keep_attempts_limit),
            checkpoint_dir: self.checkpoint_dir.or(below.checkpoint_dir),
            checkpoint_limit: self.checkpoint_limit.or(below.checkpoint_limit),
            output_limit: self.output_limit.or(below.output_limit),
            orphan_timeout: self.orphan_timeout.or(below.orphan_timeout),
            log_format: self.log_format.or(below.log_format),
            log: self.log.or(below.log),
        }
    }
}

/// What the worker takes from the environment beside its own variables.
#[derive(Clone, Default)]
pub struct Surroundings {
    /// The token, if `TUNESMITH_TOKEN` holds one.
    pub token: Option<Token>,
    /// `CUDA_VISIBLE_DEVICES` as inherited.
    pub cuda_visible_devices: Option<String>,
    /// `XDG_STATE_HOME`, if it is an absolute path.
    pub xdg_state_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
    /// How object stores are reached.
    pub access: Access,
    /// Whether the worker runs as root.
    pub root: bool,
    /// The machine's name.
    pub host_name: String,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings")
            .field("host_name", &self.host_name)
            .finish_non_exhaustive()
    }
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let variable = |name| {
            std::env::var(name)
                .ok()
                .filter(|value: &String| !value.is_empty())
        };
        Self {
            token: variable(TOKEN_VARIABLE).map(|text| Token::new(text.trim())),
            // An empty value is meaningful here: no GPU at all.
            cuda_visible_devices: std::env::var("CUDA_VISIBLE_DEVICES").ok(),
            xdg_state_home: variable("XDG_STATE_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute()),
            home: variable("HOME").map(PathBuf::from),
            access: Access::of(
                std::env::vars_os()
                    .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?))),
            ),
            root: rustix::process::geteuid().is_root(),
            host_name: std::fs::read_to_string("/proc/sys/kernel/hostname")
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    }
}

/// Checked configuration.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the coordinator, `http://host:port`.
    pub coordinator: String,
    /// Where the token comes from.
    pub token: TokenSource,
    /// Name of this worker.
    pub name: WorkerName,
    /// Folder for identity, trials and logs.
    pub state_dir: PathBuf,
    /// Trials to run at the same time; by the number of GPUs if none.
    pub slots: Option<u32>,
    /// GPUs to offer.
    pub gpus: GpuChoice,
    /// `CUDA_VISIBLE_DEVICES` as inherited: a ceiling.
    pub inherited_gpus: Option<String>,
    /// Pretend to have that many GPUs.
    pub fake_gpus: Option<u32>,
    /// Labels that trials may ask for.
    pub labels: BTreeMap<String, String>,
    /// Processor cores to offer.
    pub cpus: Option<f64>,
    /// Main memory to offer, in bytes.
    pub memory: Option<u64>,
    /// What becomes of running trials at the end.
    pub on_exit: OnExit,
    /// How long to wait for trials to stop at the end.
    pub drain_timeout: Duration,
    /// End after that long without a trial.
    pub exit_when_idle: Option<Duration>,
    /// How long files of forgotten attempts are kept.
    pub keep_attempts: Duration,
    /// Bytes of such files that are kept.
    pub keep_attempts_limit: u64,
    /// Where checkpoints are stored; in the state folder if none.
    pub checkpoint_dir: Option<Location>,
    /// Bytes of stored checkpoints at most.
    pub checkpoint_limit: Option<u64>,
    /// Bytes of each output file of an attempt that are kept.
    pub output_limit: u64,
    /// How long trainings go on without a daemon.
    pub orphan_timeout: Duration,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Which log lines.
    pub log: String,
}

impl Config {
    /// Checks `raw`, and fills in what it leaves open.
    ///
    /// # Errors
    /// [`ConfigError::Value`] naming the flag, the value and the remedy.
    pub fn check(raw: RawConfig, surroundings: Surroundings) -> Result<Self, ConfigError> {
        let coordinator = check_address(raw.coordinator)?;
        let token = match (raw.token_file, surroundings.token) {
            (Some(path), _) => TokenSource::File(path),
            (None, Some(token)) => TokenSource::Given(token),
            (None, None) => {
                let message = "none given; the coordinator asks for one. Put it into a file and name the file, or set \
                               TUNESMITH_TOKEN; `tunesmith token create --label NAME --worker --file PATH` makes one";
                return Err(ConfigError::value("token-file", message));
            }
        };
        token.read()?;
        let name = match raw.name {
            Some(name) => name.parse().map_err(|error| ConfigError::value("name", error))?,
            None => name_of_host(&surroundings.host_name),
        };
        let state_dir = match raw.state_dir {
            Some(path) => std::path::absolute(&path)
                .map_err(|error| ConfigError::value("state-dir", format!("{}: {error}", path.display())))?,
            None => default_state_dir(surroundings.root, surroundings.xdg_state_home, surroundings.home)?,
        };
        if let Some(slots) = raw.slots.filter(|slots| !(1..=MAX_SLOTS).contains(slots)) {
            return Err(ConfigError::value(
                "slots",
                format!("must lie between 1 and {MAX_SLOTS}, got {slots}"),
            ));
        }
        if let Some(cpus) = raw.cpus.filter(|cpus| !cpus.is_finite() || *cpus <= 0.0) {
            return Err(ConfigError::value(
                "cpus",
                format!("must be a number greater than 0, got {cpus}"),
            ));
        }
        if let Some(count) = raw.fake_gpus.filter(|count| *count > 1_024) {
            return Err(ConfigError::value(
                "fake-gpus",
                format!("must be at most 1024, got {count}"),
            ));
        }
        if raw.exit_when_idle == Some(HumanDuration(Duration::ZERO)) {
            return Err(ConfigError::value(
                "exit-when-idle",
                "must be longer than 0s, else the worker never takes a trial",
            ));
        }
        let duration =
            |given: Option<HumanDuration>, default: u64| given.map_or(Duration::from_secs(default), |d| d.0);
        let size = |given: Option<ByteSize>, default: u64| given.map_or(default, |size| size.0);
        Ok(Self {
            coordinator,
            token,
            name,
            state_dir,
            slots: raw.slots,
            gpus: raw.gpus.unwrap_or_default(),
            inherited_gpus: surroundings.cuda_visible_devices,
            fake_gpus: raw.fake_gpus,
            labels: raw
                .labels
                .into_iter()
                .map(|label| (label.key, label.value))
                .collect(),
            cpus: raw.cpus,
            memory: raw.memory.map(|size| size.0),
            on_exit: raw.on_exit.unwrap_or(OnExit::Stop),
            drain_timeout: duration(raw.drain_timeout, 120),
            exit_when_idle: raw.exit_when_idle.map(|time| time.0),
            keep_attempts: duration(raw.keep_attempts, 7 * 24 * 3_600),
            keep_attempts_limit: size(raw.keep_attempts_limit, 10 << 30),
            checkpoint_dir: raw
                .checkpoint_dir
                .map(|place| Location::parse(&place, surroundings.access))
                .transpose()
                .map_err(|error| ConfigError::value("checkpoint-dir", error))?,
            checkpoint_limit: raw.checkpoint_limit.map(|limit| limit.0),
            output_limit: size(raw.output_limit, 64 << 20),
            orphan_timeout: duration(raw.orphan_timeout, 15 * 60),
            log_format: raw.log_format.unwrap_or(LogFormat::Text),
            log: raw.log.unwrap_or_else(|| "info".to_owned()),
        })
    }
}

fn check_address(address: Option<String>) -> Result<String, ConfigError> {
    let Some(given) = address else {
        return Ok(DEFAULT_COORDINATOR.to_owned());
    };
    let wrong = |why: &str| {
        Err(ConfigError::value(
            "coordinator",
            format!("{given:?} is no address: {why}; write it like http://gpu1:7700"),
        ))
    };
    let text = given.trim().trim_end_matches('/');
    let text = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let Ok(uri) = text.parse::<Uri>() else {
        return wrong("it is malformed");
    };
    match uri.scheme_str() {
        Some("http") => {}
        Some("https") => return wrong("this build speaks no TLS"),
        _ => return wrong("its scheme is not http"),
    }
    if uri.port().is_none() {
        return wrong("it names no port");
    }
    if uri.path() != "/"
        || uri.query().is_some()
        || uri.authority().is_some_and(|it| it.as_str().contains('@'))
    {
        return wrong("it has more than a host and a port");
    }
    Ok(text)
}

/// The host's name with what a worker's name may not have replaced.
fn name_of_host(host: &str) -> WorkerName {
    let cleaned: String = host
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') {
                c
            } else {
                '-'
            }
        })
        .skip_while(|c| !c.is_ascii_alphanumeric())
        .take(WorkerName::MAX_LENGTH)
        .collect();
    match cleaned.parse() {
        Ok(name) => name,
        Err(_) => "worker".parse().expect("a constant that is a name"),
    }
}

fn default_state_dir(
    root: bool,
    xdg: Option<PathBuf>,
    home: Option<PathBuf>,
) -> Result<PathBuf, ConfigError> {
    const FOLDER: &str = "tunesmith-worker";
    if root {
        return Ok(Path::new("/var/lib").join(FOLDER));
    }
    xdg.or_else(|| home.map(|home| home.join(".local/state")))
        .map(|base| base.join(FOLDER))
        .ok_or_else(|| {
            ConfigError::value(
                "state-dir",
                "neither XDG_STATE_HOME nor HOME is set; name a folder for the worker's state",
            )
        })
}

#[cfg(test)]
mod tests;
