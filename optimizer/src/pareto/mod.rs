//! Several objectives at once: which results are better than which, and how good a set of them is.
//!
//! Vectors of objectives are compared by dominance: one dominates another if it is as good in each objective and better in one. All objectives
//! are to be minimised, and all vectors of one call have the same length. Numbers are expected to be finite; a NaN is never as good as
//! anything, so that a vector that has one dominates nothing.

pub(crate) mod boxes;
mod hypervolume;
mod sorting;

pub use hypervolume::hypervolume;
pub use sorting::{crowding, dominates, ranks};

#[cfg(test)]
mod tests;
