//! When each worker was last heard of: written by sessions with every message, read by engines when they look for late leases.
//!
//! Nothing is stored: after a restart every lease gets a full new term anyway.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use tunesmith_common::WorkerId;
use tunesmith_common::clock::Monotonic;

/// Signs of life of all workers.
#[derive(Debug, Default)]
pub struct Presence(RwLock<HashMap<WorkerId, Arc<AtomicU64>>>);

impl Presence {
    /// Takes note of a sign of life.
    pub fn heard(&self, worker: WorkerId, at: Monotonic) {
        let millis = u64::try_from(at.0.as_millis()).unwrap_or(u64::MAX);
        if let Some(cell) = self.0.read().unwrap_or_else(PoisonError::into_inner).get(&worker) {
            cell.fetch_max(millis, Ordering::Relaxed);
            return;
        }
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        table
            .entry(worker)
            .or_default()
            .fetch_max(millis, Ordering::Relaxed);
    }

    /// When a worker was last heard of, if it was since this process started.
    #[must_use]
    pub fn last_heard(&self, worker: WorkerId) -> Option<Monotonic> {
        let table = self.0.read().unwrap_or_else(PoisonError::into_inner);
        table
            .get(&worker)
            .map(|cell| Monotonic(Duration::from_millis(cell.load(Ordering::Relaxed))))
    }

    /// Forgets a worker.
    pub fn forget(&self, worker: WorkerId) {
        self.0
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&worker);
    }
}
