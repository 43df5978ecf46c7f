//! The conversation after both sides have said `hello`: orders in, starts, points and ends out.
//!
//! What is owed to the coordinator is not queued but read off the attempts at each turn ([`super::progress`]).

use std::collections::VecDeque;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Streaming;
use tunesmith_common::LeaseKey;
use tunesmith_common::measurement::{MetricName, PointBatch};
use tunesmith_proto::convert::{
    ConvertError, duration_from_wire, lease_from_wire, lease_to_wire, parse, points, timestamp_to_wire,
    worker,
};
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as ToCoordinator;
use tunesmith_proto::v1::open_session_response::Message as FromCoordinator;

use super::connect::{OpenError, Opened, message};
use super::logs::Logs;
use super::progress::{Due, Facts, MAX_BATCH_POINTS, Progress, SESSION_WINDOW};
use super::usage::Telling;
use crate::attempt::{Attempt, AttemptError, StopKind, StopRequest};
use crate::daemon::core::{Core, changed, sleep_until};
use crate::daemon::lifecycle::Verdict;

mod launch;

/// Where the coordinator says nothing about the grace of a stop.
const DEFAULT_GRACE: Duration = Duration::from_secs(30);
/// Bounds of the interval between signs of life, whatever the coordinator says.
const HEARTBEAT_BOUNDS: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(60));
/// Longest time a coordinator may send us away for.
const LONGEST_ABSENCE: Duration = Duration::from_secs(60);
/// Time for the last words to reach the coordinator.
const GOODBYE_TIMEOUT: Duration = Duration::from_secs(2);
/// Pause before a spool that cannot be read is tried again.
const READ_RETRY: Duration = Duration::from_secs(1);

/// Why a conversation ended.
#[derive(Debug)]
pub(crate) enum SessionEnd {
    /// It broke off.
    Lost(OpenError),
    /// The coordinator leaves; come back after that time.
    ComeBack(Duration),
    /// The worker's own life asks for something else.
    Verdict(Verdict),
}

/// An attempt in this session.
#[derive(Debug)]
struct Link {
    attempt: Attempt,
    progress: Progress,
}

#[derive(Debug)]
struct Session<'a> {
    core: &'a mut Core,
    out: mpsc::Sender<v1::OpenSessionRequest>,
    inbound: Streaming<v1::OpenSessionResponse>,
    heartbeat: Duration,
    last_sent: Instant,
    links: Vec<Link>,
    /// Whose turn it is to send points first.
    turn: usize,
    /// Answers about attempts that are not on disk. At most one per assignment of this session.
    answers: VecDeque<ToCoordinator>,
    logs: Logs,
    usage: Telling,
}

/// What came of sending everything that is due.
#[derive(Debug, Clone, Copy)]
enum Sent {
    /// All; look again at this time.
    All(Instant),
    /// The transport takes no more for the moment.
    Blocked,
}

/// Talks until the conversation ends, for whatever reason.
pub(crate) async fn run(core: &mut Core, opened: Opened) -> SessionEnd {
    let mut session = Session::new(core, &opened.hello, opened.out, opened.inbound);
    session.apply_verdicts(&opened.hello.verdicts).await;
    let end = session.talk().await;
    let Session {
        out, inbound, logs, ..
    } = session;
    logs.close().await;
    if matches!(end, SessionEnd::Verdict(Verdict::Done)) {
        goodbye(out, inbound).await;
    }
    end
}

impl<'a> Session<'a> {
    fn new(
        core: &'a mut Core,
        hello: &v1::CoordinatorHello,
        out: mpsc::Sender<v1::OpenSessionRequest>,
        inbound: Streaming<v1::OpenSessionResponse>,
    ) -> Self {
        let (shortest, longest) = HEARTBEAT_BOUNDS;
        let heartbeat = hello
            .heartbeat_interval
            .as_ref()
            .and_then(|interval| duration_from_wire(interval, "hello.heartbeat_interval").ok())
            .map_or(longest, |interval| interval.clamp(shortest, longest));
        Self {
            usage: Telling::new(core.looks.clone(), hello),
            core,
            out,
            inbound,
            heartbeat,
            last_sent: Instant::now(),
            links: Vec::new(),
            turn: 0,
            answers: VecDeque::new(),
            logs: Logs::new(),
        }
    }

    async fn talk(&mut self) -> SessionEnd {
        loop {
            let verdict = self.core.check(Instant::now());
            if verdict != Verdict::Go {
                // Answers about what is not on disk are told now or never.
                self.send_due(Instant::now()).await;
                return SessionEnd::Verdict(verdict);
            }
            let sent = self.send_due(Instant::now()).await;
            let (blocked, wake) = match sent {
                Sent::All(at) => (false, at),
                // No sign of life is due while there is more to say than the transport takes.
                Sent::Blocked => (true, Instant::now() + self.heartbeat),
            };
            let wake = self
                .core
                .lifecycle
                .next_check()
                .map_or(wake, |check| check.min(wake));
            let (received, launched) = tokio::select! {
                received = self.inbound.message() => (Some(received), None),
                // What happened is read off the attempts in the next turn, also what happens until then.
                Some(_) = self.core.events.recv() => {
                    while self.core.events.try_recv().is_ok() {}
                    continue;
                }
                launched = self.core.launches.next() => (None, Some(launched)),
                room = self.out.reserve(), if blocked => match room {
                    Ok(_) => continue,
                    Err(_) => return lost("the connection is gone"),
                },
                piece = self.logs.next(), if !blocked => {
                    self.answers.push_back(ToCoordinator::Log(piece));
                    continue;
                }
                () = self.usage.changed(), if !blocked => continue,
                () = changed(&mut self.core.shutdown) => continue,
                () = sleep_until(Some(wake)) => continue,
            };
            if let Some((launch, launched)) = launched {
                self.launched(launch, launched).await;
            }
            match received {
                None => {}
                Some(Ok(Some(order))) => {
                    if let Some(end) = self.obey(order).await {
                        return end;
                    }
                }
                Some(Ok(None)) => return lost("the coordinator closed the session"),
                Some(Err(status)) => return SessionEnd::Lost(status.into()),
            }
        }
    }

    /// Sends what is due, as long as the transport takes it.
    async fn send_due(&mut self, now: Instant) -> Sent {
        let mut wake = None;
        while !self.answers.is_empty() {
            if self.out.capacity() == 0 {
                return Sent::Blocked;
            }
            if let Some(answer) = self.answers.pop_front() {
                self.send(answer);
            }
        }
        self.turn = self.turn.wrapping_add(1);
        loop {
            let mut progressed = false;
            for offset in 0..self.links.len() {
                let index = self.turn.wrapping_add(offset) % self.links.len();
                match self.send_one(index, now).await {
                    Turn::Nothing => {}
                    Turn::At(at) => wake = Some(wake.map_or(at, |wake: Instant| wake.min(at))),
                    Turn::Sent => progressed = true,
                    Turn::Blocked => return Sent::Blocked,
                }
            }
            if !progressed {
                break;
            }
        }
        // The least urgent: it waits for the next turn rather than for room.
        if self.out.capacity() > 0
            && let Some(report) = self
                .usage
                .take(|lease| Some(self.core.store.attempt(lease)?.usage()))
        {
            self.send(ToCoordinator::Usage(report));
        }
        if now.saturating_duration_since(self.last_sent) >= self.heartbeat {
            if self.out.capacity() == 0 {
                return Sent::Blocked;
            }
            self.send(ToCoordinator::Heartbeat(v1::Heartbeat {}));
        }
        let heartbeat = self.last_sent + self.heartbeat;
        Sent::All(wake.map_or(heartbeat, |wake| wake.min(heartbeat)))
    }

    /// Sends the next message about one attempt, if one is due.
    async fn send_one(&mut self, index: usize, now: Instant) -> Turn {
        if self.out.capacity() == 0 {
            return Turn::Blocked;
        }
        let room = self
            .links
            .iter()
            .map(|link| link.progress.in_flight())
            .sum::<usize>()
            < SESSION_WINDOW;
        let link = &mut self.links[index];
        let facts = facts(&link.attempt);
        let lease = link.attempt.lease();
        match link.progress.due(facts, room, now) {
            Due::Nothing => Turn::Nothing,
            Due::At(at) => Turn::At(at),
            Due::Started => {
                let (pid, at) = link.attempt.started().unwrap_or_default();
                link.progress.started_sent();
                self.send(ToCoordinator::Started(v1::AttemptStarted {
                    lease: Some(lease_to_wire(&lease)),
                    pid,
                    started_at: Some(timestamp_to_wire(at)),
                }))
            }
            Due::Checkpoint => {
                let Some(kept) = link.attempt.checkpoint() else {
                    return Turn::Nothing;
                };
                let checkpoint = kept.checkpoint;
                link.progress.checkpoint_sent(checkpoint.step);
                link.attempt.checkpoint_was_told();
                self.send(ToCoordinator::Checkpoint(v1::AttemptCheckpoint {
                    lease: Some(lease_to_wire(&lease)),
                    checkpoint: Some(worker::checkpoint_to_wire(&checkpoint)),
                }))
            }
            Due::Ended => {
                let Some(mut end) = link.attempt.end() else {
                    return Turn::Nothing;
                };
                // Equal unless the spool lost its tail, which the coordinator has.
                end.last_seq = end.last_seq.max(link.progress.last_sent());
                link.progress.ended_sent();
                self.send(ToCoordinator::Ended(worker::ended_to_wire(&end)))
            }
            Due::Points(from_seq) => {
                let batch = match link.attempt.read_points(from_seq, MAX_BATCH_POINTS).await {
                    Ok(batch) if !batch.points.is_empty() => batch,
                    failed => {
                        let error = failed
                            .err()
                            .map_or_else(|| "it ends too early".to_owned(), |error| error.to_string());
                        tracing::warn!(study = %lease.study, trial = %lease.trial, attempt = %lease.attempt, from_seq, error,
                            "cannot read the points of this attempt; trying again");
                        link.progress.defer(now + READ_RETRY);
                        return Turn::At(now + READ_RETRY);
                    }
                };
                let count = u64::try_from(batch.points.len()).unwrap_or(u64::MAX);
                let urgent = has_objective(&batch, link.attempt.objective());
                if !link.progress.is_batch_due(facts, count, urgent, now) {
                    return match link.progress.due(facts, room, now) {
                        Due::At(at) => Turn::At(at),
                        _ => Turn::Sent,
                    };
                }
                link.progress.points_sent(count, now);
                self.send(ToCoordinator::Points(v1::PointsBatch {
                    lease: Some(lease_to_wire(&lease)),
                    first_seq: from_seq,
                    points: Some(points::to_wire(&batch)),
                }))
            }
        }
    }

    /// Sends. The caller has seen that there is room; if the message does not go out, the connection is gone, and all is told
    /// again in the next session.
    fn send(&mut self, content: ToCoordinator) -> Turn {
        match self.out.try_send(message(content)) {
            Ok(()) => {
                self.last_sent = Instant::now();
                Turn::Sent
            }
            Err(_) => Turn::Blocked,
        }
    }

    /// Deals with what the coordinator says about each attempt that our `hello` listed.
    async fn apply_verdicts(&mut self, verdicts: &[v1::AttemptVerdict]) {
        for verdict in verdicts {
            let lease = match lease_from_wire(verdict.lease.as_ref(), "hello.verdicts.lease") {
                Ok(lease) => lease,
                Err(error) => {
                    tracing::warn!(%error, "the coordinator's hello is malformed");
                    continue;
                }
            };
            match v1::Verdict::try_from(verdict.verdict) {
                Ok(v1::Verdict::Continue) => {
                    if let Some(attempt) = self.core.store.attempt(&lease) {
                        self.links.push(Link {
                            attempt,
                            progress: Progress::after(verdict.committed_seq),
                        });
                    }
                }
                Ok(v1::Verdict::Stale) => self.drop_stale(&lease).await,
                Ok(v1::Verdict::Forget) => self.forget(&lease).await,
                Ok(v1::Verdict::Unspecified) | Err(_) => {}
            }
        }
        for attempt in self.core.store.attempts() {
            let lease = attempt.lease();
            let reported = self.links.iter().any(|link| link.attempt.lease() == lease);
            // One that was launched while the hello was under way is assigned again, or reported of as launched.
            if !reported && !self.core.launches.has(&lease) {
                tracing::warn!(study = %lease.study, trial = %lease.trial, attempt = %lease.attempt,
                    "the coordinator says nothing about this attempt, or nothing known; it goes on unreported");
            }
        }
    }

    /// Carries out an order. Returns why the conversation ends, if it does.
    async fn obey(&mut self, order: v1::OpenSessionResponse) -> Option<SessionEnd> {
        let order = self.core.launches.hold_back(order)?;
        match order.message {
            Some(FromCoordinator::Assignment(assignment)) => self.assign(&assignment),
            Some(FromCoordinator::Ack(ack)) => {
                self.with_link(ack.lease.as_ref(), |progress| {
                    progress.acknowledge(ack.committed_seq)
                });
            }
            Some(FromCoordinator::Resend(resend)) => {
                self.with_link(resend.lease.as_ref(), |progress| progress.resend(resend.from_seq));
            }
            Some(FromCoordinator::Stop(stop)) => self.stop(&stop).await,
            Some(FromCoordinator::Forget(forget)) => {
                if let Some(lease) = understood(lease_from_wire(forget.lease.as_ref(), "forget.lease")) {
                    self.forget(&lease).await;
                }
            }
            Some(FromCoordinator::Stale(stale)) => {
                if let Some(lease) = understood(lease_from_wire(stale.lease.as_ref(), "stale.lease")) {
                    self.drop_stale(&lease).await;
                }
            }
            Some(FromCoordinator::ReadLog(order)) => {
                if let Some(answer) = self.logs.start(self.core.store.clone(), &order) {
                    self.answers.push_back(ToCoordinator::Log(answer));
                }
            }
            Some(FromCoordinator::CancelLog(order)) => self.logs.cancel(order.request),
            Some(FromCoordinator::Drain(drain)) => {
                let after = drain
                    .reconnect_after
                    .as_ref()
                    .and_then(|after| duration_from_wire(after, "drain.reconnect_after").ok())
                    .unwrap_or_default();
                return Some(SessionEnd::ComeBack(after.min(LONGEST_ABSENCE)));
            }
            Some(FromCoordinator::DropCheckpoint(order)) => {
                let study = parse(&order.study_uid, "drop_checkpoint.study_uid");
                let checkpoint = order.checkpoint.as_ref();
                let checkpoint = checkpoint
                    .map(|wire| worker::checkpoint_from_wire(wire, "drop_checkpoint.checkpoint"))
                    .transpose();
                if let (Some(study), Some(checkpoint)) = (understood(study), understood(checkpoint)) {
                    self.core.store.drop_checkpoint(study, checkpoint);
                }
            }
            Some(FromCoordinator::Heartbeat(v1::Heartbeat {})) => {}
            Some(FromCoordinator::Hello(_)) => return Some(lost("the coordinator said hello twice")),
            // An order of a later protocol: it is only sent to workers that know it.
            None => tracing::warn!("the coordinator sent an order that this version does not know"),
        }
        None
    }

    async fn stop(&mut self, stop: &v1::StopAttempt) {
        let Some(lease) = understood(lease_from_wire(stop.lease.as_ref(), "stop.lease")) else {
            return;
        };
        let grace = stop
            .grace
            .as_ref()
            .map_or(Ok(DEFAULT_GRACE), |grace| duration_from_wire(grace, "stop.grace"));
        let grace = understood(grace).unwrap_or(DEFAULT_GRACE);
        let Some(attempt) = self.core.store.attempt(&lease) else {
            return;
        };
        let (trial, number) = (lease.trial, lease.attempt);
        tracing::info!(study = %lease.study, %trial, attempt = %number, reason = stop.reason, "stopping a trial");
        let request = StopRequest {
            kind: StopKind::Asked,
            reason: stop.reason.clone(),
            grace,
        };
        report_failure(&lease, "stop", attempt.request_stop(request).await);
    }

    async fn drop_stale(&mut self, lease: &LeaseKey) {
        if let Some(attempt) = self.core.store.attempt(lease) {
            let (trial, number) = (lease.trial, lease.attempt);
            tracing::info!(study = %lease.study, %trial, attempt = %number, "the lease of a trial is lost: ending it");
            report_failure(lease, "end", attempt.kill_stale().await);
        }
        self.forget(lease).await;
    }

    async fn forget(&mut self, lease: &LeaseKey) {
        self.links.retain(|link| link.attempt.lease() != *lease);
        if let Some(attempt) = self.core.store.attempt(lease) {
            report_failure(lease, "forget", attempt.forget().await);
        }
    }

    fn with_link(&mut self, lease: Option<&v1::Lease>, change: impl FnOnce(&mut Progress)) {
        let Some(lease) = understood(lease_from_wire(lease, "lease")) else {
            return;
        };
        if let Some(link) = self.links.iter_mut().find(|link| link.attempt.lease() == lease) {
            change(&mut link.progress);
        }
    }
}

/// What came of one turn of one attempt.
#[derive(Debug, Clone, Copy)]
enum Turn {
    Nothing,
    At(Instant),
    Sent,
    Blocked,
}

fn facts(attempt: &Attempt) -> Facts {
    // The number is read after the end: an end that is seen has its last point counted.
    let held = attempt.held();
    Facts {
        started: held.started,
        ended: held.ended,
        last_seq: attempt.last_seq(),
        checkpoint: attempt
            .checkpoint()
            .map(|kept| (kept.checkpoint.step, kept.after_seq)),
    }
}

/// Whether a decision may depend on these points; if the objective is not known, any of them.
fn has_objective(batch: &PointBatch, objective: Option<&MetricName>) -> bool {
    objective.is_none_or(|objective| batch.metrics.contains(objective))
}

/// A field that is malformed is logged, and the order is left undone: the coordinator repeats itself at the next `hello`.
fn understood<T>(converted: Result<T, ConvertError>) -> Option<T> {
    converted
        .inspect_err(|error| tracing::warn!(%error, "the coordinator sent a malformed order"))
        .ok()
}

fn report_failure(lease: &LeaseKey, action: &str, result: Result<(), AttemptError>) {
    if let Err(error) = result {
        tracing::error!(study = %lease.study, trial = %lease.trial, attempt = %lease.attempt,
            error = &error as &dyn std::error::Error, "cannot {action} a trial");
    }
}

fn lost(why: &str) -> SessionEnd {
    SessionEnd::Lost(OpenError::Failed(why.to_owned()))
}

/// Says goodbye and waits until the coordinator has closed its side, so that it has read everything.
async fn goodbye(out: mpsc::Sender<v1::OpenSessionRequest>, mut inbound: Streaming<v1::OpenSessionResponse>) {
    let last_words = async {
        let goodbye = v1::Goodbye {
            reason: "the worker was told to end, and nothing of it runs".to_owned(),
        };
        if out.send(message(ToCoordinator::Goodbye(goodbye))).await.is_ok() {
            drop(out);
            while let Ok(Some(_)) = inbound.message().await {}
        }
    };
    if tokio::time::timeout(GOODBYE_TIMEOUT, last_words).await.is_err() {
        tracing::debug!("the coordinator did not answer our goodbye");
    }
}
