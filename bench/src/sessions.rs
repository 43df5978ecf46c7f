//! Idle sessions of many workers: how long they take to join, and what they cost.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::wrappers::ReceiverStream;
use tunesmith_proto::v1;

use crate::coordinator::Coordinator;
use crate::figures::figure;
use crate::streams::hello;

/// Workers that join at the same time: more would overflow the operating system's queue of connections.
const JOINING: usize = 256;

pub(crate) async fn measure(coordinator: &Coordinator, count: usize) -> anyhow::Result<()> {
    let before = coordinator.memory_mib();
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    let mut sessions = Vec::with_capacity(count);
    for number in 0..count {
        let mut api = coordinator.worker_api()?;
        tasks.spawn(async move {
            let (sender, receiver) = mpsc::channel(4);
            sender
                .send(v1::OpenSessionRequest {
                    message: Some(hello(number, 1)),
                })
                .await?;
            let mut down = api
                .workers
                .open_session(ReceiverStream::new(receiver))
                .await?
                .into_inner();
            down.message().await?.context("the session ended at once")?;
            Ok::<_, anyhow::Error>((sender, down))
        });
        if tasks.len() >= JOINING
            && let Some(done) = tasks.join_next().await
        {
            sessions.push(done??);
        }
    }
    while let Some(done) = tasks.join_next().await {
        sessions.push(done??);
    }
    let joined = start.elapsed();
    tokio::time::sleep(Duration::from_secs(2)).await;
    let fields = json!({"sessions": sessions.len(), "joined_in_s": joined.as_secs_f64(), "memory_mib_before": before,
        "memory_mib": coordinator.memory_mib()});
    figure("idle_sessions", coordinator.store, fields);
    Ok(())
}
