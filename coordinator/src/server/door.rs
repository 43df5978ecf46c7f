//! The door that every request passes: who calls, may they, by which name; then on to gRPC or HTTP.
//!
//! On the way of every call, so it waits for nothing and logs nothing that was not refused.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request, Response, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::Service as _;

use crate::auth::{Access, HostPolicy, RequestKind, Tokens, access_of};
use crate::grpc::{Caller, refuse};
use crate::http::{refusal, wrong_host};
use crate::metrics::Metrics;

/// One text for a token that is missing, malformed, unknown, wrong or revoked: the difference is nobody's business.
const NO_TOKEN: &str = "a valid token is needed: authorization: Bearer ts_...; the coordinator keeps its first one in admin.token \
                        in its data folder";

/// The door.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) tokens: Arc<Tokens>,
    pub(super) hosts: HostPolicy,
    pub(super) metrics: Arc<Metrics>,
    pub(super) grpc: Router,
    pub(super) http: Router,
}

/// Why a request goes no further.
enum Refused {
    Status(Status),
    Host,
}

impl Door {
    /// Answers a request that came from `caller` to our address `local`.
    pub(super) async fn answer(
        &self,
        mut request: Request<Incoming>,
        caller: SocketAddr,
        local: Option<SocketAddr>,
    ) -> Response<Body> {
        let began = Instant::now();
        let _in_flight = self.metrics.in_flight();
        let kind = RequestKind::of(request.uri().path(), request.headers());
        let answer = match self.admit(kind, &mut request, local) {
            Ok(()) => {
                request.extensions_mut().insert(Caller(caller));
                let mut router = match kind {
                    RequestKind::Grpc(_) => self.grpc.clone(),
                    RequestKind::Http => self.http.clone(),
                };
                match router.call(request.map(Body::new)).await {
                    Ok(answer) => answer,
                    Err(never) => match never {},
                }
            }
            Err(Refused::Host) => wrong_host(),
            Err(Refused::Status(status)) => match kind {
                RequestKind::Grpc(_) => status.into_http(),
                RequestKind::Http => refusal(&status),
            },
        };
        self.metrics
            .request(kind, code_of(kind, &answer), began.elapsed());
        answer
    }

    fn admit(
        &self,
        kind: RequestKind,
        request: &mut Request<Incoming>,
        local: Option<SocketAddr>,
    ) -> Result<(), Refused> {
        if kind == RequestKind::Http {
            let authority = request.uri().authority().map(http::uri::Authority::as_str);
            let host = authority
                .or_else(|| text(request.headers(), &header::HOST))
                .unwrap_or_default();
            if !self.hosts.allows(host, local) {
                return Err(Refused::Host);
            }
            if let Some(origin) = request.headers().get(header::ORIGIN) {
                let ours = origin
                    .to_str()
                    .is_ok_and(|origin| crate::auth::same_origin(origin, host));
                if !ours {
                    let message = "the page that calls is not of this coordinator";
                    return Err(Refused::Status(refuse(
                        Code::PermissionDenied,
                        "WRONG_ORIGIN",
                        message,
                    )));
                }
            }
        }
        let access = access_of(kind, request.uri().path());
        if access == Some(Access::Open) {
            return Ok(());
        }
        let token =
            text(request.headers(), &header::AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer "));
        let principal = token
            .and_then(|token| self.tokens.check(token))
            .ok_or_else(|| Refused::Status(refuse(Code::Unauthenticated, "UNAUTHENTICATED", NO_TOKEN)))?;
        match access {
            Some(Access::Kind(kind)) if kind == principal.kind => {}
            Some(Access::Kind(_) | Access::Open) => {
                let message = "this token may not make this call: workers' tokens open sessions, users' tokens do everything else";
                return Err(Refused::Status(refuse(
                    Code::PermissionDenied,
                    "WRONG_TOKEN_KIND",
                    message,
                )));
            }
            None => {
                let message = "there is no such method; the coordinator may be older than the caller";
                return Err(Refused::Status(refuse(
                    Code::Unimplemented,
                    "NO_SUCH_METHOD",
                    message,
                )));
            }
        }
        request.extensions_mut().insert(principal);
        Ok(())
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

/// The code of an answer. Of gRPC only what is known when the answer begins: refusals are, ends of streams are not.
fn code_of(kind: RequestKind, answer: &Response<Body>) -> Code {
    match kind {
        RequestKind::Grpc(_) => answer
            .headers()
            .get(Status::GRPC_STATUS)
            .map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes())),
        RequestKind::Http => match answer.status().as_u16() {
            ..400 => Code::Ok,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::NotFound,
            409 => Code::Aborted,
            429 => Code::ResourceExhausted,
            503 => Code::Unavailable,
            400..500 => Code::InvalidArgument,
            _ => Code::Internal,
        },
    }
}
