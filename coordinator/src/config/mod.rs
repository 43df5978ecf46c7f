//! The coordinator's configuration: a TOML file, over it `TUNESMITH_` variables, over these flags; checked once, at start.
//!
//! The only code of the coordinator that reads the environment. The database's address may hold a password: it is never shown.

mod secret;
mod terms;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tunesmith_common::units::HumanDuration;

pub use secret::StoreUrl;
pub use terms::{RawMatch, RawPolicy, RawPrice};

use crate::decide::Terms;

/// Where the coordinator listens unless told otherwise: this machine only.
const DEFAULT_LISTEN: &str = "127.0.0.1:7700";
/// Time without a sign of life after which leases end, unless told otherwise.
const DEFAULT_LEASE_TTL: Duration = Duration::from_secs(30);
/// Shortest and longest lease.
const LEASE_TTL: (Duration, Duration) = (Duration::from_secs(2), Duration::from_secs(600));

/// Why the coordinator cannot be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The configuration file is not well-formed, or has an unknown key.
    #[error("{}: {message}", path.display())]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A value cannot be.
    #[error("{field}: {message}")]
    Value {
        /// Name of the flag, without dashes, or key of the file.
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

/// Form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Configuration as given. The keys of the file are the long flags with `_` for `-`, and those that are no flags.
#[derive(Clone, Debug, Default, PartialEq, clap::Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RawConfig {
    /// Address to listen on [default: 127.0.0.1:7700]
    #[arg(long, env = "TUNESMITH_LISTEN", value_name = "ADDR", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<SocketAddr>,
    /// Database: sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE [default: sqlite:DATA/tunesmith.db]
    #[arg(
        long,
        env = "TUNESMITH_STORE",
        value_name = "URL",
        hide_env_values = true,
        global = true
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store: Option<StoreUrl>,
    /// File that holds the database's address, which keeps its password out of flags and variables
    #[arg(long, env = "TUNESMITH_STORE_FILE", value_name = "FILE", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub store_file: Option<PathBuf>,
    /// Folder for the first tokens and the SQLite database [default: $XDG_DATA_HOME/tunesmith or ~/.local/share/tunesmith]
    #[arg(long, env = "TUNESMITH_DATA", value_name = "DIR", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub data: Option<PathBuf>,
    /// Time without a sign of life after which a worker's trials are given to others, 2s to 10m [default: 30s]
    #[arg(long, env = "TUNESMITH_LEASE_TTL", value_name = "TIME", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lease_ttl: Option<HumanDuration>,
    /// Listen beyond this machine though nothing is encrypted: tokens can be read on the way
    #[arg(long, env = "TUNESMITH_ALLOW_INSECURE_LISTEN", global = true, num_args = 0..=1, default_missing_value = "true")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allow_insecure_listen: Option<bool>,
    /// Name by which HTTP clients may call besides localhost and the address itself; repeatable
    #[arg(
        long = "allowed-host",
        env = "TUNESMITH_ALLOWED_HOSTS",
        value_name = "NAME",
        value_delimiter = ',',
        global = true
    )]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_hosts: Vec<String>,
    /// Form of log lines [default: text]
    #[arg(long, env = "TUNESMITH_LOG_FORMAT", value_enum, global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_format: Option<LogFormat>,
    /// Which log lines, such as info or tunesmith_coordinator=debug [default: info]
    #[arg(long, env = "TUNESMITH_LOG", value_name = "FILTER", global = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log: Option<String>,
    /// What amounts are counted in.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// What machines cost.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub price: Vec<RawPrice>,
    /// What studies may ask for.
    #[arg(skip)]
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policy: Vec<RawPolicy>,
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
        // The parser's own message quotes the line, and the line may hold a password.
        toml::from_str(&text).map_err(|error| {
            let line = error
                .span()
                .map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
            let line = line.map_or_else(String::new, |line| format!("line {line}: "));
            ConfigError::Parse {
                path: path.to_owned(),
                message: format!("{line}{}", error.message()),
            }
        })
    }

    /// These values where they are given, those of `below` elsewhere.
    #[must_use]
    pub fn over(self, below: Self) -> Self {
        // An address given here in one form takes the place of one given there in the other.
        let (store, store_file) = match (self.store, self.store_file) {
            (None, None) => (below.store, below.store_file),
            given => given,
        };
        Self {
            listen: self.listen.or(below.listen),
            store,
            store_file,
            data: self.data.or(below.data),
            lease_ttl: self.lease_ttl.or(below.lease_ttl),
            allow_insecure_listen: self.allow_insecure_listen.or(below.allow_insecure_listen),
            allowed_hosts: if self.allowed_hosts.is_empty() {
                below.allowed_hosts
            } else {
                self.allowed_hosts
            },
            log_format: self.log_format.or(below.log_format),
            log: self.log.or(below.log),
            currency: self.currency.or(below.currency),
            price: if self.price.is_empty() {
                below.price
            } else {
                self.price
            },
            policy: if self.policy.is_empty() {
                below.policy
            } else {
                self.policy
            },
        }
    }
}

/// What the coordinator takes from the environment beside its own variables.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// `XDG_DATA_HOME`, if it is an absolute path.
    pub xdg_data_home: Option<PathBuf>,
    /// `HOME`.
    pub home: Option<PathBuf>,
}

impl Surroundings {
    /// Those of this process.
    #[must_use]
    pub fn of_this_process() -> Self {
        let path = |name| {
            std::env::var_os(name)
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
        };
        Self {
            xdg_data_home: path("XDG_DATA_HOME"),
            home: path("HOME"),
        }
    }

    fn data_dir(&self) -> Option<PathBuf> {
        match (&self.xdg_data_home, &self.home) {
            (Some(data), _) => Some(data.join("tunesmith")),
            (None, Some(home)) => Some(home.join(".local/share/tunesmith")),
            (None, None) => None,
        }
    }
}

/// Checked configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// Address to listen on; port 0 is any free one.
    pub listen: SocketAddr,
    /// The database.
    pub store: StoreUrl,
    /// Folder for tokens.
    pub data: PathBuf,
    /// Time without a sign of life after which leases end.
    pub lease_ttl: Duration,
    /// Names by which HTTP clients may call.
    pub allowed_hosts: Vec<String>,
    /// Form of log lines.
    pub log_format: LogFormat,
    /// Which log lines.
    pub log: String,
    /// On what terms studies use the machines.
    pub terms: Terms,
}

impl Config {
    /// Checks `raw`, and fills in what it leaves open.
    ///
    /// # Errors
    /// [`ConfigError`] naming the flag, the value and the remedy.
    pub fn check(raw: RawConfig, surroundings: &Surroundings) -> Result<Self, ConfigError> {
        let listen = match raw.listen {
            Some(listen) => listen,
            None => DEFAULT_LISTEN
                .parse()
                .map_err(|error| ConfigError::value("listen", error))?,
        };
        if !listen.ip().to_canonical().is_loopback() && raw.allow_insecure_listen != Some(true) {
            let message = format!(
                "{listen} can be reached from other machines, and nothing would be encrypted: tokens could be read on the way. \
                 Listen on 127.0.0.1 and put a proxy that speaks TLS, or an SSH tunnel, before it; or, in a network that you \
                 trust, add --allow-insecure-listen"
            );
            return Err(ConfigError::value("listen", message));
        }
        let data = match raw.data.or_else(|| surroundings.data_dir()) {
            Some(data) => std::path::absolute(&data)
                .map_err(|error| ConfigError::value("data", format!("{}: {error}", data.display())))?,
            None => {
                return Err(ConfigError::value(
                    "data",
                    "none given, and neither XDG_DATA_HOME nor HOME is set",
                ));
            }
        };
        let store = match (raw.store, raw.store_file) {
            (Some(_), Some(_)) => {
                return Err(ConfigError::value(
                    "store",
                    "is given, and store-file too; give only one of them",
                ));
            }
            (Some(store), None) => store,
            (None, Some(path)) => StoreUrl::read(&path)?,
            (None, None) => StoreUrl::new(format!("sqlite:{}", data.join("tunesmith.db").display())),
        };
        let lease_ttl = raw.lease_ttl.map_or(DEFAULT_LEASE_TTL, |ttl| ttl.0);
        if !(LEASE_TTL.0..=LEASE_TTL.1).contains(&lease_ttl) {
            return Err(ConfigError::value(
                "lease-ttl",
                format!("must lie between 2s and 10m, got {}", HumanDuration(lease_ttl)),
            ));
        }
        if let Some(host) = raw.allowed_hosts.iter().find(|host| !is_host(host)) {
            let message = format!("{host:?} is no host name; give names alone, without scheme and port");
            return Err(ConfigError::value("allowed-host", message));
        }
        let log = raw.log.unwrap_or_else(|| "info".to_owned());
        tracing_subscriber::EnvFilter::try_new(&log).map_err(|error| {
            ConfigError::value(
                "log",
                format!("{log:?} is no filter: {error}; write it like info or tunesmith_coordinator=debug"),
            )
        })?;
        Ok(Self {
            listen,
            store,
            data,
            lease_ttl,
            allowed_hosts: raw.allowed_hosts,
            log_format: raw.log_format.unwrap_or_default(),
            log,
            terms: terms::check(raw.currency, &raw.price, &raw.policy)?,
        })
    }

    /// What is in force, as a configuration file. Passwords are left out.
    ///
    /// # Errors
    /// If a path cannot be written as text.
    pub fn show(&self) -> Result<String, toml::ser::Error> {
        toml::to_string(&RawConfig {
            listen: Some(self.listen),
            store: Some(self.store.redacted()),
            store_file: None,
            data: Some(self.data.clone()),
            lease_ttl: Some(HumanDuration(self.lease_ttl)),
            allow_insecure_listen: Some(!self.listen.ip().to_canonical().is_loopback()),
            allowed_hosts: self.allowed_hosts.clone(),
            log_format: Some(self.log_format),
            log: Some(self.log.clone()),
            currency: Some(self.terms.prices.currency.clone()),
            price: self.terms.prices.list.iter().map(RawPrice::from).collect(),
            policy: self.terms.policies.iter().map(RawPolicy::from).collect(),
        })
    }
}

fn is_host(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_' | b'[' | b']' | b':')
        })
        && (text.starts_with('[') || !text.contains(':'))
}

#[cfg(test)]
mod tests;
