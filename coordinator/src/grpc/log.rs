//! Logs of trials: read from the worker that has them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::mpsc;
use tokio_stream::{Stream, StreamExt as _};
use tonic::Status;
use tunesmith_common::Attempt;
use tunesmith_proto::v1;

use super::status::ApiError;
use super::trials::named;
use super::{Api, Messages, view};
use crate::pool::{LogChunk, LogRequest, Pool};
use crate::store::AttemptRow;

impl Api {
    pub(super) async fn log(
        &self,
        request: &v1::ReadLogRequest,
    ) -> Result<Messages<v1::ReadLogResponse>, ApiError> {
        let (study, row) = self.stored_trial(&request.name).await?;
        let attempts = self.store().attempt_list(study.id, row.number).await?;
        let attempt = match request.attempt {
            0 => attempts.last(),
            number => attempts.iter().find(|attempt| attempt.attempt == Attempt(number)),
        };
        let Some(attempt) = attempt else {
            let what = named(&study.name, row.number);
            let message = match request.attempt {
                0 => format!("{what} has not been started"),
                number => format!("{what} has no attempt {number}; it has had {}", attempts.len()),
            };
            return Err(ApiError::Precondition {
                reason: "NO_LOG",
                message,
            });
        };
        let Some(worker) = view::worker_of(attempt) else {
            let message = format!(
                "{} runs in the process of {}, which keeps its log itself",
                named(&study.name, row.number),
                attempt.holder_name
            );
            return Err(ApiError::Precondition {
                reason: "NO_LOG",
                message,
            });
        };
        let log = LogRequest {
            study: study.id,
            trial: row.number,
            attempt: attempt.attempt,
            tail: request.tail_bytes,
            follow: request.follow,
            stderr: request.stderr,
        };
        match self.pool().read_log(worker, log) {
            Some((number, chunks)) => Ok(self.pieces(number, chunks)),
            None => stored_tail(attempt, request),
        }
    }

    fn pieces(&self, number: u64, chunks: mpsc::Receiver<LogChunk>) -> Messages<v1::ReadLogResponse> {
        let pieces = Pieces {
            number,
            chunks,
            pool: Arc::clone(self.pool()),
            ended: false,
        };
        let draining = self.draining.clone();
        let until = async move { draining.cancelled_owned().await };
        Box::pin(futures::StreamExt::take_until(pieces, until))
    }
}

/// The last lines, which were kept if the attempt failed: better than nothing while its worker is away.
fn stored_tail(
    attempt: &AttemptRow,
    request: &v1::ReadLogRequest,
) -> Result<Messages<v1::ReadLogResponse>, ApiError> {
    if attempt.log_tail.is_empty() || request.stderr {
        let message = format!(
            "the log lies on worker {}, which is not connected or has too many readers; try again when it is back",
            attempt.holder_name
        );
        return Err(ApiError::Precondition {
            reason: "LOG_AWAY",
            message,
        });
    }
    let tail = attempt.log_tail.as_bytes();
    let kept = request
        .tail_bytes
        .and_then(|bytes| usize::try_from(bytes).ok())
        .unwrap_or(tail.len())
        .min(tail.len());
    let piece = v1::ReadLogResponse {
        data: tail[tail.len() - kept..].to_vec(),
        skipped_bytes: 0,
    };
    Ok(Box::pin(tokio_stream::once(piece).map(Ok)))
}

/// Pieces of a log as they come from the worker. Whoever drops it has read enough.
struct Pieces {
    number: u64,
    chunks: mpsc::Receiver<LogChunk>,
    pool: Arc<Pool>,
    ended: bool,
}

impl Stream for Pieces {
    type Item = Result<v1::ReadLogResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.ended {
            return Poll::Ready(None);
        }
        let chunk = std::task::ready!(self.chunks.poll_recv(cx));
        let Some(chunk) = chunk else {
            self.ended = true;
            return Poll::Ready(Some(Err(ApiError::Unavailable(
                "the worker went away, or the reader was too slow",
            )
            .into())));
        };
        if !chunk.error.is_empty() {
            self.ended = true;
            let error = ApiError::Precondition {
                reason: "NO_LOG",
                message: chunk.error,
            };
            return Poll::Ready(Some(Err(error.into())));
        }
        self.ended = chunk.end;
        if chunk.end && chunk.data.is_empty() && chunk.skipped == 0 {
            return Poll::Ready(None);
        }
        Poll::Ready(Some(Ok(v1::ReadLogResponse {
            data: chunk.data,
            skipped_bytes: chunk.skipped,
        })))
    }
}

impl Drop for Pieces {
    fn drop(&mut self) {
        self.pool.cancel_log(self.number);
    }
}
