//! Streams over HTTP: events of a study, and logs.

use std::convert::Infallible;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{FromRequestParts as _, Query, Request as HttpRequest, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use futures::StreamExt as _;
use http::{StatusCode, header};
use tonic::{Request, Status};
use tunesmith_proto::json::to_value;
use tunesmith_proto::v1;
use tunesmith_proto::v1::study_service_server::StudyService as _;
use tunesmith_proto::v1::trial_service_server::TrialService as _;
use tunesmith_proto::v1::watch_study_response::Event as Watched;

use super::call::{invalid, resource};
use super::error;
use crate::grpc::Api;

/// How often a stream without events shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(15);

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
    let watch = v1::WatchStudyRequest {
        name,
        include_points: query.include_points,
    };
    match api.watch_study(Request::new(watch)).await {
        Ok(messages) => {
            let events = messages
                .into_inner()
                .map(|message| Ok::<_, Infallible>(event(message)));
            Sse::new(events)
                .keep_alive(KeepAlive::new().interval(HEARTBEAT))
                .into_response()
        }
        Err(status) => error::response(&status),
    }
}

/// One message as an event. The end of a stream that was not the study's is an event, too: `failed`, since browsers call a broken
/// connection `error`.
fn event(message: Result<v1::WatchStudyResponse, Status>) -> Event {
    let (name, document) = match &message {
        Ok(message) => {
            let name = match message.event {
                Some(Watched::Study(_)) => "study",
                Some(Watched::Trial(_)) => "trial",
                Some(Watched::Points(_)) => "points",
                None => "other",
            };
            (name, to_value(message).unwrap_or_default())
        }
        Err(status) => ("failed", error::document(status, StatusCode::OK)),
    };
    Event::default().event(name).data(document.to_string())
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
