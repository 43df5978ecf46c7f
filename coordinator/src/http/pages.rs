//! Pages for machines that watch over the coordinator.

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use http::{StatusCode, header};

use crate::decide::Counts;
use crate::grpc::Api;
use crate::metrics::Gauges;
use crate::pool::WorkerState;

/// Time for studies to say how they are; those that take longer are left out.
const GATHER: std::time::Duration = std::time::Duration::from_secs(2);

pub(super) fn router(api: Api) -> Router {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(api)
}

/// Whether calls can be served.
async fn ready(State(api): State<Api>) -> Response {
    if api.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "stopping\n").into_response();
    }
    match api.store().ping().await {
        Ok(()) => "ready\n".into_response(),
        // Open to anybody: why is in the log.
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the database does not answer\n").into_response()
        }
    }
}

async fn metrics(State(api): State<Api>) -> Response {
    let text = api.metrics.text(&gauges(&api).await);
    ([(header::CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

async fn gauges(api: &Api) -> Gauges {
    let engines = api.engines.all_running();
    let studies = u64::try_from(engines.len()).unwrap_or(u64::MAX);
    let counts = engines
        .iter()
        .map(|engine| tokio::time::timeout(GATHER, engine.call(|core, _, ctx| Ok(core.summary(ctx).counts))));
    let mut all = Counts::default();
    let states = [
        "PENDING",
        "LEASED",
        "RUNNING",
        "STOPPING",
        "PAUSED",
        "COMPLETED",
        "EARLY_STOPPED",
        "TIMED_OUT",
        "FAILED",
        "CANCELLED",
    ];
    for mut counts in futures::future::join_all(counts)
        .await
        .into_iter()
        .flatten()
        .flatten()
    {
        for state in states {
            if let (Some(sum), Some(count)) = (all.of(state), counts.of(state)) {
                *sum += *count;
            }
        }
    }
    let workers = api.engines.pool().workers();
    let in_state = |state| {
        u64::try_from(workers.iter().filter(|worker| worker.state == state).count()).unwrap_or(u64::MAX)
    };
    Gauges {
        trials: states
            .iter()
            .filter_map(|state| Some((*state, *all.of(state)?)))
            .collect(),
        studies,
        workers: vec![
            ("ready", in_state(WorkerState::Ready)),
            ("draining", in_state(WorkerState::Draining)),
            ("offline", in_state(WorkerState::Offline)),
        ],
    }
}
