//! The engine: the one owner of a study, through which everything that changes it goes, in order.
//!
//! It takes all commands that wait, lets the pure rules of [`crate::decide`] apply each, writes all changes in one transaction,
//! and only then answers, sends orders to workers and tells watchers. If the commit fails it throws its memory away and loads the
//! study again: memory never runs ahead of the truth.
//!
//! # Invariants
//!
//! * Nothing is answered, sent or shown before it is committed.
//! * Transactions run only in tasks that nobody cancels half-way: the engine's own, and that of the upkeep.
//! * Reloading is the only way out of an error of the store.

mod handle;
mod load;
mod registry;
mod task;
#[cfg(test)]
mod tests;
mod thinking;
mod upkeep;

pub use handle::{Committed, EngineError, EngineHandle};
pub use load::load;
pub use registry::{EngineSettings, Engines};
