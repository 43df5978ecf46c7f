//! gRPC: translates calls into commands of the engines, and what comes back into messages. Decides nothing, and writes nothing but
//! by a command or by a task that a caller who goes away does not cancel.

mod answers;
mod backtest;
mod curves;
mod draft;
mod importance;
mod incumbents;
mod lineage;
mod log;
mod page;
mod points;
mod pool;
mod replay;
mod session;
mod slice;
mod status;
mod studies;
mod tokens;
mod trial_list;
mod trials;
mod view;
mod watch;
mod words;
mod zoom;

use std::fmt;
use std::ops::Deref;
use std::pin::Pin;
use std::sync::Arc;

use tokio::sync::Mutex;
use tokio_stream::Stream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::service::Routes;
use tonic::{Request, Status};
use tonic_health::server::HealthReporter;
use tunesmith_common::{StudyName, Timestamp};
use tunesmith_proto::v1;

use crate::auth::{Browsers, Principal, Tokens};
use crate::decide::Terms;
use crate::engine::{EngineHandle, Engines};
use crate::metrics::Metrics;
use crate::pool::Pool;
use crate::store::{AuditRow, Store};

pub use answers::KeptAnswers;
pub use session::Caller;
pub use status::ApiError;
pub(crate) use status::refuse;
pub use watch::Feeds;
pub(crate) use watch::Followed;

/// Bytes of a message that is accepted.
pub const MAX_MESSAGE: usize = 4 << 20;
/// The same for studies, which may come with the trials of others.
const MAX_STUDY_MESSAGE: usize = 64 << 20;

/// Messages of a server's stream.
type Messages<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What calls need.
#[derive(Debug)]
pub struct Parts {
    /// The engines of all studies.
    pub engines: Arc<Engines>,
    /// On what terms studies use the machines.
    pub terms: Arc<Terms>,
    /// All tokens.
    pub tokens: Arc<Tokens>,
    /// Sign-ins of browsers.
    pub browsers: Arc<Browsers>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Owner of the tasks behind streams.
    pub tasks: TaskTracker,
    /// Cancelled when the coordinator begins to stop: streams end, new sessions and studies are refused.
    pub draining: CancellationToken,
    /// The studies that somebody watches.
    pub feeds: Feeds,
    /// Answers that took long to compute.
    pub answers: KeptAnswers,
    /// Held by whoever makes proposals of a study again.
    pub replaying: Arc<Mutex<()>>,
}

/// All services. Cheap to clone; clones are the same.
#[derive(Clone)]
pub struct Api(Arc<Parts>);

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").finish_non_exhaustive()
    }
}

impl Deref for Api {
    type Target = Parts;

    fn deref(&self) -> &Parts {
        &self.0
    }
}

impl Api {
    /// Services on top of these parts.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self(Arc::new(parts))
    }

    /// All gRPC services, with health and reflection, and how to change what health says.
    ///
    /// # Errors
    /// If the description of the services that was built in cannot be read.
    pub async fn routes(&self) -> Result<(Routes, HealthReporter), tonic_reflection::server::Error> {
        let (reporter, health) = tonic_health::server::health_reporter();
        for name in SERVICES {
            reporter
                .set_service_status(*name, tonic_health::ServingStatus::Serving)
                .await;
        }
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(tunesmith_proto::FILE_DESCRIPTOR_SET)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let studies = v1::study_service_server::StudyServiceServer::new(self.clone());
        let trials = v1::trial_service_server::TrialServiceServer::new(self.clone());
        let workers = v1::worker_service_server::WorkerServiceServer::new(self.clone());
        let pool = v1::pool_service_server::PoolServiceServer::new(self.clone());
        let tokens = v1::token_service_server::TokenServiceServer::new(self.clone());
        let routes = Routes::new(health)
            .add_service(reflection)
            .add_service(studies.max_decoding_message_size(MAX_STUDY_MESSAGE))
            .add_service(trials.max_decoding_message_size(MAX_MESSAGE))
            .add_service(workers.max_decoding_message_size(MAX_MESSAGE))
            .add_service(pool.max_decoding_message_size(MAX_MESSAGE))
            .add_service(tokens.max_decoding_message_size(MAX_MESSAGE))
            .prepare();
        Ok((routes, reporter))
    }

    /// Where studies and trials are kept, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        self.engines.store()
    }

    fn pool(&self) -> &Arc<Pool> {
        self.engines.pool()
    }

    fn now(&self) -> Timestamp {
        self.engines.clock().now()
    }

    /// The engine of a study, started if need be.
    async fn engine(&self, name: &StudyName) -> Result<EngineHandle, ApiError> {
        Ok(self.engines.open(name).await?)
    }

    fn audit(&self, actor: &str, action: &str, subject: String, detail: String) -> AuditRow {
        AuditRow {
            at: self.now(),
            actor: actor.to_owned(),
            action: action.to_owned(),
            subject,
            detail,
        }
    }
}

/// Names of our services, as health knows them; the empty one is the coordinator as a whole.
pub(crate) const SERVICES: &[&str] = &[
    "",
    "tunesmith.v1.StudyService",
    "tunesmith.v1.TrialService",
    "tunesmith.v1.WorkerService",
    "tunesmith.v1.PoolService",
    "tunesmith.v1.TokenService",
];

/// Who calls, for the audit. Requests pass the door first, which puts it there.
fn actor<T>(request: &Request<T>) -> Arc<str> {
    request
        .extensions()
        .get::<Principal>()
        .map_or_else(|| "unknown".into(), |principal| Arc::clone(&principal.label))
}
