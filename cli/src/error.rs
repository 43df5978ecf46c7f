//! What can go wrong, how it is told to a person, and with which exit status the program ends.
//!
//! Every error is a headline that says what was tried and why it failed, and hints that say what to do about it. Nothing here
//! prints a Rust value in its debug form.

use std::fmt::Write as _;
use std::path::Path;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::output::human;

/// The study ended without one usable trial, or what was looked at is not as it should be.
pub const EXIT_BAD_RESULT: u8 = 1;
/// Wrong usage, a wrong study file, or a file that cannot be read or written.
pub const EXIT_USAGE: u8 = 2;
/// The coordinator, or a program that `tunesmith up` started, is not there.
pub const EXIT_UNREACHABLE: u8 = 3;
/// The coordinator refused.
pub const EXIT_REFUSED: u8 = 4;
/// Interrupted by the user, as shells report it for SIGINT.
pub const EXIT_INTERRUPTED: u8 = 130;

/// Why a command did not do what it was asked to do.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The study has ended, and none of its trials has a value.
    #[error("{headline}")]
    NoUsableTrial {
        /// What happened.
        headline: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// What the user gave cannot work.
    #[error("{headline}")]
    Usage {
        /// What is wrong.
        headline: String,
        /// What to do, or one line for each thing that is wrong.
        hints: Vec<String>,
    },
    /// A service that is needed is not there.
    #[error("{headline}")]
    Unreachable {
        /// What is not there.
        headline: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// The coordinator said no.
    #[error("{headline}")]
    Refused {
        /// What was tried, and the coordinator's words.
        headline: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// The coordinator said no because the name is taken; another one works.
    #[error("{headline}")]
    NameTaken {
        /// What was tried, and the coordinator's words.
        headline: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// What was looked at is not as it should be.
    #[error("{headline}")]
    Failed {
        /// What is wrong.
        headline: String,
        /// What to do.
        hints: Vec<String>,
    },
    /// The user interrupted; everything there is to say has been said.
    #[error("interrupted")]
    Interrupted,
    /// Whoever reads our output went away, which is no error.
    #[error("output closed")]
    OutputClosed,
}

impl CliError {
    /// Wrong usage, with one hint.
    pub fn usage(headline: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Usage {
            headline: headline.into(),
            hints: vec![hint.into()],
        }
    }

    /// A file that cannot be read or written. `doing` is such as `read`.
    pub fn file(doing: &str, path: &Path, error: &std::io::Error) -> Self {
        Self::Usage {
            headline: format!("cannot {doing} {}: {}", path.display(), io_reason(error)),
            hints: vec![],
        }
    }

    /// The exit status.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::NoUsableTrial { .. } | Self::Failed { .. } => EXIT_BAD_RESULT,
            Self::Usage { .. } => EXIT_USAGE,
            Self::Unreachable { .. } => EXIT_UNREACHABLE,
            Self::Refused { .. } | Self::NameTaken { .. } => EXIT_REFUSED,
            Self::Interrupted => EXIT_INTERRUPTED,
            Self::OutputClosed => 0,
        }
    }

    /// The text for standard error, without colours; empty if there is nothing to say.
    #[must_use]
    pub fn render(&self) -> String {
        let (headline, hints) = match self {
            Self::NoUsableTrial { headline, hints }
            | Self::Usage { headline, hints }
            | Self::Unreachable { headline, hints }
            | Self::Refused { headline, hints }
            | Self::NameTaken { headline, hints }
            | Self::Failed { headline, hints } => (headline, hints),
            Self::Interrupted | Self::OutputClosed => return String::new(),
        };
        let mut text = format!("error: {}\n", human::clean(headline));
        for hint in hints {
            for line in hint.lines() {
                // Writing to a String cannot fail.
                let _ = writeln!(text, "  {}", human::clean(line));
            }
        }
        text
    }

    /// Adds a hint that only the calling command knows.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        if let Self::NoUsableTrial { hints, .. }
        | Self::Usage { hints, .. }
        | Self::Unreachable { hints, .. }
        | Self::Refused { hints, .. }
        | Self::NameTaken { hints, .. }
        | Self::Failed { hints, .. } = &mut self
        {
            hints.push(hint.into());
        }
        self
    }
}

/// What the operating system said, without its error number.
#[must_use]
pub fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_owned(),
        None => text,
    }
}

/// A coordinator that does not answer at `url`.
#[must_use]
pub fn unreachable(url: &str, reason: &str) -> CliError {
    CliError::Unreachable {
        headline: format!("cannot reach the coordinator at {url}: {reason}"),
        hints: vec![
            "start one on this machine with `tunesmith up`, or name another with --coordinator URL or TUNESMITH_COORDINATOR"
                .to_owned(),
        ],
    }
}

/// Turns the coordinator's answer into an error. `doing` completes "cannot ...", such as `create study "digits"`.
#[must_use]
pub fn from_status(status: &Status, doing: &str, url: &str) -> CliError {
    let headline = || format!("cannot {doing}: {}", message_of(status));
    if is_away(status) {
        return match innermost(status) {
            Some(reason) => unreachable(url, &reason),
            // It is there, and said itself that it cannot.
            None => CliError::Unreachable {
                headline: format!("{}; the coordinator at {url} cannot answer for now", headline()),
                hints: vec!["try again in a moment".to_owned()],
            },
        };
    }
    if status.message().starts_with("grpc-status header missing") {
        return CliError::Unreachable {
            headline: format!("cannot {doing}: what answers at {url} is no Tunesmith coordinator"),
            hints: vec!["check address and port; a proxy on the way must let gRPC pass".to_owned()],
        };
    }
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => CliError::Unreachable {
            headline: format!("{}; the coordinator at {url} does not answer in time", headline()),
            hints: vec!["try again; its log may say what keeps it busy".to_owned()],
        },
        Code::InvalidArgument | Code::OutOfRange => {
            let mut fields: Vec<String> = field_violations(status);
            if fields.is_empty() && status.message().contains('\n') {
                fields = status.message().lines().map(str::to_owned).collect();
            }
            if fields.is_empty() {
                CliError::Usage {
                    headline: headline(),
                    hints: vec![],
                }
            } else {
                CliError::Usage {
                    headline: format!("cannot {doing}:"),
                    hints: fields,
                }
            }
        }
        Code::Unauthenticated => CliError::Refused {
            headline: headline(),
            hints: vec![
                "the coordinator writes a token to admin.token in its data folder at its first start; \
                 pass that file with --token-file or TUNESMITH_TOKEN_FILE"
                    .to_owned(),
            ],
        },
        Code::PermissionDenied => CliError::Refused {
            headline: headline(),
            hints: vec![
                "use a user token (`tunesmith token create`); a worker token can only join the pool"
                    .to_owned(),
            ],
        },
        Code::AlreadyExists => CliError::NameTaken {
            headline: headline(),
            hints: vec![],
        },
        Code::NotFound => CliError::Refused {
            headline: headline(),
            hints: vec!["see what exists with `tunesmith study list` and `tunesmith worker list`".to_owned()],
        },
        Code::Aborted => CliError::Refused {
            headline: headline(),
            hints: vec!["somebody else changed it at the same time: look again, then repeat".to_owned()],
        },
        Code::Unimplemented => CliError::Refused {
            headline: headline(),
            hints: vec!["this coordinator is older than this program; upgrade it".to_owned()],
        },
        Code::Internal | Code::Unknown | Code::DataLoss => CliError::Refused {
            headline: headline(),
            hints: vec!["this is a fault of the coordinator; its log has the details".to_owned()],
        },
        Code::Ok | Code::ResourceExhausted | Code::FailedPrecondition => CliError::Refused {
            headline: headline(),
            hints: vec![],
        },
    }
}

/// Whether the answer means that the coordinator is away for now and the call may be repeated.
#[must_use]
pub fn is_away(status: &Status) -> bool {
    match status.code() {
        Code::Unavailable => true,
        // A connection that breaks in the middle of an answer surfaces as one of these, with the transport's error inside.
        Code::Unknown | Code::Internal | Code::Cancelled => {
            std::error::Error::source(status).is_some() || status.message().starts_with("h2 protocol error")
        }
        _ => false,
    }
}

/// The machine-readable reason the coordinator gave, such as `STALE_LEASE`.
#[must_use]
pub fn reason(status: &Status) -> Option<String> {
    status.get_details_error_info().map(|info| info.reason)
}

fn message_of(status: &Status) -> String {
    if status.message().is_empty() {
        return reason(status).unwrap_or_else(|| status.code().description().to_owned());
    }
    status.message().to_owned()
}

fn field_violations(status: &Status) -> Vec<String> {
    let Some(bad_request) = status.get_details_bad_request() else {
        return vec![];
    };
    bad_request
        .field_violations
        .into_iter()
        .map(|violation| format!("{}: {}", violation.field, violation.description))
        .collect()
}

/// Text of the innermost cause of an error, which is what a person understands ("connection refused"; the layers above say only
/// "transport error"); none if it has no cause.
#[must_use]
pub fn innermost(error: &dyn std::error::Error) -> Option<String> {
    let mut cause = error.source()?;
    while let Some(next) = cause.source() {
        cause = next;
    }
    let text = match cause.downcast_ref::<std::io::Error>() {
        Some(io) => io_reason(io),
        None => cause.to_string(),
    };
    Some(text)
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, StatusExt};

    use super::*;

    const URL: &str = "http://127.0.0.1:7700";

    #[test]
    fn each_code_has_its_exit_status() {
        let cases = [
            (Code::Unavailable, EXIT_UNREACHABLE),
            (Code::DeadlineExceeded, EXIT_UNREACHABLE),
            (Code::Cancelled, EXIT_UNREACHABLE),
            (Code::InvalidArgument, EXIT_USAGE),
            (Code::OutOfRange, EXIT_USAGE),
            (Code::NotFound, EXIT_REFUSED),
            (Code::AlreadyExists, EXIT_REFUSED),
            (Code::FailedPrecondition, EXIT_REFUSED),
            (Code::Aborted, EXIT_REFUSED),
            (Code::ResourceExhausted, EXIT_REFUSED),
            (Code::Unauthenticated, EXIT_REFUSED),
            (Code::PermissionDenied, EXIT_REFUSED),
            (Code::Internal, EXIT_REFUSED),
            (Code::Unimplemented, EXIT_REFUSED),
        ];
        for (code, exit) in cases {
            assert_eq!(
                from_status(&Status::new(code, "why"), "do it", URL).exit_code(),
                exit,
                "{code:?}"
            );
        }
    }

    #[test]
    fn wrong_fields_are_listed_one_per_line() {
        let mut details = ErrorDetails::new();
        details.add_bad_request_violation("spec.space[0].low", "must be smaller than high, got 3");
        details.add_bad_request_violation("spec.budget.trials", "must be at least 1, got 0");
        let status = Status::with_error_details(Code::InvalidArgument, "2 fields are wrong", details);
        assert_eq!(
            from_status(&status, "create study \"digits\"", URL).render(),
            "error: cannot create study \"digits\":\n  spec.space[0].low: must be smaller than high, got 3\n  \
             spec.budget.trials: must be at least 1, got 0\n"
        );
    }

    #[test]
    fn what_comes_over_the_network_cannot_paint_the_terminal() {
        let status = Status::not_found("no study \u{1b}[31m\"x\"");
        assert!(!from_status(&status, "look", URL).render().contains('\u{1b}'));
    }

    #[test]
    fn a_lost_connection_names_the_innermost_cause_and_the_remedy() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let status = Status::from_error(Box::new(std::io::Error::other(refused)));
        let error = unreachable(URL, &innermost(&status).unwrap());
        assert_eq!(
            error.render(),
            "error: cannot reach the coordinator at http://127.0.0.1:7700: connection refused\n  start one on this machine \
             with `tunesmith up`, or name another with --coordinator URL or TUNESMITH_COORDINATOR\n"
        );
    }
}
