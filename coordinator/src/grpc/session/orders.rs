//! What the coordinator says to a worker, as messages.

use tunesmith_proto::convert::{duration_to_wire, lease_to_wire, worker as worker_convert};
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_response::Message;

use crate::decide::{Order, Verdict};
use crate::pool::ToWorker;

/// One message.
pub(super) fn message(message: Message) -> v1::OpenSessionResponse {
    v1::OpenSessionResponse {
        message: Some(message),
    }
}

/// What the pool wants a worker to know.
pub(super) fn to_wire(order: &ToWorker) -> v1::OpenSessionResponse {
    message(match order {
        ToWorker::Order(Order::Assign(assignment)) => {
            Message::Assignment(worker_convert::assignment_to_wire(assignment))
        }
        ToWorker::Order(Order::Ack { lease, seq }) => Message::Ack(v1::PointsAck {
            lease: Some(lease_to_wire(lease)),
            committed_seq: *seq,
        }),
        ToWorker::Order(Order::Resend { lease, from }) => Message::Resend(v1::PointsResend {
            lease: Some(lease_to_wire(lease)),
            from_seq: *from,
        }),
        ToWorker::Order(Order::Stop { lease, reason, grace }) => Message::Stop(v1::StopAttempt {
            lease: Some(lease_to_wire(lease)),
            reason: reason.clone(),
            grace: Some(duration_to_wire(*grace)),
        }),
        ToWorker::Order(Order::Forget(lease)) => Message::Forget(v1::AttemptForget {
            lease: Some(lease_to_wire(lease)),
        }),
        ToWorker::Order(Order::Stale(lease)) => Message::Stale(v1::StaleLease {
            lease: Some(lease_to_wire(lease)),
        }),
        ToWorker::ReadLog { request, log } => Message::ReadLog(v1::ReadLog {
            request: *request,
            study_uid: log.study.to_string(),
            trial: log.trial.0,
            attempt: log.attempt.0,
            tail_bytes: log.tail,
            follow: log.follow,
            stderr: log.stderr,
        }),
        ToWorker::DropCheckpoint(study, checkpoint) => Message::DropCheckpoint(v1::DropCheckpoint {
            study_uid: study.to_string(),
            checkpoint: checkpoint.as_ref().map(worker_convert::checkpoint_to_wire),
        }),
        ToWorker::CancelLog(request) => Message::CancelLog(v1::CancelLog { request: *request }),
    })
}

/// What becomes of an attempt that the worker holds.
pub(super) fn verdict_to_wire(lease: &tunesmith_common::LeaseKey, verdict: Verdict) -> v1::AttemptVerdict {
    let (verdict, committed_seq) = match verdict {
        Verdict::Continue(seq) => (v1::Verdict::Continue, seq),
        Verdict::Stale => (v1::Verdict::Stale, 0),
        Verdict::Forget => (v1::Verdict::Forget, 0),
    };
    v1::AttemptVerdict {
        lease: Some(lease_to_wire(lease)),
        verdict: verdict.into(),
        committed_seq,
    }
}
