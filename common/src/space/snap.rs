//! Moving points of the encoded space to where values lie, without making the values: for searches that look at many points.

use super::coding::Coding;
use super::numbers::{centre, float, level_at, same, unit};
use super::{Dimension, Parameter, Space};
use crate::params::ParamValue;

/// When a parameter is active, in terms of positions: where its parent's position is one of these.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Gate {
    parent: usize,
    positions: Vec<f64>,
}

impl Gate {
    /// One for each condition of each parameter.
    pub(super) fn all(parameters: &[Parameter], codings: &[Coding]) -> Vec<Vec<Self>> {
        let gate = |condition: &super::Condition| {
            let coding = &codings[condition.parent];
            Self {
                parent: condition.parent,
                positions: condition
                    .values
                    .iter()
                    .map(|value| coding.encode(value))
                    .collect(),
            }
        };
        parameters
            .iter()
            .map(|parameter| parameter.conditions.iter().map(gate).collect())
            .collect()
    }

    /// `parent` is where the parent lies, snapped; NaN if it is inactive.
    fn is_open(&self, parent: f64) -> bool {
        // What the same function computed from the same value is the same number.
        self.positions.iter().any(|position| same(*position, parent))
    }
}

impl Space {
    /// What [`Self::encode`] makes of the values that [`Self::decode`] gives at a point, within the rounding of scales.
    ///
    /// `point` is any point, shape `(d,)`. In `snapped`, of the same shape, each coordinate becomes NaN for an inactive parameter,
    /// the centre of its level for a level, and the place of the nearest whole number for an int on a logarithmic scale. Costs
    /// O(d) and no memory.
    ///
    /// # Panics
    /// If a length differs from the number of parameters.
    pub fn snap(&self, point: &[f64], snapped: &mut [f64]) {
        let dimensions = self.dimensions();
        assert_eq!(point.len(), dimensions.len(), "one coordinate for each parameter");
        assert_eq!(
            snapped.len(),
            dimensions.len(),
            "one coordinate for each parameter"
        );
        for (index, dimension) in dimensions.iter().enumerate() {
            let active = self
                .gates(index)
                .iter()
                .all(|gate| gate.is_open(snapped[gate.parent]));
            snapped[index] = if active {
                self.coding(index).snap(*dimension, point[index])
            } else {
                f64::NAN
            };
        }
    }

    /// Whether a parameter is inactive at some points.
    #[must_use]
    pub fn is_conditional(&self, index: usize) -> bool {
        !self.gates(index).is_empty()
    }

    /// Where in the encoded space each parent of a parameter has to lie for it to be active: intervals `[from, to)`, one for each value.
    pub fn active_where(&self, index: usize) -> impl Iterator<Item = (usize, Vec<(f64, f64)>)> + '_ {
        self.parameters()[index].conditions.iter().map(|condition| {
            let coding = self.coding(condition.parent);
            let stretches = condition.values.iter().map(|value| coding.stretch(value));
            (condition.parent, stretches.collect())
        })
    }

    /// The parameters on whose values it depends whether a parameter is active.
    pub fn parents(&self, index: usize) -> impl Iterator<Item = usize> + '_ {
        self.gates(index).iter().map(|gate| gate.parent)
    }
}

impl Coding {
    /// All positions at which a value lies, `[from, to)`.
    fn stretch(&self, value: &ParamValue) -> (f64, f64) {
        let position = self.encode(value);
        match (self.dimension(), self, value) {
            (Dimension::Levels(count) | Dimension::Categorical(count), ..) => {
                let level = level_at(position, count);
                (float(level) / float(count), float(level + 1) / float(count))
            }
            (Dimension::Continuous, Self::IntCurve(curve), ParamValue::Int(value)) => curve.stretch(*value),
            (Dimension::Continuous, ..) => (position, position),
        }
    }

    /// Where the value at a position lies.
    fn snap(&self, dimension: Dimension, position: f64) -> f64 {
        match (dimension, self) {
            (Dimension::Levels(count) | Dimension::Categorical(count), _) => {
                centre(level_at(position, count), count)
            }
            (Dimension::Continuous, Self::IntCurve(curve)) => curve.position(curve.at(position)),
            (Dimension::Continuous, _) => unit(position),
        }
    }
}
