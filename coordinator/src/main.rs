//! The coordinator's binary: command line, logs, signals, exit status.

use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;
use tunesmith_common::clock::SystemClock;
use tunesmith_coordinator::config::{Config, ConfigError, LogFormat, RawConfig, Surroundings};
use tunesmith_coordinator::server::{self, Setup};
use tunesmith_coordinator::store;

/// Memory is asked for and given back by many threads with each call.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Keeps studies and trials, proposes what to try next, hands trials to workers.
#[derive(Debug, Parser)]
#[command(
    name = "tunesmith-coordinator",
    version,
    after_help = "Exit status: 0 ended as asked, 1 failed, 2 wrong configuration, 130 second signal."
)]
struct Args {
    /// Configuration file (TOML); its keys are the options below with _ for -. Variables and flags go before it
    #[arg(
        long,
        env = "TUNESMITH_COORDINATOR_CONFIG",
        value_name = "FILE",
        global = true
    )]
    config: Option<PathBuf>,
    #[command(flatten)]
    given: RawConfig,
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Look at the configuration and end
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print the names of the points at which tests have this program die
    #[cfg(feature = "crash-points")]
    CrashPoints,
}

#[derive(Clone, Copy, Debug, Subcommand)]
enum ConfigCommand {
    /// Say whether it can be used
    Check,
    /// Print what is in force, without passwords
    Show,
}

fn main() -> ExitCode {
    match start(Args::parse()) {
        Ok(code) => code,
        Err(error) => {
            // The one message for whoever started the program; logs may go elsewhere.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(if error.is::<ConfigError>() { 2 } else { 1 })
        }
    }
}

fn start(args: Args) -> anyhow::Result<ExitCode> {
    #[cfg(feature = "crash-points")]
    if let Some(Command::CrashPoints) = args.command {
        writeln!(
            std::io::stdout(),
            "{}",
            tunesmith_coordinator::crash::NAMES.join("\n")
        )?;
        return Ok(ExitCode::SUCCESS);
    }
    let file = args
        .config
        .as_deref()
        .map(RawConfig::read)
        .transpose()?
        .unwrap_or_default();
    let config = Config::check(args.given.over(file), &Surroundings::of_this_process())?;
    match args.command {
        None => {}
        Some(Command::Config(ConfigCommand::Check)) => {
            writeln!(std::io::stdout(), "the configuration can be used")?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(Command::Config(ConfigCommand::Show)) => {
            std::io::stdout().write_all(config.show()?.as_bytes())?;
            return Ok(ExitCode::SUCCESS);
        }
        #[cfg(feature = "crash-points")]
        Some(Command::CrashPoints) => {}
    }
    start_logs(&config);
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let code = runtime.block_on(serve(config))?;
    // What still runs was given up in order, or did not end in time.
    runtime.shutdown_background();
    Ok(code)
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    make_private_folder(&config.data)?;
    let store = store::open(config.store.expose()).await?;
    let running = server::start(Setup {
        store,
        clock: Arc::new(SystemClock),
        listen: config.listen,
        data: config.data,
        lease_ttl: config.lease_ttl,
        allowed_hosts: config.allowed_hosts,
        terms: config.terms,
    })
    .await?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    let impatient = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    tokio::select! {
        () = running.stop() => Ok(ExitCode::SUCCESS),
        () = impatient => {
            tracing::warn!("second signal: ending at once");
            Ok(ExitCode::from(130))
        }
    }
}

/// The folder holds secrets.
fn make_private_folder(path: &Path) -> anyhow::Result<()> {
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("cannot create the data folder {}", path.display()))
}

fn start_logs(config: &Config) {
    // The filter was checked with the configuration.
    let filter = EnvFilter::try_new(&config.log).unwrap_or_else(|_| EnvFilter::new("info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr);
    match config.log_format {
        LogFormat::Text => logs.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => logs.json().init(),
    }
}

/// Thousands of workers have a connection each; the default limit of many systems is 1,024.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    if let Err(error) = setrlimit(Resource::Nofile, limit) {
        tracing::warn!(%error, "the limit of open files could not be raised");
    }
}
