//! The same calls as in gRPC, as JSON over HTTP; events of a study for browsers; metrics; whether the coordinator lives.
//!
//! Translates only: every route calls the method of the gRPC service, so that both ways in behave the same.

mod call;
mod error;
mod pages;
mod routes;
mod streams;

use axum::Router;

use crate::grpc::Api;

pub(crate) use error::{response as refusal, wrong_host};

/// All routes.
pub fn router(api: Api) -> Router {
    Router::new()
        .merge(pages::router(api.clone()))
        .merge(streams::router(api.clone()))
        .merge(routes::router(&api))
        .fallback(error::no_such_page)
        .method_not_allowed_fallback(error::no_such_method)
}
