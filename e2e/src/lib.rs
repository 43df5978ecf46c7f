//! Real programs under test: a coordinator, workers, databases and a network that can be cut, started and ended by a test.
//!
//! The programs are built first (`make e2e`) and found in the target folder. Everything a test starts ends with it. Panics are the
//! way to report here: this crate is for tests only.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod client;
mod database;
mod process;
mod proxy;
mod service;
mod wait;

pub use client::{Api, study_spec};
pub use database::Database;
pub use process::{Program, Signal, alive, program, repository};
pub use proxy::{Link, Proxy};
pub use service::{Coordinator, Storage, Worker};
pub use wait::{DEADLINE, eventually, eventually_within};
