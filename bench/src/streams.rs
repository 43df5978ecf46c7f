//! Durable, judged points on workers' sessions: each session runs some trials that print as fast as acknowledgements allow.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as Up;
use tunesmith_proto::v1::open_session_response::Message as Down;

use crate::client::{Api, points};
use crate::coordinator::Coordinator;
use crate::figures::{figure, rate};

/// Trials on each session.
const TRIALS: u32 = 8;
/// Points in a batch, as a worker sends them at most.
const BATCH: u64 = 512;
/// Batches of an attempt that are not acknowledged at most, as for a real worker.
const WINDOW: u64 = 4;

pub(crate) async fn measure(coordinator: &Coordinator, streams: usize, time: Duration) -> anyhow::Result<()> {
    let rules = "early_stopping: [{rule: median, warmup_steps: 100000000}, {rule: diverging}]\n";
    let study = format!("streams-{streams}");
    coordinator
        .api()?
        .create(&study, &format!("{rules}trial: {{command: [train]}}\n"))
        .await?;
    let acknowledged = Arc::new(AtomicU64::new(0));
    let mut tasks = JoinSet::new();
    for number in 0..streams {
        let (api, acknowledged) = (coordinator.worker_api()?, Arc::clone(&acknowledged));
        tasks.spawn(async move { session(api, number, acknowledged).await });
    }
    // Measured once everything runs.
    while acknowledged.load(Ordering::Relaxed) < BATCH * u64::from(TRIALS) * streams as u64 {
        if let Some(ended) = tasks.try_join_next() {
            ended??;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (start, before) = (Instant::now(), acknowledged.load(Ordering::Relaxed));
    tokio::time::sleep(time).await;
    let per_second = rate(acknowledged.load(Ordering::Relaxed) - before, start.elapsed());
    tasks.shutdown().await;
    let fields = json!({"streams": streams, "trials": streams as u64 * u64::from(TRIALS), "points_per_s": per_second,
        "memory_mib": coordinator.memory_mib()});
    figure("points", coordinator.store, fields);
    Ok(())
}

/// What a worker says first.
pub(crate) fn hello(number: usize, slots: u32) -> Up {
    Up::Hello(v1::WorkerHello {
        worker: format!("bench-{number}"),
        worker_uid: uuid::Uuid::new_v4().to_string(),
        instance: uuid::Uuid::new_v4().to_string(),
        generation: 1,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol_min: tunesmith_proto::SESSION_PROTOCOL,
        protocol_max: tunesmith_proto::SESSION_PROTOCOL,
        resources: Some(v1::WorkerResources {
            slots,
            cpus: 8.0,
            memory_bytes: 1 << 34,
            ..v1::WorkerResources::default()
        }),
        attempts: Vec::new(),
        draining: false,
    })
}

fn request(message: Up) -> v1::OpenSessionRequest {
    v1::OpenSessionRequest {
        message: Some(message),
    }
}

#[derive(Debug, Default)]
struct Sent {
    lease: v1::Lease,
    sent: u64,
    acknowledged: u64,
}

async fn session(mut api: Api, number: usize, acknowledged: Arc<AtomicU64>) -> anyhow::Result<()> {
    let (sender, receiver) = mpsc::channel(256);
    sender.send(request(hello(number, TRIALS))).await?;
    let mut down = api
        .workers
        .open_session(ReceiverStream::new(receiver))
        .await?
        .into_inner();
    let mut attempts: HashMap<u64, Sent> = HashMap::new();
    while let Some(message) = down.next().await {
        let trial = match message?.message {
            Some(Down::Assignment(assignment)) => {
                let lease = assignment.lease.context("an assignment without a lease")?;
                let started = v1::AttemptStarted {
                    lease: Some(lease.clone()),
                    pid: 1,
                    started_at: None,
                };
                sender.send(request(Up::Started(started))).await?;
                let trial = lease.trial;
                attempts.insert(
                    trial,
                    Sent {
                        lease,
                        ..Sent::default()
                    },
                );
                trial
            }
            Some(Down::Ack(ack)) => {
                let trial = ack.lease.context("an acknowledgement without a lease")?.trial;
                let Some(attempt) = attempts.get_mut(&trial) else {
                    continue;
                };
                acknowledged.fetch_add(ack.committed_seq - attempt.acknowledged, Ordering::Relaxed);
                attempt.acknowledged = ack.committed_seq;
                trial
            }
            _ => continue,
        };
        let Some(attempt) = attempts.get_mut(&trial) else {
            continue;
        };
        while attempt.sent - attempt.acknowledged < WINDOW * BATCH {
            let first = i64::try_from(attempt.sent)?;
            let steps = first..first + i64::try_from(BATCH)?;
            let batch = v1::PointsBatch {
                lease: Some(attempt.lease.clone()),
                first_seq: attempt.sent + 1,
                points: Some(points("val_acc", steps, |step| value(step, trial))),
            };
            sender.send(request(Up::Points(batch))).await?;
            attempt.sent += BATCH;
        }
    }
    Ok(())
}

/// A curve that rises, a little different for each trial.
#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(step: i64, trial: u64) -> f64 {
    1.0 - 1.0 / (2.0 + step as f64) - trial as f64 * 1e-6
}
