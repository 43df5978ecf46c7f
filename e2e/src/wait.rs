//! Waiting for a state, with a deadline. Never for a length of time.

use std::fmt::Debug;
use std::time::Duration;

use tokio::time::Instant;
use tonic::{Code, Response, Status};

/// How long anything may take on a slow machine under load.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Looks again and again until `look` returns something, and returns it.
///
/// # Panics
/// If it does not within [`DEADLINE`], with what it said last.
pub async fn eventually<T, E: Debug>(what: &str, look: impl AsyncFnMut() -> Result<T, E>) -> T {
    eventually_within(DEADLINE, what, look).await
}

/// As [`eventually`], with a deadline of one's own.
///
/// # Panics
/// If it does not within `deadline`, with what it said last.
pub async fn eventually_within<T, E: Debug>(
    deadline: Duration,
    what: &str,
    mut look: impl AsyncFnMut() -> Result<T, E>,
) -> T {
    let start = Instant::now();
    loop {
        match look().await {
            Ok(found) => return found,
            Err(state) if start.elapsed() > deadline => {
                panic!("{what}: not within {deadline:?}; last: {state:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// As [`answered`], also over crashes of the coordinator: a broken connection is no answer.
///
/// # Panics
/// If the coordinator refuses it, or does not answer within [`DEADLINE`].
pub async fn still_answered<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let asking = || {
        let asked = call();
        async move {
            asked.await.map_err(|status| {
                // What the coordinator says has no error of this program as its source.
                if std::error::Error::source(&status).is_some() {
                    Status::unavailable(status.to_string())
                } else {
                    status
                }
            })
        }
    };
    answered(what, asking).await
}

/// Repeats a call until it is answered. Only UNAVAILABLE says that trying again helps.
///
/// # Panics
/// If it is refused in any other way, or not answered within [`DEADLINE`].
pub async fn answered<T, F>(what: &str, mut call: impl FnMut() -> F) -> T
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let start = Instant::now();
    loop {
        match call().await {
            Ok(answer) => return answer.into_inner(),
            Err(status) if status.code() != Code::Unavailable => panic!("{what} was refused: {status:?}"),
            Err(status) if start.elapsed() > DEADLINE => {
                panic!("{what}: not within {DEADLINE:?}; last: {status:?}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}
