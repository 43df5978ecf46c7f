//! Where costly strategies compute, and what is left to gain is found out: on a few threads for all studies of this coordinator, away from the engines, which go on meanwhile.
//!
//! It must not decide anything: a [`Question`] has all that its answer depends on.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Semaphore, oneshot};
use tokio_util::task::TaskTracker;
use tunesmith_common::clock::{Clock, Monotonic};

use crate::decide::{Advice, GainAnswer, GainQuestion, Question};

/// What is computed here.
pub(super) trait Task: Send + 'static {
    type Answer: Send + 'static;

    fn answer(self) -> Self::Answer;
}

impl Task for Question {
    type Answer = Advice;

    fn answer(self) -> Advice {
        Self::answer(self)
    }
}

impl Task for GainQuestion {
    type Answer = GainAnswer;

    fn answer(self) -> GainAnswer {
        Self::answer(self)
    }
}

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
    fn ask<T: Task>(&self, question: T) -> oneshot::Receiver<T::Answer> {
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
pub(super) struct Thinking<T: Task>(Option<(oneshot::Receiver<T::Answer>, Monotonic)>);

impl<T: Task> Default for Thinking<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T: Task> Thinking<T> {
    pub(super) fn begin(&mut self, thinkers: &Thinkers, clock: &dyn Clock, question: T) {
        self.0 = Some((thinkers.ask(question), clock.monotonic()));
    }

    /// The answer and how long it took, once it is there; None if it will never be. Waits for ever if nothing was asked. Nothing is
    /// lost if the future is dropped.
    pub(super) async fn answer(&mut self, clock: &dyn Clock) -> Option<(T::Answer, Duration)> {
        let Some((answer, begun)) = &mut self.0 else {
            return std::future::pending().await;
        };
        let answer = answer.await;
        let took = clock.monotonic().saturating_since(*begun);
        self.0 = None;
        answer.ok().map(|answer| (answer, took))
    }
}
