//! Messages as JSON documents of the command line: ProtoJSON with indentation.

use serde::Serialize;
use serde_json::Value;

use crate::error::CliError;

/// One document with indentation and a line end.
///
/// # Errors
/// If the message has an enum value that this build does not know.
pub(crate) fn to_text<T: Serialize + ?Sized>(document: &T) -> Result<String, CliError> {
    let value = to_value(document)?;
    Ok(format!("{value:#}\n"))
}

/// A document as a JSON value.
///
/// # Errors
/// If the message has an enum value that this build does not know.
pub(crate) fn to_value<T: Serialize + ?Sized>(document: &T) -> Result<Value, CliError> {
    tunesmith_proto::json::to_value(document).map_err(|error| CliError::Refused {
        headline: format!("the coordinator's answer cannot be written as JSON: {error}"),
        hints: vec!["the coordinator may be newer than this program; upgrade it".to_owned()],
    })
}
