//! One attempt on one machine: the folder, the program in it, what it prints, and its end.
//!
//! Knows nothing of sessions, gRPC or the coordinator. The daemon uses it like this:
//!
//! * [`AttemptStore::open`] takes the state folder for this daemon alone, adopts every attempt that an earlier daemon left
//!   there, and returns the one queue of events of all attempts. What is already known at that moment is not sent as an event:
//!   read it from [`AttemptStore::attempts`].
//! * [`AttemptStore::launch`] writes the attempt's folder and starts its supervisor ([`crate::supervisor`]), a process of
//!   its own that survives the daemon.
//! * [`Attempt::read_points`] reads from the attempt's spool, the one truth about its points: numbered from 1 without gaps,
//!   kept until the attempt is forgotten and its retention has passed.
//! * [`Attempt::request_stop`], [`Attempt::kill_stale`], [`Attempt::forget`] end it.
//!
//! # Invariants
//!
//! * An [`AttemptEventKind::Ended`] is sent only when nothing of the attempt lives, and its points are complete: the end names
//!   the last one. The end is written down before it is sent, so that a later daemon says the same; it reaches the disk soon after.
//! * A line that a training printed is turned into points once, whatever happens to the daemon.
//! * Dropping a handle or closing the store never stops a training.

mod ending;
pub(crate) mod folder;
mod handle;
mod keeping;
mod launching;
mod limits;
mod log;
mod options;
pub(crate) mod prepare;
mod pump;
pub(crate) mod records;
mod runner;
mod socket;
mod spool;
mod store;
pub(crate) mod supervisors;
mod sweep;
mod tail;
mod watch;

pub use handle::{Attempt, StopKind, StopRequest};
pub use log::{LogChunk, LogError, LogReader, LogStart, LogStream};
pub use options::StoreOptions;
pub use store::{AttemptError, AttemptEvent, AttemptEventKind, AttemptStore};
