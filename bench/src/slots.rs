//! From a free slot to the start of the next training, with a real worker and real processes.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use tunesmith_proto::v1;

use crate::coordinator::Coordinator;
use crate::figures::{figure, quantiles, with};
use crate::worker::{Worker, wait_for_study};

const TRIALS: usize = 200;

pub(crate) async fn measure(coordinator: &Coordinator, programs: &Path) -> anyhow::Result<()> {
    for strategy in ["random", "gp"] {
        measure_one(coordinator, programs, strategy).await?;
    }
    Ok(())
}

async fn measure_one(coordinator: &Coordinator, programs: &Path, strategy: &str) -> anyhow::Result<()> {
    let mut api = coordinator.api()?;
    // Long enough for what is made ready beforehand to be ready, as real trainings are.
    let command = r#"trial: {command: [sh, -c, "sleep 0.1; echo '{{\"metric\":\"val_acc\",\"value\":{width},\"step\":1}}'"]}"#;
    let study = api
        .create_with(
            strategy,
            &format!("slots-{strategy}"),
            &format!("budget: {{trials: {TRIALS}}}\n{command}\n"),
        )
        .await?;
    let worker = Worker::start(coordinator, programs, 1)?;
    let done = |study: &v1::Study| study.state() == v1::StudyState::Done;
    wait_for_study(&mut api, &study, Duration::from_secs(120), done).await?;
    drop(worker);
    // One slot: the next training starts after the one before has ended.
    let mut spans: Vec<(i64, i64)> = Vec::with_capacity(TRIALS);
    for number in 1..=TRIALS {
        let request = v1::GetTrialRequest {
            name: format!("{study}/trials/{number}"),
        };
        let trial = api
            .trials
            .get_trial(request)
            .await?
            .into_inner()
            .trial
            .unwrap_or_default();
        for attempt in trial.attempts {
            if let (Some(started), Some(ended)) = (attempt.started_at, attempt.ended_at) {
                spans.push((micros(&started), micros(&ended)));
            }
        }
    }
    spans.sort_unstable();
    let mut gaps: Vec<Duration> = spans
        .windows(2)
        .filter_map(|pair| {
            u64::try_from(pair[1].0 - pair[0].1)
                .ok()
                .map(Duration::from_micros)
        })
        .collect();
    figure(
        "free_slot_to_next_start",
        coordinator.store,
        with(
            json!({"trials": TRIALS, "strategy": strategy}),
            quantiles(&mut gaps),
        ),
    );
    Ok(())
}

fn micros(at: &pbjson_types::Timestamp) -> i64 {
    at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000
}
