//! Constraints: what a point of a space must satisfy before it is worth a trial, such as `batch * width <= 16384`.

use std::fmt;

use crate::params::Params;
use crate::space::Parameter;

/// A checked constraint.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    text: String,
}

/// Why a text is not a constraint.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("column {column}: {message}")]
pub struct ConstraintError {
    /// Where it stands, in characters counted from 1.
    pub column: usize,
    /// What was found, what was expected.
    pub message: String,
}

impl Constraint {
    /// Reads a constraint on these parameters.
    ///
    /// # Errors
    /// The first thing that is wrong with the text.
    pub fn parse(_text: &str, _parameters: &[Parameter]) -> Result<Self, ConstraintError> {
        unimplemented!()
    }

    /// Whether these values satisfy it.
    #[must_use]
    pub fn holds(&self, _params: &Params) -> bool {
        unimplemented!()
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
