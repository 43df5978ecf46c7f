//! Streams over HTTP: events of a study, and logs.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Query, Request as HttpRequest, State};
use axum::response::Response;
use axum::routing::get;
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use http::{HeaderValue, StatusCode, header};
use tonic::Request;
use tunesmith_proto::v1;
use tunesmith_proto::v1::trial_service_server::TrialService as _;

use super::call::{invalid, resource};
use super::error;
use crate::grpc::{Api, Followed};

/// How often a stream without events shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// A comment, which nobody takes for an event.
const HEARTBEAT_EVENT: &[u8] = b":\n\n";

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/v1/studies/{study}/events", get(events))
        .route("/v1/studies/{study}/trials/{trial}/log", get(log))
        .with_state(api)
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct EventsQuery {
    include_points: bool,
}

async fn events(State(api): State<Api>, request: HttpRequest) -> Response {
    let (mut parts, _) = request.into_parts();
    let name = match resource("studies/{study}", &mut parts).await {
        Ok(name) => name,
        Err(refused) => return refused,
    };
    let Ok(Query(query)) = Query::<EventsQuery>::from_request_parts(&mut parts, &()).await else {
        return invalid("query", "may have include_points=true or false, and nothing else");
    };
    let engine = match api.study(&name).await {
        Ok(engine) => engine,
        Err(refused) => return error::response(&refused.into()),
    };
    let followed = api.follow(&engine, query.include_points);
    let pieces = stream::unfold(followed, |mut followed| async {
        let piece = match tokio::time::timeout(HEARTBEAT, followed.next()).await {
            Err(_) => Bytes::from_static(HEARTBEAT_EVENT),
            Ok(next) => piece(next?),
        };
        Some((piece, followed))
    });
    // All that this one wanted of some news may be nothing.
    let pieces = pieces.filter(|piece| std::future::ready(!piece.is_empty()));
    let mut answer = Response::new(Body::from_stream(pieces.map(Ok::<_, Infallible>)));
    let headers = answer.headers_mut();
    let kind = HeaderValue::from_static("text/event-stream");
    headers.insert(header::CONTENT_TYPE, kind);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    answer
}

/// Some events. The end of a stream that was not the study's is one, too: `failed`, since browsers call a broken connection `error`.
fn piece(followed: Followed) -> Bytes {
    match followed {
        Ok((news, wanted)) => news.events(wanted),
        Err(error) => {
            let document = error::document(&error.into(), StatusCode::OK);
            format!("event: failed\ndata: {document}\n\n").into()
        }
    }
}

#[derive(serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
#[derive(Default)]
struct LogQuery {
    attempt: u32,
    tail_bytes: Option<u64>,
    follow: bool,
    stderr: bool,
}

async fn log(State(api): State<Api>, request: HttpRequest) -> Response {
    let (mut parts, _) = request.into_parts();
    let name = match resource("studies/{study}/trials/{trial}", &mut parts).await {
        Ok(name) => name,
        Err(refused) => return refused,
    };
    let Ok(Query(query)) = Query::<LogQuery>::from_request_parts(&mut parts, &()).await else {
        return invalid(
            "query",
            "may have attempt, tail_bytes (numbers), follow, stderr (true or false), and nothing else",
        );
    };
    let LogQuery {
        attempt,
        tail_bytes,
        follow,
        stderr,
    } = query;
    let read = v1::ReadLogRequest {
        name,
        attempt,
        tail_bytes,
        follow,
        stderr,
    };
    let mut pieces = match api.read_log(Request::new(read)).await {
        Ok(pieces) => pieces.into_inner(),
        Err(status) => return error::response(&status),
    };
    // The first piece decides whether there is a log at all; later errors can only cut the answer off.
    let first = match pieces.next().await {
        Some(Err(status)) => return error::response(&status),
        first => first,
    };
    let pieces = futures::stream::iter(first)
        .chain(pieces)
        .map(|piece| piece.map(|piece| piece.data));
    let mut answer = Response::new(Body::from_stream(pieces));
    let headers = answer.headers_mut();
    // Printed by a program: never to be taken for a page.
    headers.insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("text/plain; charset=utf-8"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        header::HeaderValue::from_static("nosniff"),
    );
    answer
}
