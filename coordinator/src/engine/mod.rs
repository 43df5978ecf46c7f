//! The engine: the one owner of a study, through which everything that changes it goes, in order.
//!
//! It takes all commands that wait, lets the pure rules of [`crate::decide`] apply each, writes all changes in one transaction,
//! and only then answers, sends orders to workers and tells watchers. If the commit fails it throws its memory away and loads the
//! study again: memory never runs ahead of the truth.
//!
//! # Invariants
//!
//! * Nothing is answered, sent or shown before it is committed.
//! * Transactions run only in the engine's own task, which nobody cancels half-way.
//! * Reloading is the only way out of an error of the store.

mod handle;
mod load;
mod registry;
mod task;

pub use handle::{Committed, EngineError, EngineHandle};
pub use load::load;
pub use registry::{EngineSettings, Engines};
