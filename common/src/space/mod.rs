//! The search space: what may be varied, on which scale, under which conditions.
//!
//! Strategies see it encoded: each parameter is one dimension in [0, 1). Log scales, steps, rounding, conditions and constraints
//! are handled here, once.

mod definition;
mod error;
mod types;

pub use definition::Space;
pub use error::SpaceError;
pub use types::{Condition, Dimension, Domain, Parameter, Scale};
