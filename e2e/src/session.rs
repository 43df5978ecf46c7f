//! A worker that runs nothing: a session in the hands of the test.

use std::pin::Pin;

use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::metadata::MetadataValue;
use tonic::transport::Endpoint;
use tonic::{Request, Status, Streaming};
use tunesmith_proto::v1;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use uuid::Uuid;
use v1::open_session_request::Message as Up;
use v1::open_session_response::Message as Down;

use crate::client::Api;
use crate::service::Coordinator;

/// An open session.
#[derive(Debug)]
pub struct Session {
    /// To the coordinator. Dropping it ends the session.
    pub up: mpsc::Sender<v1::OpenSessionRequest>,
    /// From the coordinator.
    pub down: Streaming<v1::OpenSessionResponse>,
    /// What the coordinator said first.
    pub hello: v1::CoordinatorHello,
}

impl Session {
    /// Opens a session of a new worker with a client that has a worker's token.
    ///
    /// # Errors
    /// Those of the call.
    ///
    /// # Panics
    /// If the coordinator's first message is not its hello.
    pub async fn open(api: &mut Api, worker: &str, slots: u32) -> Result<Self, Status> {
        let (up, queue) = mpsc::channel(64);
        let hello = v1::WorkerHello {
            worker: worker.to_owned(),
            worker_uid: Uuid::now_v7().to_string(),
            instance: Uuid::new_v4().to_string(),
            generation: 1,
            version: "0.1.0".to_owned(),
            protocol_min: 1,
            protocol_max: 1,
            resources: Some(v1::WorkerResources {
                slots,
                cpus: 1.0,
                memory_bytes: 1 << 30,
                ..Default::default()
            }),
            ..Default::default()
        };
        up.try_send(request(Up::Hello(hello))).unwrap();
        let mut down = api
            .workers
            .open_session(ReceiverStream::new(queue))
            .await?
            .into_inner();
        match down.message().await?.and_then(|message| message.message) {
            Some(Down::Hello(hello)) => Ok(Self { up, down, hello }),
            other => panic!("the first message is {other:?}"),
        }
    }

    /// Sends a message.
    ///
    /// # Errors
    /// If the session is over.
    pub async fn send(&self, message: Up) -> Result<(), Status> {
        self.up
            .send(request(message))
            .await
            .map_err(|_| Status::cancelled("the session is over"))
    }

    /// The next message.
    ///
    /// # Errors
    /// Those of the session; UNAVAILABLE if it is over.
    pub async fn next(&mut self) -> Result<Down, Status> {
        loop {
            match self.down.message().await? {
                Some(v1::OpenSessionResponse {
                    message: Some(message),
                }) => return Ok(message),
                Some(_) => {}
                None => return Err(Status::unavailable("the session is over")),
            }
        }
    }
}

/// A call that was begun.
pub type Call = Pin<Box<dyn Future<Output = Result<(), Status>> + Send>>;

/// Makes a call whose request never comes to its end, and returns it when the coordinator has seen its beginning.
///
/// # Panics
/// If the coordinator cannot be reached.
pub async fn half_sent(coordinator: &Coordinator) -> Call {
    let channel = Endpoint::from_shared(coordinator.url())
        .unwrap()
        .connect()
        .await
        .unwrap();
    let token = std::fs::read_to_string(coordinator.admin_token()).unwrap();
    let bearer: MetadataValue<_> = format!("Bearer {}", token.trim()).parse().unwrap();
    let mut request = Request::new(tokio_stream::pending::<v1::GetStudyRequest>());
    request.metadata_mut().insert("authorization", bearer.clone());
    let mut client = tonic::client::Grpc::new(channel.clone());
    let mut call: Call = Box::pin(async move {
        client
            .ready()
            .await
            .map_err(|error| Status::unavailable(error.to_string()))?;
        let path = PathAndQuery::from_static("/tunesmith.v1.StudyService/GetStudy");
        let codec = tonic_prost::ProstCodec::<v1::GetStudyRequest, v1::GetStudyResponse>::default();
        client.client_streaming(request, path, codec).await.map(drop)
    });
    // A whole call behind it on the same connection: when that is answered, the first has arrived.
    let mut behind = StudyServiceClient::new(channel);
    let mut request = Request::new(v1::ListStudiesRequest::default());
    request.metadata_mut().insert("authorization", bearer);
    tokio::select! {
        biased;
        ended = &mut call => panic!("half a request was answered: {ended:?}"),
        answer = behind.list_studies(request) => drop(answer.unwrap()),
    }
    call
}

fn request(message: Up) -> v1::OpenSessionRequest {
    v1::OpenSessionRequest {
        message: Some(message),
    }
}

/// Points of one metric, one a step.
#[must_use]
pub fn points(metric: &str, points: &[(i64, f64)]) -> v1::Points {
    v1::Points {
        metrics: vec![metric.to_owned()],
        metric: vec![0; points.len()],
        step: points.iter().map(|(step, _)| *step).collect(),
        value: points.iter().map(|(_, value)| *value).collect(),
        at_micros: vec![],
    }
}
