//! One conversation with the coordinator, from `hello` to its end.
//!
//! Everything it tells is derived from what is on disk, so a conversation that breaks off is begun anew and nothing is lost. It
//! always reads: what must wait, waits in the spool and not in the network's buffers.

mod connect;
mod logs;
mod progress;
mod talk;
mod usage;

pub(crate) use connect::{Backoff, OpenError, endpoint, open};
pub(crate) use talk::{SessionEnd, run};
