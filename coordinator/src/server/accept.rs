//! Connections: accepts them, speaks HTTP/1.1 and HTTP/2 on each, and ends them in time.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::door::Door;

/// Connections at the same time. Each worker has one.
const MAX_CONNECTIONS: usize = 20_000;
/// Time for a connection to make its first request.
const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// Time for the head of a request over HTTP/1.1.
const HEAD: Duration = Duration::from_secs(10);
/// How often a connection over HTTP/2 is asked whether it lives, and how long it may take to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Window of a connection: small messages that wait unread cost a budget of h2 that grows with it.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Window of one stream.
const STREAM_WINDOW: u32 = 2 << 20;
/// Calls at the same time on one connection.
const MAX_STREAMS: u32 = 256;
/// Bytes of the headers of a request.
const MAX_HEADERS: u32 = 16 << 10;
/// Streams that a peer may reset before we have looked at them, and that we may reset because of its errors.
const MAX_RESETS: usize = 64;
/// Wait after the operating system refused a connection, for want of descriptors for instance.
const AFTER_ERROR: Duration = Duration::from_millis(50);

/// How the server ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Ending {
    /// No new connections and requests; those under way go on to their end.
    pub(super) graceful: CancellationToken,
    /// What is left is dropped.
    pub(super) hard: CancellationToken,
}

/// Runs tasks of connections in a tracker.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        self.0.spawn(future);
    }
}

/// Accepts connections until the graceful end begins. No error ends it.
pub(super) async fn accept(listener: TcpListener, door: Arc<Door>, tasks: TaskTracker, ending: Ending) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = ending.graceful.cancelled() => return,
            accepted = async {
                let permit = Arc::clone(&room).acquire_owned().await;
                (permit, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (Ok(permit), Ok((stream, caller))) => {
                let (door, ending, streams) = (Arc::clone(&door), ending.clone(), tasks.clone());
                tasks.spawn(async move {
                    connection(stream, caller, door, streams, ending).await;
                    drop(permit);
                });
            }
            (_, Err(error)) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a connection could not be accepted"
                );
                tokio::time::sleep(AFTER_ERROR).await;
            }
            (Err(_), _) => return, // the semaphore is never closed
        }
    }
}

async fn connection(
    stream: TcpStream,
    caller: SocketAddr,
    door: Arc<Door>,
    tasks: TaskTracker,
    ending: Ending,
) {
    let metrics = Arc::clone(&door.metrics);
    let _open = metrics.connection();
    // It works without, only slower.
    let _ = stream.set_nodelay(true);
    let local = stream.local_addr().ok();
    let spoke = Arc::new(AtomicBool::new(false));
    let service = service_fn({
        let spoke = Arc::clone(&spoke);
        move |request| {
            spoke.store(true, Ordering::Relaxed);
            let door = Arc::clone(&door);
            async move { Ok::<_, Infallible>(door.answer(request, caller, local).await) }
        }
    });
    let mut builder = auto::Builder::new(Tracked(tasks));
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .max_buf_size(64 << 10);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW)
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let mut silent = pin!(tokio::time::sleep(FIRST_REQUEST));
    let (mut may_be_silent, mut ends) = (true, false);
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    tracing::debug!(%caller, error = %error, "connection ended");
                }
                return;
            }
            () = &mut silent, if may_be_silent => {
                if !spoke.load(Ordering::Relaxed) {
                    tracing::debug!(%caller, "connection without a request closed");
                    return;
                }
                may_be_silent = false;
            }
            () = ending.graceful.cancelled(), if !ends => {
                if !spoke.load(Ordering::Relaxed) {
                    // Nothing was asked: nobody waits for an answer, and waiting for one that never asks would hold up the end.
                    return;
                }
                connection.as_mut().graceful_shutdown();
                ends = true;
            }
            () = ending.hard.cancelled() => return,
        }
    }
}
