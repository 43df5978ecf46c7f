//! What the daemon has at hand, connected or not.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::Instant;
use tunesmith_common::Clock;

use super::launches::Launches;
use super::lifecycle::{Census, Lifecycle, Shutdown, Verdict};
use crate::attempt::{AttemptEvent, AttemptStore};
use crate::usage::Look;

/// What the daemon has at hand.
#[derive(Debug)]
pub(crate) struct Core {
    pub(crate) store: AttemptStore,
    /// Events of all attempts. They only wake: what happened is read off the attempts. Must always be read.
    pub(crate) events: mpsc::Receiver<AttemptEvent>,
    pub(crate) shutdown: watch::Receiver<Shutdown>,
    pub(crate) lifecycle: Lifecycle,
    pub(crate) launches: Launches,
    pub(crate) clock: Arc<dyn Clock>,
    /// The newest look at what is in use.
    pub(crate) looks: watch::Receiver<Arc<Look>>,
}

impl Core {
    /// What the worker's own life asks for at `now`.
    pub(crate) fn check(&mut self, now: Instant) -> Verdict {
        let requested = *self.shutdown.borrow_and_update();
        let census = self.census();
        self.lifecycle.check(now, requested, census)
    }

    /// Waits for `work`, unless the worker's own life asks for something else before.
    pub(crate) async fn attend<F: Future>(&mut self, work: F) -> Result<F::Output, Verdict> {
        tokio::pin!(work);
        loop {
            let verdict = self.check(Instant::now());
            if verdict != Verdict::Go {
                return Err(verdict);
            }
            let wake = self.lifecycle.next_check();
            tokio::select! {
                output = &mut work => return Ok(output),
                Some(_) = self.events.recv() => {}
                () = changed(&mut self.shutdown) => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn census(&self) -> Census {
        let attempts = self.store.attempts();
        let live = attempts.iter().filter(|attempt| !attempt.held().ended);
        Census {
            live: self.launches.live() + live.count(),
            held: self.launches.held() + attempts.len(),
        }
    }
}

/// Waits until something else is asked of the worker.
pub(crate) async fn changed(shutdown: &mut watch::Receiver<Shutdown>) {
    if shutdown.changed().await.is_err() {
        // Nobody is left who could ask.
        std::future::pending::<()>().await;
    }
}

/// Sleeps until then; for ever if there is no such time.
pub(crate) async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}
