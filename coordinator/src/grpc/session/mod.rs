//! Sessions of workers.
//!
//! # Invariants
//!
//! * The reader always reads: what waits for an engine waits in a queue of ours, with a bound, never in the transport, where small
//!   messages that nobody reads end the whole connection.
//! * A message that an engine could not commit ends the session: the worker comes back and sends it again.

mod hello;
mod inbox;
mod orders;
mod talk;
mod usage;

use std::net::SocketAddr;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status, Streaming};
use tunesmith_proto::v1;
use tunesmith_proto::v1::worker_service_server::WorkerService;

pub(super) use usage::{gpu_to_wire, machine_to_wire};

use super::status::ApiError;
use super::{Api, Messages};

/// Messages on their way to the transport.
const OUTGOING: usize = 64;

/// Where the caller is, as the server saw it.
#[derive(Clone, Copy, Debug)]
pub struct Caller(pub SocketAddr);

type Outgoing = mpsc::Sender<Result<v1::OpenSessionResponse, Status>>;

#[tonic::async_trait]
impl WorkerService for Api {
    type OpenSessionStream = Messages<v1::OpenSessionResponse>;

    async fn open_session(
        &self,
        request: Request<Streaming<v1::OpenSessionRequest>>,
    ) -> Result<Response<Self::OpenSessionStream>, Status> {
        if self.draining.is_cancelled() {
            return Err(
                ApiError::Unavailable("the coordinator is stopping; trainings go on, come back").into(),
            );
        }
        let address = request
            .extensions()
            .get::<Caller>()
            .map_or_else(|| "unknown".to_owned(), |caller| caller.0.to_string());
        let (out, messages) = mpsc::channel(OUTGOING);
        let api = self.clone();
        self.tasks
            .spawn(talk::run(api, request.into_inner(), out, address));
        Ok(Response::new(Box::pin(ReceiverStream::new(messages))))
    }
}
