//! What to try next and what to stop: search strategies and early stoppers.
//!
//! Pure numerics: no I/O, no clock, no state outside the values passed in. A strategy is a function of what a
//! [`StudyView`] shows; the early stoppers are a running summary of the points reported, in which the order between trials
//! does not matter.
#![warn(missing_docs)]

mod brackets;
mod cma;
mod gp;
pub mod importance;
mod lapack;
mod lbfgs;
mod normal;
pub mod pareto;
mod population;
mod promotion;
mod rng;
pub mod stopping;
pub mod strategy;

pub use population::{Child, Contest, Interval, Ranking, breed};
pub use promotion::{Promotions, RungView, Standing};
pub use rng::trial_rng;
pub use stopping::{Restorer, Stoppers};
pub use strategy::{
    Expected, FinishedTrial, Gain, LOOKS, Memory, Proposal, RunningTrial, SearchStrategy, StrategyError,
    StudyView, Suggestion, build, complete, fallback, gain_left, looks,
};
