//! The search space: what may be varied, on which scale, under which conditions.
//!
//! Strategies see it encoded: each parameter is one dimension in [0, 1). Log scales, steps, rounding, conditions and constraints
//! are handled here, once.

mod check;
mod coding;
mod curve;
mod definition;
mod error;
mod grid;
mod numbers;
mod points;
mod snap;
mod types;
mod values;
mod zoom;

#[cfg(test)]
mod tests;

pub use definition::{SATISFIABLE_DRAWS, Space};
pub use error::SpaceError;
pub(crate) use error::{nearest, quote, show};
pub use grid::Grid;
pub use types::{Condition, Dimension, Domain, Parameter, Scale};
pub use zoom::Narrowing;
