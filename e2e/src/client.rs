//! A client of the coordinator as a user's program would be one.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tunesmith_common::study::StudyFile;
use tunesmith_proto::v1;
use tunesmith_proto::v1::pool_service_client::PoolServiceClient;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use tunesmith_proto::v1::trial_service_client::TrialServiceClient;
use tunesmith_proto::v1::worker_service_client::WorkerServiceClient;

use crate::wait::eventually_within;

type Authorised = InterceptedService<Channel, Bearer>;

/// Adds the token to every call.
#[derive(Clone, Debug)]
pub struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Clients of all services over one connection.
#[derive(Clone, Debug)]
pub struct Api {
    /// Studies.
    pub studies: StudyServiceClient<Authorised>,
    /// Trials.
    pub trials: TrialServiceClient<Authorised>,
    /// Workers as people see them.
    pub pool: PoolServiceClient<Authorised>,
    /// Sessions of workers.
    pub workers: WorkerServiceClient<Authorised>,
}

impl Api {
    /// A client that connects when it is first used, and again when the connection broke.
    ///
    /// # Panics
    /// If the address or the token is malformed.
    #[must_use]
    pub fn new(url: &str, token: &str) -> Self {
        let channel = Endpoint::from_shared(url.to_owned())
            .unwrap()
            .connect_timeout(Duration::from_secs(5))
            .http2_keep_alive_interval(Duration::from_secs(5))
            .keep_alive_timeout(Duration::from_secs(5))
            .initial_connection_window_size(8 << 20)
            .connect_lazy();
        let bearer = Bearer(format!("Bearer {token}").parse().unwrap());
        Self {
            studies: StudyServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            trials: TrialServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            pool: PoolServiceClient::with_interceptor(channel.clone(), bearer.clone()),
            workers: WorkerServiceClient::with_interceptor(channel, bearer),
        }
    }

    /// Creates a study from the text of a study file.
    ///
    /// # Panics
    /// If it is refused.
    pub async fn create(&mut self, yaml: &str) -> v1::Study {
        let request = v1::CreateStudyRequest {
            spec: Some(study_spec(yaml)),
            ..v1::CreateStudyRequest::default()
        };
        self.studies
            .create_study(request)
            .await
            .unwrap()
            .into_inner()
            .study
            .unwrap()
    }

    /// One study.
    ///
    /// # Errors
    /// Those of the call.
    ///
    /// # Panics
    /// If the answer is empty.
    pub async fn study(&mut self, name: &str) -> Result<v1::Study, Status> {
        let request = v1::GetStudyRequest {
            name: format!("studies/{name}"),
        };
        Ok(self.studies.get_study(request).await?.into_inner().study.unwrap())
    }

    /// Waits until a study is DONE.
    pub async fn done(&mut self, name: &str, deadline: Duration) -> v1::Study {
        eventually_within(deadline, "study ends", async || {
            let study = self.study(name).await.map_err(|status| status.to_string())?;
            if study.state() == v1::StudyState::Done {
                Ok(study)
            } else {
                Err(format!(
                    "{} {} {:?} {}",
                    study.state().as_str_name(),
                    study.state_reason,
                    study.counts,
                    study.pending_reason
                ))
            }
        })
        .await
    }

    /// All trials of a study with everything there is to know of each.
    ///
    /// # Panics
    /// If a call fails.
    pub async fn trials(&mut self, study: &str) -> Vec<v1::Trial> {
        let parent = format!("studies/{study}");
        let request = v1::ListTrialsRequest {
            parent,
            page_size: 1000,
            ..v1::ListTrialsRequest::default()
        };
        let listed = self
            .trials
            .list_trials(request)
            .await
            .unwrap()
            .into_inner()
            .trials;
        let mut whole = Vec::with_capacity(listed.len());
        for trial in listed {
            let request = v1::GetTrialRequest { name: trial.name };
            whole.push(
                self.trials
                    .get_trial(request)
                    .await
                    .unwrap()
                    .into_inner()
                    .trial
                    .unwrap(),
            );
        }
        whole
    }

    /// The curve of a metric of a trial as it counts, by step.
    ///
    /// # Panics
    /// If the call fails.
    pub async fn curve(&mut self, trial: &str, metric: &str) -> Vec<(i64, f64)> {
        let request = v1::ListPointsRequest {
            name: trial.to_owned(),
            metrics: vec![metric.to_owned()],
            attempt: 0,
        };
        let curves = self
            .trials
            .list_points(request)
            .await
            .unwrap()
            .into_inner()
            .curves;
        curves
            .into_iter()
            .flat_map(|curve| curve.step.into_iter().zip(curve.value))
            .collect()
    }
}

/// A study file as the wire has it.
///
/// # Panics
/// If it is not a study file.
#[must_use]
pub fn study_spec(yaml: &str) -> v1::StudySpec {
    let (raw, _) = StudyFile::parse(yaml, "study.yaml").unwrap_or_else(|error| panic!("{error}"));
    tunesmith_proto::convert::study::to_wire(&raw)
}
