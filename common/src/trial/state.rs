//! The life cycle of a trial: the only code that may change a trial's state.
//!
//! Pure: what must happen outside (tell a worker, hand out the trial again) is returned as [`Effect`]s for the caller to carry
//! out after it has saved the new state.
//!
//! # Invariants
//!
//! * A trial has a lease exactly while somebody may be running it (`Leased`, `Running`, `Stopping`).
//! * A final state has no way out, but that a trial whose time was up may get more of it.
//! * Attempts of one trial only grow, and a lease's random id is never used twice, so that whoever lost a lease can be told apart.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::cause::{
    AttemptBudget, FailureCause, INFRASTRUCTURE_RETRIES, LAUNCH_RETRIES, StopReason, backoff,
};
use crate::id::{Attempt, LeaseId, WorkerId};

/// Who runs an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Holder {
    /// A worker daemon.
    Worker(WorkerId),
    /// A program that asks and tells by itself, by the name it gave.
    Client(String),
}

/// The right to run one attempt of a trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Which attempt.
    pub attempt: Attempt,
    /// The random part, compared for equality.
    pub id: LeaseId,
    /// Who holds it.
    pub holder: Holder,
}

/// State of a trial, with the data that belongs to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TrialState {
    /// Waits to be handed out.
    Pending,
    /// Handed out; the program has not started.
    Leased(Lease),
    /// The program runs.
    Running(Lease),
    /// Asked to stop; something of it may still live.
    Stopping(Lease, StopReason),
    /// Rests with a saved checkpoint, to be continued.
    Paused,
    /// Ended by itself.
    Completed,
    /// Stopped by a rule.
    EarlyStopped(StopReason),
    /// Stopped because time was up.
    TimedOut(StopReason),
    /// Will not be tried again.
    Failed(FailureCause),
    /// Stopped by a person, or by the end of its study.
    Cancelled(StopReason),
}

impl TrialState {
    /// Stable name for machines: part of the API and of the database.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Leased(_) => "LEASED",
            Self::Running(_) => "RUNNING",
            Self::Stopping(..) => "STOPPING",
            Self::Paused => "PAUSED",
            Self::Completed => "COMPLETED",
            Self::EarlyStopped(_) => "EARLY_STOPPED",
            Self::TimedOut(_) => "TIMED_OUT",
            Self::Failed(_) => "FAILED",
            Self::Cancelled(_) => "CANCELLED",
        }
    }

    /// Whether the trial has ended.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::Pending | Self::Leased(_) | Self::Running(_) | Self::Stopping(..) | Self::Paused => false,
            Self::Completed
            | Self::EarlyStopped(_)
            | Self::TimedOut(_)
            | Self::Failed(_)
            | Self::Cancelled(_) => true,
        }
    }

    /// The lease, exactly while somebody may be running the trial.
    #[must_use]
    pub fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Leased(lease) | Self::Running(lease) | Self::Stopping(lease, _) => Some(lease),
            _ => None,
        }
    }

    /// The state of a trial that was stopped for this reason and of which nothing runs any more, with what follows.
    fn ended_by(reason: StopReason) -> (Self, Vec<Effect>) {
        let state = Self::stopped(reason);
        let effects = if state.is_final() {
            vec![Effect::RecordOutcome]
        } else {
            vec![]
        };
        (state, effects)
    }

    fn stopped(reason: StopReason) -> Self {
        match reason {
            StopReason::EarlyStopped { .. } => Self::EarlyStopped(reason),
            StopReason::TimedOut { .. } => Self::TimedOut(reason),
            StopReason::Cancelled { .. } => Self::Cancelled(reason),
            StopReason::Paused { .. } => Self::Paused,
        }
    }
}

/// What can happen to a trial. Events that come from whoever runs it name their lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The trial is handed out under a fresh lease id.
    Lease {
        /// The random part of the new lease.
        id: LeaseId,
        /// Who gets it.
        holder: Holder,
    },
    /// The program runs.
    Started(LeaseId),
    /// The program ended by itself, well, and has a value of the objective.
    Finished(LeaseId),
    /// The program, or its worker, ended otherwise.
    Failed(LeaseId, FailureCause),
    /// The holder was not heard of in time. Decided by the coordinator.
    LeaseExpired(LeaseId),
    /// The worker gave the trial back unstarted or saved, at no cost: it is being drained.
    HandedBack(LeaseId),
    /// The program saved a checkpoint and rests.
    Paused(LeaseId),
    /// A resting trial is to be continued.
    Resumed,
    /// Its time was up, and it gets more.
    MoreTime,
    /// A rule, a limit or a person wants it to end.
    StopRequested(StopReason),
}

impl Event {
    /// Name for messages.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Lease { .. } => "lease",
            Self::Started(_) => "started",
            Self::Finished(_) => "finished",
            Self::Failed(..) => "failed",
            Self::LeaseExpired(_) => "lease expired",
            Self::HandedBack(_) => "handed back",
            Self::Paused(_) => "paused",
            Self::Resumed => "resumed",
            Self::MoreTime => "more time",
            Self::StopRequested(_) => "stop requested",
        }
    }

    fn lease_id(&self) -> Option<LeaseId> {
        match self {
            Self::Started(id)
            | Self::Finished(id)
            | Self::Failed(id, _)
            | Self::LeaseExpired(id)
            | Self::HandedBack(id)
            | Self::Paused(id) => Some(*id),
            Self::Lease { .. } | Self::Resumed | Self::MoreTime | Self::StopRequested(_) => None,
        }
    }
}

/// What the caller must do after it has saved the new state, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Ask the holder of the lease to stop the program.
    AskToStop(Lease, StopReason),
    /// Hand the trial out again, not before the delay has passed.
    Requeue {
        /// How long to wait.
        after: Duration,
    },
    /// The trial reached a final state: its outcome is part of the history from now on.
    RecordOutcome,
}

/// Why an event was refused. The trial is unchanged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The event comes from a lease that is no longer, or never was, the current one.
    #[error("stale lease: the trial is {state}, at attempt {attempt}")]
    StaleLease {
        /// State of the trial.
        state: &'static str,
        /// Its current attempt.
        attempt: Attempt,
    },
    /// The state has no such transition.
    #[error("a {from} trial cannot take \"{event}\"")]
    Illegal {
        /// State of the trial.
        from: &'static str,
        /// The event.
        event: &'static str,
    },
}

/// The part of a trial that its life cycle is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trial {
    state: TrialState,
    attempt: Attempt,
    retries: u32,
    program_failures: u32,
    infrastructure_failures: u32,
}

impl Trial {
    /// A trial that waits, whose program may be retried `retries` times.
    #[must_use]
    pub fn new(retries: u32) -> Self {
        Self {
            state: TrialState::Pending,
            attempt: Attempt(0),
            retries,
            program_failures: 0,
            infrastructure_failures: 0,
        }
    }

    /// A trial as it was stored.
    #[must_use]
    pub fn restore(
        state: TrialState,
        attempt: Attempt,
        retries: u32,
        program_failures: u32,
        infrastructure_failures: u32,
    ) -> Self {
        Self {
            state,
            attempt,
            retries,
            program_failures,
            infrastructure_failures,
        }
    }

    /// State of the trial.
    #[must_use]
    pub fn state(&self) -> &TrialState {
        &self.state
    }

    /// The newest attempt; 0 before the first.
    #[must_use]
    pub fn attempt(&self) -> Attempt {
        self.attempt
    }

    /// Attempts that the program itself failed.
    #[must_use]
    pub fn program_failures(&self) -> u32 {
        self.program_failures
    }

    /// Attempts that were lost to infrastructure.
    #[must_use]
    pub fn infrastructure_failures(&self) -> u32 {
        self.infrastructure_failures
    }

    /// Applies `event` and returns what the caller must do next, in order.
    ///
    /// # Errors
    /// [`TransitionError::StaleLease`] if the event comes from a lease that is not the current one,
    /// [`TransitionError::Illegal`] if the state has no such transition. `self` is then unchanged.
    pub fn apply(&mut self, event: Event) -> Result<Vec<Effect>, TransitionError> {
        use TrialState as S;
        self.check_lease(&event)?;
        let (next, effects) = match (&self.state, event) {
            (S::Pending, Event::Lease { id, holder }) => {
                self.attempt = self.attempt.next();
                (
                    S::Leased(Lease {
                        attempt: self.attempt,
                        id,
                        holder,
                    }),
                    vec![],
                )
            }
            (S::Leased(lease), Event::Started(_)) => (S::Running(lease.clone()), vec![]),
            // A worker that reports twice, or whose training ended before its start was told.
            (S::Running(_) | S::Stopping(..), Event::Started(_)) => return Ok(vec![]),
            (S::Leased(_) | S::Running(_), Event::Finished(_)) => (S::Completed, vec![Effect::RecordOutcome]),
            (S::Leased(_) | S::Running(_), Event::Failed(_, cause)) => self.retry_or_fail(cause),
            (S::Leased(_) | S::Running(_), Event::LeaseExpired(_)) => {
                self.retry_or_fail(FailureCause::LeaseExpired)
            }
            (S::Leased(_) | S::Running(_), Event::HandedBack(_)) => (
                S::Pending,
                vec![Effect::Requeue {
                    after: Duration::ZERO,
                }],
            ),
            (S::Leased(_) | S::Running(_), Event::Paused(_)) => (S::Paused, vec![]),
            (S::Paused, Event::Resumed) | (S::TimedOut(_), Event::MoreTime) => (
                S::Pending,
                vec![Effect::Requeue {
                    after: Duration::ZERO,
                }],
            ),
            (S::Leased(lease) | S::Running(lease), Event::StopRequested(reason)) => (
                S::Stopping(lease.clone(), reason.clone()),
                vec![Effect::AskToStop(lease.clone(), reason)],
            ),
            (S::Stopping(lease, earlier), Event::StopRequested(reason)) => {
                let reason = if reason.overrides(earlier) {
                    reason
                } else {
                    earlier.clone()
                };
                (S::Stopping(lease.clone(), reason), vec![])
            }
            // What can never work need not rest.
            (
                S::Stopping(_, StopReason::Paused { .. }),
                Event::Failed(_, cause @ FailureCause::Infeasible { .. }),
            ) => (S::Failed(cause), vec![Effect::RecordOutcome]),
            // It was to rest, and came to its end before it heard of that.
            (S::Stopping(_, StopReason::Paused { .. }), Event::Finished(_)) => {
                (S::Completed, vec![Effect::RecordOutcome])
            }
            (
                S::Stopping(_, reason),
                Event::Finished(_)
                | Event::Failed(..)
                | Event::LeaseExpired(_)
                | Event::HandedBack(_)
                | Event::Paused(_),
            ) => S::ended_by(reason.clone()),
            // Nothing runs that could rest.
            (S::Pending | S::Paused, Event::StopRequested(StopReason::Paused { .. })) => return Ok(vec![]),
            (S::Pending | S::Paused, Event::StopRequested(reason)) => S::ended_by(reason),
            (state, event) => {
                return Err(TransitionError::Illegal {
                    from: state.name(),
                    event: event.name(),
                });
            }
        };
        self.state = next;
        Ok(effects)
    }

    fn check_lease(&self, event: &Event) -> Result<(), TransitionError> {
        match event.lease_id() {
            None => Ok(()),
            Some(id) if self.state.lease().is_some_and(|lease| lease.id == id) => Ok(()),
            Some(_) => Err(TransitionError::StaleLease {
                state: self.state.name(),
                attempt: self.attempt,
            }),
        }
    }

    fn retry_or_fail(&mut self, cause: FailureCause) -> (TrialState, Vec<Effect>) {
        let (failures, allowed) = match cause.budget() {
            AttemptBudget::Program => {
                self.program_failures = self.program_failures.saturating_add(1);
                (self.program_failures, self.retries)
            }
            AttemptBudget::Infrastructure => {
                self.infrastructure_failures = self.infrastructure_failures.saturating_add(1);
                let launch = matches!(cause, FailureCause::Launch { .. });
                (
                    self.infrastructure_failures,
                    if launch {
                        LAUNCH_RETRIES
                    } else {
                        INFRASTRUCTURE_RETRIES
                    },
                )
            }
            AttemptBudget::Never => return (TrialState::Failed(cause), vec![Effect::RecordOutcome]),
        };
        if failures <= allowed {
            (
                TrialState::Pending,
                vec![Effect::Requeue {
                    after: backoff(failures),
                }],
            )
        } else {
            (TrialState::Failed(cause), vec![Effect::RecordOutcome])
        }
    }
}

#[cfg(test)]
mod tests;
