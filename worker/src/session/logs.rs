//! Logs that people are reading: one small task per reader, all sharing one short queue, so that a long log never fills memory and
//! never stands in the way of points.

use std::collections::HashMap;

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunesmith_common::{Attempt, StudyId, TrialNumber};
use tunesmith_proto::convert::{ConvertError, parse};
use tunesmith_proto::v1;

use crate::attempt::{AttemptStore, LogError, LogStart, LogStream};

/// Logs read at the same time.
const MAX_READERS: usize = 64;
/// Pieces between the readers and the session.
const QUEUE: usize = 2;

/// The logs being read in a session.
#[derive(Debug)]
pub(super) struct Logs {
    tasks: TaskTracker,
    all: CancellationToken,
    readers: HashMap<u64, CancellationToken>,
    pieces: mpsc::Sender<v1::LogChunk>,
    queue: mpsc::Receiver<v1::LogChunk>,
}

/// A request to read a log, checked.
struct Wanted {
    study: StudyId,
    trial: TrialNumber,
    attempt: Attempt,
    stream: LogStream,
    start: LogStart,
    follow: bool,
}

impl Wanted {
    fn from_wire(order: &v1::ReadLog) -> Result<Self, ConvertError> {
        Ok(Self {
            study: parse(&order.study_uid, "read_log.study_uid")?,
            trial: TrialNumber(order.trial),
            attempt: Attempt(order.attempt),
            stream: if order.stderr {
                LogStream::Stderr
            } else {
                LogStream::Stdout
            },
            start: order.tail_bytes.map_or(LogStart::Beginning, LogStart::Tail),
            follow: order.follow,
        })
    }
}

impl Logs {
    pub(super) fn new() -> Self {
        let (pieces, queue) = mpsc::channel(QUEUE);
        Self {
            tasks: TaskTracker::new(),
            all: CancellationToken::new(),
            readers: HashMap::new(),
            pieces,
            queue,
        }
    }

    /// Begins to read a log. A request whose number is taken replaces the earlier one. Returns the answer if there is nothing to read.
    pub(super) fn start(&mut self, store: AttemptStore, order: &v1::ReadLog) -> Option<v1::LogChunk> {
        let request = order.request;
        self.cancel(request);
        let wanted = match Wanted::from_wire(order) {
            Ok(wanted) => wanted,
            Err(error) => return Some(failure(request, error.to_string())),
        };
        if self.readers.len() >= MAX_READERS {
            let message =
                format!("{MAX_READERS} logs are being read on this worker; close one and try again");
            return Some(failure(request, message));
        }
        let cancel = self.all.child_token();
        self.readers.insert(request, cancel.clone());
        let pieces = self.pieces.clone();
        self.tasks.spawn(async move {
            let read = async {
                let last = match send_all(&store, &wanted, request, &pieces).await {
                    Ok(()) => v1::LogChunk {
                        request,
                        end: true,
                        ..v1::LogChunk::default()
                    },
                    Err(error) => failure(request, error.to_string()),
                };
                // The session is gone if this fails, and nobody waits for the piece.
                let _ = pieces.send(last).await;
            };
            tokio::select! {
                () = cancel.cancelled() => {}
                () = read => {}
            }
        });
        None
    }

    /// Ends the reading of a log.
    pub(super) fn cancel(&mut self, request: u64) {
        if let Some(reader) = self.readers.remove(&request) {
            reader.cancel();
        }
    }

    /// The next piece of any log; waits while there is none. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> v1::LogChunk {
        let piece = match self.queue.recv().await {
            Some(piece) => piece,
            // Cannot be: `self.pieces` keeps the queue open.
            None => std::future::pending().await,
        };
        if piece.end {
            self.readers.remove(&piece.request);
        }
        piece
    }

    /// Ends all reading.
    pub(super) async fn close(self) {
        self.all.cancel();
        self.tasks.close();
        drop(self.queue);
        self.tasks.wait().await;
    }
}

async fn send_all(
    store: &AttemptStore,
    wanted: &Wanted,
    request: u64,
    pieces: &mpsc::Sender<v1::LogChunk>,
) -> Result<(), LogError> {
    let mut reader = store
        .log(
            wanted.study,
            wanted.trial,
            wanted.attempt,
            wanted.stream,
            wanted.start,
        )
        .await?;
    while let Some(piece) = reader.next(wanted.follow).await? {
        let piece = v1::LogChunk {
            request,
            data: piece.data,
            skipped_bytes: piece.skipped,
            ..v1::LogChunk::default()
        };
        if pieces.send(piece).await.is_err() {
            break;
        }
    }
    Ok(())
}

fn failure(request: u64, error: String) -> v1::LogChunk {
    v1::LogChunk {
        request,
        end: true,
        error,
        ..v1::LogChunk::default()
    }
}
