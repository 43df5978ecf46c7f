//! One call as JSON: from a request to the message of the method, and from the answer to a document.

use axum::extract::{FromRequestParts as _, Query, RawPathParams, Request as HttpRequest};
use axum::response::Response;
use http::{Method, StatusCode, header};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tonic::{Code, Request, Status};

use super::error;
use super::routes::Route;
use crate::auth::Principal;
use crate::grpc::{Api, ApiError, MAX_MESSAGE, refuse};

/// Names of fields that may come several times in an address.
pub(super) const REPEATED: [&str; 3] = ["states", "metrics", "trials"];
/// Names of fields that are true or false.
pub(super) const FLAGS: [&str; 6] = [
    "show_archived",
    "showArchived",
    "best_only",
    "bestOnly",
    "with_attempts",
    "withAttempts",
];

/// Answers a request by a route.
pub(super) async fn answer(api: Api, route: &'static Route, request: HttpRequest) -> Response {
    match perform(api, route, request).await {
        Ok(document) => json(&document),
        Err(refused) => refused,
    }
}

async fn perform(api: Api, route: &'static Route, request: HttpRequest) -> Result<Value, Response> {
    let (mut parts, body) = request.into_parts();
    let principal = parts.extensions.get::<Principal>().cloned();
    let mut fields = query(&mut parts).await?;
    if parts.method != Method::GET && parts.method != Method::DELETE {
        for (name, value) in read(&parts.headers, body).await? {
            fields.insert(name, value);
        }
    }
    if let Some((field, template)) = route.resource {
        let name = resource(template, &mut parts).await?;
        fields.insert(field.to_owned(), Value::String(name));
    }
    let mut call = Request::new(Value::Object(fields));
    if let Some(principal) = principal {
        call.extensions_mut().insert(principal);
    }
    (route.call)(api, call)
        .await
        .map_err(|status| error::response(&status))
}

/// A document as an answer.
pub(super) fn json(document: &Value) -> Response {
    let mut answer = Response::new(document.to_string().into());
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CACHE_CONTROL,
        header::HeaderValue::from_static("no-store"),
    );
    answer
}

/// The message of a method from its JSON form.
pub(super) fn decode<T: DeserializeOwned>(request: Request<Value>) -> Result<Request<T>, Status> {
    let (metadata, extensions, value) = request.into_parts();
    let message = serde_json::from_value(value).map_err(|error| ApiError::invalid("body", error))?;
    Ok(Request::from_parts(metadata, extensions, message))
}

/// The JSON form of an answer.
pub(super) fn encode<T: Serialize>(response: &T) -> Result<Value, Status> {
    tunesmith_proto::json::to_value(response)
        .map_err(|error| ApiError::Internal(format!("an answer without a JSON form: {error}")).into())
}

/// What stands in the address after the question mark.
async fn query(parts: &mut http::request::Parts) -> Result<Map<String, Value>, Response> {
    let Query(pairs) = Query::<Vec<(String, String)>>::from_request_parts(parts, &())
        .await
        .map_err(|_| {
            invalid(
                "query",
                "is malformed; write it like ?page_size=10&page_token=...",
            )
        })?;
    let mut fields = Map::new();
    for (name, text) in pairs {
        if REPEATED.contains(&name.as_str()) {
            if let Value::Array(values) = fields.entry(name).or_insert_with(|| Value::Array(vec![])) {
                values.push(Value::String(text));
            }
            continue;
        }
        let value = match text.as_str() {
            "true" if FLAGS.contains(&name.as_str()) => Value::Bool(true),
            "false" if FLAGS.contains(&name.as_str()) => Value::Bool(false),
            _ => Value::String(text),
        };
        if fields.insert(name.clone(), value).is_some() {
            return Err(invalid("query", format!("{name:?} is given twice")));
        }
    }
    Ok(fields)
}

/// The body as an object; empty if there is none.
pub(super) async fn read(
    headers: &http::HeaderMap,
    body: axum::body::Body,
) -> Result<Map<String, Value>, Response> {
    let is_json = match headers.get(header::CONTENT_TYPE) {
        Some(content) => content.to_str().is_ok_and(|content| {
            content
                .split(';')
                .next()
                .is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json"))
        }),
        None => false,
    };
    let body = axum::body::to_bytes(body, MAX_MESSAGE).await.map_err(|_| {
        let message = format!("the body has more than {MAX_MESSAGE} bytes, or was cut off");
        error::with_http_status(
            &refuse(Code::ResourceExhausted, "BODY_TOO_LARGE", message),
            StatusCode::PAYLOAD_TOO_LARGE,
        )
    })?;
    if body.is_empty() {
        return Ok(Map::new());
    }
    if !is_json {
        let message = "the body must be JSON, with the header content-type: application/json";
        let status = refuse(Code::InvalidArgument, "NOT_JSON", message);
        return Err(error::with_http_status(
            &status,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ));
    }
    match serde_json::from_slice(&body) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(invalid("body", "is JSON, but not an object")),
        Err(error) => Err(invalid("body", format!("is not JSON: {error}"))),
    }
}

/// The name of a resource, from a template with the placeholders of the path.
pub(super) async fn resource(template: &str, parts: &mut http::request::Parts) -> Result<String, Response> {
    let params = RawPathParams::from_request_parts(parts, &())
        .await
        .map_err(|_| invalid("path", "is not UTF-8 when its escapes are resolved"))?;
    let mut name = template.to_owned();
    for (key, value) in &params {
        // A value that looks like a part of a longer name would name something else.
        if value.contains(['/', '{', '}']) {
            return Err(invalid(
                key,
                format!(
                    "{:?} is not allowed in a name",
                    value.chars().take(80).collect::<String>()
                ),
            ));
        }
        name = name.replace(&format!("{{{key}}}"), value);
    }
    Ok(name)
}

pub(super) fn invalid(field: &str, message: impl ToString) -> Response {
    error::response(&ApiError::invalid(field, message).into())
}
