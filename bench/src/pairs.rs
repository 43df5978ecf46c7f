//! Durable ask and tell: each client asks for a trial, tells its value, and begins again.

use std::time::Duration;

use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::coordinator::{Coordinator, cpu_seconds};
use crate::figures::{figure, quantiles, rate, with};

/// Connections that clients share at most.
const CONNECTIONS: usize = 2;

pub(crate) async fn measure(coordinator: &Coordinator, clients: usize, time: Duration) -> anyhow::Result<()> {
    let study = coordinator.api()?.create(&format!("pairs-{clients}"), "").await?;
    let apis = (0..clients.min(CONNECTIONS))
        .map(|_| coordinator.api())
        .collect::<Result<Vec<_>, _>>()?;
    let mut tasks = JoinSet::new();
    let (server_before, client_before) = (coordinator.cpu_seconds(), cpu_seconds("self"));
    let start = Instant::now();
    for client in 0..clients {
        let (mut api, study) = (apis[client % apis.len()].clone(), study.clone());
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while start.elapsed() < time {
                let begin = Instant::now();
                let asked = api.ask(&study).await?;
                api.tell(asked, 0.5).await?;
                latencies.push(begin.elapsed());
            }
            Ok::<_, tonic::Status>(latencies)
        });
    }
    let mut latencies = Vec::new();
    while let Some(done) = tasks.join_next().await {
        latencies.extend(done??);
    }
    let pairs = rate(latencies.len() as u64, start.elapsed());
    #[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
    let microseconds_per_pair = |seconds: f64| (seconds * 1e6 / latencies.len() as f64).round();
    let fields = json!({
        "clients": clients,
        "pairs_per_s": pairs,
        "coordinator_cpu_us": microseconds_per_pair(coordinator.cpu_seconds() - server_before),
        "client_cpu_us": microseconds_per_pair(cpu_seconds("self") - client_before),
        "memory_mib": coordinator.memory_mib(),
    });
    figure(
        "ask_tell",
        coordinator.store,
        with(fields, quantiles(&mut latencies)),
    );
    Ok(())
}
