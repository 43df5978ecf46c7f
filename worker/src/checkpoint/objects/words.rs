//! What an object store says when it refuses or does not answer, for people: with the remedy, and without anything that it is accessed with.

use object_store::Error;

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::location::{Bucket, Kind};

/// Characters of a store's own words that are passed on.
const LONGEST: usize = 400;

/// The error of a request.
pub(super) fn failed(action: &'static str, bucket: &Bucket, name: &str, error: &Error) -> CheckpointError {
    let access = match bucket.kind {
        Kind::S3 => "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION and AWS_ENDPOINT",
        Kind::Google => "GOOGLE_SERVICE_ACCOUNT or GOOGLE_APPLICATION_CREDENTIALS",
        Kind::Azure => "AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    };
    let remedy = match error {
        Error::NotFound { .. } => {
            "there is no such bucket, or what was in it has gone; make the bucket first".to_owned()
        }
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => format!(
            "it is not allowed; the worker needs to read, write, list and remove objects there: check {access}"
        ),
        Error::NotImplemented { .. } | Error::NotSupported { .. } => {
            "the store cannot do that; it has to know conditional writes (If-None-Match)".to_owned()
        }
        _ => format!("check that the store is up and can be reached from here, and {access}"),
    };
    CheckpointError::Store {
        action,
        url: bucket.url(name),
        problem: format!("{}; {remedy}", said(bucket, error)),
    }
}

/// The error's own words. Answers of stores may repeat what was sent to them, so that only their code and message are kept.
fn said(bucket: &Bucket, error: &Error) -> String {
    let mut causes = vec![error.to_string()];
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let text = error.to_string();
        // Most say what their cause says, too.
        if causes.iter().all(|known| !known.contains(&text)) {
            causes.push(text);
        }
        cause = error.source();
    }
    let text = causes.join(": ");
    let mut kept = match text.find('<') {
        Some(at) => {
            let elements = ["Code", "Message"].map(|name| element(&text[at..], name));
            let elements = elements.into_iter().flatten().collect::<Vec<_>>().join(": ");
            format!("{}{elements}", &text[..at])
        }
        None => text,
    };
    for (name, value) in &bucket.access.0 {
        let secret = ["KEY", "SECRET", "TOKEN", "PASSWORD", "CREDENTIAL"];
        // Whose key it is is no secret, and the remedy may be in it.
        let secret = !name.ends_with("_ID") && secret.iter().any(|word| name.contains(word));
        if secret && value.len() >= 4 {
            kept = kept.replace(value.as_str(), "***");
        }
    }
    kept.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(LONGEST)
        .collect()
}

/// The content of an XML element.
fn element<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("<{name}>"))?;
    Some(rest.split_once("</")?.0)
}
