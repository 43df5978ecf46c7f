//! What a step of a study leads to: rows to store, then orders to send.
//!
//! Collected over all commands of one commit, so that a row is written once however often it changed.

use std::collections::BTreeMap;

use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::decision::StopDecision;
use tunesmith_common::measurement::{MetricName, Point, PointBatch};
use tunesmith_common::{Attempt, LeaseKey, Timestamp, TrialNumber, WorkerId};

use super::order::Order;
use crate::store::{AttemptRow, AuditRow, Changes, DecisionRow, PointChunk, RequestRow, TrialRow};

/// Rows to store and orders to send, in the making.
#[derive(Debug, Default)]
pub struct Outbox {
    pub(super) study: bool,
    /// Rows of trials that changed; `None` where the trial has not ended and its row is made when the outbox is closed.
    pub(super) trials: BTreeMap<TrialNumber, Option<TrialRow>>,
    attempts: BTreeMap<(TrialNumber, Attempt), AttemptRow>,
    points: Vec<PointChunk>,
    open_chunks: BTreeMap<(TrialNumber, Attempt, MetricName), usize>,
    decisions: Vec<DecisionRow>,
    requests: Vec<RequestRow>,
    audit: Vec<AuditRow>,
    acks: BTreeMap<(TrialNumber, Attempt), (WorkerId, LeaseKey, u64)>,
    orders: Vec<(WorkerId, Order)>,
    released: Vec<(WorkerId, LeaseKey)>,
    scattered: Vec<(TrialNumber, Attempt)>,
    dropped: Vec<Checkpoint>,
}

impl Outbox {
    pub(super) fn attempt(&mut self, row: AttemptRow) {
        self.attempts.insert((row.trial, row.attempt), row);
    }

    /// Adds a point with its sequence number and when it was taken in, to the chunk that this commit writes of its metric.
    pub(super) fn point(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        (seq, arrival): (u64, Timestamp),
        batch: &PointBatch,
        point: &Point,
    ) {
        let Some(metric) = usize::try_from(point.metric)
            .ok()
            .and_then(|index| batch.metrics.get(index))
        else {
            return; // checked at the border
        };
        let key = (trial, attempt, metric.clone());
        let index = *self.open_chunks.entry(key).or_insert_with(|| {
            self.points.push(PointChunk {
                trial,
                attempt,
                metric: metric.clone(),
                first_seq: seq,
                last_seq: seq,
                steps: Vec::new(),
                values: Vec::new(),
                times: Vec::new(),
                arrivals: Vec::new(),
            });
            self.points.len() - 1
        });
        let chunk = &mut self.points[index];
        chunk.last_seq = seq;
        chunk.steps.push(point.step);
        chunk.values.push(point.value);
        chunk.times.push(point.at);
        chunk.arrivals.push(arrival);
    }

    pub(super) fn decision(
        &mut self,
        trial: TrialNumber,
        attempt: Attempt,
        decision: StopDecision,
        at: Timestamp,
    ) {
        self.decisions.push(DecisionRow {
            trial,
            attempt,
            decision,
            at,
        });
    }

    pub(super) fn request(&mut self, row: RequestRow) {
        self.requests.push(row);
    }

    pub(super) fn audit(&mut self, row: AuditRow) {
        self.audit.push(row);
    }

    pub(super) fn order(&mut self, worker: WorkerId, order: Order) {
        self.orders.push((worker, order));
    }

    /// Nothing of an attempt lives on its worker any more: its place is free.
    pub(super) fn released(&mut self, worker: WorkerId, lease: LeaseKey) {
        self.released.push((worker, lease));
    }

    /// Attempts of which nothing lives any more, since this was last asked.
    pub fn take_released(&mut self) -> Vec<(WorkerId, LeaseKey)> {
        std::mem::take(&mut self.released)
    }

    /// An attempt has ended whose points came in several batches.
    pub(super) fn scattered(&mut self, trial: TrialNumber, attempt: Attempt) {
        self.scattered.push((trial, attempt));
    }

    /// Attempts that have ended and whose points may be joined once this is committed, since this was last asked.
    pub fn take_scattered(&mut self) -> Vec<(TrialNumber, Attempt)> {
        std::mem::take(&mut self.scattered)
    }

    /// Nobody needs a checkpoint any more.
    pub(super) fn drop_checkpoint(&mut self, checkpoint: Checkpoint) {
        self.dropped.push(checkpoint);
    }

    /// Checkpoints that may be removed once this is committed, since this was last asked.
    pub fn take_dropped(&mut self) -> Vec<Checkpoint> {
        std::mem::take(&mut self.dropped)
    }

    /// Acknowledges points; of several acknowledgements of one attempt in a commit the last is sent.
    pub(super) fn ack(&mut self, worker: WorkerId, lease: LeaseKey, seq: u64) {
        self.acks
            .insert((lease.trial, lease.attempt), (worker, lease, seq));
    }

    /// The row of a trial that ended in this commit.
    #[must_use]
    pub fn ended_row(&self, number: TrialNumber) -> Option<&TrialRow> {
        self.trials.get(&number)?.as_ref()
    }

    /// Whether there is nothing to store; there may still be orders to send.
    #[must_use]
    pub fn nothing_to_store(&self) -> bool {
        !self.study
            && self.trials.is_empty()
            && self.attempts.is_empty()
            && self.points.is_empty()
            && self.decisions.is_empty()
            && self.requests.is_empty()
            && self.audit.is_empty()
    }

    /// The rows to store, with those of `active` trials filled in by `row_of`, and the orders to send after that.
    pub(super) fn close(
        self,
        study: Option<crate::store::StudyRow>,
        row_of: impl Fn(TrialNumber) -> Option<TrialRow>,
    ) -> (Changes, Vec<(WorkerId, Order)>) {
        let changes = Changes {
            study,
            trials: self
                .trials
                .into_iter()
                .filter_map(|(number, row)| row.or_else(|| row_of(number)))
                .collect(),
            attempts: self.attempts.into_values().collect(),
            points: self.points,
            decisions: self.decisions,
            requests: self.requests,
            audit: self.audit,
        };
        let acks = self
            .acks
            .into_values()
            .map(|(worker, lease, seq)| (worker, Order::Ack { lease, seq }));
        (changes, acks.chain(self.orders).collect())
    }
}
