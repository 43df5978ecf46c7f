//! Tunesmith's worker: joins the pool, runs trainings, streams their metrics back. The binary is a thin shell around this library.
//!
//! * [`daemon`] is the program: it keeps a conversation with the coordinator and leaves in good order.
//! * `session` is one conversation.
//! * [`attempt`] knows the trainings and what they print; [`supervisor`] is the small process beside each of them.
//! * [`checkpoint`] keeps what trainings have saved, for whoever goes on with them.
//! * `usage` looks at what is in use on the machine.
//! * [`config`] and [`resources`] say what this worker may use.

pub mod attempt;
pub mod checkpoint;
pub mod config;
pub mod daemon;
pub mod resources;
mod session;
pub mod supervisor;
mod usage;
