//! What is known about the value of an expression before there are any values.

use crate::params::ParamValue;
use crate::space::Domain;

/// What is known beforehand about the values of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Number,
    Text,
    Bool,
    /// Differs from point to point: a parameter with choices of several kinds.
    Mixed,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Number => "a number",
            Self::Text => "a text",
            Self::Bool => "true or false",
            Self::Mixed => "of several kinds",
        }
    }

    pub(super) fn may_be(self, other: Self) -> bool {
        self == other || self == Self::Mixed || other == Self::Mixed
    }

    pub(super) fn of(value: &ParamValue) -> Self {
        match value {
            ParamValue::Bool(_) => Self::Bool,
            ParamValue::Int(_) | ParamValue::Float(_) => Self::Number,
            ParamValue::Text(_) => Self::Text,
        }
    }

    pub(super) fn of_domain(domain: &Domain) -> Self {
        match domain {
            Domain::Float { .. } | Domain::Int { .. } => Self::Number,
            Domain::Boolean => Self::Bool,
            Domain::Constant(value) => Self::of(value),
            Domain::Categorical { choices } | Domain::Ordinal { choices } => {
                let mut kinds = choices.iter().map(Self::of);
                let first = kinds.next().unwrap_or(Self::Mixed);
                if kinds.all(|kind| kind == first) {
                    first
                } else {
                    Self::Mixed
                }
            }
        }
    }
}
