//! Names and numbers by which things are known. Each kind has its own type, so that one cannot be passed as another.
//!
//! Names come from people and end up in addresses, paths and terminals: they are checked here, once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing was given.
    #[error("a {kind} must not be empty")]
    Empty {
        /// What was to be named.
        kind: &'static str,
    },
    /// Longer than allowed.
    #[error("a {kind} has at most {limit} characters, this one has {length}")]
    TooLong {
        /// What was to be named.
        kind: &'static str,
        /// Characters given.
        length: usize,
        /// Characters allowed.
        limit: usize,
    },
    /// A character that is not allowed.
    #[error("{found:?} at position {position} is not allowed in a {kind}; use {allowed}")]
    Character {
        /// What was to be named.
        kind: &'static str,
        /// The offending character.
        found: char,
        /// Where it stands, counted from 1.
        position: usize,
        /// What is allowed instead.
        allowed: &'static str,
    },
}

fn check_name(
    text: &str,
    kind: &'static str,
    limit: usize,
    allowed: &'static str,
    first: impl Fn(char) -> bool,
    rest: impl Fn(char) -> bool,
) -> Result<(), NameError> {
    if text.is_empty() {
        return Err(NameError::Empty { kind });
    }
    let length = text.chars().count();
    if length > limit {
        return Err(NameError::TooLong { kind, length, limit });
    }
    for (index, found) in text.chars().enumerate() {
        let fits = if index == 0 { first(found) } else { rest(found) };
        if !fits {
            return Err(NameError::Character {
                kind,
                found,
                position: index + 1,
                allowed,
            });
        }
    }
    Ok(())
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $limit:literal, $allowed:literal, $first:expr, $rest:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(std::sync::Arc<str>);

        impl $name {
            /// Characters a name of this kind may have at most.
            pub const MAX_LENGTH: usize = $limit;

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text, $kind, $limit, $allowed, $first, $rest)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0.as_ref().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name!(
    /// Name of a study, unique within a coordinator: letters, digits, `.`, `_` and `-`, first a letter or digit.
    StudyName,
    "study name",
    128,
    "letters, digits, '.', '_' and '-', first a letter or a digit",
    |c| c.is_ascii_alphanumeric(),
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);

checked_name!(
    /// Name of a project, under which studies are listed together.
    ProjectName,
    "project name",
    128,
    "letters, digits, '.', '_' and '-', first a letter or a digit",
    |c| c.is_ascii_alphanumeric(),
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);

checked_name!(
    /// Name of a worker, unique within a coordinator; by default the machine's host name.
    WorkerName,
    "worker name",
    128,
    "letters, digits, '.', '_' and '-', first a letter or a digit",
    |c| c.is_ascii_alphanumeric(),
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);

checked_name!(
    /// Name of a metric, such as `val_acc` or `eval/loss`.
    MetricName,
    "metric name",
    128,
    "letters, digits, '.', '_', '/', ' ' and '-', first a letter, a digit or '_'",
    |c| c.is_ascii_alphanumeric() || c == '_',
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '/' | ' ' | '-')
);

checked_name!(
    /// Name of a parameter, such as `lr` or `model.depth`.
    ParameterName,
    "parameter name",
    128,
    "letters, digits, '.', '_' and '-', first a letter or '_'",
    |c| c.is_ascii_alphabetic() || c == '_',
    |c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
);

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub Uuid);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::from_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// Identity of a study. Never used again, also not after the study was deleted and its name reused.
    StudyId
);
uuid_id!(
    /// Identity of a worker as the coordinator knows it; stays the same over restarts of the worker.
    WorkerId
);
uuid_id!(
    /// Identity of a place where checkpoints are kept. All workers that reach the same place know it by the same identity.
    CheckpointStoreId
);
uuid_id!(
    /// The random part of a lease. Unguessable, never shown to people.
    LeaseId
);
uuid_id!(
    /// Made by a caller to make a call repeatable: the same id with the same content has the same answer.
    RequestId
);

/// Number of a trial within its study, counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct TrialNumber(pub u64);

impl fmt::Display for TrialNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Number of an attempt at a trial, counted from 1; 0 before the first. It only grows: this is the lease epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Attempt(pub u32);

impl Attempt {
    /// The attempt after this one.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Attempt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The whole fencing token of one attempt. Every report repeats it; it is compared for equality, never for order,
/// because numbers may be issued again after a restore from a backup while the random part cannot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LeaseKey {
    /// The study.
    pub study: StudyId,
    /// The trial within the study.
    pub trial: TrialNumber,
    /// The attempt at the trial.
    pub attempt: Attempt,
    /// The random part.
    pub id: LeaseId,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_or_line_are_refused() {
        for bad in [
            "",
            "../../etc",
            "a/b",
            "a b",
            "line\nbreak",
            "\u{202e}evil",
            ".hidden",
            "-flag",
            "<b>",
            "ä",
        ] {
            assert!(bad.parse::<StudyName>().is_err(), "{bad:?} was accepted");
        }
        for good in ["digits", "Digits-2.final_v3", "0", &"x".repeat(128)] {
            assert!(good.parse::<StudyName>().is_ok(), "{good:?} was refused");
        }
        let error = "a/b".parse::<StudyName>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "'/' at position 2 is not allowed in a study name; use letters, digits, '.', '_' and '-', first a letter or a digit"
        );
        assert_eq!(
            "x".repeat(129).parse::<StudyName>().unwrap_err().to_string(),
            "a study name has at most 128 characters, this one has 129"
        );
    }
}
