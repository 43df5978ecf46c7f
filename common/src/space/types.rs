//! The checked form of a search space.

use serde::{Deserialize, Serialize};

use crate::params::{ParamValue, ParameterName};

/// How a numeric range is divided: equal steps on the scale are equally likely.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Scale {
    /// Equal differences.
    #[default]
    Linear,
    /// Equal ratios; bounds are positive.
    Log,
    /// Powers of two between the bounds; integers only, bounds are powers of two.
    Log2,
    /// The mirror image of log: equal ratios of `low + high - x`. Fine near `high`, coarse near `low`; bounds are positive. For
    /// momenta and discount factors: from 0.001 to 0.999 the distance from 1 has equal ratios. The scale bends only where
    /// `high` is many times `low`.
    ReverseLog,
}

/// Values a parameter may take.
#[derive(Clone, Debug, PartialEq)]
pub enum Domain {
    /// Numbers from `low` to `high`, both included and finite.
    Float {
        /// Smallest value.
        low: f64,
        /// Largest value.
        high: f64,
        /// How the range is divided.
        scale: Scale,
        /// Only `low + k * step`; linear scale only.
        step: Option<f64>,
    },
    /// Whole numbers from `low` to `high`, both included, within ±2^53.
    Int {
        /// Smallest value.
        low: i64,
        /// Largest value.
        high: i64,
        /// How the range is divided.
        scale: Scale,
        /// Only `low + k * step`, at least 1; linear scale only (1 otherwise).
        step: i64,
    },
    /// Values without an order.
    Categorical {
        /// At least one, all different.
        choices: Vec<ParamValue>,
    },
    /// Values in their order.
    Ordinal {
        /// At least one, all different.
        choices: Vec<ParamValue>,
    },
    /// False and true.
    Boolean,
    /// Always the same value.
    Constant(ParamValue),
}

/// A parameter is active only if its parent is active and has one of these values.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// Index of the parent in the space; smaller than that of the parameter itself.
    pub parent: usize,
    /// Values of the parent that make the parameter active.
    pub values: Vec<ParamValue>,
}

/// One parameter of a space.
#[derive(Clone, Debug, PartialEq)]
pub struct Parameter {
    /// Its name.
    pub name: ParameterName,
    /// Its values.
    pub domain: Domain,
    /// All must hold for it to be active.
    pub conditions: Vec<Condition>,
}

/// How a strategy should look at one dimension of the encoded space.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dimension {
    /// Any number in [0, 1).
    Continuous,
    /// That many ordered levels: level k is the interval [k/n, (k+1)/n).
    Levels(u64),
    /// That many values without an order, encoded like levels.
    Categorical(u64),
}
