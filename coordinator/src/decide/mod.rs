//! The rules of a study: which trial next, what is late, what to stop, is the budget spent.
//!
//! Pure and synchronous: state and time go in, changes to store and orders to send come out. Nothing here waits, reads a clock,
//! draws random numbers or talks to anybody; the engine does, after it has committed the changes.
//!
//! # Invariants
//!
//! * A trial's state changes only through [`tunesmith_common::trial::Trial::apply`].
//! * Whatever is answered or ordered is part of, or follows from, the changes returned by the same step.
//! * A study's memory can be rebuilt from the store at any time, with the same later decisions.

mod advice;
mod ask;
mod backtest;
mod best;
mod budget;
mod checkpoints;
mod children;
mod course;
mod curve;
mod dispatch;
mod end;
mod history;
mod improvement;
mod judgement;
mod leases;
mod load;
mod members;
mod more_time;
mod order;
mod outbox;
mod policy;
mod population;
mod propose;
mod replay;
mod report;
mod results;
mod segments;
mod slice;
mod stages;
mod steer;
mod study;
mod terms;
mod trial;
mod usage;
mod values;

pub use advice::{Advice, Question};
pub use ask::{Asked, Given};
pub use backtest::{Backtest, Backtested, Cost, Judged, Stopped};
pub use checkpoints::Reach;
pub use dispatch::{BoundTo, Demand, Dispatch, Grant, Unmet, WorkerView, dispatch};
pub(crate) use dispatch::{by_right, could_fit};
pub use history::Taker;
pub use improvement::{GainAnswer, GainQuestion, Improving};
pub use leases::{Attached, Verdict};
pub use load::Loader;
pub use more_time::TimedOut;
pub use order::Order;
pub use outbox::Outbox;
pub use policy::{Caps, Match, Policy};
pub use propose::{AddRequest, ImportedEnd, NoTrial, Offer, TrialResult};
pub use replay::{History, Replay, Replayed};
pub use report::{Reported, TellRequest};
pub use results::{Incumbents, Outcome, Ranked};
pub use slice::{Line, lines};
pub use steer::{StudyEdit, TrialWords};
pub use study::{CoreError, Counts, Ctx, StudyCore, Summary};
pub use terms::{Price, Prices, Terms};
