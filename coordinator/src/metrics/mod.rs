//! What is counted while the coordinator runs, for Prometheus.
//!
//! Counters are atomics in fixed tables: no label value comes from outside, so nothing here can grow.

mod store;
mod text;

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use tonic::Code;

use crate::auth::{GRPC, RequestKind};

pub use store::MeteredStore;
pub use text::Gauges;

/// Upper bounds of the buckets of all latencies, in seconds.
const BUCKETS: [f64; 13] = [
    0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0,
];
/// Codes of gRPC.
const CODES: usize = 17;

/// A histogram of latencies.
#[derive(Debug, Default)]
struct Histogram {
    /// One more than there are bounds: the last is for what is slower than all.
    buckets: [AtomicU64; BUCKETS.len() + 1],
    micros: AtomicU64,
}

impl Histogram {
    fn record(&self, latency: Duration) {
        let seconds = latency.as_secs_f64();
        let index = BUCKETS.partition_point(|bound| *bound < seconds);
        self.buckets[index].fetch_add(1, Relaxed);
        self.micros
            .fetch_add(u64::try_from(latency.as_micros()).unwrap_or(u64::MAX), Relaxed);
    }
}

/// What is counted of one method.
#[derive(Debug, Default)]
struct Method {
    by_code: [AtomicU64; CODES],
    latency: Histogram,
}

/// Everything that is counted.
#[derive(Debug)]
pub struct Metrics {
    /// One for each entry of the table of calls, then unknown calls, then HTTP pages.
    methods: Vec<Method>,
    commits: [AtomicU64; 2],
    commit_latency: Histogram,
    points: AtomicU64,
    connections: AtomicU64,
    requests_in_flight: AtomicU64,
}

impl Default for Metrics {
    fn default() -> Self {
        Self {
            methods: (0..GRPC.len() + 2).map(|_| Method::default()).collect(),
            commits: Default::default(),
            commit_latency: Histogram::default(),
            points: AtomicU64::new(0),
            connections: AtomicU64::new(0),
            requests_in_flight: AtomicU64::new(0),
        }
    }
}

/// Counts something that goes on, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Ongoing<'a>(&'a AtomicU64);

impl Drop for Ongoing<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Metrics {
    /// A request was answered; of a stream only its beginning.
    pub(crate) fn request(&self, kind: RequestKind, code: Code, latency: Duration) {
        let index = match kind {
            RequestKind::Grpc(Some(index)) => index,
            RequestKind::Grpc(None) => GRPC.len(),
            RequestKind::Http => GRPC.len() + 1,
        };
        let Some(method) = self.methods.get(index) else {
            return;
        };
        let code = usize::try_from(i32::from(code)).unwrap_or(0).min(CODES - 1);
        method.by_code[code].fetch_add(1, Relaxed);
        method.latency.record(latency);
    }

    /// A connection is open for as long as the value lives.
    pub(crate) fn connection(&self) -> Ongoing<'_> {
        self.connections.fetch_add(1, Relaxed);
        Ongoing(&self.connections)
    }

    /// A request is being answered for as long as the value lives.
    pub(crate) fn in_flight(&self) -> Ongoing<'_> {
        self.requests_in_flight.fetch_add(1, Relaxed);
        Ongoing(&self.requests_in_flight)
    }

    fn commit(&self, stored: bool, points: usize, latency: Duration) {
        self.commits[usize::from(stored)].fetch_add(1, Relaxed);
        self.commit_latency.record(latency);
        if stored {
            self.points
                .fetch_add(u64::try_from(points).unwrap_or(u64::MAX), Relaxed);
        }
    }
}
