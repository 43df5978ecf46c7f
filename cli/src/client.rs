//! Calls to the coordinator: connection, token, deadlines, and repetition while it is away.
//!
//! Every mutating call carries a request id or is idempotent by nature, so that repeating it after a lost answer is safe. Only
//! UNAVAILABLE is repeated.

use std::time::Duration;

use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status, Streaming};
use tunesmith_proto::v1::pool_service_client::PoolServiceClient;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use tunesmith_proto::v1::token_service_client::TokenServiceClient;
use tunesmith_proto::v1::trial_service_client::TrialServiceClient;
use tunesmith_proto::v1::{self as pb};

use crate::error::{self, CliError};
use crate::settings::{Secret, Settings};

/// Time to reach the coordinator at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Time for one answer: a coordinator that is busy with a large study needs seconds, not minutes.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// A connection on which nothing was heard for so long is asked for a sign of life, so that a machine that vanished is noticed.
const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Answers with long curves or many trials exceed gRPC's default of 4 MiB.
const MESSAGE_LIMIT: usize = 256 * 1024 * 1024;
/// Waits between the repetitions of a call that a coordinator in restart refused.
const RETRY_WAITS: [Duration; 3] = [
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_millis(1_500),
];

/// Puts the token into each call.
#[derive(Clone, Debug)]
pub(crate) struct Bearer(Option<MetadataValue<Ascii>>);

impl Bearer {
    fn new(token: Option<&Secret>) -> Self {
        // A checked token is printable ASCII, which every header value may be.
        let value = token.and_then(|token| format!("Bearer {}", token.expose()).parse().ok());
        Self(value.map(|mut value: MetadataValue<Ascii>| {
            value.set_sensitive(true);
            value
        }))
    }
}

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request.metadata_mut().insert("authorization", token.clone());
        }
        Ok(request)
    }
}

type Service = InterceptedService<Channel, Bearer>;

/// The coordinator.
#[derive(Clone, Debug)]
pub struct Client {
    url: String,
    studies: StudyServiceClient<Service>,
    trials: TrialServiceClient<Service>,
    pool: PoolServiceClient<Service>,
    tokens: TokenServiceClient<Service>,
}

/// The connection's parameters for a coordinator at `url`, a checked one.
///
/// # Errors
/// If the URL is malformed after all.
pub(crate) fn endpoint(url: &str) -> Result<Endpoint, CliError> {
    let endpoint =
        Endpoint::from_shared(url.to_owned()).map_err(|error| error::unreachable(url, &error.to_string()))?;
    Ok(endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
        .keep_alive_while_idle(true))
}

impl Client {
    /// Connects; an absent coordinator is noticed here.
    ///
    /// # Errors
    /// [`CliError::Unreachable`] if nobody answers.
    pub async fn connect(settings: &Settings) -> Result<Self, CliError> {
        let url = &settings.url;
        let channel = endpoint(url)?.connect().await.map_err(|error| {
            error::unreachable(
                url,
                &error::innermost(&error).unwrap_or_else(|| error.to_string()),
            )
        })?;
        let service = InterceptedService::new(channel, Bearer::new(settings.token.as_ref()));
        Ok(Self {
            url: url.clone(),
            studies: StudyServiceClient::new(service.clone()).max_decoding_message_size(MESSAGE_LIMIT),
            trials: TrialServiceClient::new(service.clone())
                .max_decoding_message_size(MESSAGE_LIMIT)
                .max_encoding_message_size(MESSAGE_LIMIT),
            pool: PoolServiceClient::new(service.clone()).max_decoding_message_size(MESSAGE_LIMIT),
            tokens: TokenServiceClient::new(service),
        })
    }

    /// Where the coordinator is.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Turns an answer into an error. `doing` completes "cannot ...".
    #[must_use]
    pub fn error(&self, status: &Status, doing: &str) -> CliError {
        error::from_status(status, doing, &self.url)
    }

    /// Follows a study. Not repeated: the caller does, and knows what it has seen.
    ///
    /// # Errors
    /// The coordinator's status.
    pub async fn watch_study(
        &self,
        request: pb::WatchStudyRequest,
    ) -> Result<Streaming<pb::WatchStudyResponse>, Status> {
        Ok(self.studies.clone().watch_study(request).await?.into_inner())
    }

    /// Reads a log.
    ///
    /// # Errors
    /// The coordinator's status.
    pub async fn read_log(
        &self,
        request: pb::ReadLogRequest,
    ) -> Result<Streaming<pb::ReadLogResponse>, Status> {
        Ok(self.trials.clone().read_log(request).await?.into_inner())
    }
}

macro_rules! calls {
    ($($client:ident . $method:ident ($request:ident) -> $response:ident;)*) => {
        impl Client {
            $(
                /// The call of the same name. `doing` completes "cannot ..." in the error.
                ///
                /// # Errors
                /// What the coordinator answered, or that it is away.
                pub async fn $method(&self, request: pb::$request, doing: &str) -> Result<pb::$response, CliError> {
                    let mut waits = RETRY_WAITS.iter();
                    loop {
                        let mut call = Request::new(request.clone());
                        call.set_timeout(CALL_TIMEOUT);
                        match self.$client.clone().$method(call).await {
                            Ok(response) => return Ok(response.into_inner()),
                            Err(status) if status.code() == Code::Unavailable => match waits.next() {
                                Some(wait) => tokio::time::sleep(*wait).await,
                                None => return Err(self.error(&status, doing)),
                            },
                            Err(status) => return Err(self.error(&status, doing)),
                        }
                    }
                }
            )*
        }
    };
}

calls! {
    studies.create_study(CreateStudyRequest) -> CreateStudyResponse;
    studies.get_study(GetStudyRequest) -> GetStudyResponse;
    studies.list_studies(ListStudiesRequest) -> ListStudiesResponse;
    studies.update_study(UpdateStudyRequest) -> UpdateStudyResponse;
    studies.pause_study(PauseStudyRequest) -> PauseStudyResponse;
    studies.resume_study(ResumeStudyRequest) -> ResumeStudyResponse;
    studies.stop_study(StopStudyRequest) -> StopStudyResponse;
    studies.archive_study(ArchiveStudyRequest) -> ArchiveStudyResponse;
    studies.replay_study(ReplayStudyRequest) -> ReplayStudyResponse;
    studies.list_history(ListHistoryRequest) -> ListHistoryResponse;
    studies.plan_zoom(PlanZoomRequest) -> PlanZoomResponse;
    studies.slice_study(SliceStudyRequest) -> SliceStudyResponse;
    studies.get_importance(GetImportanceRequest) -> GetImportanceResponse;
    studies.backtest_study(BacktestStudyRequest) -> BacktestStudyResponse;
    studies.delete_study(DeleteStudyRequest) -> DeleteStudyResponse;
    trials.get_trial(GetTrialRequest) -> GetTrialResponse;
    trials.list_trials(ListTrialsRequest) -> ListTrialsResponse;
    trials.add_trial(AddTrialRequest) -> AddTrialResponse;
    trials.stop_trial(StopTrialRequest) -> StopTrialResponse;
    trials.retry_trial(RetryTrialRequest) -> RetryTrialResponse;
    trials.update_trial(UpdateTrialRequest) -> UpdateTrialResponse;
    trials.list_points(ListPointsRequest) -> ListPointsResponse;
    pool.list_workers(ListWorkersRequest) -> ListWorkersResponse;
    pool.get_worker(GetWorkerRequest) -> GetWorkerResponse;
    pool.drain_worker(DrainWorkerRequest) -> DrainWorkerResponse;
    pool.remove_worker(RemoveWorkerRequest) -> RemoveWorkerResponse;
    tokens.create_token(CreateTokenRequest) -> CreateTokenResponse;
    tokens.list_tokens(ListTokensRequest) -> ListTokensResponse;
    tokens.revoke_token(RevokeTokenRequest) -> RevokeTokenResponse;
}

/// Pages are as large as the coordinator gives them.
const PAGE_SIZE: i32 = 1_000;

impl Client {
    /// All studies, newest first.
    ///
    /// # Errors
    /// What the coordinator answered, or that it is away.
    pub async fn all_studies(&self, show_archived: bool) -> Result<Vec<pb::Study>, CliError> {
        let mut request = pb::ListStudiesRequest {
            page_size: PAGE_SIZE,
            page_token: String::new(),
            show_archived,
        };
        let mut studies = vec![];
        loop {
            let page = self.list_studies(request.clone(), "list studies").await?;
            studies.extend(page.studies);
            if page.next_page_token.is_empty() {
                return Ok(studies);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The trials of other studies that a study, `studies/{study}`, knows.
    ///
    /// # Errors
    /// What the coordinator answered, or that it is away.
    pub async fn whole_history(&self, study: &str, doing: &str) -> Result<Vec<pb::PriorTrial>, CliError> {
        let mut request = pb::ListHistoryRequest {
            name: study.to_owned(),
            page_size: PAGE_SIZE,
            page_token: String::new(),
        };
        let mut trials = vec![];
        loop {
            let page = self.list_history(request.clone(), doing).await?;
            trials.extend(page.trials);
            if page.next_page_token.is_empty() {
                return Ok(trials);
            }
            request.page_token = page.next_page_token;
        }
    }

    /// The first `limit` trials that `request` asks for and that are `wanted`.
    ///
    /// # Errors
    /// What the coordinator answered, or that it is away.
    pub async fn trials_up_to(
        &self,
        mut request: pb::ListTrialsRequest,
        limit: usize,
        wanted: impl Fn(&pb::Trial) -> bool,
        doing: &str,
    ) -> Result<Vec<pb::Trial>, CliError> {
        let mut trials = vec![];
        loop {
            // Where a first page was not enough, any number of trials may be unwanted.
            let left = if request.page_token.is_empty() {
                limit
            } else {
                usize::MAX
            };
            request.page_size = i32::try_from(left).unwrap_or(PAGE_SIZE).clamp(1, PAGE_SIZE);
            let page = self.list_trials(request.clone(), doing).await?;
            trials.extend(page.trials.into_iter().filter(|trial| wanted(trial)));
            if trials.len() >= limit || page.next_page_token.is_empty() {
                trials.truncate(limit);
                return Ok(trials);
            }
            request.page_token = page.next_page_token;
        }
    }
}
