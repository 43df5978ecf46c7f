//! The fake's services: canned answers over [`super::State`].

use std::pin::Pin;

use futures::{Stream, StreamExt as _, stream};
use tokio_stream::wrappers::BroadcastStream;
use tonic::transport::server::Router;
use tonic::{Request, Response, Status};
use tonic_types::{ErrorDetails, StatusExt as _};
use tunesmith_proto::v1 as pb;
use tunesmith_proto::v1::pool_service_server::PoolServiceServer;
use tunesmith_proto::v1::study_service_server::{StudyService, StudyServiceServer};
use tunesmith_proto::v1::token_service_server::TokenServiceServer;
use tunesmith_proto::v1::trial_service_server::{TrialService, TrialServiceServer};

use super::{Memory, TOKEN};

pub(super) type Answer<T> = Result<Response<T>, Status>;
type Events<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

fn check_token(request: Request<()>) -> Result<Request<()>, Status> {
    let expected = format!("Bearer {TOKEN}");
    match request
        .metadata()
        .get("authorization")
        .and_then(|value| value.to_str().ok())
    {
        Some(given) if given == expected => Ok(request),
        Some(_) => Err(Status::unauthenticated("the token is unknown or revoked")),
        None => Err(Status::unauthenticated("a token is needed")),
    }
}

pub(super) fn router(memory: Memory) -> Router {
    let (_, health) = tonic_health::server::health_reporter();
    tonic::transport::Server::builder()
        .add_service(health)
        .add_service(StudyServiceServer::with_interceptor(memory.clone(), check_token))
        .add_service(TrialServiceServer::with_interceptor(memory.clone(), check_token))
        .add_service(PoolServiceServer::with_interceptor(memory.clone(), check_token))
        .add_service(TokenServiceServer::with_interceptor(memory, check_token))
}

pub(super) fn ok<T>(message: T) -> Answer<T> {
    Ok(Response::new(message))
}

impl Memory {
    fn study(&self, name: &str) -> Result<pb::Study, Status> {
        self.lock()
            .studies
            .get(name)
            .cloned()
            .ok_or_else(|| Status::not_found(format!("there is no study {name:?}")))
    }

    fn steer(&self, call: &str, name: &str) -> Result<pb::Study, Status> {
        self.lock().calls.push(format!("{call} {name}"));
        self.study(name)
    }

    fn trial(&self, name: &str) -> Result<pb::Trial, Status> {
        let found = self
            .lock()
            .trials
            .iter()
            .find(|trial| trial.name == name)
            .cloned();
        found.ok_or_else(|| Status::not_found(format!("there is no trial {name:?}")))
    }
}

#[tonic::async_trait]
impl StudyService for Memory {
    type WatchStudyStream = Events<pb::WatchStudyResponse>;

    async fn create_study(
        &self,
        request: Request<pb::CreateStudyRequest>,
    ) -> Answer<pb::CreateStudyResponse> {
        let request = request.into_inner();
        let spec = request.spec.clone().unwrap_or_default();
        let name = format!("studies/{}", spec.name);
        let mut state = self.lock();
        if state.studies.contains_key(&name) {
            return Err(Status::already_exists(format!(
                "a study named {:?} exists",
                spec.name
            )));
        }
        if spec.message == "refuse me" {
            let mut details = ErrorDetails::new();
            details.add_bad_request_violation("spec.budget.trials", "must be at least 1, got 0");
            return Err(Status::with_error_details(
                tonic::Code::InvalidArgument,
                "1 field is wrong",
                details,
            ));
        }
        state.history.clone_from(&request.history);
        state.detached = request.detached;
        let state_now = if request.paused {
            pb::StudyState::Paused
        } else {
            pb::StudyState::Active
        };
        let study = pb::Study {
            name: name.clone(),
            spec: Some(spec),
            state: state_now.into(),
            revision: 1,
            ..Default::default()
        };
        state.studies.insert(name, study.clone());
        state.created.push(request);
        ok(pb::CreateStudyResponse { study: Some(study) })
    }

    async fn get_study(&self, request: Request<pb::GetStudyRequest>) -> Answer<pb::GetStudyResponse> {
        ok(pb::GetStudyResponse {
            study: Some(self.study(&request.into_inner().name)?),
        })
    }

    async fn list_studies(
        &self,
        request: Request<pb::ListStudiesRequest>,
    ) -> Answer<pb::ListStudiesResponse> {
        // One study per page.
        let token = request.into_inner().page_token;
        let state = self.lock();
        let at: usize = token.parse().unwrap_or(0);
        let next = if at + 1 < state.studies.len() {
            (at + 1).to_string()
        } else {
            String::new()
        };
        ok(pb::ListStudiesResponse {
            studies: state.studies.values().skip(at).take(1).cloned().collect(),
            next_page_token: next,
        })
    }

    async fn update_study(
        &self,
        request: Request<pb::UpdateStudyRequest>,
    ) -> Answer<pb::UpdateStudyResponse> {
        let request = request.into_inner();
        let study = self.study(&request.name)?;
        self.lock().updated.push(request);
        ok(pb::UpdateStudyResponse { study: Some(study) })
    }

    async fn pause_study(&self, request: Request<pb::PauseStudyRequest>) -> Answer<pb::PauseStudyResponse> {
        ok(pb::PauseStudyResponse {
            study: Some(self.steer("pause", &request.into_inner().name)?),
        })
    }

    async fn resume_study(
        &self,
        request: Request<pb::ResumeStudyRequest>,
    ) -> Answer<pb::ResumeStudyResponse> {
        ok(pb::ResumeStudyResponse {
            study: Some(self.steer("resume", &request.into_inner().name)?),
        })
    }

    async fn stop_study(&self, request: Request<pb::StopStudyRequest>) -> Answer<pb::StopStudyResponse> {
        ok(pb::StopStudyResponse {
            study: Some(self.steer("stop", &request.into_inner().name)?),
        })
    }

    async fn archive_study(
        &self,
        request: Request<pb::ArchiveStudyRequest>,
    ) -> Answer<pb::ArchiveStudyResponse> {
        ok(pb::ArchiveStudyResponse {
            study: Some(self.steer("archive", &request.into_inner().name)?),
        })
    }

    async fn list_history(
        &self,
        request: Request<pb::ListHistoryRequest>,
    ) -> Answer<pb::ListHistoryResponse> {
        let request = request.into_inner();
        let state = self.lock();
        // A page has one trial here.
        let from: usize = request.page_token.parse().unwrap_or(0);
        let next = from + 1;
        ok(pb::ListHistoryResponse {
            trials: state.history.iter().skip(from).take(1).cloned().collect(),
            next_page_token: if next < state.history.len() {
                next.to_string()
            } else {
                String::new()
            },
        })
    }

    async fn check_study(&self, _: Request<pb::CheckStudyRequest>) -> Answer<pb::CheckStudyResponse> {
        Err(Status::unimplemented("the command line reads study files itself"))
    }

    async fn plan_zoom(&self, request: Request<pb::PlanZoomRequest>) -> Answer<pb::PlanZoomResponse> {
        let request = request.into_inner();
        let parent = self.study(&request.name)?;
        let mut spec = parent.spec.unwrap_or_default();
        spec.name = match request.study.as_str() {
            "" => format!("{}-zoom", spec.name),
            name => name.to_owned(),
        };
        spec.parent = "digits".to_owned();
        spec.strategy.get_or_insert_default().history = vec!["digits".to_owned()];
        self.lock().zooms.push(request);
        ok(pb::PlanZoomResponse {
            spec: Some(spec),
            notes: vec!["momentum is left out".to_owned()],
            trials: vec![3, 1],
            taken: 12,
            left_out: 30,
        })
    }

    async fn get_importance(
        &self,
        request: Request<pb::GetImportanceRequest>,
    ) -> Answer<pb::GetImportanceResponse> {
        let request = request.into_inner();
        let effect = |parameter: &str, share, active| pb::ParameterImportance {
            parameter: parameter.to_owned(),
            share,
            deviation: 0.05,
            active,
        };
        let answer = pb::GetImportanceResponse {
            metric: "val_acc".to_owned(),
            ended: 42,
            results: 40,
            best: request.quantile.map_or(40, |_| 10),
            explained: request.quantile.map_or(0.8, |_| 0.1),
            parameters: vec![effect("lr", 0.6, 40), effect("momentum", 0.1, 12)],
            pairs: vec![pb::PairImportance {
                first: "lr".to_owned(),
                second: "momentum".to_owned(),
                share: 0.2,
                deviation: 0.01,
            }],
        };
        self.lock().importances.push(request);
        Ok(Response::new(answer))
    }

    async fn slice_study(&self, request: Request<pb::SliceStudyRequest>) -> Answer<pb::SliceStudyResponse> {
        let request = request.into_inner();
        let number = |number: f64| pbjson_types::Value::from(number);
        let answer = pb::SliceStudyResponse {
            strategy: "gp".to_owned(),
            results: 12,
            parameters: Some(pbjson_types::Struct {
                fields: [("lr".to_owned(), number(0.01))].into(),
            }),
            acquisition: "log_ei".to_owned(),
            slices: vec![pb::Slice {
                parameter: "lr".to_owned(),
                values: vec![number(0.001), number(0.1)],
                objectives: vec![pb::Expectation {
                    metric: "val_acc".to_owned(),
                    mean: vec![0.5, 0.75],
                    low: vec![0.25, 0.7],
                    high: vec![0.75, 0.8],
                }],
                acquisition: vec![-3.5, -1.25],
            }],
            chosen: Some(pbjson_types::Struct {
                fields: [("lr".to_owned(), number(0.07))].into(),
            }),
        };
        self.lock().slices.push(request);
        ok(answer)
    }

    /// The command line does not call it.
    async fn list_incumbents(
        &self,
        _: Request<pb::ListIncumbentsRequest>,
    ) -> Answer<pb::ListIncumbentsResponse> {
        ok(pb::ListIncumbentsResponse::default())
    }

    async fn backtest_study(
        &self,
        request: Request<pb::BacktestStudyRequest>,
    ) -> Answer<pb::BacktestStudyResponse> {
        let request = request.into_inner();
        self.study(&request.name)?;
        let best = |trial, value| Some(pb::BacktestBest { trial, value });
        let stop = |trial, rank, state: pb::TrialState| pb::BacktestStop {
            trial,
            decision: Some(pb::StopDecision {
                rule: "median".to_owned(),
                step: 3,
                ..Default::default()
            }),
            value: Some(0.5),
            final_value: (rank > 0).then_some(0.75),
            rank,
            last_step: 12,
            steps_saved: 9,
            seconds_saved: 90.0,
            gpu_seconds_saved: 180.0,
            state: state.into(),
        };
        let answer = pb::BacktestStudyResponse {
            early_stopping: request.early_stopping.clone(),
            notes: vec!["rule 1, median of val_acc: judged 9 reports, stopped 2 trials".to_owned()],
            stops: vec![
                stop(2, 0, pb::TrialState::Failed),
                stop(5, 3, pb::TrialState::Completed),
            ],
            trials: 12,
            trials_without_points: 1,
            early_stopped: 4,
            steps: 120,
            steps_saved: 18,
            seconds: 1_200.0,
            seconds_saved: 180.0,
            gpu_seconds: 7_200.0,
            gpu_seconds_saved: 360.0,
            best: best(7, 0.875),
            best_with_rules: best(7, 0.875),
            best_lost: best(5, 0.75),
            best_lost_rank: 3,
            ranked: 11,
        };
        self.lock().backtests.push(request);
        ok(answer)
    }

    async fn replay_study(
        &self,
        request: Request<pb::ReplayStudyRequest>,
    ) -> Answer<pb::ReplayStudyResponse> {
        let request = request.into_inner();
        self.study(&request.name)?;
        let mut state = self.lock();
        state.calls.push(format!("replay from {}", request.from_trial));
        ok(state.replays.pop_front().unwrap_or_default())
    }

    async fn delete_study(
        &self,
        request: Request<pb::DeleteStudyRequest>,
    ) -> Answer<pb::DeleteStudyResponse> {
        let name = request.into_inner().name;
        if self.steer("delete", &name)?.state() != pb::StudyState::Done {
            return Err(Status::failed_precondition("the study is active; stop it first"));
        }
        ok(pb::DeleteStudyResponse {})
    }

    async fn watch_study(&self, request: Request<pb::WatchStudyRequest>) -> Answer<Self::WatchStudyStream> {
        let name = request.into_inner().name;
        let study = self.study(&name)?;
        let mut state = self.lock();
        let later =
            BroadcastStream::new(state.events.subscribe()).filter_map(|event| async { event.ok().map(Ok) });
        state.watches += 1;
        let revision = study.revision;
        let event = Some(pb::watch_study_response::Event::Study(study));
        let first = Ok(pb::WatchStudyResponse {
            revision,
            committed_at: None,
            event,
        });
        ok(Box::pin(stream::iter([first]).chain(later)))
    }
}

#[tonic::async_trait]
impl TrialService for Memory {
    type ReadLogStream = Events<pb::ReadLogResponse>;

    async fn get_trial(&self, request: Request<pb::GetTrialRequest>) -> Answer<pb::GetTrialResponse> {
        ok(pb::GetTrialResponse {
            trial: Some(self.trial(&request.into_inner().name)?),
        })
    }

    async fn list_trials(&self, request: Request<pb::ListTrialsRequest>) -> Answer<pb::ListTrialsResponse> {
        let request = request.into_inner();
        self.study(&request.parent)?;
        let mut trials = self.lock().trials.clone();
        trials.retain(|trial| request.states.is_empty() || request.states.contains(&trial.state));
        if request.best_only {
            let best = self.study(&request.parent)?.pareto_set;
            let place = |number: u64| best.iter().position(|known| *known == number);
            trials.retain(|trial| place(trial.number).is_some());
            trials.sort_by_key(|trial| place(trial.number));
        }
        if request.order_by == "newest" {
            trials.sort_by_key(|trial| std::cmp::Reverse(trial.number));
        }
        if request.order_by == "value" {
            trials.sort_by(|a, b| {
                b.value
                    .unwrap_or(f64::MIN)
                    .total_cmp(&a.value.unwrap_or(f64::MIN))
            });
        }
        let at: usize = request.page_token.parse().unwrap_or(0);
        let page = usize::try_from(request.page_size).unwrap();
        let next = if at + page < trials.len() {
            (at + page).to_string()
        } else {
            String::new()
        };
        ok(pb::ListTrialsResponse {
            trials: trials.into_iter().skip(at).take(page).collect(),
            next_page_token: next,
        })
    }

    async fn add_trial(&self, request: Request<pb::AddTrialRequest>) -> Answer<pb::AddTrialResponse> {
        let request = request.into_inner();
        self.study(&request.parent)?;
        let mut state = self.lock();
        let number = u64::try_from(state.added.len()).unwrap() + 1;
        let trial = pb::Trial {
            name: format!("{}/trials/{number}", request.parent),
            number,
            parameters: request.parameters.clone(),
            ..Default::default()
        };
        let parent = request.parent.clone();
        state.added.push(request);
        let added = u64::try_from(state.added.len()).unwrap();
        if let Some(study) = state.studies.get_mut(&parent)
            && let Some(limit) = study.spec.as_ref().and_then(|spec| spec.budget.as_ref()?.trials)
            && added >= limit
        {
            study.set_state(pb::StudyState::Done);
            study.set_done_reason(pb::DoneReason::Budget);
            study.state_reason = format!("budget: trials: {limit} of {limit} were created");
        }
        ok(pb::AddTrialResponse { trial: Some(trial) })
    }

    async fn ask_trials(&self, _: Request<pb::AskTrialsRequest>) -> Answer<pb::AskTrialsResponse> {
        Err(Status::unimplemented("not part of the command line"))
    }

    async fn report_points(&self, _: Request<pb::ReportPointsRequest>) -> Answer<pb::ReportPointsResponse> {
        Err(Status::unimplemented("not part of the command line"))
    }

    async fn tell_trial(&self, _: Request<pb::TellTrialRequest>) -> Answer<pb::TellTrialResponse> {
        Err(Status::unimplemented("not part of the command line"))
    }

    async fn stop_trial(&self, request: Request<pb::StopTrialRequest>) -> Answer<pb::StopTrialResponse> {
        let name = request.into_inner().name;
        self.lock().calls.push(format!("stop {name}"));
        ok(pb::StopTrialResponse {
            trial: Some(self.trial(&name)?),
        })
    }

    async fn retry_trial(&self, request: Request<pb::RetryTrialRequest>) -> Answer<pb::RetryTrialResponse> {
        let name = request.into_inner().name;
        self.lock().calls.push(format!("retry {name}"));
        ok(pb::RetryTrialResponse {
            trial: Some(self.trial(&name)?),
        })
    }

    async fn update_trial(
        &self,
        request: Request<pb::UpdateTrialRequest>,
    ) -> Answer<pb::UpdateTrialResponse> {
        let request = request.into_inner();
        let mut trial = self.trial(&request.name)?;
        let mask = request.update_mask.unwrap_or_default();
        let mut state = self.lock();
        if mask.paths.iter().any(|path| path == "tags") {
            state
                .calls
                .push(format!("tag {} {}", request.name, request.tags.join(",")));
            trial.tags.clone_from(&request.tags);
            state
                .trials
                .iter_mut()
                .filter(|stored| stored.name == trial.name)
                .for_each(|stored| stored.tags.clone_from(&request.tags));
        } else {
            state
                .calls
                .push(format!("note {} {}", request.name, request.note));
        }
        drop(state);
        ok(pb::UpdateTrialResponse { trial: Some(trial) })
    }

    async fn list_points(&self, request: Request<pb::ListPointsRequest>) -> Answer<pb::ListPointsResponse> {
        self.trial(&request.into_inner().name)?;
        ok(pb::ListPointsResponse {
            curves: self.lock().curves.clone(),
        })
    }

    /// The command line does not call it.
    async fn list_curves(&self, _: Request<pb::ListCurvesRequest>) -> Answer<pb::ListCurvesResponse> {
        ok(pb::ListCurvesResponse::default())
    }

    async fn read_log(&self, request: Request<pb::ReadLogRequest>) -> Answer<Self::ReadLogStream> {
        self.trial(&request.into_inner().name)?;
        let log = self.lock().log.clone();
        let chunks: Vec<_> = log
            .chunks(3)
            .map(|data| {
                Ok(pb::ReadLogResponse {
                    data: data.to_vec(),
                    skipped_bytes: 0,
                })
            })
            .collect();
        ok(Box::pin(stream::iter(chunks)))
    }
}
