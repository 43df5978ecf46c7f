//! What a study's size costs: latencies of ask, report and the decision to stop, the restart, and memory, at a number of finished
//! trials of 20 steps each.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use tokio::time::Instant;
use tunesmith_proto::v1;

use crate::client::{Api, points};
use crate::coordinator::Coordinator;
use crate::figures::{figure, quantiles, with};
use crate::fill::fill;

const STEPS: i64 = 20;
/// Calls of each kind that are timed.
const SAMPLES: usize = 200;

pub(crate) async fn measure(coordinator: &mut Coordinator, size: u64) -> anyhow::Result<()> {
    let mut api = coordinator.api()?;
    let rules = "early_stopping: [{rule: median, warmup_steps: 3, min_trials: 5}]\n";
    let study = api.create(&format!("growth-{size}"), rules).await?;
    let start = Instant::now();
    coordinator
        .while_down(async |store| fill(&*store, &study, size, STEPS).await)
        .await
        .context("filling the study")?;
    let filled = start.elapsed();
    // Loading is not part of the first sample.
    let mut api = coordinator.api()?;
    let asked = first_ask(&mut api, &study).await?;
    api.tell(asked, 0.5).await?;

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
    let asked = first_ask(&mut api, &study).await?;
    let served = restart + start.elapsed();
    let cpu = coordinator.cpu_seconds();
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
        "cpu_s": cpu, "filled_in_s": filled.as_secs(), "memory_mib_before": memory, "memory_mib_after": coordinator.memory_mib(),
        "memory_mib_peak": coordinator.peak_memory_mib()});
    figure("restart", coordinator.store, fields);
    Ok(())
}

/// Asks until the study is loaded.
async fn first_ask(api: &mut Api, study: &str) -> anyhow::Result<v1::AskedTrial> {
    loop {
        match api.ask(study).await {
            Ok(asked) => return Ok(asked),
            Err(status) if status.code() == tonic::Code::Unavailable => {
                tokio::time::sleep(Duration::from_millis(5)).await
            }
            Err(status) => return Err(status.into()),
        }
    }
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
