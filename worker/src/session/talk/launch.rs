//! From an assignment to an attempt of which the session reports.

use tunesmith_common::LeaseKey;
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, StopCause};
use tunesmith_proto::convert::{lease_from_wire, worker};
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as ToCoordinator;
use tunesmith_proto::v1::open_session_response::Message as FromCoordinator;

use super::{Link, Session, understood};
use crate::attempt::AttemptError;
use crate::daemon::launches::{Launch, Launched};
use crate::session::progress::Progress;

impl Session<'_> {
    pub(super) fn assign(&mut self, wire: &v1::Assignment) {
        let Some(lease) = understood(lease_from_wire(wire.lease.as_ref(), "assignment.lease")) else {
            return;
        };
        let (trial, attempt) = (lease.trial, lease.attempt);
        if self.core.lifecycle.is_leaving() {
            tracing::info!(study = wire.study, %trial, %attempt, "giving a trial back: this worker is leaving");
            return self.answer_end(lease, AttemptOutcome::HandedBack, None);
        }
        if self.core.launches.has(&lease) {
            tracing::debug!(study = wire.study, %trial, %attempt, "assigned again; the attempt is being launched");
            return;
        }
        let assignment = match worker::assignment_from_wire(wire) {
            Ok(assignment) => assignment,
            Err(error) => {
                tracing::warn!(study = wire.study, %trial, %attempt, %error, "cannot understand an assignment");
                let outcome = AttemptOutcome::LaunchFailed(format!(
                    "the worker cannot understand the assignment: {error}"
                ));
                return self.answer_end(lease, outcome, None);
            }
        };
        let (task, given_up) = self.core.store.begin_launch(assignment);
        self.core.launches.add(Launch {
            lease,
            study: wire.study.clone(),
            gpus: wire.gpus.join(","),
            task,
            given_up,
            held_back: Vec::new(),
        });
    }

    /// Goes on with an attempt that was launched, and does what was ordered about it meanwhile.
    pub(super) async fn launched(&mut self, launch: Launch, launched: Launched) {
        let Launch {
            lease,
            study,
            gpus,
            held_back,
            ..
        } = launch;
        let (trial, attempt) = (lease.trial, lease.attempt);
        match launched {
            Ok(Ok(_)) => {
                tracing::info!(study, %trial, %attempt, gpus, "trial launched");
                self.link(lease);
            }
            Ok(Err(AttemptError::Exists)) => {
                tracing::debug!(study, %trial, %attempt, "assigned again; the attempt goes on");
                self.link(lease);
            }
            Ok(Err(AttemptError::GivenUp)) => {
                tracing::info!(study, %trial, %attempt, "giving a trial back: its program was not started");
                let stop =
                    |order: &v1::OpenSessionResponse| matches!(order.message, Some(FromCoordinator::Stop(_)));
                let asked = held_back.iter().any(stop).then_some(StopCause::Asked);
                self.answer_end(lease, AttemptOutcome::HandedBack, asked);
            }
            Ok(Err(AttemptError::Forgotten)) => {
                let why = "the attempt was over and forgotten".to_owned();
                self.answer_end(lease, AttemptOutcome::Lost(why), None);
            }
            Ok(Err(error)) => self.launch_failed(lease, &study, &error),
            Err(error) => self.launch_failed(lease, &study, &error),
        }
        for order in held_back {
            // None of those about an attempt ends the conversation.
            let _ = Box::pin(self.obey(order)).await;
        }
    }

    fn launch_failed(&mut self, lease: LeaseKey, study: &str, error: &(dyn std::error::Error + 'static)) {
        let (trial, attempt) = (lease.trial, lease.attempt);
        tracing::warn!(study, %trial, %attempt, error, "cannot launch a trial");
        self.answer_end(lease, AttemptOutcome::LaunchFailed(chain(error)), None);
    }

    /// Reports of an attempt from now on, if it is not reported of already.
    fn link(&mut self, lease: LeaseKey) {
        let linked = self.links.iter().any(|link| link.attempt.lease() == lease);
        if let Some(attempt) = self.core.store.attempt(&lease).filter(|_| !linked) {
            let progress = Progress::after(0);
            self.links.push(Link { attempt, progress });
        }
    }

    /// Tells the end of an attempt of which nothing is on disk.
    fn answer_end(&mut self, lease: LeaseKey, outcome: AttemptOutcome, stop_cause: Option<StopCause>) {
        let end = AttemptEnd {
            lease,
            last_seq: 0,
            ended_at: self.core.clock.now(),
            outcome,
            stop_cause,
            infeasible: None,
            out_of_memory: false,
            peak_memory: 0,
            usage: Default::default(),
            log_tail: String::new(),
            warnings: Vec::new(),
            checkpoint: None,
        };
        self.answers
            .push_back(ToCoordinator::Ended(worker::ended_to_wire(&end)));
    }
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
