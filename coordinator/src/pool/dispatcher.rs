//! Offers free places to studies: runs a round whenever something changed, and puts each grant to its study's engine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::registry::Pool;
use crate::decide::{Grant, Offer};
use crate::engine::Engines;

/// Offers free places to studies.
#[derive(Debug)]
pub struct Dispatcher {
    pool: Arc<Pool>,
    engines: Arc<Engines>,
}

impl Dispatcher {
    /// A dispatcher between a pool and the studies served here.
    #[must_use]
    pub fn new(pool: Arc<Pool>, engines: Arc<Engines>) -> Self {
        Self { pool, engines }
    }

    /// Runs until `shutdown` is cancelled, and until every offer under way is answered.
    pub async fn run(self, shutdown: CancellationToken) {
        let offers = TaskTracker::new();
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                () = self.pool.changed() => {}
            }
            for (number, grant, worker_name) in self.pool.round() {
                let (pool, engines) = (Arc::clone(&self.pool), Arc::clone(&self.engines));
                let offer = Offer {
                    worker: grant.worker,
                    worker_name: worker_name.to_string(),
                    gpus: grant.gpus.clone(),
                };
                offers.spawn(async move {
                    let accepted = put(&engines, &grant, offer).await;
                    pool.offer_answered(number, &grant, accepted);
                });
            }
        }
        offers.close();
        offers.wait().await;
    }
}

/// Puts an offer to a study's engine; true if it took it, in which case it has sent the assignment.
async fn put(engines: &Engines, grant: &Grant, offer: Offer) -> bool {
    let Some(engine) = engines.running(grant.study) else {
        return false;
    };
    engine
        .call(move |core, out, ctx| core.offer(out, ctx, offer).map_err(Into::into))
        .await
        .is_ok()
}
