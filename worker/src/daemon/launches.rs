//! Launches under way. The conversation with the coordinator goes on meanwhile: signs of life must not wait for a checkpoint that is being fetched.
//!
//! Orders about an attempt wait until it is launched, so that they are carried out in the order in which they came. One that wants no program gives the launch up.

use std::pin::Pin;
use std::task::Poll;

use tokio::task::{JoinError, JoinHandle};
use tokio_util::sync::CancellationToken;
use tunesmith_common::LeaseKey;
use tunesmith_proto::convert::lease_from_wire;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_response::Message;

use crate::attempt::{Attempt, AttemptError};

/// What comes of a launch.
pub(crate) type Launched = Result<Result<Attempt, AttemptError>, JoinError>;

/// A launch under way.
#[derive(Debug)]
pub(crate) struct Launch {
    pub(crate) lease: LeaseKey,
    /// Name of the study, for people.
    pub(crate) study: String,
    /// Its GPUs, for people.
    pub(crate) gpus: String,
    pub(crate) task: JoinHandle<Result<Attempt, AttemptError>>,
    pub(crate) given_up: CancellationToken,
    /// Orders that came meanwhile.
    pub(crate) held_back: Vec<v1::OpenSessionResponse>,
}

/// The launches under way. They outlive a conversation.
#[derive(Debug, Default)]
pub(crate) struct Launches(Vec<Launch>);

impl Launches {
    /// Adds a launch. Others of the same trial are given up: their leases are lost, though nobody has said so.
    pub(crate) fn add(&mut self, launch: Launch) {
        let LeaseKey { study, trial, .. } = launch.lease;
        let of_the_trial = |other: &&Launch| (other.lease.study, other.lease.trial) == (study, trial);
        for other in self.0.iter().filter(of_the_trial) {
            other.given_up.cancel();
        }
        self.0.push(launch);
    }

    pub(crate) fn has(&self, lease: &LeaseKey) -> bool {
        self.0.iter().any(|launch| launch.lease == *lease)
    }

    /// Number of those whose end is not told yet.
    pub(crate) fn held(&self) -> usize {
        self.0.len()
    }

    /// Number of those that have not ended.
    pub(crate) fn live(&self) -> usize {
        let live = self.0.iter().filter(|launch| !launch.task.is_finished());
        live.count()
    }

    /// The order, unless it is about an attempt that is being launched.
    pub(crate) fn hold_back(&mut self, order: v1::OpenSessionResponse) -> Option<v1::OpenSessionResponse> {
        let lease = match &order.message {
            Some(Message::Ack(order)) => order.lease.as_ref(),
            Some(Message::Resend(order)) => order.lease.as_ref(),
            Some(Message::Stop(order)) => order.lease.as_ref(),
            Some(Message::Forget(order)) => order.lease.as_ref(),
            Some(Message::Stale(order)) => order.lease.as_ref(),
            _ => None,
        };
        // One that is malformed is dealt with where it is carried out.
        let lease = lease.and_then(|lease| lease_from_wire(Some(lease), "lease").ok());
        let launch = lease.and_then(|lease| self.0.iter_mut().find(|launch| launch.lease == lease));
        match launch {
            Some(launch) => {
                if matches!(
                    order.message,
                    Some(Message::Stop(_) | Message::Forget(_) | Message::Stale(_))
                ) {
                    launch.given_up.cancel();
                }
                launch.held_back.push(order);
                None
            }
            None => Some(order),
        }
    }

    /// Waits for the end of one of them; for ever if there is none. Nothing is lost if this is dropped.
    pub(crate) async fn next(&mut self) -> (Launch, Launched) {
        std::future::poll_fn(|context| {
            for index in 0..self.0.len() {
                if let Poll::Ready(launched) = Pin::new(&mut self.0[index].task).poll(context) {
                    return Poll::Ready((self.0.remove(index), launched));
                }
            }
            Poll::Pending
        })
        .await
    }
}
