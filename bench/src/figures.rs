//! One figure is one JSON line.

use std::time::Duration;

use serde_json::{Value, json};

/// Prints a figure.
pub(crate) fn figure(name: &str, store: &str, mut fields: Value) {
    if let Some(object) = fields.as_object_mut() {
        object.insert("figure".to_owned(), json!(name));
        object.insert("store".to_owned(), json!(store));
    }
    println!("{fields}");
}

/// Prints what machine this is.
pub(crate) fn machine() {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| {
        line.strip_prefix("model name")?
            .split_once(':')
            .map(|(_, model)| model.trim())
    });
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let memory = memory
        .lines()
        .next()
        .unwrap_or_default()
        .trim_start_matches("MemTotal:")
        .trim()
        .to_owned();
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")
        .unwrap_or_default()
        .trim()
        .to_owned();
    figure(
        "machine",
        "-",
        json!({"cpu": model, "cores": cores, "memory": memory, "kernel": kernel}),
    );
}

/// Quantiles of durations, in milliseconds.
pub(crate) fn quantiles(durations: &mut [Duration]) -> Value {
    durations.sort();
    let at = |share: usize| {
        let index = (durations.len().saturating_sub(1)) * share / 100;
        durations
            .get(index)
            .map_or(0.0, |duration| (duration.as_secs_f64() * 1e6).round() / 1e3)
    };
    json!({"p50_ms": at(50), "p90_ms": at(90), "p99_ms": at(99), "max_ms": at(100), "samples": durations.len()})
}

/// A rate per second, rounded.
#[expect(clippy::cast_precision_loss, reason = "counts of a benchmark")]
pub(crate) fn rate(count: u64, time: Duration) -> f64 {
    (count as f64 / time.as_secs_f64()).round()
}

/// Joins two JSON objects.
pub(crate) fn with(mut fields: Value, more: Value) -> Value {
    if let (Some(object), Value::Object(more)) = (fields.as_object_mut(), more) {
        object.extend(more);
    }
    fields
}
