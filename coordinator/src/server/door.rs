//! The door that every request passes: who calls, may they, by which name; then on to gRPC or HTTP.
//!
//! On the way of every call, so it waits for nothing and logs nothing that was not refused.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::{Request, Response, header};
use hyper::body::Incoming;
use tokio::time::Instant;
use tonic::{Code, Status};
use tower::Service as _;
use tunesmith_common::Clock;

use crate::auth::{
    Access, Browsers, HostPolicy, NO_TOKEN, Principal, RequestKind, Sender, Tokens, access_of, cookie,
};
use crate::grpc::{Caller, refuse};
use crate::http::{host, is_wanted, refusal, wrong_host};
use crate::metrics::Metrics;

/// The door.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) tokens: Arc<Tokens>,
    pub(super) browsers: Arc<Browsers>,
    pub(super) clock: Arc<dyn Clock>,
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
            let host = host(request.uri(), request.headers());
            if !self.hosts.allows(host, local) {
                return Err(Refused::Host);
            }
            if let Some(origin) = request.headers().get(header::ORIGIN) {
                let ours = origin
                    .to_str()
                    .is_ok_and(|origin| crate::auth::same_origin(origin, host));
                if !ours {
                    return Err(wrong_origin());
                }
            }
        }
        let path = request.uri().path();
        let access = access_of(kind, request.method(), path);
        let of_dashboard = kind == RequestKind::Http && is_wanted(request.method(), path, request.headers());
        if access == Some(Access::Open) || of_dashboard {
            return Ok(());
        }
        let principal = match request.headers().get(header::AUTHORIZATION) {
            Some(value) => value
                .to_str()
                .ok()
                .and_then(|value| value.strip_prefix("Bearer "))
                .and_then(|token| self.tokens.check(token)),
            None if kind == RequestKind::Http => self.signed_in(request)?,
            None => None,
        };
        let principal = principal
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

    /// Who is signed in with the browser that a request over HTTP comes from. Browsers send cookies without being asked to, so this counts
    /// for requests of our own pages only.
    fn signed_in(&self, request: &Request<Incoming>) -> Result<Option<Principal>, Refused> {
        let headers = request.headers();
        let Some(sign_in) = cookie(headers, host(request.uri(), headers)) else {
            return Ok(None);
        };
        match Sender::of(request.method(), headers) {
            Sender::OwnPage => Ok(self.browsers.check(&self.tokens, sign_in, self.clock.now())),
            Sender::Other => Err(wrong_origin()),
        }
    }
}

fn wrong_origin() -> Refused {
    let message = "the page that calls is not of this coordinator";
    Refused::Status(refuse(Code::PermissionDenied, "WRONG_ORIGIN", message))
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
