//! Why an attempt failed and why a trial was stopped, and what follows from it.
//!
//! Failures of the program and losses to infrastructure are counted apart: a crash is information about the parameters, a lost
//! machine is not.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::MetricName;

/// Why an attempt ended without a result.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FailureCause {
    /// The program exited with a status other than 0 and 78.
    ExitCode {
        /// The exit status.
        code: i32,
    },
    /// The program was ended by a signal that Tunesmith did not send.
    Signal {
        /// The signal's number.
        signal: i32,
    },
    /// The program ran out of memory, of the machine or of its device.
    OutOfMemory,
    /// The program ended well without a value of an objective's metric.
    NoMetric {
        /// The metrics of which there is none.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        metrics: Vec<MetricName>,
        /// Its last lines, as [`super::last_lines`] quotes them; empty if none are known.
        #[serde(default)]
        last_lines: String,
    },
    /// The program, or its exit status 78, said that these parameters can never work.
    Infeasible {
        /// The program's words.
        reason: String,
    },
    /// The program could not be started.
    Launch {
        /// What the operating system said.
        reason: String,
    },
    /// The worker was not heard of for longer than its lease.
    LeaseExpired,
    /// The worker lost sight of the program, or ended it for reasons of its own.
    WorkerLost {
        /// What the worker knows.
        reason: String,
    },
    /// A caller that asked for the trial told that it failed.
    Told {
        /// The caller's words.
        reason: String,
    },
}

/// Which budget of retries a failure is charged to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttemptBudget {
    /// The user's program failed: bounded by the study's `retries`.
    Program,
    /// Not the program's fault.
    Infrastructure,
    /// Trying again cannot help.
    Never,
}

impl FailureCause {
    /// Which budget of retries this failure is charged to.
    #[must_use]
    pub fn budget(&self) -> AttemptBudget {
        match self {
            Self::ExitCode { .. } | Self::Signal { .. } => AttemptBudget::Program,
            Self::Launch { .. } | Self::LeaseExpired | Self::WorkerLost { .. } => {
                AttemptBudget::Infrastructure
            }
            Self::OutOfMemory | Self::NoMetric { .. } | Self::Infeasible { .. } | Self::Told { .. } => {
                AttemptBudget::Never
            }
        }
    }

    /// Stable name for machines: part of the API and of the database.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::ExitCode { .. } => "EXIT_CODE",
            Self::Signal { .. } => "SIGNAL",
            Self::OutOfMemory => "OUT_OF_MEMORY",
            Self::NoMetric { .. } => "NO_METRIC",
            Self::Infeasible { .. } => "INFEASIBLE",
            Self::Launch { .. } => "LAUNCH",
            Self::LeaseExpired => "LEASE_EXPIRED",
            Self::WorkerLost { .. } => "WORKER_LOST",
            Self::Told { .. } => "TOLD",
        }
    }
}

impl fmt::Display for FailureCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ExitCode { code } => write!(f, "exited with status {code}"),
            Self::Signal { signal } => write!(f, "killed by signal {signal}"),
            Self::OutOfMemory => f.write_str("ran out of memory"),
            Self::NoMetric { metrics, last_lines } => {
                match &metrics[..] {
                    [] => f.write_str("ended without a value of the objective's metric")?,
                    [metric] => write!(f, "ended without a value of the objective's metric {metric}")?,
                    [first, rest @ ..] => {
                        write!(f, "ended without values of the objectives' metrics {first}")?;
                        rest.iter().try_for_each(|metric| write!(f, " and {metric}"))?;
                    }
                }
                if last_lines.is_empty() {
                    return Ok(());
                }
                write!(f, "; the last it printed: {last_lines}")
            }
            Self::Infeasible { reason } if reason.is_empty() => f.write_str("infeasible"),
            Self::Infeasible { reason } => write!(f, "infeasible: {reason}"),
            Self::Launch { reason } => write!(f, "could not be started: {reason}"),
            Self::LeaseExpired => f.write_str("worker lost: no sign of life within the lease"),
            Self::WorkerLost { reason } => write!(f, "worker lost the program: {reason}"),
            Self::Told { reason } if reason.is_empty() => f.write_str("reported as failed"),
            Self::Told { reason } => write!(f, "reported as failed: {reason}"),
        }
    }
}

/// Why a trial was asked to stop. Decides its final state; the exit status does not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum StopReason {
    /// An early-stopping rule said so.
    EarlyStopped {
        /// Name of the rule.
        rule: String,
        /// The rule's judgement in one sentence.
        text: String,
    },
    /// The trial, or the whole study, used up its time. What it reported counts.
    TimedOut {
        /// Which limit, with its value.
        limit: String,
    },
    /// A person or the end of the study cancelled it.
    Cancelled {
        /// Who or what.
        by: String,
    },
    /// It is to save a checkpoint and to rest until it is worth going on with.
    Paused {
        /// Why, in one sentence.
        text: String,
    },
}

impl StopReason {
    /// Whether `self` takes the place of `other` when both were given: a person's word wins, and the end of a trial wins over a rest.
    #[must_use]
    pub(super) fn overrides(&self, other: &Self) -> bool {
        match other {
            Self::Cancelled { .. } => false,
            Self::EarlyStopped { .. } | Self::TimedOut { .. } => matches!(self, Self::Cancelled { .. }),
            Self::Paused { .. } => !matches!(self, Self::Paused { .. }),
        }
    }
}

impl fmt::Display for StopReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EarlyStopped { rule, text } => write!(f, "{rule}: {text}"),
            Self::TimedOut { limit } => write!(f, "time is up: {limit}"),
            Self::Cancelled { by } => write!(f, "cancelled by {by}"),
            Self::Paused { text } => write!(f, "paused: {text}"),
        }
    }
}

/// Attempts that infrastructure may cost a trial beyond its first, unless the study says otherwise.
pub(super) const INFRASTRUCTURE_RETRIES: u32 = 5;
/// Failed launches are often permanent (command not found): fewer tries.
pub(super) const LAUNCH_RETRIES: u32 = 2;

/// How long to wait before attempt number `failures + 1`: 1 s doubled with each failure, at most 5 minutes.
pub(super) fn backoff(failures: u32) -> Duration {
    Duration::from_secs(
        1_u64
            .checked_shl(failures.saturating_sub(1))
            .unwrap_or(u64::MAX)
            .min(300),
    )
}
