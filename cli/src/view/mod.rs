//! What people see of studies, trials, workers and tokens: pure functions from messages to text.
//!
//! Nothing here asks the coordinator, the clock or the terminal; text that came over the network is made safe before it is shown.

pub(crate) mod backtest;
pub(crate) mod importance;
pub(crate) mod parts;
pub(crate) mod pool;
pub(crate) mod result;
pub(crate) mod slice;
pub(crate) mod study;
pub(crate) mod trial;

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
mod tests;
