//! The search space as a whole.

use crate::constraint::Constraint;
use crate::params::Params;

use super::{Dimension, Parameter, SpaceError};

/// A checked search space.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    parameters: Vec<Parameter>,
    constraints: Vec<Constraint>,
    dimensions: Vec<Dimension>,
}

impl Space {
    /// Checks and makes a space.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub fn new(_parameters: Vec<Parameter>, _constraints: Vec<Constraint>) -> Result<Self, Vec<SpaceError>> {
        unimplemented!()
    }

    /// The parameters in their order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Place of a parameter in [`Self::parameters`].
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.parameters.iter().position(|p| p.name.as_str() == name)
    }

    /// What every point must satisfy.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// How strategies should look at each parameter; same order and length as [`Self::parameters`].
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// The values of the active parameters at a point of the encoded space, in order.
    #[must_use]
    pub fn decode(&self, _point: &[f64]) -> Params {
        unimplemented!()
    }

    /// [`Self::decode`] with some values given.
    #[must_use]
    pub fn complete(&self, _fixed: &Params, _point: &[f64]) -> Params {
        unimplemented!()
    }

    /// The point of the encoded space; NaN for inactive parameters.
    ///
    /// # Errors
    /// The first thing that is wrong with the values.
    pub fn encode(&self, _params: &Params) -> Result<Vec<f64>, SpaceError> {
        unimplemented!()
    }

    /// Whether values given by people are a point of this space.
    ///
    /// # Errors
    /// All that is wrong with the values.
    pub fn check(&self, _params: &Params) -> Result<(), Vec<SpaceError>> {
        unimplemented!()
    }

    /// [`Self::check`], and puts the values in order and converts 1 to 1.0 and 32.0 to 32.
    ///
    /// # Errors
    /// All that is wrong with the values.
    pub fn normalize(&self, _params: Params) -> Result<Params, Vec<SpaceError>> {
        unimplemented!()
    }

    /// [`Self::normalize`] for values some of which are left to the strategy.
    ///
    /// # Errors
    /// All that is wrong with the values.
    pub fn normalize_partial(&self, _params: Params) -> Result<Params, Vec<SpaceError>> {
        unimplemented!()
    }

    /// Whether all constraints hold.
    #[must_use]
    pub fn satisfies(&self, _params: &Params) -> bool {
        unimplemented!()
    }

    /// Whether any of 10,000 draws satisfies the constraints.
    #[must_use]
    pub fn is_satisfiable(&self, _seed: u64) -> bool {
        unimplemented!()
    }

    /// Number of cells of the grid.
    #[must_use]
    pub fn cells(&self, _points: u32) -> Option<u128> {
        unimplemented!()
    }

    /// One cell of the grid.
    #[must_use]
    pub fn cell(&self, _index: u128, _points: u32) -> Option<Params> {
        unimplemented!()
    }
}
