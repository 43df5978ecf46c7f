//! The pool: which workers there are, what each has free, and handing free places to studies.
//!
//! Holds nothing that must survive a restart: sessions say again what they hold, and the engines know their leases. The only
//! rows written here describe workers for people.
//!
//! # Invariants
//!
//! * A place on a worker is taken from the moment it is offered until its worker says that nothing of the attempt lives.
//! * An order is sent only by an engine, after the commit that it follows from.

mod dispatcher;
mod logs;
mod places;
mod presence;
mod registry;
mod usage;
mod worker;

pub use dispatcher::Dispatcher;
pub use logs::{LogChunk, LogRequest};
pub use places::Place;
pub use presence::Presence;
pub use registry::{ConnectError, Hello, Pool, Session};
pub use usage::{AttemptUse, GpuStatus, GpuUse, MachineUse, UsageReport, Waiting};
pub use worker::{ToWorker, WorkerState, WorkerStatus};
