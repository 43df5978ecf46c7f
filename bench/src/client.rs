//! Calls as a user's program would make them.

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tunesmith_common::study::StudyFile;
use tunesmith_proto::convert;
use tunesmith_proto::v1;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use tunesmith_proto::v1::trial_service_client::TrialServiceClient;
use tunesmith_proto::v1::worker_service_client::WorkerServiceClient;

type Authorised = InterceptedService<Channel, Bearer>;

/// Adds the token to every call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Clients over one connection.
#[derive(Clone, Debug)]
pub(crate) struct Api {
    pub(crate) studies: StudyServiceClient<Authorised>,
    pub(crate) trials: TrialServiceClient<Authorised>,
    pub(crate) workers: WorkerServiceClient<Authorised>,
}

impl Api {
    pub(crate) fn new(url: &str, token: &str) -> anyhow::Result<Self> {
        let channel = Endpoint::from_shared(url.to_owned())?
            .tcp_nodelay(true)
            .initial_connection_window_size(8 << 20)
            .initial_stream_window_size(2 << 20)
            .connect_lazy();
        let bearer = Bearer(format!("Bearer {token}").parse()?);
        Ok(Self {
            studies: StudyServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            trials: TrialServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            workers: WorkerServiceClient::with_interceptor(channel, bearer),
        })
    }

    pub(crate) async fn list_studies(&mut self) -> Result<(), Status> {
        self.studies
            .list_studies(v1::ListStudiesRequest::default())
            .await
            .map(drop)
    }

    /// Creates a study of two parameters with the median rule; `more` is added to its file.
    pub(crate) async fn create(&mut self, name: &str, more: &str) -> anyhow::Result<String> {
        self.create_with("random", name, more).await
    }

    /// As [`Self::create`], with another strategy.
    pub(crate) async fn create_with(
        &mut self,
        strategy: &str,
        name: &str,
        more: &str,
    ) -> anyhow::Result<String> {
        let yaml = format!(
            "name: {name}\nobjective: {{metric: val_acc, goal: maximize}}\nstrategy: {{name: {strategy}, seed: 1}}\nspace:\n  lr: \
             {{type: float, low: 1e-5, high: 1e-1, scale: log}}\n  width: {{type: int, low: 8, high: 512, scale: log2}}\n{more}"
        );
        let (raw, _) = StudyFile::parse(&yaml, "bench.yaml")?;
        let spec = Some(convert::study::to_wire(&raw));
        self.studies
            .create_study(v1::CreateStudyRequest {
                spec,
                ..v1::CreateStudyRequest::default()
            })
            .await?;
        Ok(format!("studies/{name}"))
    }

    pub(crate) async fn ask(&mut self, study: &str) -> Result<v1::AskedTrial, Status> {
        let request = v1::AskTrialsRequest {
            parent: study.to_owned(),
            count: 1,
            client: "bench".to_owned(),
            request_id: uuid::Uuid::new_v4().to_string(),
            ..v1::AskTrialsRequest::default()
        };
        let mut trials = self.trials.ask_trials(request).await?.into_inner().trials;
        trials.pop().ok_or_else(|| Status::internal("no trial"))
    }

    pub(crate) async fn tell(&mut self, asked: v1::AskedTrial, value: f64) -> Result<(), Status> {
        let request = v1::TellTrialRequest {
            name: asked.trial.map(|trial| trial.name).unwrap_or_default(),
            value: Some(value),
            lease: asked.lease,
            ..v1::TellTrialRequest::default()
        };
        self.trials.tell_trial(request).await.map(drop)
    }
}

/// Points of one metric at the given steps.
pub(crate) fn points(
    metric: &str,
    steps: impl Iterator<Item = i64>,
    value: impl Fn(i64) -> f64,
) -> v1::Points {
    let steps: Vec<i64> = steps.collect();
    v1::Points {
        metrics: vec![metric.to_owned()],
        metric: vec![0; steps.len()],
        value: steps.iter().map(|&step| value(step)).collect(),
        step: steps,
        at_micros: Vec::new(),
    }
}
