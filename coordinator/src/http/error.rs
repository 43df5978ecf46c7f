//! Statuses as HTTP answers, in the form of Google's APIs: `{"error": {"code", "status", "message", "reason", "details"}}`.

use axum::body::Body;
use axum::response::Response;
use http::{StatusCode, header};
use serde_json::json;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

use crate::grpc::refuse;

/// HTTP status of a code, as google.rpc.Code defines it.
fn http_status(code: Code) -> StatusCode {
    match code {
        Code::Ok => StatusCode::OK,
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => StatusCode::BAD_REQUEST,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Aborted => StatusCode::CONFLICT,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::Unknown | Code::Internal | Code::DataLoss => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Name of a code in google.rpc.Code.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// A status as JSON.
pub(super) fn document(status: &Status, http: StatusCode) -> serde_json::Value {
    let details = status.get_error_details();
    let reason = details.error_info().map_or("", |info| info.reason.as_str());
    let violations: Vec<_> = details
        .bad_request()
        .map(|bad| &bad.field_violations)
        .into_iter()
        .flatten()
        .map(|violation| json!({"field": violation.field, "description": violation.description}))
        .collect();
    json!({"error": {
        "code": http.as_u16(),
        "status": name(status.code()),
        "message": status.message(),
        "reason": reason,
        "details": violations,
    }})
}

/// A status as an answer, with the HTTP status that belongs to it.
pub(crate) fn response(status: &Status) -> Response {
    with_http_status(status, http_status(status.code()))
}

/// A status as an answer, with another HTTP status.
pub(super) fn with_http_status(status: &Status, http: StatusCode) -> Response {
    let mut answer = Response::new(Body::from(document(status, http).to_string()));
    *answer.status_mut() = http;
    let headers = answer.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    if http == StatusCode::UNAUTHORIZED {
        headers.insert(
            header::WWW_AUTHENTICATE,
            header::HeaderValue::from_static("Bearer"),
        );
    }
    if http == StatusCode::SERVICE_UNAVAILABLE {
        headers.insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    answer
}

/// The request names a host that is not this one.
pub(crate) fn wrong_host() -> Response {
    let status = refuse(
        Code::InvalidArgument,
        "WRONG_HOST",
        "the Host header names another host; call by localhost or by address, or start the coordinator with --allowed-host NAME",
    );
    with_http_status(&status, StatusCode::MISDIRECTED_REQUEST)
}

/// There is no such page.
pub(super) fn no_such_page() -> Response {
    response(&refuse(
        Code::NotFound,
        "NO_SUCH_PAGE",
        "there is no such page; docs/api.md lists all",
    ))
}

/// The page exists, but not for this verb.
pub(super) async fn no_such_method() -> Response {
    let status = refuse(
        Code::Unimplemented,
        "NO_SUCH_METHOD",
        "this page does not take this method; docs/api.md lists all",
    );
    with_http_status(&status, StatusCode::METHOD_NOT_ALLOWED)
}
