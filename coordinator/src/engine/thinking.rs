//! Where costly strategies compute: on a few threads for all studies of this coordinator, away from the engines, which go on meanwhile.
//!
//! It must not decide anything: a [`Question`] has all that its answer depends on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use tunesmith_common::clock::{Clock, Monotonic};

use crate::decide::{Advice, Question};

/// The threads for computing.
#[derive(Clone, Debug)]
pub(super) struct Thinkers {
    places: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl Thinkers {
    /// As many at a time as there are processors. Computations under way count among `tasks`.
    pub(super) fn new(tasks: TaskTracker) -> Self {
        let processors = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            places: Arc::new(Semaphore::new(processors)),
            tasks,
        }
    }

    /// Has a question answered as soon as a thread is free.
    fn ask(&self, question: Question) -> oneshot::Receiver<Advice> {
        let (sender, receiver) = oneshot::channel();
        let places = Arc::clone(&self.places);
        let tasks = self.tasks.clone();
        self.tasks.spawn(async move {
            // An error would mean that nobody computes any more, and nobody waits then.
            let Ok(place) = places.acquire_owned().await else {
                return;
            };
            tasks.spawn_blocking(move || {
                // The engine may have gone: nobody needs the answer then.
                drop(sender.send(question.answer()));
                drop(place);
            });
        });
        receiver
    }
}

/// The question of one study that is being answered, if there is one.
#[derive(Default)]
pub(super) struct Thinking(Option<(oneshot::Receiver<Advice>, Monotonic)>);

impl Thinking {
    pub(super) fn begin(&mut self, thinkers: &Thinkers, clock: &dyn Clock, question: Question) {
        self.0 = Some((thinkers.ask(question), clock.monotonic()));
    }

    /// The answer and how long it took, once it is there; None if it will never be. Waits for ever if nothing was asked. Nothing is
    /// lost if the future is dropped.
    pub(super) async fn advice(&mut self, clock: &dyn Clock) -> Option<(Advice, Duration)> {
        let Some((answer, begun)) = &mut self.0 else {
            return std::future::pending().await;
        };
        let advice = answer.await;
        let took = clock.monotonic().saturating_since(*begun);
        self.0 = None;
        advice.ok().map(|advice| (advice, took))
    }
}
