//! Opening a conversation: the transport's settings, the first message each way, and how long to wait before the next try.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status, Streaming};
use tunesmith_proto::convert::duration_from_wire;
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as ToCoordinator;
use tunesmith_proto::v1::open_session_response::Message as FromCoordinator;
use tunesmith_proto::v1::worker_service_client::WorkerServiceClient;

use crate::config::Token;

/// Time for the TCP connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time from the connection to the coordinator's `hello`: it may have to load studies first.
const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// Half-open connections are found out within the sum of these two.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(10);
const TCP_KEEP_ALIVE: Duration = Duration::from_secs(30);
/// Small windows make h2 end a connection whose reader stalls.
const CONNECTION_WINDOW: u32 = 8 << 20;
const STREAM_WINDOW: u32 = 4 << 20;
/// Largest message accepted.
const MESSAGE_LIMIT: usize = 4 << 20;
/// Messages between our loop and the transport.
const OUT_QUEUE: usize = 16;

/// Why there is no conversation.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    /// Nobody answers there.
    #[error("nobody answers")]
    Unreachable(#[source] tonic::transport::Error),
    /// The coordinator does not want this worker: trying again soon is useless.
    #[error("the coordinator refuses this worker: {message}")]
    Refused {
        /// Its code.
        code: Code,
        /// Its words.
        message: String,
    },
    /// It failed otherwise.
    #[error("{0}")]
    Failed(String),
}

impl From<Status> for OpenError {
    fn from(status: Status) -> Self {
        match status.code() {
            code @ (Code::Unauthenticated
            | Code::PermissionDenied
            | Code::FailedPrecondition
            | Code::InvalidArgument) => Self::Refused {
                code,
                message: status.message().to_owned(),
            },
            code => Self::Failed(format!("{code:?}: {}", status.message())),
        }
    }
}

/// An open conversation, both sides having said `hello`.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(super) out: mpsc::Sender<v1::OpenSessionRequest>,
    pub(super) inbound: Streaming<v1::OpenSessionResponse>,
    pub(super) hello: v1::CoordinatorHello,
}

impl Opened {
    /// How long leases last without a sign of life, if the coordinator says so.
    pub(crate) fn lease_ttl(&self) -> Option<Duration> {
        duration_from_wire(self.hello.lease_ttl.as_ref()?, "hello.lease_ttl").ok()
    }
}

/// The transport to the coordinator at `address`, not connected.
///
/// # Errors
/// If `address` is no URI.
pub(crate) fn endpoint(address: &str) -> Result<Endpoint, tonic::transport::Error> {
    Ok(Endpoint::from_shared(address.to_owned())?
        .user_agent(concat!("tunesmith-worker/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .tcp_keepalive(Some(TCP_KEEP_ALIVE))
        .http2_keep_alive_interval(KEEP_ALIVE_INTERVAL)
        .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
        .keep_alive_while_idle(true)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .initial_stream_window_size(STREAM_WINDOW))
}

/// Connects and says `hello`. Cancelling it leaves nothing behind.
///
/// # Errors
/// [`OpenError`].
pub(crate) async fn open(
    endpoint: Endpoint,
    token: Token,
    hello: v1::WorkerHello,
) -> Result<Opened, OpenError> {
    let channel = endpoint.connect().await.map_err(OpenError::Unreachable)?;
    let mut client = WorkerServiceClient::new(channel).max_decoding_message_size(MESSAGE_LIMIT);
    let (out, queue) = mpsc::channel(OUT_QUEUE);
    out.try_send(message(ToCoordinator::Hello(hello)))
        .map_err(|error| OpenError::Failed(error.to_string()))?;
    let mut request = Request::new(ReceiverStream::new(queue));
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.reveal()))
        .map_err(|_| OpenError::Failed("the token has characters that a header cannot carry".to_owned()))?;
    bearer.set_sensitive(true);
    request.metadata_mut().insert("authorization", bearer);

    let greet = async {
        let mut inbound = client.open_session(request).await?.into_inner();
        let first = inbound.message().await?.and_then(|first| first.message);
        match first {
            Some(FromCoordinator::Hello(hello)) => Ok(Opened { out, inbound, hello }),
            Some(_) => Err(OpenError::Failed(
                "the coordinator's first message is not its hello".to_owned(),
            )),
            None => Err(OpenError::Failed(
                "the coordinator closed the session before its hello".to_owned(),
            )),
        }
    };
    match tokio::time::timeout(HELLO_TIMEOUT, greet).await {
        Ok(opened) => opened,
        Err(_) => Err(OpenError::Failed(format!(
            "no hello within {} s",
            HELLO_TIMEOUT.as_secs()
        ))),
    }
}

/// A message of ours.
pub(super) fn message(message: ToCoordinator) -> v1::OpenSessionRequest {
    v1::OpenSessionRequest {
        message: Some(message),
    }
}

/// Growing, jittered pauses between tries: a thousand workers must not come back in the same instant.
#[derive(Debug)]
pub(crate) struct Backoff {
    failures: u32,
    longest: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self {
            failures: 0,
            longest: Self::LONGEST,
        }
    }
}

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const LONGEST: Duration = Duration::from_secs(10);

    /// Leases last that long: a coordinator that is back gives each a new term, within which several tries must fall.
    pub(crate) fn leases_last(&mut self, ttl: Duration) {
        self.longest = (ttl / 4).clamp(Self::FIRST, Self::LONGEST);
    }

    /// The next pause: 100 ms doubled with each failure up to 10 s or a quarter of a lease, of which `random` decides the second half.
    pub(crate) fn next(&mut self, random: u64) -> Duration {
        let full = Self::FIRST
            .saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX))
            .min(self.longest);
        self.failures = self.failures.saturating_add(1).min(30);
        let half = full / 2;
        let spread = u64::try_from(half.as_micros()).unwrap_or(u64::MAX).max(1);
        half + Duration::from_micros(random % spread)
    }

    /// It worked.
    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_limit_and_differ() {
        let mut backoff = Backoff::default();
        assert_eq!(backoff.next(0), Duration::from_millis(50));
        let mut last = Duration::ZERO;
        for _ in 0..100 {
            last = backoff.next(0);
        }
        assert_eq!(last, Duration::from_secs(5));
        for random in [0, 1, 4_999_999, u64::MAX] {
            assert!(backoff.next(random) < Backoff::LONGEST);
        }
        assert_ne!(backoff.next(1), backoff.next(1_000_000));
        backoff.reset();
        assert!(backoff.next(u64::MAX) < Backoff::FIRST);
    }

    #[test]
    fn several_tries_fall_within_a_lease() {
        let mut backoff = Backoff::default();
        for (ttl, longest) in [(2, 500), (30, 7_500), (600, 10_000)] {
            backoff.leases_last(Duration::from_secs(ttl));
            let longest = Duration::from_millis(longest);
            for _ in 0..100 {
                assert!(backoff.next(u64::MAX) <= longest);
            }
            assert!(backoff.next(0) >= longest / 2);
        }
    }

    #[test]
    fn a_refusal_is_told_apart_from_weather() {
        assert!(matches!(
            OpenError::from(Status::unauthenticated("x")),
            OpenError::Refused { .. }
        ));
        assert!(matches!(
            OpenError::from(Status::failed_precondition("another instance")),
            OpenError::Refused { .. }
        ));
        for status in [
            Status::unavailable("x"),
            Status::unknown("h2 protocol error"),
            Status::internal("x"),
        ] {
            assert!(matches!(OpenError::from(status), OpenError::Failed(_)));
        }
    }
}
