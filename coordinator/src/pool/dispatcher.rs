//! Offers free places to studies: runs a round whenever something changed, and puts each grant to its study's engine.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::places::Place;
use super::registry::Pool;
use crate::decide::Offer;
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
            for place in self.pool.round() {
                let (pool, engines) = (Arc::clone(&self.pool), Arc::clone(&self.engines));
                offers.spawn(async move {
                    let accepted = put(&engines, &place).await;
                    pool.offer_answered(place, accepted);
                });
            }
        }
        offers.close();
        offers.wait().await;
    }
}

/// Puts an offer to a study's engine; true if it took it, in which case it has sent the assignment.
async fn put(engines: &Engines, place: &Place) -> bool {
    let Some(engine) = engines.running(place.grant.study) else {
        return false;
    };
    let offer = Offer::from(place);
    engine
        .call(move |core, out, ctx| core.offer(out, ctx, offer).map_err(Into::into))
        .await
        .is_ok()
}
