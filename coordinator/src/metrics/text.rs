//! Prometheus' text format, version 0.0.4.

use std::fmt::Write as _;
use std::sync::atomic::Ordering::Relaxed;

use tonic::Code;

use super::{BUCKETS, Histogram, Metrics};
use crate::auth::GRPC;

/// What is looked up when it is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Trials of studies that have not ended, by state.
    pub trials: Vec<(&'static str, u64)>,
    /// Studies whose engines run.
    pub studies: u64,
    /// Workers by state.
    pub workers: Vec<(&'static str, u64)>,
}

impl Metrics {
    /// Everything, as Prometheus reads it.
    #[must_use]
    pub fn text(&self, gauges: &Gauges) -> String {
        let mut text = String::with_capacity(16 << 10);
        head(
            &mut text,
            "requests_total",
            "counter",
            "Requests by method and code.",
        );
        let names = GRPC
            .iter()
            .map(|(path, _)| path.trim_start_matches('/'))
            .chain(["unknown", "http"]);
        let methods: Vec<_> = names.zip(&self.methods).collect();
        for (name, method) in &methods {
            for (code, count) in (0..).zip(&method.by_code) {
                let count = count.load(Relaxed);
                if count > 0 {
                    let code = Code::from_i32(code);
                    line(
                        &mut text,
                        "requests_total",
                        &format!("method=\"{name}\",code=\"{code:?}\""),
                        count,
                    );
                }
            }
        }
        head(
            &mut text,
            "request_seconds",
            "histogram",
            "Time to the answer, or to the beginning of a stream.",
        );
        for (name, method) in &methods {
            histogram(
                &mut text,
                "request_seconds",
                &format!("method=\"{name}\""),
                &method.latency,
            );
        }
        head(&mut text, "commits_total", "counter", "Transactions of studies.");
        for (outcome, count) in ["failed", "stored"].iter().zip(&self.commits) {
            line(
                &mut text,
                "commits_total",
                &format!("outcome=\"{outcome}\""),
                count.load(Relaxed),
            );
        }
        head(
            &mut text,
            "commit_seconds",
            "histogram",
            "Time that a transaction of a study took.",
        );
        histogram(&mut text, "commit_seconds", "", &self.commit_latency);
        head(
            &mut text,
            "points_stored_total",
            "counter",
            "Metric points stored.",
        );
        line(&mut text, "points_stored_total", "", self.points.load(Relaxed));
        head(&mut text, "connections", "gauge", "Open connections.");
        line(&mut text, "connections", "", self.connections.load(Relaxed));
        head(
            &mut text,
            "requests_in_flight",
            "gauge",
            "Requests whose answer has not begun.",
        );
        line(
            &mut text,
            "requests_in_flight",
            "",
            self.requests_in_flight.load(Relaxed),
        );
        head(&mut text, "studies", "gauge", "Studies that are in memory.");
        line(&mut text, "studies", "", gauges.studies);
        head(
            &mut text,
            "trials",
            "gauge",
            "Trials of the studies in memory, by state.",
        );
        for (state, count) in &gauges.trials {
            line(&mut text, "trials", &format!("state=\"{state}\""), *count);
        }
        head(&mut text, "workers", "gauge", "Workers, by state.");
        for (state, count) in &gauges.workers {
            line(&mut text, "workers", &format!("state=\"{state}\""), *count);
        }
        text
    }
}

// Writing to a `String` cannot fail.
fn head(text: &mut String, name: &str, kind: &str, help: &str) {
    let _ = write!(
        text,
        "# HELP tunesmith_{name} {help}\n# TYPE tunesmith_{name} {kind}\n"
    );
}

fn line(text: &mut String, name: &str, labels: &str, value: u64) {
    let (open, close) = if labels.is_empty() { ("", "") } else { ("{", "}") };
    let _ = writeln!(text, "tunesmith_{name}{open}{labels}{close} {value}");
}

fn histogram(text: &mut String, name: &str, labels: &str, histogram: &Histogram) {
    let counts: Vec<u64> = histogram
        .buckets
        .iter()
        .map(|bucket| bucket.load(Relaxed))
        .collect();
    let total: u64 = counts.iter().sum();
    if total == 0 {
        return;
    }
    let comma = if labels.is_empty() { "" } else { "," };
    let mut below = 0;
    for (bound, count) in BUCKETS.iter().zip(&counts) {
        below += count;
        line(
            text,
            &format!("{name}_bucket"),
            &format!("{labels}{comma}le=\"{bound}\""),
            below,
        );
    }
    line(
        text,
        &format!("{name}_bucket"),
        &format!("{labels}{comma}le=\"+Inf\""),
        total,
    );
    line(text, &format!("{name}_count"), labels, total);
    let micros = histogram.micros.load(Relaxed);
    let braces = if labels.is_empty() {
        String::new()
    } else {
        format!("{{{labels}}}")
    };
    let _ = writeln!(
        text,
        "tunesmith_{name}_sum{braces} {}.{:06}",
        micros / 1_000_000,
        micros % 1_000_000
    );
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::auth::RequestKind;

    #[test]
    fn what_was_counted_is_shown_with_cumulative_buckets() {
        let metrics = Metrics::default();
        metrics.request(RequestKind::Grpc(Some(0)), Code::Ok, Duration::from_millis(2));
        metrics.request(
            RequestKind::Grpc(Some(0)),
            Code::NotFound,
            Duration::from_secs(60),
        );
        metrics.commit(true, 7, Duration::from_millis(1));
        let open = metrics.connection();
        let text = metrics.text(&Gauges {
            trials: vec![("RUNNING", 3)],
            ..Gauges::default()
        });
        drop(open);
        for line in [
            "tunesmith_requests_total{method=\"tunesmith.v1.StudyService/CreateStudy\",code=\"NotFound\"} 1",
            "tunesmith_request_seconds_bucket{method=\"tunesmith.v1.StudyService/CreateStudy\",le=\"0.001\"} 0",
            "tunesmith_request_seconds_bucket{method=\"tunesmith.v1.StudyService/CreateStudy\",le=\"0.0025\"} 1",
            "tunesmith_request_seconds_bucket{method=\"tunesmith.v1.StudyService/CreateStudy\",le=\"+Inf\"} 2",
            "tunesmith_request_seconds_sum{method=\"tunesmith.v1.StudyService/CreateStudy\"} 60.002000",
            "tunesmith_commits_total{outcome=\"stored\"} 1",
            "tunesmith_commit_seconds_count 1",
            "tunesmith_points_stored_total 7",
            "tunesmith_connections 1",
            "tunesmith_trials{state=\"RUNNING\"} 3",
        ] {
            assert!(
                text.lines().any(|found| found == line),
                "{line} is not in\n{text}"
            );
        }
        assert!(
            metrics
                .text(&Gauges::default())
                .contains("tunesmith_connections 0")
        );
    }
}
