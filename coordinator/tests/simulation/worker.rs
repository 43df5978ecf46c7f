//! A simulated worker: what it holds, what is on its way to and from it.

use std::collections::{BTreeMap, VecDeque};

use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::measurement::{Point, PointBatch};
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, HeldAttempt, StopCause};
use tunesmith_common::{LeaseId, LeaseKey, Timestamp, TrialNumber, WorkerId};
use tunesmith_coordinator::decide::{Order, Verdict};

pub(crate) const METRIC: &str = "val_acc";

/// From the worker.
#[derive(Clone, Debug)]
pub(crate) enum Up {
    Started(LeaseKey),
    Points {
        lease: LeaseKey,
        first_seq: u64,
        batch: PointBatch,
    },
    Checkpoint(LeaseKey, Checkpoint),
    Ended(AttemptEnd),
}

/// One attempt on the worker's disk.
#[derive(Clone, Debug, Default)]
pub(crate) struct Held {
    pub(crate) started: bool,
    /// Steps that were trained before.
    pub(crate) base: i64,
    /// Whether checkpoints are to be kept.
    pub(crate) keep: bool,
    /// The newest that is stored.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The one of its end.
    pub(crate) last: Option<Checkpoint>,
    /// Points that it had printed by then, and how many are stored.
    pub(crate) printed_before: u64,
    stored: u64,
    checkpoint_sent: Option<Checkpoint>,
    started_sent: bool,
    pub(crate) printed: Vec<(i64, f64)>,
    sent: u64,
    pub(crate) stop: bool,
    pub(crate) end: Option<AttemptOutcome>,
    end_sent: bool,
}

#[derive(Debug)]
pub(crate) struct SimWorker {
    pub(crate) id: WorkerId,
    pub(crate) slots: usize,
    pub(crate) connected: bool,
    pub(crate) down: VecDeque<Order>,
    pub(crate) up: VecDeque<Up>,
    pub(crate) held: BTreeMap<(TrialNumber, LeaseId), (LeaseKey, Held)>,
}

impl Held {
    /// Whether a checkpoint is stored that nobody was told of.
    pub(crate) fn has_untold(&self) -> bool {
        self.checkpoint != self.checkpoint_sent
    }
}

impl SimWorker {
    pub(crate) fn new(id: WorkerId, slots: usize) -> Self {
        Self {
            id,
            slots,
            connected: false,
            down: VecDeque::new(),
            up: VecDeque::new(),
            held: BTreeMap::new(),
        }
    }

    pub(crate) fn hello(&self) -> Vec<HeldAttempt> {
        self.held
            .values()
            .map(|(lease, held)| HeldAttempt {
                lease: *lease,
                started: held.started,
                ended: held.end.is_some(),
            })
            .collect()
    }

    pub(crate) fn welcome(&mut self, verdicts: &[(LeaseKey, Verdict)]) {
        for (lease, verdict) in verdicts {
            let key = (lease.trial, lease.id);
            match verdict {
                Verdict::Continue(seq) => {
                    if let Some((_, held)) = self.held.get_mut(&key) {
                        held.sent = *seq;
                        held.stored = *seq;
                        held.started_sent = false;
                        held.checkpoint_sent = None;
                        held.end_sent = false;
                    }
                }
                Verdict::Stale | Verdict::Forget => {
                    self.held.remove(&key);
                }
            }
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.connected = false;
        self.down.clear();
        self.up.clear();
    }

    /// Puts on the way what the coordinator has not been told: at most `window` points of each attempt.
    pub(crate) fn send(&mut self, window: usize) {
        if !self.connected {
            return;
        }
        for (lease, held) in self.held.values_mut() {
            if held.started && !held.started_sent {
                held.started_sent = true;
                self.up.push_back(Up::Started(*lease));
            }
            let untold = held.has_untold();
            if untold && held.printed_before <= held.stored {
                held.checkpoint_sent = held.checkpoint.clone();
                let newest = held.checkpoint.iter().cloned();
                self.up
                    .extend(newest.map(|checkpoint| Up::Checkpoint(*lease, checkpoint)));
            }
            let from = usize::try_from(held.sent).unwrap();
            let fresh: Vec<(i64, f64)> = held.printed.iter().skip(from).take(window).copied().collect();
            if !fresh.is_empty() {
                let points = fresh
                    .iter()
                    .map(|&(step, value)| Point {
                        metric: 0,
                        step,
                        value,
                        at: Timestamp::UNIX_EPOCH,
                    })
                    .collect();
                let batch = PointBatch {
                    metrics: vec![METRIC.parse().unwrap()],
                    points,
                };
                self.up.push_back(Up::Points {
                    lease: *lease,
                    first_seq: held.sent + 1,
                    batch,
                });
                held.sent += fresh.len() as u64;
            }
            if let Some(outcome) = &held.end
                && !held.end_sent
                && held.sent == held.printed.len() as u64
                && !untold
            {
                held.end_sent = true;
                self.up.push_back(Up::Ended(AttemptEnd {
                    lease: *lease,
                    last_seq: held.sent,
                    ended_at: Timestamp::UNIX_EPOCH,
                    outcome: outcome.clone(),
                    stop_cause: held.stop.then_some(StopCause::Asked),
                    infeasible: None,
                    out_of_memory: false,
                    peak_memory: 0,
                    usage: Default::default(),
                    log_tail: String::new(),
                    checkpoint: held.last.clone().or_else(|| held.checkpoint.clone()),
                    warnings: Vec::new(),
                }));
            }
        }
    }

    pub(crate) fn obey(&mut self, order: Order) {
        match order {
            Order::Assign(assignment) => {
                let lease = assignment.lease;
                self.held.entry((lease.trial, lease.id)).or_insert_with(|| {
                    let held = Held {
                        base: assignment.resume.as_ref().map_or(0, |checkpoint| checkpoint.step),
                        keep: assignment.keep_checkpoint,
                        ..Held::default()
                    };
                    (lease, held)
                });
            }
            Order::Ack { lease, seq } => {
                if let Some((_, held)) = self.held.get_mut(&(lease.trial, lease.id)) {
                    held.stored = held.stored.max(seq);
                }
            }
            Order::Resend { lease, from } => {
                if let Some((_, held)) = self.held.get_mut(&(lease.trial, lease.id)) {
                    held.sent = from - 1;
                    held.end_sent = false;
                }
            }
            Order::Stop { lease, .. } => {
                if let Some((_, held)) = self.held.get_mut(&(lease.trial, lease.id)) {
                    held.stop = true;
                }
            }
            Order::Forget(lease) | Order::Stale(lease) => {
                self.held.remove(&(lease.trial, lease.id));
            }
        }
    }
}
