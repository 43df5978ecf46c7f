//! Real programs under test: a coordinator, workers, databases and a network that can be cut, started and ended by a test.
//!
//! The programs are built first (`make e2e`) and found in the target folder. Everything a test starts ends with it. Panics are the
//! way to report here: this crate is for tests only.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audit;
mod bucket;
mod client;
mod command;
mod database;
mod ledger;
mod lost_answers;
mod postgres;
mod process;
mod proxy;
mod record;
mod replay;
mod service;
mod session;
mod tables;
mod trail;
mod usage;
mod wait;

pub use audit::{Findings, audit, audit_tables};
pub use bucket::Bucket;
pub use client::{Api, study_spec};
pub use command::{Ran, tunesmith};
pub use database::{Database, TableLock};
pub use ledger::Ledger;
pub use lost_answers::LostAnswers;
pub use postgres::Postgres;
pub use process::{Program, Signal, alive, program, repository};
pub use proxy::{Link, Proxy};
pub use record::{ProbeStudy, Records, Told, marked, probe_value};
pub use replay::{audit_decisions, audit_suggestions};
pub use service::{Coordinator, Storage, Worker, crash_points};
pub use session::{Call, Session, half_sent, points};
pub use tables::Tables;
pub use trail::Trail;
pub use usage::{Usage, bytes_in};
pub use wait::{DEADLINE, answered, eventually, eventually_within, still_answered};
