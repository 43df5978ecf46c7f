//! What can be wrong with a document, kept in parts until it is shown, so that each message can name key, line and remedy.

use std::fmt;

use super::{Content, Node, Place, scalar};

/// A problem of a document, with its place and the path of what is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DocumentError {
    /// Where, if known.
    pub place: Option<Place>,
    /// What, such as `space.lr.low`; empty for the document as a whole.
    pub path: String,
    pub(super) problem: Problem,
}

/// A kind of problem.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Problem {
    UnknownKey {
        key: String,
        known: &'static [&'static str],
    },
    MissingKey(&'static str),
    WrongType {
        expected: String,
        found: String,
    },
    UnknownValue {
        value: String,
        known: &'static [&'static str],
    },
    Other(String),
}

impl DocumentError {
    pub(super) fn new(place: &Place, path: impl Into<String>, problem: Problem) -> Self {
        Self {
            place: Some(place.clone()),
            path: path.into(),
            problem,
        }
    }

    pub(super) fn other(place: &Place, message: impl Into<String>) -> Self {
        Self::new(place, "", Problem::Other(message.into()))
    }

    /// The same about what `path` names.
    pub(super) fn with_path(self, path: String) -> Self {
        Self { path, ..self }
    }

    /// Says where it happened, unless something further inside said so.
    pub(super) fn at(mut self, node: &Node, place: &Place, path: impl FnOnce() -> String) -> Self {
        if self.place.is_none() {
            self.place = Some(place.clone());
            self.path = path();
            if let Problem::WrongType { expected, found } = &mut self.problem {
                *found = describe(node, expected);
            }
        }
        self
    }
}

impl fmt::Display for DocumentError {
    /// The message with the path, without the place.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Problem::UnknownKey { key, known } = &self.problem {
            let inside = if self.path.is_empty() {
                "at the top level"
            } else {
                "in "
            };
            write!(f, "unknown key {:?} {inside}{}; ", shorten(key), self.path)?;
            return suggest(f, key, known);
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        match &self.problem {
            Problem::MissingKey(key) => write!(f, "the key {key:?} is missing"),
            Problem::WrongType { expected, found } => write!(f, "expected {expected}, found {found}"),
            Problem::UnknownValue { value, known } => {
                write!(f, "unknown value {:?}; ", shorten(value))?;
                suggest(f, value, known)
            }
            Problem::UnknownKey { .. } => Ok(()),
            Problem::Other(message) => f.write_str(message),
        }
    }
}

impl std::error::Error for DocumentError {}

impl serde::de::Error for DocumentError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self {
            place: None,
            path: String::new(),
            problem: Problem::Other(message.to_string()),
        }
    }

    fn invalid_type(_: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        let problem = Problem::WrongType {
            expected: for_people(&expected.to_string()),
            found: String::new(),
        };
        Self {
            place: None,
            path: String::new(),
            problem,
        }
    }

    fn invalid_value(unexpected: serde::de::Unexpected<'_>, expected: &dyn serde::de::Expected) -> Self {
        Self::invalid_type(unexpected, expected)
    }

    fn invalid_length(length: usize, expected: &dyn serde::de::Expected) -> Self {
        Self::custom(format!(
            "expected {}, found a list of {length}",
            for_people(&expected.to_string())
        ))
    }

    fn unknown_variant(variant: &str, known: &'static [&'static str]) -> Self {
        let problem = Problem::UnknownValue {
            value: variant.to_owned(),
            known,
        };
        Self {
            place: None,
            path: String::new(),
            problem,
        }
    }

    fn unknown_field(field: &str, known: &'static [&'static str]) -> Self {
        let problem = Problem::UnknownKey {
            key: field.to_owned(),
            known,
        };
        Self {
            place: None,
            path: String::new(),
            problem,
        }
    }

    fn missing_field(field: &'static str) -> Self {
        Self {
            place: None,
            path: String::new(),
            problem: Problem::MissingKey(field),
        }
    }
}

/// The words of serde's own visitors, for people who do not write Rust.
fn for_people(expected: &str) -> String {
    match expected {
        "a string" => "a text",
        "f64" => "a number",
        "u64" | "usize" => "a whole number of at least 0",
        "u32" => "a whole number from 0 to 4294967295",
        "i64" => "a whole number",
        "a boolean" => "true or false",
        "a sequence" => "a list",
        other => other,
    }
    .to_owned()
}

/// What was found, and what to do about it where that can be guessed.
fn describe(node: &Node, expected: &str) -> String {
    match &node.content {
        Content::List(_) => "a list".to_owned(),
        Content::Map(_) if expected == "a text" => {
            "a map; if a placeholder such as {lr} is meant, put it in quotes".to_owned()
        }
        Content::Map(_) => "a map".to_owned(),
        Content::Scalar { text, plain } => match scalar::resolve(text, *plain) {
            scalar::Resolved::Null => "nothing".to_owned(),
            scalar::Resolved::Bool(value) => value.to_string(),
            scalar::Resolved::Text => {
                let unquoted = scalar::resolve(text, true);
                let wanted = match unquoted {
                    scalar::Resolved::Bool(_) => expected == "true or false",
                    scalar::Resolved::Text | scalar::Resolved::Null => false,
                    _ => expected.contains("number"),
                };
                let hint = if wanted { "; remove the quotes" } else { "" };
                format!("the text {:?}{hint}", shorten(text))
            }
            _ => format!("the number {}", shorten(text)),
        },
    }
}

/// The remedy for an unknown word: the known word it most resembles, or all of them.
fn suggest(f: &mut fmt::Formatter<'_>, word: &str, known: &[&str]) -> fmt::Result {
    match super::nearest(word, known.iter().copied()) {
        Some(near) => write!(f, "did you mean {near:?}?"),
        None => write!(f, "known are {}", known.join(", ")),
    }
}

/// A text from outside, short enough for a message.
#[must_use]
pub fn shorten(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
