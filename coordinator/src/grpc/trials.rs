//! The trial service, but for curves and logs.

use std::collections::HashMap;

use prost::Message as _;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use tunesmith_common::measurement::{MetricName, PointBatch};
use tunesmith_common::trial::{FailureCause, TrialState};
use tunesmith_common::{LeaseKey, RequestId, StudyName, Timestamp, TrialNumber};
use tunesmith_proto::convert::{
    duration_from_wire, lease_from_wire, parse, points as points_convert, request_id_from_wire,
    study_from_resource, trial_from_resource, value,
};
use tunesmith_proto::v1;
use tunesmith_proto::v1::trial_service_server::TrialService;

use super::status::ApiError;
use super::view::Legend;
use super::words::{tags_from_wire, words_from_wire};
use super::{Api, Messages, actor, view};
use crate::decide::{AddRequest, Asked, CoreError, ImportedEnd, Reported, TellRequest, TrialResult};
use crate::engine::{EngineError, EngineHandle};
use crate::store::{StoreError, StudyRow, TrialRow};

/// Trials that one call may ask for.
const MAX_ASKED: u32 = 1_000;
/// Bytes of a note, a client's name or a reason.
const MAX_NOTE: usize = 16 << 10;

#[tonic::async_trait]
impl TrialService for Api {
    type ReadLogStream = Messages<v1::ReadLogResponse>;

    async fn get_trial(
        &self,
        request: Request<v1::GetTrialRequest>,
    ) -> Result<Response<v1::GetTrialResponse>, Status> {
        Ok(Response::new(v1::GetTrialResponse {
            trial: Some(self.whole_trial(&request.get_ref().name).await?),
        }))
    }

    async fn list_trials(
        &self,
        request: Request<v1::ListTrialsRequest>,
    ) -> Result<Response<v1::ListTrialsResponse>, Status> {
        Ok(Response::new(self.list_of_trials(request.get_ref()).await?))
    }

    async fn add_trial(
        &self,
        request: Request<v1::AddTrialRequest>,
    ) -> Result<Response<v1::AddTrialResponse>, Status> {
        let actor = actor(&request);
        let trial = self.add(request.into_inner(), actor.to_string()).await?;
        Ok(Response::new(v1::AddTrialResponse { trial: Some(trial) }))
    }

    async fn ask_trials(
        &self,
        request: Request<v1::AskTrialsRequest>,
    ) -> Result<Response<v1::AskTrialsResponse>, Status> {
        Ok(Response::new(self.ask(request.into_inner()).await?))
    }

    async fn report_points(
        &self,
        request: Request<v1::ReportPointsRequest>,
    ) -> Result<Response<v1::ReportPointsResponse>, Status> {
        let reported = self.report(request.get_ref()).await?;
        Ok(Response::new(v1::ReportPointsResponse {
            should_stop: reported.stop.is_some(),
            stop_reason: reported
                .stop
                .map_or_else(String::new, |reason| reason.to_string()),
            committed_seq: reported.committed,
        }))
    }

    async fn tell_trial(
        &self,
        request: Request<v1::TellTrialRequest>,
    ) -> Result<Response<v1::TellTrialResponse>, Status> {
        let trial = self.tell(request.into_inner()).await?;
        Ok(Response::new(v1::TellTrialResponse { trial: Some(trial) }))
    }

    async fn stop_trial(
        &self,
        request: Request<v1::StopTrialRequest>,
    ) -> Result<Response<v1::StopTrialResponse>, Status> {
        let actor = actor(&request);
        let (engine, number) = self.trial(&request.get_ref().name).await?;
        let row = engine
            .call(move |core, out, ctx| {
                core.stop_trial(out, ctx, number, &actor)?;
                let row = core.active_row(number).or_else(|| out.ended_row(number).cloned());
                Ok((Legend::of_spec(core.spec()), row))
            })
            .await;
        let (legend, row) = row.map_err(ApiError::from)?;
        let trial = self.row_or_stored(&engine, &legend, number, row).await?;
        Ok(Response::new(v1::StopTrialResponse { trial: Some(trial) }))
    }

    async fn retry_trial(
        &self,
        request: Request<v1::RetryTrialRequest>,
    ) -> Result<Response<v1::RetryTrialResponse>, Status> {
        let actor = actor(&request);
        let trial = self.retry(request.get_ref(), actor.to_string()).await?;
        Ok(Response::new(v1::RetryTrialResponse { trial: Some(trial) }))
    }

    async fn update_trial(
        &self,
        request: Request<v1::UpdateTrialRequest>,
    ) -> Result<Response<v1::UpdateTrialResponse>, Status> {
        let actor = actor(&request);
        let request = request.into_inner();
        let words = words_from_wire(request.note, request.tags, request.update_mask)?;
        let trial = self.describe(&request.name, words, actor.to_string()).await?;
        Ok(Response::new(v1::UpdateTrialResponse { trial: Some(trial) }))
    }

    async fn list_points(
        &self,
        request: Request<v1::ListPointsRequest>,
    ) -> Result<Response<v1::ListPointsResponse>, Status> {
        Ok(Response::new(self.curves(request.get_ref()).await?))
    }

    async fn list_curves(
        &self,
        request: Request<v1::ListCurvesRequest>,
    ) -> Result<Response<v1::ListCurvesResponse>, Status> {
        Ok(Response::new(self.many_curves(request.get_ref()).await?))
    }

    async fn read_log(
        &self,
        request: Request<v1::ReadLogRequest>,
    ) -> Result<Response<Self::ReadLogStream>, Status> {
        Ok(Response::new(self.log(request.get_ref()).await?))
    }
}

impl Api {
    /// The engine of the study of the trial named by a resource, and the trial's number.
    pub(super) async fn trial(&self, resource: &str) -> Result<(EngineHandle, TrialNumber), ApiError> {
        let (study, number) = trial_from_resource(resource, "name")?;
        Ok((self.engine(&study).await?, number))
    }

    /// The trial named by a resource, as it is stored. Loads nothing.
    pub(super) async fn stored_trial(&self, resource: &str) -> Result<(StudyRow, TrialRow), ApiError> {
        let (study, number) = trial_from_resource(resource, "name")?;
        let row = self.store().study_find(&study).await?;
        let row = row.ok_or_else(|| EngineError::StudyNotFound(study.to_string()))?;
        let trial = self.store().trial_fetch(row.id, number).await?;
        Ok((row, trial.ok_or(CoreError::TrialNotFound(number))?))
    }

    pub(super) async fn row_or_stored(
        &self,
        engine: &EngineHandle,
        legend: &Legend,
        number: TrialNumber,
        row: Option<TrialRow>,
    ) -> Result<v1::Trial, ApiError> {
        let row = match row {
            Some(row) => Some(row),
            None => self.store().trial_fetch(engine.id(), number).await?,
        };
        let row = row.ok_or(CoreError::TrialNotFound(number))?;
        Ok(view::trial(legend, &row))
    }

    async fn whole_trial(&self, resource: &str) -> Result<v1::Trial, ApiError> {
        let (study, row) = self.stored_trial(resource).await?;
        let attempts = self.store().attempt_list(study.id, row.number).await?;
        let decisions = self.store().decision_list(study.id, row.number).await?;
        let counts = self.store().point_count(study.id, row.number).await?;
        let points = |attempt| {
            let count = counts.iter().find(|(counted, _)| *counted == attempt);
            count.map_or(0, |(_, points)| *points)
        };
        let now = self.now();
        let attempts = attempts.iter();
        let attempts: Vec<_> = attempts
            .map(|row| view::attempt(row, points(row.attempt), &self.usage_of(study.id, row), now))
            .collect();
        Ok(v1::Trial {
            cost: Some(attempts.iter().map(|attempt| attempt.cost).sum()),
            attempts,
            decisions: decisions.iter().map(view::decision).collect(),
            pending_reason: self.waiting_for(&study, &row).await?,
            ..view::trial(&Legend::of_row(&study), &row)
        })
    }

    /// Why a trial waits; empty if it does not.
    pub(super) async fn waiting_for(&self, study: &StudyRow, row: &TrialRow) -> Result<String, ApiError> {
        let (TrialState::Pending, Some(engine)) = (&row.state, self.engines.running(study.id)) else {
            return Ok(String::new());
        };
        let summary = self.summary(&engine).await?;
        if summary.waits_for.is_empty() {
            Ok(self.pool().pending_reason(study.id))
        } else {
            Ok(summary.waits_for)
        }
    }

    async fn add(&self, mut request: v1::AddTrialRequest, actor: String) -> Result<v1::Trial, ApiError> {
        let id = request_id_from_wire(&request.request_id)?;
        request.request_id.clear();
        check_length("note", &request.note)?;
        let tags = tags_from_wire(std::mem::take(&mut request.tags))?;
        let study = study_from_resource(&request.parent, "parent")?;
        let given = request.parameters.take().unwrap_or_default();
        let params = value::params_from_wire(&given, "parameters")?;
        let values = request
            .result
            .as_mut()
            .map(|result| std::mem::take(&mut result.values));
        let values = values_from_wire(&values.unwrap_or_default(), "result.values")?;
        // The order of a map on the wire is no part of the content; parameters and values are hashed as sorted.
        let mut content = Sha256::new_with_prefix(request.encode_to_vec());
        for (name, value) in params.iter() {
            content.update(format!("{name}={value:?};"));
        }
        for (name, value) in &values {
            content.update(format!("{name}={value:?};"));
        }
        for tag in &tags {
            content.update(format!("{tag:?};"));
        }
        let request_key = id.map(|id| (id, content.finalize().into()));
        let result = request
            .result
            .as_ref()
            .map(|result| self.result_from_wire(result, values))
            .transpose()?;
        let add = AddRequest {
            params,
            note: request.note,
            tags,
            result,
            request: request_key,
            actor,
        };
        let engine = self.engine(&study).await?;
        self.add_to(&engine, add).await
    }

    async fn add_to(&self, engine: &EngineHandle, add: AddRequest) -> Result<v1::Trial, ApiError> {
        let (legend, number, row) = engine
            .call(move |core, out, ctx| {
                let number = core.add(out, ctx, add)?;
                let row = core.active_row(number).or_else(|| out.ended_row(number).cloned());
                Ok((Legend::of_spec(core.spec()), number, row))
            })
            .await?;
        self.row_or_stored(engine, &legend, number, row).await
    }

    fn result_from_wire(
        &self,
        result: &v1::Result,
        values: Vec<(MetricName, f64)>,
    ) -> Result<TrialResult, ApiError> {
        let end = match v1::TrialState::try_from(result.state) {
            Ok(v1::TrialState::Unspecified | v1::TrialState::Completed) => ImportedEnd::Completed,
            Ok(v1::TrialState::EarlyStopped) => ImportedEnd::EarlyStopped,
            Ok(v1::TrialState::Failed) => ImportedEnd::Failed,
            _ => {
                let message = format!("must be COMPLETED, EARLY_STOPPED or FAILED, got {}", result.state);
                return Err(ApiError::invalid("result.state", message));
            }
        };
        let points = match &result.points {
            Some(points) => {
                points_convert::from_wire(points, self.now()).map_err(|error| error.within("result"))?
            }
            None => PointBatch::default(),
        };
        let says_nothing = result.value.is_none() && values.is_empty() && points.points.is_empty();
        if end == ImportedEnd::Completed && says_nothing {
            return Err(ApiError::invalid(
                "result.value",
                "is missing; a completed trial has a value, or points to take it from",
            ));
        }
        Ok(TrialResult {
            value: result.value,
            values,
            end,
            points,
        })
    }

    async fn ask(&self, mut request: v1::AskTrialsRequest) -> Result<v1::AskTrialsResponse, ApiError> {
        let study = study_from_resource(&request.parent, "parent")?;
        let request_key = content_key(&request.request_id.clone(), || {
            request.request_id.clear();
            request.encode_to_vec()
        })?;
        if request.count > MAX_ASKED {
            return Err(ApiError::invalid(
                "count",
                format!("must be at most {MAX_ASKED}, got {}", request.count),
            ));
        }
        check_length("client", &request.client)?;
        let ttl = request
            .lease_ttl
            .as_ref()
            .map(|ttl| duration_from_wire(ttl, "lease_ttl"))
            .transpose()?;
        if let Some(ttl) = ttl.filter(|ttl| ttl.as_millis() == 0 || ttl.as_secs() > 365 * 24 * 3_600) {
            return Err(ApiError::invalid(
                "lease_ttl",
                format!("must lie between 1 ms and a year, got {ttl:?}; leave it out for no limit"),
            ));
        }
        let engine = self.engine(&study).await?;
        let client = if request.client.is_empty() {
            "client".to_owned()
        } else {
            request.client
        };
        let count = request.count;
        let (legend, given) = engine
            .call_with_advice(move |core, out, ctx| {
                let given = core.ask(out, ctx, count, &client, ttl, request_key)?;
                Ok((Legend::of_spec(core.spec()), given))
            })
            .await?;
        let mut trials = Vec::with_capacity(given.len());
        for given in given {
            let asked = match given.held {
                Some(asked) => asked,
                None => self.given_before(&engine, given.trial, given.at).await?,
            };
            trials.push(view::asked(&legend, &asked));
        }
        Ok(v1::AskTrialsResponse { trials })
    }

    /// A trial that an earlier call was given at `at`, as it is now, with the lease of then: it may be stale, so that a caller that
    /// lost the trial cannot report about the attempt of another.
    async fn given_before(
        &self,
        engine: &EngineHandle,
        trial: TrialNumber,
        at: Timestamp,
    ) -> Result<Asked, ApiError> {
        let study = engine.id();
        let row = self.store().trial_fetch(study, trial).await?;
        let row = row.ok_or(CoreError::TrialNotFound(trial))?;
        let attempts = self.store().attempt_list(study, trial).await?;
        let attempt = attempts.into_iter().find(|attempt| attempt.leased_at == at);
        let attempt = attempt.ok_or_else(|| {
            StoreError::Corrupt(format!(
                "study {study}: trial {trial} has no attempt that began at {at}"
            ))
        })?;
        let lease = LeaseKey {
            study,
            trial,
            attempt: attempt.attempt,
            id: attempt.lease,
        };
        Ok(Asked { row, lease })
    }

    async fn report(&self, request: &v1::ReportPointsRequest) -> Result<Reported, ApiError> {
        let (study, number) = trial_from_resource(&request.name, "name")?;
        let lease = given_lease(request.lease.as_ref())?;
        let batch = match &request.points {
            Some(points) => points_convert::from_wire(points, self.now())?,
            None => PointBatch::default(),
        };
        let (engine, first) = (self.engine(&study).await?, request.first_seq);
        check_owner(&engine, lease)?;
        let reported = engine
            .call(move |core, out, ctx| Ok(core.report(out, ctx, number, lease, first, &batch)?))
            .await?;
        Ok(reported)
    }

    async fn tell(&self, request: v1::TellTrialRequest) -> Result<v1::Trial, ApiError> {
        let (study, trial) = trial_from_resource(&request.name, "name")?;
        // Telling the same end twice is accepted anyway: the id is only checked for its form.
        request_id_from_wire(&request.request_id)?;
        check_length("reason", &request.reason)?;
        let lease = given_lease(request.lease.as_ref())?;
        let failure = match (request.failed, request.infeasible) {
            (_, true) => Some(FailureCause::Infeasible {
                reason: request.reason,
            }),
            (true, false) => Some(FailureCause::Told {
                reason: request.reason,
            }),
            (false, false) => None,
        };
        let values = values_from_wire(&request.values, "values")?;
        if failure.is_some() && (request.value.is_some() || !values.is_empty()) {
            return Err(ApiError::invalid(
                "value",
                "is given for a trial that failed; leave out one of the two",
            ));
        }
        let engine = self.engine(&study).await?;
        check_owner(&engine, lease)?;
        let tell = TellRequest {
            trial,
            lease,
            value: request.value,
            values,
            failure,
        };
        let (legend, row) = engine
            .call(move |core, out, ctx| {
                core.tell(out, ctx, tell)?;
                let row = core.active_row(trial).or_else(|| out.ended_row(trial).cloned());
                Ok((Legend::of_spec(core.spec()), row))
            })
            .await?;
        self.row_or_stored(&engine, &legend, trial, row).await
    }

    async fn retry(&self, request: &v1::RetryTrialRequest, actor: String) -> Result<v1::Trial, ApiError> {
        let request_key = content_key(&request.request_id, || request.name.clone().into_bytes())?;
        let (study, row) = self.stored_trial(&request.name).await?;
        if !row.state.is_final() {
            let message = format!(
                "trial {} is {}; only a trial that has ended can be retried",
                row.number,
                row.state.name()
            );
            return Err(ApiError::Precondition {
                reason: "ILLEGAL_TRANSITION",
                message,
            });
        }
        let add = AddRequest {
            params: (*row.params).clone(),
            note: format!("again: trial {}", row.number),
            tags: Vec::new(),
            result: None,
            request: request_key,
            actor,
        };
        let engine = self.engine(&study.name).await?;
        self.add_to(&engine, add).await
    }
}

/// Values by metric, in the order of the metrics' names.
fn values_from_wire(values: &HashMap<String, f64>, field: &str) -> Result<Vec<(MetricName, f64)>, ApiError> {
    let mut values: Vec<(&String, &f64)> = values.iter().collect();
    values.sort_unstable_by_key(|(metric, _)| *metric);
    let named = values
        .into_iter()
        .map(|(metric, value)| Ok((parse(metric, field)?, *value)));
    named.collect()
}

/// The lease that a caller gave, if it kept it.
fn given_lease(lease: Option<&v1::Lease>) -> Result<Option<LeaseKey>, ApiError> {
    lease
        .map(|lease| lease_from_wire(Some(lease), "lease"))
        .transpose()
        .map_err(ApiError::from)
}

/// A lease of another study of the same name, from before that was deleted, is stale.
fn check_owner(engine: &EngineHandle, lease: Option<LeaseKey>) -> Result<(), ApiError> {
    use tunesmith_common::trial::TransitionError;
    match lease {
        Some(lease) if lease.study != engine.id() => Err(CoreError::from(TransitionError::StaleLease {
            state: "of another study",
            attempt: lease.attempt,
        })
        .into()),
        _ => Ok(()),
    }
}

fn content_key(
    request_id: &str,
    content: impl FnOnce() -> Vec<u8>,
) -> Result<Option<(RequestId, [u8; 32])>, ApiError> {
    let id = request_id_from_wire(request_id)?;
    Ok(id.map(|id| (id, Sha256::digest(content()).into())))
}

pub(super) fn check_length(field: &str, text: &str) -> Result<(), ApiError> {
    if text.len() > MAX_NOTE {
        return Err(ApiError::invalid(
            field,
            format!("has {} bytes, at most {MAX_NOTE} are kept", text.len()),
        ));
    }
    Ok(())
}

pub(super) fn cut(text: &str, limit: usize) -> &str {
    &text[..text.floor_char_boundary(limit)]
}

/// Names a study for messages about a trial.
pub(super) fn named(study: &StudyName, number: TrialNumber) -> String {
    format!("trial {number} of study {study}")
}
