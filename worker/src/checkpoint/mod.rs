//! Checkpoints that are kept for whoever goes on with a trial.
//!
//! Blocking; run where blocking is allowed.

mod disk;
mod error;
mod files;
mod folder;
mod location;
mod objects;
mod place;

pub use error::CheckpointError;
pub(crate) use folder::{newest, step_folder, up_to};
pub use location::{Access, Location};
pub use place::Place;
