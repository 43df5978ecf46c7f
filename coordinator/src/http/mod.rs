//! The same calls as in gRPC, as JSON over HTTP; events of a study for browsers; metrics; whether the coordinator lives; the dashboard's files.
//!
//! Translates only: every route calls the method of the gRPC service, so that both ways in behave the same.

mod call;
mod dashboard;
mod error;
mod pages;
mod routes;
mod session;
mod streams;

use axum::Router;
use http::{HeaderMap, Uri, header};

use crate::grpc::Api;

pub(crate) use dashboard::is_wanted;
pub(crate) use error::{response as refusal, wrong_host};

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(pages::router(api.clone()))
        .merge(streams::router(api.clone()))
        .merge(session::router(api.clone()))
        .merge(routes::router(&api))
        .fallback(dashboard::answer)
        .method_not_allowed_fallback(error::no_such_method)
}

/// The host that a request names; empty if it names none.
pub(crate) fn host<'a>(uri: &'a Uri, headers: &'a HeaderMap) -> &'a str {
    let named = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    uri.authority()
        .map(http::uri::Authority::as_str)
        .or(named)
        .unwrap_or_default()
}
