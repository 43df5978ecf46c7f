//! Gaussian-process regression over encoded points, and searching where its posterior promises most.
//!
//! A model is made in three steps: outcomes are made comparable ([`outcome`]), hyperparameters are fitted ([`fit`]), and the posterior
//! is conditioned on everything known ([`posterior`]). [`search`] then looks for the best point by an acquisition function. All of
//! it is a function of its arguments; random numbers come from streams that the caller names.

pub(crate) mod acquisition;
pub(crate) mod criterion;
pub(crate) mod edges;
pub(crate) mod features;
pub(crate) mod fit;
pub(crate) mod improvement;
pub(crate) mod kernel;
pub(crate) mod local;
pub(crate) mod outcome;
pub(crate) mod posterior;
pub(crate) mod search;
pub(crate) mod trend;

#[cfg(test)]
mod tests;
