//! What a worker says about its attempts, on its way to the engines: in order for each study, with one commit under way for each.
//!
//! Messages wait here until nothing more is there to be read, and while a commit is under way; those of a study then go into one commit
//! together: the last points of a trial, its end, and what follows from it.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use tonic::{Code, Status};
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::measurement::PointBatch;
use tunesmith_common::worker::AttemptEnd;
use tunesmith_common::{LeaseKey, StudyId, WorkerId};

use crate::decide::{Ctx, Outbox, StudyCore};
use crate::engine::{EngineError, Engines};
use crate::grpc::status::{ApiError, refuse};

/// Bytes, about, that wait for engines at most. A worker has a few batches of each attempt under way and waits for their
/// acknowledgement; one that sends much more does not keep to the protocol.
const WAITING: usize = 32 << 20;
/// Messages of one commit at most.
const BATCH: usize = 64;

/// One message about an attempt.
#[derive(Debug)]
pub(super) enum News {
    Started {
        lease: LeaseKey,
        pid: u32,
    },
    Points {
        lease: LeaseKey,
        first_seq: u64,
        batch: PointBatch,
    },
    Checkpoint {
        lease: LeaseKey,
        checkpoint: Checkpoint,
    },
    Ended(Box<AttemptEnd>),
}

impl News {
    fn lease(&self) -> LeaseKey {
        match self {
            Self::Started { lease, .. } | Self::Points { lease, .. } | Self::Checkpoint { lease, .. } => {
                *lease
            }
            Self::Ended(end) => end.lease,
        }
    }

    /// Bytes that it takes in memory, about.
    fn weight(&self) -> usize {
        const FIXED: usize = 512;
        FIXED
            + match self {
                Self::Started { .. } | Self::Checkpoint { .. } => 0,
                Self::Points { batch, .. } => {
                    batch.points.len() * size_of::<tunesmith_common::measurement::Point>()
                }
                Self::Ended(end) => end.log_tail.len(),
            }
    }

    fn apply(self, core: &mut StudyCore, out: &mut Outbox, ctx: &Ctx<'_>, worker: WorkerId) {
        match self {
            Self::Started { lease, pid } => core.started(out, ctx, worker, lease, pid),
            Self::Points {
                lease,
                first_seq,
                batch,
            } => core.points(out, ctx, worker, lease, first_seq, &batch),
            Self::Checkpoint { lease, checkpoint } => core.checkpoint(out, worker, &lease, checkpoint),
            Self::Ended(end) => core.ended(out, ctx, worker, *end),
        }
    }
}

/// What became of a batch.
#[derive(Debug)]
pub(super) enum Delivered {
    /// It is stored, and answered by orders.
    Stored,
    /// There is no such study: these leases are of no use.
    Unknown(Vec<LeaseKey>),
}

type Delivery = Pin<Box<dyn Future<Output = (StudyId, Result<Delivered, EngineError>)> + Send>>;

/// Messages on their way to engines.
pub(super) struct Inbox {
    engines: Arc<Engines>,
    worker: WorkerId,
    waiting: HashMap<StudyId, VecDeque<News>>,
    /// Weight of all that waits.
    weight: usize,
    /// Studies with an entry in `waiting` and no commit under way.
    idle: Vec<StudyId>,
    under_way: FuturesUnordered<Delivery>,
}

impl Inbox {
    pub(super) fn new(engines: Arc<Engines>, worker: WorkerId) -> Self {
        Self {
            engines,
            worker,
            waiting: HashMap::new(),
            weight: 0,
            idle: Vec::new(),
            under_way: FuturesUnordered::new(),
        }
    }

    /// Takes a message in. It is on its way once [`Self::next`] is called.
    ///
    /// # Errors
    /// If the worker sends faster than it is answered.
    pub(super) fn push(&mut self, news: News) -> Result<(), Status> {
        if self.weight >= WAITING {
            let message = format!(
                "more than {WAITING} bytes wait; a worker waits for acknowledgements before it sends more"
            );
            return Err(refuse(Code::ResourceExhausted, "SESSION_OVERFLOW", message));
        }
        let study = news.lease().study;
        self.weight += news.weight();
        let queue = self.waiting.entry(study).or_insert_with(|| {
            self.idle.push(study);
            VecDeque::new()
        });
        queue.push_back(news);
        Ok(())
    }

    /// Whether nothing waits and nothing is under way.
    pub(super) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Sends what waits and waits until a commit is done. Waits forever if there is none. Nothing is lost if this is dropped.
    ///
    /// # Errors
    /// If it failed: what it held is lost here, and the worker has to send it again.
    pub(super) async fn next(&mut self) -> Result<Vec<LeaseKey>, Status> {
        for study in std::mem::take(&mut self.idle) {
            self.send_waiting(study);
        }
        let Some((study, result)) = self.under_way.next().await else {
            return std::future::pending().await;
        };
        let delivered = result.map_err(ApiError::from)?;
        self.send_waiting(study);
        match delivered {
            Delivered::Stored => Ok(vec![]),
            Delivered::Unknown(leases) => Ok(leases),
        }
    }

    /// Starts a commit with what waits for a study that has none under way.
    fn send_waiting(&mut self, study: StudyId) {
        let batch: Vec<News> = match self.waiting.get_mut(&study) {
            Some(queue) => queue.drain(..queue.len().min(BATCH)).collect(),
            None => vec![],
        };
        self.weight -= batch.iter().map(News::weight).sum::<usize>();
        if batch.is_empty() {
            self.waiting.remove(&study);
            return;
        }
        let (engines, worker) = (Arc::clone(&self.engines), self.worker);
        self.under_way.push(Box::pin(async move {
            (study, deliver(&engines, worker, study, batch).await)
        }));
    }
}

async fn deliver(
    engines: &Engines,
    worker: WorkerId,
    study: StudyId,
    batch: Vec<News>,
) -> Result<Delivered, EngineError> {
    let engine = engines
        .open_by_id(study)
        .await
        .map_err(|error| EngineError::from_store(&error))?;
    let Some(engine) = engine else {
        return Ok(Delivered::Unknown(batch.iter().map(News::lease).collect()));
    };
    engine
        .call(move |core, out, ctx| {
            for news in batch {
                news.apply(core, out, ctx, worker);
            }
            Ok(Delivered::Stored)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::EngineSettings;
    use crate::pool::Pool;
    use crate::store::MemoryStore;
    use tokio_util::sync::CancellationToken;
    use tunesmith_common::clock::SystemClock;
    use tunesmith_common::measurement::Point;
    use tunesmith_common::{Attempt, Clock, LeaseId, Timestamp, TrialNumber};
    use uuid::Uuid;

    fn inbox() -> Inbox {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let engines = Engines::new(
            Arc::new(MemoryStore::default()),
            Pool::new(Arc::clone(&clock), vec![], Arc::default()),
            clock,
            EngineSettings::new(std::time::Duration::from_secs(30)),
            CancellationToken::new(),
        );
        Inbox::new(engines, WorkerId(Uuid::nil()))
    }

    fn batch() -> News {
        let lease = LeaseKey {
            study: StudyId(Uuid::nil()),
            trial: TrialNumber(1),
            attempt: Attempt(1),
            id: LeaseId(Uuid::nil()),
        };
        let point = Point {
            metric: 0,
            step: 1,
            value: 0.5,
            at: Timestamp::UNIX_EPOCH,
        };
        let batch = PointBatch {
            metrics: vec!["loss".parse().unwrap()],
            points: vec![point; 512],
        };
        News::Points {
            lease,
            first_seq: 1,
            batch,
        }
    }

    #[tokio::test]
    async fn a_worker_that_does_not_wait_for_acknowledgements_is_refused() {
        let mut inbox = inbox();
        let taken = (0..100_000).take_while(|_| inbox.push(batch()).is_ok()).count();
        assert!((1_000..10_000).contains(&taken), "{taken} batches were taken");
        // What was delivered makes room again.
        assert_eq!(inbox.next().await.unwrap().len(), BATCH);
        assert!(inbox.push(batch()).is_ok());
    }

    #[tokio::test]
    async fn what_is_said_of_an_unknown_study_comes_back() {
        let mut inbox = inbox();
        inbox.push(batch()).unwrap();
        inbox.push(batch()).unwrap();
        assert_eq!(inbox.next().await.unwrap().len(), 2, "together");
        assert!(inbox.is_empty());
    }
}
