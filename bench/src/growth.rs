//! What a study's size costs: latencies of ask, report and the decision to stop, the restart, and memory, at a number of finished
//! trials of 20 steps each.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tunesmith_proto::v1;

use crate::client::{Api, points};
use crate::coordinator::Coordinator;
use crate::figures::{figure, quantiles, with};

const STEPS: i64 = 20;
/// Calls of each kind that are timed.
const SAMPLES: usize = 200;
const FILLERS: usize = 32;

pub(crate) async fn measure(coordinator: &mut Coordinator, size: u64) -> anyhow::Result<()> {
    let mut api = coordinator.api()?;
    let rules = "early_stopping: [{rule: median, warmup_steps: 3, min_trials: 5}]\n";
    let study = api.create(&format!("growth-{size}"), rules).await?;
    fill(coordinator, &study, size).await?;

    let (mut asks, mut reports, mut stops, mut tells) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for sample in 0..SAMPLES {
        let start = Instant::now();
        let asked = api.ask(&study).await?;
        asks.push(start.elapsed());
        // Every other trial is hopeless, and is told so when it reports.
        let level = if sample % 2 == 0 { 2.0 } else { -2.0 };
        for step in 1..=5 {
            let start = Instant::now();
            let stop = report(&mut api, &asked, step, level).await?;
            if stop {
                stops.push(start.elapsed());
                break;
            }
            reports.push(start.elapsed());
        }
        let start = Instant::now();
        api.tell(asked, level).await?;
        tells.push(start.elapsed());
    }
    let memory = coordinator.memory_mib();
    let restart = coordinator.restart().await?;
    let mut api = coordinator.api()?;
    let start = Instant::now();
    let asked = loop {
        match api.ask(&study).await {
            Ok(asked) => break asked,
            Err(status) if status.code() == tonic::Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
            Err(status) => return Err(status.into()),
        }
    };
    let served = restart + start.elapsed();
    api.tell(asked, 0.5).await?;
    for (name, mut times) in [
        ("ask", asks),
        ("report", reports),
        ("stop_decision", stops),
        ("tell", tells),
    ] {
        let fields = with(json!({"finished_trials": size}), quantiles(&mut times));
        figure(name, coordinator.store, fields);
    }
    let fields = json!({"finished_trials": size, "answers_after_ms": millis(restart), "asks_after_ms": millis(served),
        "memory_mib_before": memory, "memory_mib_after": coordinator.memory_mib()});
    figure("restart", coordinator.store, fields);
    Ok(())
}

fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e4).round() / 10.0
}

async fn report(api: &mut Api, asked: &v1::AskedTrial, step: i64, level: f64) -> anyhow::Result<bool> {
    let request = v1::ReportPointsRequest {
        name: asked.trial.as_ref().context("no trial")?.name.clone(),
        points: Some(points("val_acc", std::iter::once(step), |_| level)),
        lease: asked.lease.clone(),
        first_seq: 0,
    };
    Ok(api.trials.report_points(request).await?.into_inner().should_stop)
}

/// Adds finished trials with their curves.
async fn fill(coordinator: &Coordinator, study: &str, size: u64) -> anyhow::Result<()> {
    let mut tasks = JoinSet::new();
    for filler in 0..FILLERS as u64 {
        let (mut api, study) = (coordinator.api()?, study.to_owned());
        tasks.spawn(async move {
            for number in (filler..size).step_by(FILLERS) {
                #[expect(clippy::cast_precision_loss, reason = "small numbers")]
                let level = (number % 1_000) as f64 / 1_000.0;
                let result = v1::Result {
                    value: Some(level),
                    state: v1::TrialState::Completed.into(),
                    points: Some(points("val_acc", 1..=STEPS, |_| level)),
                };
                let request = v1::AddTrialRequest {
                    parent: study.clone(),
                    result: Some(result),
                    ..v1::AddTrialRequest::default()
                };
                api.trials.add_trial(request).await?;
            }
            Ok::<_, tonic::Status>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}
