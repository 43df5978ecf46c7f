//! What is wrong with a search space, or with values given for one.

use std::fmt;

/// One thing that is wrong with a space, or with values given for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpaceError {
    /// Parameter concerned; empty if it is the space, or the values, as a whole.
    pub parameter: String,
    /// Key of the parameter's definition concerned, such as `low` or `choices[2]`; empty if it is the parameter as a whole.
    pub field: String,
    /// What was found, and the remedy.
    pub message: String,
}

impl SpaceError {
    pub(crate) fn new(parameter: &str, field: impl Into<String>, message: impl Into<String>) -> Self {
        Self { parameter: parameter.to_owned(), field: field.into(), message: message.into() }
    }

    /// An error about the space, or the values, as a whole.
    pub(crate) fn whole(message: impl Into<String>) -> Self {
        Self::new("", "", message)
    }

    /// Where it stands, below `root`: `space.lr.low` below `space`, `params.lr` below `params`, `lr` below nothing.
    #[must_use]
    pub fn path(&self, root: &str) -> String {
        let mut path = root.to_owned();
        for part in [&self.parameter, &self.field] {
            if !path.is_empty() && !part.is_empty() {
                path.push('.');
            }
            path.push_str(part);
        }
        path
    }
}

impl fmt::Display for SpaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.path("");
        if path.is_empty() { f.write_str(&self.message) } else { write!(f, "{path}: {}", self.message) }
    }
}

impl std::error::Error for SpaceError {}
