//! A checked constraint, and how it is asked.

use std::fmt;

use crate::params::{ParamValue, ParameterName, Params};
use crate::space::Parameter;

use super::expression::{Expression, Value};
use super::parse::Parser;

/// Characters of a constraint, counted in bytes.
const LONGEST: usize = 4_096;

/// A checked constraint on the parameters of one space.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    text: String,
    expression: Expression,
    /// Places of the parameters in the space, ascending, and their names.
    mentioned: Vec<usize>,
    names: Vec<ParameterName>,
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
    /// Reads a constraint on these parameters, which are those of a space in their order.
    ///
    /// # Errors
    /// The first thing that is wrong: a text that is not an expression, an unknown parameter, a number compared with a
    /// text, a value that a parameter never has, no parameter at all, more than 4,096 bytes, or more than 64 levels of nesting.
    pub fn parse(text: &str, parameters: &[Parameter]) -> Result<Self, ConstraintError> {
        if text.len() > LONGEST {
            let message = format!(
                "a constraint has at most {LONGEST} bytes, this one has {}; write it as several",
                text.len()
            );
            return Err(ConstraintError { column: 1, message });
        }
        let (expression, mentioned) = Parser::new(text, parameters)?.parse()?;
        let names = mentioned
            .iter()
            .map(|index| parameters[*index].name.clone())
            .collect();
        Ok(Self {
            text: text.to_owned(),
            expression,
            mentioned,
            names,
        })
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Places of the parameters that it mentions in the space, ascending.
    #[must_use]
    pub fn mentioned(&self) -> &[usize] {
        &self.mentioned
    }

    /// Whether these values satisfy it. It holds if a parameter that it mentions is missing, that is, inactive. It does not
    /// if it cannot be computed, as with a division by zero.
    #[must_use]
    pub fn holds(&self, params: &Params) -> bool {
        self.holds_for(&|index| {
            let place = self.mentioned.binary_search(&index).ok()?;
            params.value(self.names[place].as_str())
        })
    }

    /// [`Self::holds`] for values by the parameter's place in the space.
    pub(crate) fn holds_for<'a>(&'a self, value: &dyn Fn(usize) -> Option<&'a ParamValue>) -> bool {
        self.mentioned.iter().any(|index| value(*index).is_none())
            || matches!(self.expression.value(value), Some(Value::Bool(true)))
    }
}

impl fmt::Display for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
