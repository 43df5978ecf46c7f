//! What is wrong with a search space, or with values given for one.

use std::fmt;

use crate::params::ParamValue;

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
        Self {
            parameter: parameter.to_owned(),
            field: field.into(),
            message: message.into(),
        }
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
        if path.is_empty() {
            f.write_str(&self.message)
        } else {
            write!(f, "{path}: {}", self.message)
        }
    }
}

impl std::error::Error for SpaceError {}

/// A value for a message: texts in quotes with control characters escaped, and cut where they get long.
pub(crate) fn show(value: &ParamValue) -> String {
    match value {
        ParamValue::Text(text) => quote(text),
        ParamValue::Bool(_) | ParamValue::Int(_) | ParamValue::Float(_) => value.to_string(),
    }
}

/// A text from outside in quotes, for a message.
pub(crate) fn quote(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{:?}...", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// The known name that a misspelt one most likely means.
pub(crate) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    // Names have at most 128 characters; the distance to a text of megabytes would take its time and mean nothing.
    if name.len() > 256 {
        return None;
    }
    let limit = (name.chars().count().max(3)).div_ceil(3);
    known
        .filter(|known| known.len() <= 256)
        .map(|known| {
            (
                strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase()),
                known,
            )
        })
        .filter(|(distance, _)| *distance <= limit)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, known)| known)
}
