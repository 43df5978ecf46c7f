//! A trial: its life cycle, and how it ends.

mod cause;
mod state;

pub use cause::{AttemptBudget, FailureCause, StopReason};
pub use state::{Effect, Event, Holder, Lease, TransitionError, Trial, TrialState};
