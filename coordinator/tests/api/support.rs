//! A running coordinator, and clients for it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tonic::metadata::AsciiMetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use tunesmith_common::clock::SystemClock;
use tunesmith_coordinator::decide::Terms;
use tunesmith_coordinator::server::{Running, Setup, start};
use tunesmith_coordinator::store::{MemoryStore, Store};
use tunesmith_proto::v1;
use tunesmith_proto::v1::pool_service_client::PoolServiceClient;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use tunesmith_proto::v1::token_service_client::TokenServiceClient;
use tunesmith_proto::v1::trial_service_client::TrialServiceClient;
use tunesmith_proto::v1::worker_service_client::WorkerServiceClient;

/// Longest wait for anything.
pub(crate) const DEADLINE: Duration = Duration::from_secs(30);

pub(crate) struct Bearer(Option<String>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            let value: AsciiMetadataValue = format!("Bearer {token}").parse().unwrap();
            request.metadata_mut().insert("authorization", value);
        }
        Ok(request)
    }
}

pub(crate) type Service = InterceptedService<Channel, Bearer>;

pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) user: String,
    pub(crate) worker: String,
    pub(crate) folder: tempfile::TempDir,
    channel: Channel,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::on(Arc::new(MemoryStore::default())).await
    }

    pub(crate) async fn on(store: Arc<dyn Store>) -> Self {
        Self::again(store, tempfile::tempdir().unwrap()).await
    }

    /// A coordinator on a store and a folder that another one has left.
    pub(crate) async fn again(store: Arc<dyn Store>, folder: tempfile::TempDir) -> Self {
        Self::on_terms(store, folder, Terms::default()).await
    }

    /// The same, with prices and policies.
    pub(crate) async fn on_terms(store: Arc<dyn Store>, folder: tempfile::TempDir, terms: Terms) -> Self {
        let running = start(Setup {
            store,
            clock: Arc::new(SystemClock),
            listen: "127.0.0.1:0".parse().unwrap(),
            data: folder.path().to_owned(),
            lease_ttl: Duration::from_secs(30),
            allowed_hosts: vec!["tune.example.org".to_owned()],
            terms,
        })
        .await
        .unwrap();
        let token = |file: &str| read_token(&folder.path().join(file));
        let (user, worker) = (token("admin.token"), token("worker.token"));
        let channel = connect(running.address).await;
        Self {
            running,
            user,
            worker,
            folder,
            channel,
        }
    }

    pub(crate) fn service(&self, token: Option<&str>) -> Service {
        InterceptedService::new(self.channel.clone(), Bearer(token.map(str::to_owned)))
    }

    pub(crate) fn studies(&self) -> StudyServiceClient<Service> {
        StudyServiceClient::new(self.service(Some(&self.user)))
    }

    pub(crate) fn trials(&self) -> TrialServiceClient<Service> {
        TrialServiceClient::new(self.service(Some(&self.user)))
    }

    pub(crate) fn pool(&self) -> PoolServiceClient<Service> {
        PoolServiceClient::new(self.service(Some(&self.user)))
    }

    pub(crate) fn tokens(&self) -> TokenServiceClient<Service> {
        TokenServiceClient::new(self.service(Some(&self.user)))
    }

    pub(crate) fn workers(&self) -> WorkerServiceClient<Service> {
        WorkerServiceClient::new(self.service(Some(&self.worker)))
    }

    pub(crate) async fn create(&self, spec: v1::StudySpec) -> v1::Study {
        let request = v1::CreateStudyRequest {
            spec: Some(spec),
            ..Default::default()
        };
        self.studies()
            .create_study(request)
            .await
            .unwrap()
            .into_inner()
            .study
            .unwrap()
    }

    pub(crate) async fn ask(&self, study: &str) -> v1::AskedTrial {
        let request = v1::AskTrialsRequest {
            parent: format!("studies/{study}"),
            ..Default::default()
        };
        self.trials()
            .ask_trials(request)
            .await
            .unwrap()
            .into_inner()
            .trials
            .remove(0)
    }

    pub(crate) async fn study(&self, study: &str) -> v1::Study {
        let request = v1::GetStudyRequest {
            name: format!("studies/{study}"),
        };
        self.studies()
            .get_study(request)
            .await
            .unwrap()
            .into_inner()
            .study
            .unwrap()
    }
}

pub(crate) async fn connect(address: SocketAddr) -> Channel {
    Endpoint::from_shared(format!("http://{address}"))
        .unwrap()
        .connect()
        .await
        .unwrap()
}

fn read_token(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

/// A study of one parameter whose trials are run by programs that ask and tell.
pub(crate) fn spec(name: &str) -> v1::StudySpec {
    v1::StudySpec {
        name: name.to_owned(),
        objective: Some(v1::Objective {
            metric: "loss".to_owned(),
            goal: v1::Goal::Minimize.into(),
            from: String::new(),
        }),
        space: vec![v1::Parameter {
            name: "x".to_owned(),
            r#type: "float".to_owned(),
            low: Some(-1.0),
            high: Some(1.0),
            ..Default::default()
        }],
        strategy: Some(v1::Strategy {
            name: "random".to_owned(),
            seed: Some(7),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// The same, run by workers.
pub(crate) fn spec_for_workers(name: &str) -> v1::StudySpec {
    v1::StudySpec {
        trial: Some(v1::TrialTemplate {
            command: vec!["train".to_owned(), "--x={x}".to_owned()],
            ..Default::default()
        }),
        budget: Some(v1::Budget {
            trials: Some(1),
            ..Default::default()
        }),
        ..spec(name)
    }
}

pub(crate) fn points(metric: &str, points: &[(i64, f64)]) -> Option<v1::Points> {
    Some(v1::Points {
        metrics: vec![metric.to_owned()],
        metric: vec![0; points.len()],
        step: points.iter().map(|point| point.0).collect(),
        value: points.iter().map(|point| point.1).collect(),
        at_micros: vec![],
    })
}

pub(crate) fn number(value: f64) -> pbjson_types::Value {
    pbjson_types::Value {
        kind: Some(pbjson_types::value::Kind::NumberValue(value)),
    }
}

pub(crate) fn parameters(pairs: &[(&str, f64)]) -> Option<pbjson_types::Struct> {
    let fields: HashMap<_, _> = pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), number(*value)))
        .collect();
    Some(pbjson_types::Struct { fields })
}

pub(crate) fn request_id() -> String {
    uuid::Uuid::new_v4().to_string()
}

/// Code and reason of a refusal.
pub(crate) fn refusal<T: std::fmt::Debug>(result: Result<T, Status>) -> (Code, String, String) {
    let status = result.expect_err("the call was not refused");
    let reason = status
        .get_details_error_info()
        .map_or_else(String::new, |info| info.reason);
    (status.code(), reason, status.message().to_owned())
}

/// Checks a refusal's code, its reason, and that its text names `what`.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(result: Result<T, Status>, code: Code, reason: &str, what: &str) {
    let (found, because, message) = refusal(result);
    assert_eq!((found, because.as_str()), (code, reason), "{message}");
    assert!(message.contains(what), "{message:?} does not name {what:?}");
}

/// Waits for a future, but not forever.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future)
        .await
        .expect("did not happen in time")
}

/// All that comes of making the proposals of a study again from one trial on, over as many calls as that takes.
pub(crate) async fn replayed(world: &World, study: &str, from_trial: u64) -> v1::ReplayStudyResponse {
    let mut request = v1::ReplayStudyRequest {
        name: format!("studies/{study}"),
        from_trial,
    };
    let mut all = v1::ReplayStudyResponse::default();
    loop {
        let some = soon(async { world.studies().replay_study(request.clone()).await }).await;
        let some = some.unwrap().into_inner();
        all.same += some.same;
        all.not_proposed += some.not_proposed;
        all.differences.extend(some.differences);
        all.same_decisions += some.same_decisions;
        all.decision_differences.extend(some.decision_differences);
        if some.next_trial == 0 {
            return all;
        }
        request.from_trial = some.next_trial;
    }
}
