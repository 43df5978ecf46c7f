//! The search space as a whole.

use std::collections::HashMap;

use crate::constraint::Constraint;
use crate::params::ParamValue;

use super::check::check_parameters;
use super::coding::Coding;
use super::grid::Tree;
use super::numbers::float;
use super::snap::Gate;
use super::{Dimension, Parameter, SpaceError};

/// A checked search space: who holds one need not check its parameters again.
#[derive(Clone, Debug, PartialEq)]
pub struct Space {
    parameters: Vec<Parameter>,
    constraints: Vec<Constraint>,
    dimensions: Vec<Dimension>,
    codings: Vec<Coding>,
    /// For each parameter, its conditions.
    gates: Vec<Vec<Gate>>,
    places: HashMap<String, usize>,
    tree: Tree,
}

/// Draws after which constraints count as unsatisfiable.
pub const SATISFIABLE_DRAWS: u32 = 10_000;

impl Space {
    /// Checks and makes a space of at least one and at most 1,000 parameters. The constraints must be about these parameters.
    ///
    /// # Errors
    /// All that is wrong with the definition.
    pub fn new(
        mut parameters: Vec<Parameter>,
        constraints: Vec<Constraint>,
    ) -> Result<Self, Vec<SpaceError>> {
        let codings = check_parameters(&mut parameters)?;
        let mut problems = Vec::new();
        let mut bound = Vec::with_capacity(constraints.len());
        for (index, constraint) in constraints.iter().enumerate() {
            // Read again: it may have been made for other parameters, and refers to them by their place.
            match Constraint::parse(constraint.text(), &parameters) {
                Ok(constraint) => bound.push(constraint),
                Err(error) => problems.push(SpaceError::new(
                    "",
                    format!("constraints[{index}]"),
                    error.to_string(),
                )),
            }
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        let dimensions = codings.iter().map(Coding::dimension).collect();
        let places = parameters
            .iter()
            .enumerate()
            .map(|(index, p)| (p.name.as_str().to_owned(), index))
            .collect();
        let tree = Tree::new(&parameters);
        let gates = Gate::all(&parameters, &codings);
        Ok(Self {
            parameters,
            constraints: bound,
            dimensions,
            codings,
            gates,
            places,
            tree,
        })
    }

    /// The parameters in their order.
    #[must_use]
    pub fn parameters(&self) -> &[Parameter] {
        &self.parameters
    }

    /// Place of a parameter in [`Self::parameters`].
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<usize> {
        self.places.get(name).copied()
    }

    /// What every point must satisfy.
    #[must_use]
    pub fn constraints(&self) -> &[Constraint] {
        &self.constraints
    }

    /// How strategies should look at each parameter; same order and length as [`Self::parameters`].
    ///
    /// Constants, stepped floats, ordinals, and ints on the scales linear and log2 are levels; other floats and ints are
    /// continuous (an int on a logarithmic scale has no levels of equal size); categoricals and booleans are categorical.
    #[must_use]
    pub fn dimensions(&self) -> &[Dimension] {
        &self.dimensions
    }

    /// Whether any of [`SATISFIABLE_DRAWS`] independent points satisfies the constraints. The same seed gives the same answer.
    #[must_use]
    pub fn is_satisfiable(&self, seed: u64) -> bool {
        if self.constraints.is_empty() {
            return true;
        }
        let needed = self.needed_by_constraints();
        let mut state = seed;
        (0..SATISFIABLE_DRAWS).any(|_| {
            let values = self
                .values_by(|index| needed[index].then(|| self.codings[index].decode(splitmix(&mut state))));
            let value = |index: usize| values.get(index).and_then(Option::as_ref);
            self.constraints
                .iter()
                .all(|constraint| constraint.holds_for(&value))
        })
    }

    /// The parameters that constraints mention, and those that decide whether they are active.
    fn needed_by_constraints(&self) -> Vec<bool> {
        let mut needed = vec![false; self.parameters.len()];
        for index in self.constraints.iter().flat_map(Constraint::mentioned) {
            needed[*index] = true;
        }
        // Parents stand before their children: one pass from the end reaches all ancestors.
        for index in (0..needed.len()).rev() {
            if needed[index] {
                for condition in &self.parameters[index].conditions {
                    needed[condition.parent] = true;
                }
            }
        }
        needed
    }

    pub(super) fn coding(&self, index: usize) -> &Coding {
        &self.codings[index]
    }

    pub(super) fn gates(&self, index: usize) -> &[Gate] {
        self.gates.get(index).map_or(&[], Vec::as_slice)
    }

    pub(super) fn tree(&self) -> &Tree {
        &self.tree
    }

    /// Value `position` of a parameter on the grid.
    pub(super) fn grid_value(&self, index: usize, position: u64, points: u32) -> ParamValue {
        self.codings[index].grid_value(position, points)
    }
}

/// The next number in [0, 1) of a SplitMix64 generator (Steele, Lea & Flood 2014): enough to look around in a space, without
/// the streams that trials are drawn from.
fn splitmix(state: &mut u64) -> f64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^= mixed >> 31;
    float(mixed >> 11) / float(1 << 53)
}
