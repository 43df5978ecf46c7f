//! Drives a real coordinator over gRPC and prints one JSON line for each figure, beside the limits measured in the same run.
//!
//! Figures vary from machine to machine and from hour to hour; what counts are ratios within one run. Nothing is asserted here.
#![expect(clippy::print_stdout, reason = "figures are this program's output")]

mod client;
mod coordinator;
mod daemon;
mod figures;
mod fill;
mod growth;
mod limits;
mod pairs;
mod sessions;
mod slots;
mod streams;
mod training;
mod worker;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;

use crate::coordinator::{Coordinator, Store};

/// A worker's load is small beside what the kernel counts in: it is measured for so many times the time of a rate.
const LOAD_FOR: u32 = 6;

/// Measures Tunesmith's service.
#[derive(Debug, Parser)]
struct Args {
    /// Folder with the built programs.
    #[arg(long)]
    programs: PathBuf,
    /// Address of a Postgres server in which databases may be created; without it only SQLite is measured.
    #[arg(long, env = "TUNESMITH_TEST_POSTGRES_URL", hide_env_values = true)]
    postgres: Option<String>,
    /// Seconds to measure each rate.
    #[arg(long, default_value_t = 5)]
    seconds: u64,
    /// What to measure: limits, pairs, streams, growth, slots, sessions, load, stops; everything if not given.
    #[arg(long, value_delimiter = ',')]
    only: Vec<String>,
    /// Sizes of studies, in finished trials. A million takes some minutes on each store, most of them to fill it.
    #[arg(
        long,
        env = "TUNESMITH_BENCH_SIZES",
        value_delimiter = ',',
        default_value = "100,1000,10000,100000"
    )]
    sizes: Vec<u64>,
    /// Idle sessions of workers.
    #[arg(long, default_value_t = 5_000)]
    sessions: usize,
    /// Clients that ask and tell at the same time.
    #[arg(long, value_delimiter = ',', default_value = "1,8,64")]
    clients: Vec<usize>,
    /// Only serve bare gRPC calls, as the limit that others are measured against.
    #[arg(long, hide = true)]
    echo_server: bool,
    /// Be a training that prints so many points per second.
    #[arg(long, hide = true, value_name = "PER_SECOND")]
    print_points: Option<u32>,
    /// Be a training that prints a point for which it is stopped, and adds the time until it hears of that to a file.
    #[arg(long, hide = true, value_name = "FILE")]
    wait_for_stop: Option<PathBuf>,
}

impl Args {
    fn wants(&self, what: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == what)
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    if args.echo_server {
        return limits::serve_echo().await;
    }
    if let Some(per_second) = args.print_points {
        return training::print_points(per_second).await;
    }
    if let Some(record) = &args.wait_for_stop {
        return training::wait_for_stop(record).await;
    }
    let time = Duration::from_secs(args.seconds);
    let mut stores = vec![Store::Sqlite];
    if let Some(url) = &args.postgres {
        stores.push(Store::Postgres(url.clone()));
    }
    figures::machine();
    if args.wants("limits") {
        limits::fsync()?;
        limits::echo(time).await.context("bare gRPC")?;
        if let Some(url) = &args.postgres {
            limits::bulk_insert(url, time).await.context("bulk insert")?;
        }
    }
    for store in &stores {
        if args.wants("pairs") {
            let coordinator = Coordinator::start(&args.programs, store).await?;
            for &clients in &args.clients {
                pairs::measure(&coordinator, clients, time)
                    .await
                    .context("ask and tell")?;
            }
            coordinator.stop().await?;
        }
        if args.wants("streams") {
            for streams in [1, 16] {
                let coordinator = Coordinator::start(&args.programs, store).await?;
                streams::measure(&coordinator, streams, time)
                    .await
                    .context("points on streams")?;
                coordinator.stop().await?;
            }
        }
        if args.wants("growth") {
            for &size in &args.sizes {
                let mut coordinator = Coordinator::start(&args.programs, store).await?;
                growth::measure(&mut coordinator, size)
                    .await
                    .with_context(|| format!("{size} trials"))?;
                coordinator.stop().await?;
            }
        }
        if args.wants("slots") {
            let coordinator = Coordinator::start(&args.programs, store).await?;
            slots::measure(&coordinator, &args.programs)
                .await
                .context("free slots")?;
            coordinator.stop().await?;
        }
        if args.wants("load") {
            let coordinator = Coordinator::start(&args.programs, store).await?;
            daemon::measure_load(&coordinator, &args.programs, time * LOAD_FOR)
                .await
                .context("a worker's load")?;
            coordinator.stop().await?;
        }
        if args.wants("stops") {
            let coordinator = Coordinator::start(&args.programs, store).await?;
            daemon::measure_stops(&coordinator, &args.programs)
                .await
                .context("stops")?;
            coordinator.stop().await?;
        }
        if args.wants("sessions") {
            let coordinator = Coordinator::start(&args.programs, store).await?;
            sessions::measure(&coordinator, args.sessions)
                .await
                .context("idle sessions")?;
            coordinator.stop().await?;
        }
    }
    Ok(())
}
