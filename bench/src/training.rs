//! What this program does as a training.

use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::Instant;

/// A training ends by itself after so long, should nobody stop it.
const LONGEST: Duration = Duration::from_secs(600);

/// Prints so many points per second until it is stopped.
pub(crate) async fn print_points(per_second: u32) -> anyhow::Result<()> {
    let start = Instant::now();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second.max(1));
    let mut step = 0_i64;
    while start.elapsed() < LONGEST {
        ticks.tick().await;
        step += 1;
        print_point(step, 0.5)?;
    }
    Ok(())
}

/// Prints one point for which a rule stops the training, and adds the microseconds until it hears SIGTERM to the file `record`.
pub(crate) async fn wait_for_stop(record: &Path) -> anyhow::Result<()> {
    let mut told = signal(SignalKind::terminate())?;
    print_point(1, 1.0)?;
    // The start of a training is not what is measured: let it pass. Its length varies, so that nothing falls into step with it.
    tokio::time::sleep(Duration::from_millis(100 + u64::from(std::process::id()) % 50)).await;
    let printed = Instant::now();
    print_point(2, 0.0)?;
    tokio::time::timeout(LONGEST, told.recv())
        .await
        .context("nobody stopped this training")?;
    let waited = printed.elapsed().as_micros();
    let mut file = std::fs::File::options().create(true).append(true).open(record)?;
    file.write_all(format!("{waited}\n").as_bytes())?;
    Ok(())
}

fn print_point(step: i64, value: f64) -> anyhow::Result<()> {
    // One write, as a program that flushes each line.
    let line = format!(
        "{}\n",
        serde_json::json!({"metric": "val_acc", "value": value, "step": step})
    );
    let mut out = std::io::stdout().lock();
    out.write_all(line.as_bytes())?;
    Ok(out.flush()?)
}
