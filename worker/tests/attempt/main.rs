//! Attempts with real processes, signals and files: what programs do to us, and what becomes of it.
//!
//! No test sleeps for a while and hopes: each waits for a condition, with a deadline.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod ends;
mod faults;
mod reading;
mod stops;
mod world;
