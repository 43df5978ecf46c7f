//! What a worker costs its machine while trials report, and how long a stop takes: a real worker, and real processes that print.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use nix::time::ClockId;
use nix::unistd::Pid;
use serde_json::json;
use tokio::time::Instant;
use tunesmith_proto::v1;

use crate::coordinator::Coordinator;
use crate::figures::{figure, quantiles, with};
use crate::worker::{Worker, command, wait_for_study};

const TRIALS: usize = 8;
const POINTS_PER_SECOND: u32 = 10;
/// Launching costs more than running: not measured.
const SETTLE: Duration = Duration::from_secs(3);
/// Trials that are stopped, one after the other.
const STOPS: usize = 200;

/// CPU and memory of the daemon with 8 trials that print 10 points of the objective per second each.
pub(crate) async fn measure_load(
    coordinator: &Coordinator,
    programs: &Path,
    time: Duration,
) -> anyhow::Result<()> {
    let mut api = coordinator.api()?;
    let training = command(&["--print-points", &POINTS_PER_SECOND.to_string()])?;
    let study = api
        .create("load", &format!("budget: {{trials: {TRIALS}}}\n{training}"))
        .await?;
    let worker = Worker::start(coordinator, programs, TRIALS)?;
    let all_run = |study: &v1::Study| {
        let running = study.counts.as_ref().map_or(0, |counts| counts.running);
        running == TRIALS as u64
    };
    wait_for_study(&mut api, &study, Duration::from_secs(60), all_run).await?;
    tokio::time::sleep(SETTLE).await;
    let (before, start) = (Usage::of(worker.pid())?, Instant::now());
    tokio::time::sleep(time).await;
    let (after, seconds) = (Usage::of(worker.pid())?, start.elapsed().as_secs_f64());
    let per_second = |count: f64| (count / seconds * 100.0).round() / 100.0;
    figure(
        "worker_daemon",
        coordinator.store,
        json!({
            "trials": TRIALS,
            "points_per_s_each": POINTS_PER_SECOND,
            "seconds": seconds.round(),
            "cpu_percent": per_second((after.cpu - before.cpu).as_secs_f64() * 100.0),
            "waits_per_s": per_second(after.waits - before.waits),
            "memory_mib": after.memory_mib,
            "most_memory_mib": after.most_memory_mib,
        }),
    );
    let request = v1::StopStudyRequest { name: study.clone() };
    api.studies.stop_study(request).await?;
    wait_for_study(&mut api, &study, Duration::from_secs(60), is_done).await
}

/// From the moment a training prints the point for which a rule stops it to the moment its handler of SIGTERM runs.
pub(crate) async fn measure_stops(coordinator: &Coordinator, programs: &Path) -> anyhow::Result<()> {
    let mut api = coordinator.api()?;
    let worker = Worker::start(coordinator, programs, 1)?;
    let record = worker.file("stops");
    let path = record
        .to_str()
        .context("the temporary folder's path is no text")?;
    let training = command(&["--wait-for-stop", path])?;
    let rules = "early_stopping: [{rule: threshold, below: 0.25}]";
    let study = api
        .create(
            "stops",
            &format!("budget: {{trials: {STOPS}}}\n{rules}\n{training}"),
        )
        .await?;
    wait_for_study(&mut api, &study, Duration::from_secs(300), is_done).await?;
    let mut waits = std::fs::read_to_string(&record)?
        .lines()
        .map(|micros| micros.parse().map(Duration::from_micros))
        .collect::<Result<Vec<Duration>, _>>()?;
    ensure!(
        waits.len() == STOPS,
        "{} of {STOPS} trainings were stopped",
        waits.len()
    );
    figure(
        "printed_point_to_sigterm",
        coordinator.store,
        with(json!({"trials": STOPS}), quantiles(&mut waits)),
    );
    Ok(())
}

fn is_done(study: &v1::Study) -> bool {
    study.state() == v1::StudyState::Done
}

/// What a process has used so far.
#[derive(Debug)]
struct Usage {
    /// By the scheduler's account: the one of /proc counts ticks, of which short work causes too many or too few.
    cpu: Duration,
    /// How often its threads went to sleep by themselves.
    waits: f64,
    memory_mib: f64,
    most_memory_mib: f64,
}

impl Usage {
    fn of(pid: u32) -> anyhow::Result<Self> {
        let clock = ClockId::pid_cpu_clock_id(Pid::from_raw(pid.try_into()?))?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
        let mut waits = 0.0;
        for thread in std::fs::read_dir(format!("/proc/{pid}/task"))? {
            // Threads come and go.
            let status = std::fs::read_to_string(thread?.path().join("status")).unwrap_or_default();
            waits += number(&status, "voluntary_ctxt_switches:");
        }
        let mib = |key| (number(&status, key) / 1024.0 * 10.0).round() / 10.0;
        Ok(Self {
            cpu: clock.now()?.into(),
            waits,
            memory_mib: mib("VmRSS:"),
            most_memory_mib: mib("VmHWM:"),
        })
    }
}

/// The number behind `key` at the beginning of a line; 0 if there is none.
fn number(text: &str, key: &str) -> f64 {
    text.lines()
        .find_map(|line| line.strip_prefix(key))
        .and_then(|value| value.split_whitespace().next()?.parse().ok())
        .unwrap_or(0.0)
}
