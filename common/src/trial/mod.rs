//! A trial: its life cycle, and how it ends.

mod cause;
mod quote;
mod state;

pub use cause::{AttemptBudget, FailureCause, StopReason};
pub use quote::last_lines;
pub use state::{Effect, Event, Holder, Lease, TransitionError, Trial, TrialState};
