//! Tunesmith's domain: what a study, a search space and a trial are, and the rules they obey.
//!
//! Pure: no async, no I/O (but reading a clock), no protobuf, no SQL. Everything here is shared by the coordinator, the worker,
//! the command line and the optimizer, so a rule is written once.
#![warn(missing_docs)]

pub mod checkpoint;
pub mod clock;
pub mod constraint;
pub mod decision;
pub mod document;
pub mod id;
pub mod measurement;
pub mod metrics;
pub mod params;
pub mod template;
pub mod trial;
pub mod units;

pub use clock::{Clock, Timestamp};
pub use id::{
    Attempt, CheckpointStoreId, LeaseId, LeaseKey, ProjectName, RequestId, StudyId, StudyName, TrialNumber,
    WorkerId, WorkerName,
};
pub use params::{ParamValue, Params};
pub mod space;
pub mod study;
pub mod usage;
pub mod worker;
