//! Who holds what: leases that end, and what becomes of attempts when a worker comes back.
//!
//! Only the process that owns the study decides that a lease has ended, by its own monotonic clock. Any sign of life from a
//! worker renews all its leases; nothing is written for that.

use std::collections::HashSet;
use std::time::Duration;

use tunesmith_common::clock::Monotonic;
use tunesmith_common::trial::{Event, FailureCause, Holder, TrialState};
use tunesmith_common::worker::HeldAttempt;
use tunesmith_common::{LeaseId, LeaseKey, TrialNumber, WorkerId};

use super::order::Order;
use super::outbox::Outbox;
use super::study::{Ctx, StudyCore};

/// What becomes of an attempt that a worker holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Goes on; points up to here are stored.
    Continue(u64),
    /// Lost its lease.
    Stale,
    /// Of no interest any more.
    Forget,
}

/// What a worker that came back is told, and what it occupies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Attached {
    /// One for each attempt it holds.
    pub verdicts: Vec<(LeaseKey, Verdict)>,
    /// GPUs of each attempt that goes on or is handed out again.
    pub occupied: Vec<(LeaseKey, Vec<String>)>,
}

impl StudyCore {
    /// A worker has come (back) and says what it holds of this study.
    ///
    /// Assignments that it never got are sent again; attempts that it no longer knows count as lost; stops are repeated.
    pub fn attach(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        worker: WorkerId,
        held: &[HeldAttempt],
    ) -> Attached {
        let mut attached = Attached::default();
        let mut known: HashSet<LeaseKey> = HashSet::new();
        for attempt in held {
            let lease = attempt.lease;
            let current = self.is_current(&lease) && self.is_held_by(lease.trial, worker);
            let verdict = match (current, attempt.ended) {
                (true, _) => Verdict::Continue(self.committed_seq(lease.trial)),
                (false, true) => Verdict::Forget,
                (false, false) => Verdict::Stale,
            };
            attached.verdicts.push((lease, verdict));
            if !current {
                continue;
            }
            known.insert(lease);
            self.renew(ctx, lease.trial);
            if attempt.started && !attempt.ended {
                // Refused only where it is known already.
                let _ = self.start(out, ctx, lease);
            }
            if !attempt.ended {
                attached.occupied.push((lease, self.gpus_of(lease.trial)));
            }
            self.repeat_stop(out, worker, lease);
        }
        self.settle_unknown(out, ctx, worker, &known, &mut attached);
        attached
    }

    /// Leases of this study that workers hold, with their GPUs.
    #[must_use]
    pub fn held_by_workers(&self) -> Vec<(WorkerId, LeaseKey, Vec<String>)> {
        self.active
            .iter()
            .filter_map(|(&number, trial)| match &trial.life.state().lease()?.holder {
                Holder::Worker(worker) => Some((*worker, self.lease_key(number)?, self.gpus_of(number))),
                Holder::Client(_) => None,
            })
            .collect()
    }

    /// Ends leases whose holder was not heard of for longer than `ttl`. `last_heard` tells when a worker was.
    pub fn expire(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        ttl: Duration,
        last_heard: impl Fn(WorkerId) -> Option<Monotonic>,
    ) {
        let late: Vec<(TrialNumber, LeaseId)> = self
            .active
            .iter()
            .filter_map(|(&number, trial)| {
                let lease = trial.life.state().lease()?;
                let attempt = trial.attempt.as_ref()?;
                let (heard, ttl) = match &lease.holder {
                    Holder::Worker(worker) => (last_heard(*worker).unwrap_or_default(), ttl),
                    Holder::Client(_) => (Monotonic::default(), attempt.row.client_ttl?),
                };
                let alive_at = heard.max(attempt.renewed).max(self.lease_floor);
                (ctx.mono.saturating_since(alive_at) > ttl).then_some((number, lease.id))
            })
            .collect();
        for (number, id) in late {
            if let Some(attempt) = self
                .active
                .get_mut(&number)
                .and_then(|trial| trial.attempt.as_mut())
            {
                attempt.row.failure = Some(FailureCause::LeaseExpired);
            }
            // Cannot be refused: the lease was current a moment ago.
            let _ = self.apply(
                out,
                ctx,
                number,
                Event::LeaseExpired(id),
                "no sign of life within the lease",
            );
        }
    }

    /// Gives every lease a full new term: this process itself was not listening for a while.
    pub fn renew_all(&mut self, ctx: &Ctx<'_>) {
        self.lease_floor = ctx.mono;
    }

    /// Stops trials of callers that exceed `max_runtime`; workers do that by themselves, on their own clock.
    pub fn stop_overdue(&mut self, out: &mut Outbox, ctx: &Ctx<'_>) {
        let Some(limit) = self.spec.trial.as_ref().and_then(|trial| trial.max_runtime) else {
            return;
        };
        let overdue: Vec<TrialNumber> = self
            .active
            .iter()
            .filter(|(_, trial)| {
                matches!(trial.life.state(), TrialState::Running(lease) if matches!(lease.holder, Holder::Client(_)))
                    && trial.attempt.as_ref().is_some_and(|attempt| attempt.run_time(ctx.mono) > limit)
            })
            .map(|(&number, _)| number)
            .collect();
        for number in overdue {
            self.stop_for_time(out, ctx, number, limit);
        }
    }

    fn settle_unknown(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        worker: WorkerId,
        known: &HashSet<LeaseKey>,
        attached: &mut Attached,
    ) {
        let unknown: Vec<LeaseKey> = self
            .held_by_workers()
            .into_iter()
            .filter(|(holder, lease, _)| *holder == worker && !known.contains(lease))
            .map(|(_, lease, _)| lease)
            .collect();
        let spec = self.spec.trial.clone();
        for lease in unknown {
            let leased = self
                .active
                .get(&lease.trial)
                .is_some_and(|trial| matches!(trial.life.state(), TrialState::Leased(_)));
            if leased && let Some(spec) = &spec {
                let gpus = self.gpus_of(lease.trial);
                if let Some(assignment) = self.assignment(lease, spec, gpus.clone()) {
                    out.order(worker, Order::Assign(Box::new(assignment)));
                    attached.occupied.push((lease, gpus));
                    self.renew(ctx, lease.trial);
                }
                continue;
            }
            let cause = FailureCause::WorkerLost {
                reason: "it came back without the trial".to_owned(),
            };
            if let Some(attempt) = self
                .active
                .get_mut(&lease.trial)
                .and_then(|trial| trial.attempt.as_mut())
            {
                attempt.row.failure = Some(cause.clone());
            }
            let text = cause.to_string();
            // Cannot be refused: the lease is current.
            let _ = self.apply(out, ctx, lease.trial, Event::Failed(lease.id, cause), &text);
        }
    }

    fn repeat_stop(&self, out: &mut Outbox, worker: WorkerId, lease: LeaseKey) {
        if let Some(TrialState::Stopping(_, reason)) =
            self.active.get(&lease.trial).map(|trial| trial.life.state())
        {
            out.order(
                worker,
                Order::Stop {
                    lease,
                    reason: reason.to_string(),
                    grace: self.grace(),
                },
            );
        }
    }

    fn renew(&mut self, ctx: &Ctx<'_>, number: TrialNumber) {
        if let Some(attempt) = self
            .active
            .get_mut(&number)
            .and_then(|trial| trial.attempt.as_mut())
        {
            attempt.renewed = ctx.mono;
        }
    }

    fn is_held_by(&self, number: TrialNumber, worker: WorkerId) -> bool {
        self.active
            .get(&number)
            .and_then(|trial| trial.life.state().lease())
            .is_some_and(|lease| lease.holder == Holder::Worker(worker))
    }

    fn gpus_of(&self, number: TrialNumber) -> Vec<String> {
        self.active
            .get(&number)
            .and_then(|trial| trial.attempt.as_ref())
            .map_or_else(Vec::new, |attempt| attempt.row.gpus.clone())
    }
}
