//! Checkpoints that are kept for whoever goes on with a trial.
//!
//! Blocking; run where blocking is allowed.

mod folder;
mod place;

pub(crate) use folder::{newest, up_to};
pub use place::{CheckpointError, Place};
