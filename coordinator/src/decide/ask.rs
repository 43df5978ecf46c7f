//! Trials for callers that run them themselves, and the same answer to a call that is repeated.
//!
//! An answer is the numbers of the trials that a call made or handed out, stored with them. It must not remember more: what else
//! callers are told is read from the trials, so that it cannot contradict them.

use std::time::Duration;

use tunesmith_common::trial::Holder;
use tunesmith_common::{LeaseKey, RequestId, Timestamp, TrialNumber};

use super::checkpoints::Reach;
use super::outbox::Outbox;
use super::study::{CoreError, Ctx, StudyCore};
use crate::store::{RequestRow, TrialRow};

/// Answers that a study remembers at most: as many as it has trials, if each call makes one.
const REMEMBERED: usize = 1_000_000;

/// A trial that a caller runs, under its lease.
#[derive(Clone, Debug, PartialEq)]
pub struct Asked {
    /// The trial.
    pub row: TrialRow,
    /// Its lease.
    pub lease: LeaseKey,
}

/// A trial that was handed out to a caller.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    /// The trial.
    pub trial: TrialNumber,
    /// When it was handed out: that attempt's `leased_at`.
    pub at: Timestamp,
    /// The trial while it is the caller's. None once it has ended or that lease was lost; the store knows more then.
    pub held: Option<Asked>,
}

/// The answer to a call with a request id.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) content: [u8; 32],
    pub(super) trials: Vec<TrialNumber>,
    pub(super) at: Timestamp,
}

impl StudyCore {
    /// Hands out up to `count` trials to a caller that runs them itself. Repeated with the same request, it gives the same trials,
    /// whatever became of them.
    ///
    /// # Errors
    /// If there is none, or the request id was used for another call.
    pub fn ask(
        &mut self,
        out: &mut Outbox,
        ctx: &mut Ctx<'_>,
        count: u32,
        client: &str,
        ttl: Option<Duration>,
        request: Option<(RequestId, [u8; 32])>,
    ) -> Result<Vec<Given>, CoreError> {
        if let Some(answer) = self.answered(request)? {
            return Ok(self.given(&answer.trials, answer.at));
        }
        self.await_proposals(ctx, count.max(1))?;
        let mut numbers = Vec::new();
        for _ in 0..count.max(1) {
            let number = match self.next_trial(out, ctx, Reach::All) {
                Ok(number) => number,
                Err(reason) if numbers.is_empty() => return Err(reason.into()),
                Err(_) => break,
            };
            let holder = Holder::Client(client.to_owned());
            let (gpus, price) = (Vec::new(), 0.0); // the caller's own machine
            if let Some(lease) = self.hand_out(out, ctx, number, holder, client.to_owned(), gpus, price, ttl)
            {
                self.start(out, ctx, lease)?;
                numbers.push(number);
            }
        }
        let given = self.given(&numbers, ctx.now);
        self.remember_answer(out, ctx, request, numbers);
        Ok(given)
    }

    fn given(&self, numbers: &[TrialNumber], at: Timestamp) -> Vec<Given> {
        let given = |&trial| Given {
            trial,
            at,
            held: self.held(trial, at),
        };
        numbers.iter().map(given).collect()
    }

    /// A trial under the lease that it was handed out with at `at`, if that is its lease still.
    fn held(&self, number: TrialNumber, at: Timestamp) -> Option<Asked> {
        let attempt = self.active.get(&number)?.attempt.as_ref()?;
        if attempt.row.leased_at != at {
            return None;
        }
        Some(Asked {
            row: self.active_row(number)?,
            lease: self.lease_key(number)?,
        })
    }

    /// The answer to an earlier call with the same request id, if there was one.
    pub(super) fn answered(
        &self,
        request: Option<(RequestId, [u8; 32])>,
    ) -> Result<Option<&Answer>, CoreError> {
        let Some((id, content)) = request else {
            return Ok(None);
        };
        match self.answers.get(&id) {
            Some(answer) if answer.content != content => Err(CoreError::RequestReused(id)),
            answer => Ok(answer),
        }
    }

    /// Keeps the answer to a call, if the call may be repeated.
    pub(super) fn remember_answer(
        &mut self,
        out: &mut Outbox,
        ctx: &Ctx<'_>,
        request: Option<(RequestId, [u8; 32])>,
        trials: Vec<TrialNumber>,
    ) {
        let Some((id, content)) = request else { return };
        let row = RequestRow {
            id,
            content,
            trials,
            at: ctx.now,
        };
        out.request(row.clone());
        self.remember_request(row);
    }

    /// Keeps an answer that is stored.
    pub(super) fn remember_request(&mut self, row: RequestRow) {
        let answer = Answer {
            content: row.content,
            trials: row.trials,
            at: row.at,
        };
        if self.answers.insert(row.id, answer).is_none() {
            self.answer_order.push_back(row.id);
        }
        while self.answer_order.len() > REMEMBERED {
            if let Some(oldest) = self.answer_order.pop_front() {
                self.answers.remove(&oldest);
            }
        }
    }
}
