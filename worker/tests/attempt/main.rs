//! Attempts with real processes, signals and files: what programs do to us, and what becomes of it.
//!
//! No test sleeps for a while and hopes: each waits for a condition, with a deadline.

mod ends;
mod faults;
mod reading;
mod stops;
mod world;
