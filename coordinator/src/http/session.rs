//! Signing a browser in and out: a token is exchanged for a cookie that only the browser itself reads.

use axum::Router;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::get;
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use serde_json::json;
use tonic::Code;

use super::call::{invalid, json, read};
use super::{dashboard, error};
use crate::auth::{NO_TOKEN, Principal, set_cookie, token_id};
use crate::grpc::{Api, refuse};
use crate::store::TokenKind;

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/session", get(show).post(sign_in).delete(sign_out))
        .with_state(api)
}

/// Who is signed in, and the version of the files that a page should have loaded.
fn who(label: &str) -> Response {
    json(&json!({
        "label": label,
        "version": env!("CARGO_PKG_VERSION"),
        "assets": dashboard::version(),
    }))
}

async fn show(request: Request) -> Response {
    match request.extensions().get::<Principal>() {
        Some(principal) => who(&principal.label),
        None => error::response(&refuse(Code::Unauthenticated, "UNAUTHENTICATED", NO_TOKEN)),
    }
}

async fn sign_in(State(api): State<Api>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let fields = match read(&parts.headers, body).await {
        Ok(fields) => fields,
        Err(refused) => return refused,
    };
    let Some(token) = fields.get("token").and_then(|token| token.as_str()) else {
        return invalid("token", "is missing; the body is {\"token\": \"ts_user_...\"}");
    };
    let principal = api.tokens.check(token.trim());
    let (Some(principal), Some(id)) = (principal, token_id(token.trim())) else {
        let message = "this token is unknown or was revoked; the coordinator keeps its first one in admin.token in its data folder";
        return error::response(&refuse(Code::Unauthenticated, "UNAUTHENTICATED", message));
    };
    if principal.kind != TokenKind::User {
        let message = "this is a worker's token; sign in with a user's, such as the one in admin.token";
        return error::response(&refuse(Code::PermissionDenied, "WRONG_TOKEN_KIND", message));
    }
    let Some(sign_in) = api.browsers.issue(&api.tokens, id, api.engines.clock().now()) else {
        // Revoked between the two looks at it.
        return error::response(&refuse(Code::Unauthenticated, "UNAUTHENTICATED", NO_TOKEN));
    };
    with_cookie(who(&principal.label), &parts, Some(&sign_in))
}

async fn sign_out(request: Request) -> Response {
    let (parts, _) = request.into_parts();
    let mut answer = Response::new(axum::body::Body::empty());
    *answer.status_mut() = StatusCode::NO_CONTENT;
    with_cookie(answer, &parts, None)
}

fn with_cookie(mut answer: Response, parts: &Parts, sign_in: Option<&str>) -> Response {
    let host = super::host(&parts.uri, &parts.headers);
    // Made of an id, digits and the digits of a port.
    if let Ok(cookie) = HeaderValue::from_str(&set_cookie(&parts.headers, host, sign_in)) {
        answer.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    answer
}
