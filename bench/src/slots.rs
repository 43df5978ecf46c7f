//! From a free slot to the start of the next training, with a real worker and real processes.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::json;
use tokio::time::Instant;
use tunesmith_proto::v1;

use crate::coordinator::Coordinator;
use crate::figures::{figure, quantiles, with};

const TRIALS: usize = 200;

pub(crate) async fn measure(coordinator: &Coordinator, programs: &Path) -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut api = coordinator.api()?;
    let command =
        r#"trial: {command: [sh, -c, "echo '{{\"metric\":\"val_acc\",\"value\":0.5,\"step\":1}}'"]}"#;
    let study = api
        .create("slots", &format!("budget: {{trials: {TRIALS}}}\n{command}\n"))
        .await?;
    let log = std::fs::File::create(folder.path().join("log"))?;
    let mut worker = Command::new(programs.join("tunesmith-worker"))
        .args([
            "--coordinator",
            &coordinator.url(),
            "--name",
            "bench",
            "--slots",
            "1",
            "--token-file",
        ])
        .arg(coordinator.worker_token())
        .arg("--state-dir")
        .arg(folder.path())
        .stdin(Stdio::null())
        .stderr(log.try_clone()?)
        .stdout(log)
        .spawn()?;
    let start = Instant::now();
    let ended = loop {
        let request = v1::GetStudyRequest { name: study.clone() };
        let state = api
            .studies
            .get_study(request)
            .await?
            .into_inner()
            .study
            .map(|study| study.state());
        if state == Some(v1::StudyState::Done) {
            break Ok(());
        }
        if start.elapsed() > Duration::from_secs(120) {
            break Err(anyhow::anyhow!("the study did not end in two minutes"));
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    worker.kill()?;
    worker.wait()?;
    ended?;
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
        with(json!({"trials": TRIALS}), quantiles(&mut gaps)),
    );
    Ok(())
}

fn micros(at: &pbjson_types::Timestamp) -> i64 {
    at.seconds * 1_000_000 + i64::from(at.nanos) / 1_000
}
