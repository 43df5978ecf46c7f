//! The worker's binary: command line, signals, logs, exit status.
//!
//! `supervise` comes before everything else: a supervisor must start no thread and no runtime.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tracing_subscriber::EnvFilter;
use tunesmith_common::clock::SystemClock;
use tunesmith_worker::config::{Config, ConfigError, LogFormat, RawConfig, Surroundings};
use tunesmith_worker::daemon::{self, Shutdown, WorkerError};

/// Joins a pool, runs its trials on this machine and reports their metrics.
#[derive(Debug, Parser)]
#[command(
    name = "tunesmith-worker",
    version,
    after_help = "Exit status: 0 ended as asked, 1 failed, 2 wrong configuration, 4 refused by the coordinator, 130 second signal."
)]
struct Args {
    /// Configuration file; its keys are the options below with _ for -. Variables and flags go before it
    #[arg(long, env = "TUNESMITH_WORKER_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
    /// Check the configuration, print what is given and end
    #[arg(long)]
    check_config: bool,
    #[command(flatten)]
    given: RawConfig,
}

fn main() -> ExitCode {
    if std::env::args_os().skip(1).eq(["supervise"]) {
        return tunesmith_worker::supervisor::main();
    }
    match start(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let code = match error.downcast_ref::<WorkerError>() {
                Some(error) => error.exit_code(),
                None if error.is::<ConfigError>() => 2,
                None => 1,
            };
            // The one message for whoever started the program; logs may go elsewhere.
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::from(code)
        }
    }
}

fn start(args: Args) -> anyhow::Result<()> {
    let file = args
        .config
        .as_deref()
        .map(RawConfig::read)
        .transpose()?
        .unwrap_or_default();
    let raw = args.given.over(file);
    let config = Config::check(raw.clone(), Surroundings::of_this_process())?;
    if args.check_config {
        std::io::stdout().write_all(toml::to_string(&raw)?.as_bytes())?;
        return Ok(());
    }
    start_logs(&config)?;
    // One thread, which never waits for a disk (whoever may does so elsewhere): a few points a second are not worth waking several.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let ended = runtime.block_on(serve(config));
    runtime.shutdown_timeout(std::time::Duration::from_secs(1));
    ended
}

fn start_logs(config: &Config) -> Result<(), ConfigError> {
    let filter = EnvFilter::try_new(&config.log).map_err(|error| ConfigError::Value {
        field: "log",
        message: format!(
            "{:?} is no filter: {error}; write it like info or tunesmith_worker=debug",
            config.log
        ),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
    Ok(())
}

/// Runs the daemon; the first signal ends it in good order, the second at once.
async fn serve(config: Config) -> anyhow::Result<()> {
    let mut signals = [
        SignalKind::terminate(),
        SignalKind::interrupt(),
        SignalKind::hangup(),
    ]
    .into_iter()
    .map(signal)
    .collect::<Result<Vec<_>, _>>()?;
    let (shutdown, asked) = watch::channel(Shutdown::No);
    let worker = daemon::run(config, Arc::new(SystemClock), asked);
    tokio::pin!(worker);
    loop {
        let any = futures::future::select_all(signals.iter_mut().map(|signal| Box::pin(signal.recv())));
        tokio::select! {
            ended = &mut worker => return Ok(ended?),
            _ = any => shutdown.send_modify(|asked| {
                *asked = if *asked == Shutdown::No { Shutdown::Graceful } else { Shutdown::AtOnce };
            }),
        }
    }
}
