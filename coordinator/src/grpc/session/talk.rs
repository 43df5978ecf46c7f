//! One session from its first message to its last.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tonic::{Code, Status, Streaming};
use tunesmith_common::study::Resources;
use tunesmith_common::worker::HeldAttempt;
use tunesmith_common::{LeaseKey, StudyId};
use tunesmith_proto::SESSION_PROTOCOL;
use tunesmith_proto::convert::{
    duration_to_wire, lease_from_wire, lease_to_wire, points as points_convert, worker as worker_convert,
};
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as FromWorker;
use tunesmith_proto::v1::open_session_response::Message as ToPeer;

use super::inbox::{Inbox, News};
use super::{Outgoing, hello, orders, usage};
use crate::decide::{Order, Verdict};
use crate::engine::{EngineError, EngineHandle};
use crate::grpc::Api;
use crate::grpc::status::{ApiError, refuse};
use crate::pool::{Hello, LogChunk, Session, ToWorker};
use crate::store::{StoreError, WorkerRow};

/// Time for a worker to say who it is.
const HELLO_DEADLINE: Duration = Duration::from_secs(10);
/// Time for a message to leave, once the session is over.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// When a worker should come back after the coordinator left.
const RECONNECT_AFTER: Duration = Duration::from_millis(500);
/// How often workers tell what is in use.
const USAGE_INTERVAL: Duration = Duration::from_secs(5);
/// Points of one batch; the protocol's promise, and a bound for what a session holds in memory.
const MAX_BATCH: usize = 512;
/// Messages that are read before what came of earlier ones is looked at.
const READ_IN_A_ROW: usize = 64;

/// Runs a session. Owns everything that it starts.
pub(super) async fn run(
    api: Api,
    mut incoming: Streaming<v1::OpenSessionRequest>,
    out: Outgoing,
    address: String,
) {
    if let Err(status) = talk(&api, &mut incoming, &out, &address).await {
        tracing::info!(%address, code = ?status.code(), reason = status.message(), "session of a worker ended");
        // One that does not read any more learns it from the end of the stream.
        let _ = tokio::time::timeout(LAST_WORDS, out.send(Err(status))).await;
    }
}

async fn talk(
    api: &Api,
    incoming: &mut Streaming<v1::OpenSessionRequest>,
    out: &Outgoing,
    address: &str,
) -> Result<(), Status> {
    let first = tokio::select! {
        first = tokio::time::timeout(HELLO_DEADLINE, incoming.message()) => first,
        () = out.closed() => return Ok(()),
        () = api.draining.cancelled() => return Err(stopping()),
    };
    let first = first.map_err(|_| {
        refuse(
            Code::DeadlineExceeded,
            "NO_HELLO",
            "the first message, `hello`, did not come",
        )
    })??;
    let Some(first) = first else { return Ok(()) };
    let Some(FromWorker::Hello(said)) = first.message else {
        return Err(refuse(
            Code::FailedPrecondition,
            "HELLO_EXPECTED",
            "the first message must be `hello`",
        ));
    };
    let hello = hello::check(&said, address)?;
    let mut session = api.pool().connect(&hello).map_err(ApiError::from)?;
    tracing::info!(worker = %hello.name, %address, attempts = hello.attempts.len(), "worker connected");
    let ended = serve(api, incoming, out, &hello, &mut session).await;
    api.pool().disconnect(&session);
    tracing::info!(worker = %hello.name, "worker disconnected");
    ended
}

/// Ends, too, when the worker's connection is gone. Whatever ends it, it returns, so that its caller can sign the worker off.
async fn serve(
    api: &Api,
    incoming: &mut Streaming<v1::OpenSessionRequest>,
    out: &Outgoing,
    hello: &Hello,
    session: &mut Session,
) -> Result<(), Status> {
    let end = session.end.clone();
    let introduced = tokio::select! {
        introduced = introduce(api, out, hello, session) => introduced,
        () = out.closed() => return Ok(()),
        () = end.cancelled() => return Err(over(api, out).await),
        () = api.draining.cancelled() => return Err(over(api, out).await),
    };
    introduced?;
    let writer = write(api, session, out);
    let reader = read(api, incoming, out, hello);
    tokio::select! {
        ended = reader => ended,
        () = writer => Ok(()),
        () = out.closed() => Ok(()),
        () = end.cancelled() => Err(over(api, out).await),
        () = api.draining.cancelled() => Err(over(api, out).await),
    }
}

/// Says why the session ends, if it ends because the coordinator stops; the status for the end.
async fn over(api: &Api, out: &Outgoing) -> Status {
    if api.draining.is_cancelled() {
        let drain = v1::Drain {
            reconnect_after: Some(duration_to_wire(RECONNECT_AFTER)),
        };
        let _ = tokio::time::timeout(LAST_WORDS, out.send(Ok(orders::message(ToPeer::Drain(drain))))).await;
        return stopping();
    }
    ApiError::Unavailable("the session was replaced by a newer one, or read too slowly; come back").into()
}

fn stopping() -> Status {
    ApiError::Unavailable("the coordinator is stopping; trainings go on, come back").into()
}

/// Compares what the worker holds with what the studies know, and answers its `hello`.
async fn introduce(api: &Api, out: &Outgoing, hello: &Hello, session: &Session) -> Result<(), Status> {
    save(api, hello, session).await?;
    let mut held: HashMap<StudyId, Vec<HeldAttempt>> = HashMap::new();
    for attempt in &hello.attempts {
        held.entry(attempt.lease.study).or_default().push(*attempt);
    }
    // Also studies of which it holds nothing: they may think that it does.
    let mut engines: HashMap<StudyId, EngineHandle> = api
        .engines
        .all_running()
        .into_iter()
        .map(|engine| (engine.id(), engine))
        .collect();
    let mut verdicts = Vec::with_capacity(hello.attempts.len());
    for (study, attempts) in &held {
        if engines.contains_key(study) {
            continue;
        }
        match api.engines.open_by_id(*study).await.map_err(ApiError::from)? {
            Some(engine) => drop(engines.insert(*study, engine)),
            None => verdicts.extend(attempts.iter().map(|held| {
                let verdict = if held.ended {
                    Verdict::Forget
                } else {
                    Verdict::Stale
                };
                orders::verdict_to_wire(&held.lease, verdict)
            })),
        }
    }
    let worker = hello.id;
    let attaching = engines.into_values().map(|engine| {
        let attempts = held.get(&engine.id()).cloned().unwrap_or_default();
        async move {
            let attached = engine.call(move |core, out, ctx| {
                let resources = core
                    .spec()
                    .trial
                    .as_ref()
                    .map(|trial| trial.resources.clone())
                    .unwrap_or_default();
                Ok((core.attach(out, ctx, worker, &attempts), resources))
            });
            match attached.await {
                // A study that nobody can read must not keep workers from all others.
                Err(EngineError::Broken(study)) => {
                    tracing::warn!(%study, "a worker joins without a study that cannot be loaded");
                    Ok(None)
                }
                attached => attached.map(Some),
            }
        }
    });
    let attached = futures::future::try_join_all(attaching)
        .await
        .map_err(ApiError::from)?;
    let mut occupied: Vec<(LeaseKey, Resources, Vec<String>)> = Vec::new();
    for (attached, resources) in attached.into_iter().flatten() {
        verdicts.extend(
            attached
                .verdicts
                .iter()
                .map(|(lease, verdict)| orders::verdict_to_wire(lease, *verdict)),
        );
        occupied.extend(
            attached
                .occupied
                .into_iter()
                .map(|(lease, gpus)| (lease, resources.clone(), gpus)),
        );
    }
    let ttl = api.engines.settings().lease_ttl;
    let answer = v1::CoordinatorHello {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: SESSION_PROTOCOL,
        lease_ttl: Some(duration_to_wire(ttl)),
        heartbeat_interval: Some(duration_to_wire(ttl / 6)),
        verdicts,
        usage_interval: Some(duration_to_wire(USAGE_INTERVAL)),
    };
    // The reader of a closed channel is gone; the session ends by that.
    let _ = out.send(Ok(orders::message(ToPeer::Hello(answer)))).await;
    api.pool().attached(session, occupied);
    Ok(())
}

/// Keeps the worker for people to see when it is away.
async fn save(api: &Api, hello: &Hello, session: &Session) -> Result<(), Status> {
    let resources = serde_json::to_value(worker_convert::resources_to_wire(&hello.resources));
    let resources =
        resources.map_err(|error| ApiError::Internal(format!("resources without a JSON form: {error}")))?;
    let row = WorkerRow {
        id: hello.id,
        name: hello.name.clone(),
        generation: hello.generation,
        draining: session.drained,
        version: hello.version.clone(),
        address: hello.address.clone(),
        resources,
        last_seen_at: api.now(),
    };
    let (store, replaced) = (Arc::clone(api.store()), session.replaced);
    let saved: Result<(), StoreError> = api
        .engines
        .uncancelled(async move {
            if let Some(replaced) = replaced {
                store.worker_delete(replaced).await?;
            }
            store.worker_save(&row).await
        })
        .await;
    Ok(saved.map_err(ApiError::from)?)
}

async fn write(api: &Api, session: &mut Session, out: &Outgoing) {
    while let Some(order) = session.outgoing.recv().await {
        if let ToWorker::Order(Order::Stale(lease)) = &order {
            // Its worker kills it and says no more about it.
            api.pool().released(session.worker, lease);
        }
        if out.send(Ok(orders::to_wire(&order))).await.is_err() {
            return;
        }
    }
}

async fn read(
    api: &Api,
    incoming: &mut Streaming<v1::OpenSessionRequest>,
    out: &Outgoing,
    hello: &Hello,
) -> Result<(), Status> {
    let mut inbox = Inbox::new(Arc::clone(&api.engines), hello.id);
    let mut reading = true;
    let mut in_a_row = 0;
    while reading || !inbox.is_empty() {
        tokio::select! {
            // What has come together is delivered together, so that it is stored together.
            biased;
            message = incoming.message(), if reading && in_a_row < READ_IN_A_ROW => match message? {
                Some(message) => {
                    in_a_row += 1;
                    receive(api, message, out, hello, &mut inbox)?;
                }
                // The rest of what it said is still delivered.
                None => reading = false,
            },
            unknown = inbox.next() => {
                in_a_row = 0;
                for lease in unknown? {
                    api.pool().released(hello.id, &lease);
                    let stale = v1::StaleLease { lease: Some(lease_to_wire(&lease)) };
                    if out.try_send(Ok(orders::message(ToPeer::Stale(stale)))).is_err() {
                        return Err(ApiError::Unavailable("the session reads too slowly; come back").into());
                    }
                }
            }
            () = std::future::ready(()), if in_a_row >= READ_IN_A_ROW => in_a_row = 0,
        }
    }
    Ok(())
}

fn receive(
    api: &Api,
    message: v1::OpenSessionRequest,
    out: &Outgoing,
    hello: &Hello,
    inbox: &mut Inbox,
) -> Result<(), Status> {
    let pool = api.pool();
    pool.heard(hello.id);
    let Some(message) = message.message else {
        return Err(ApiError::invalid(
            "message",
            "is not set, or of a kind that this version does not know",
        )
        .into());
    };
    match message {
        FromWorker::Hello(_) => Err(refuse(
            Code::FailedPrecondition,
            "HELLO_TWICE",
            "`hello` comes once, as the first message",
        )),
        FromWorker::Started(started) => {
            let lease = lease_from_wire(started.lease.as_ref(), "started.lease").map_err(ApiError::from)?;
            inbox.push(News::Started {
                lease,
                pid: started.pid,
            })
        }
        FromWorker::Points(points) => {
            let lease = lease_from_wire(points.lease.as_ref(), "points.lease").map_err(ApiError::from)?;
            let batch = points.points.unwrap_or_default();
            if batch.metric.len() > MAX_BATCH {
                let message = format!(
                    "has {} points, at most {MAX_BATCH} fit one batch",
                    batch.metric.len()
                );
                return Err(ApiError::invalid("points.points", message).into());
            }
            if points.first_seq == 0 {
                return Err(
                    ApiError::invalid("points.first_seq", "is 0; sequence numbers count from 1").into(),
                );
            }
            let batch = points_convert::from_wire(&batch, api.now()).map_err(ApiError::from)?;
            inbox.push(News::Points {
                lease,
                first_seq: points.first_seq,
                batch,
            })
        }
        FromWorker::Checkpoint(told) => {
            let lease = lease_from_wire(told.lease.as_ref(), "checkpoint.lease").map_err(ApiError::from)?;
            let Some(checkpoint) = &told.checkpoint else {
                return Err(ApiError::invalid("checkpoint.checkpoint", "is not set").into());
            };
            let checkpoint = worker_convert::checkpoint_from_wire(checkpoint, "checkpoint.checkpoint");
            inbox.push(News::Checkpoint {
                lease,
                checkpoint: checkpoint.map_err(ApiError::from)?,
            })
        }
        FromWorker::Ended(ended) => {
            let end = worker_convert::ended_from_wire(&ended).map_err(ApiError::from)?;
            inbox.push(News::Ended(Box::new(end)))
        }
        FromWorker::Usage(told) => {
            pool.used(hello.id, usage::report(&told)?);
            Ok(())
        }
        FromWorker::Heartbeat(_) => {
            // If the queue is full the worker hears from us anyway.
            let _ = out.try_send(Ok(orders::message(ToPeer::Heartbeat(v1::Heartbeat {}))));
            Ok(())
        }
        FromWorker::Log(chunk) => {
            let v1::LogChunk {
                request,
                data,
                skipped_bytes,
                end,
                error,
            } = chunk;
            pool.log_chunk(
                hello.id,
                request,
                LogChunk {
                    data,
                    skipped: skipped_bytes,
                    end,
                    error,
                },
            );
            Ok(())
        }
        FromWorker::Goodbye(goodbye) => {
            let reason: String = goodbye
                .reason
                .chars()
                .filter(|c| !c.is_control())
                .take(200)
                .collect();
            tracing::info!(worker = %hello.name, reason, "worker leaves");
            pool.leaving(hello.id, true);
            Ok(())
        }
    }
}
