//! The study service.

use std::sync::Arc;

use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};
use tunesmith_common::study::{
    EDITABLE, FieldError, MAX_RUNTIME, RawConstraint, RawStudy, RawTrial, SpecErrors, StudySpec,
};
use tunesmith_common::{StudyId, StudyName, TrialNumber};
use tunesmith_proto::convert::{
    request_id_from_wire, required, study as study_convert, study_from_resource, study_resource,
};
use tunesmith_proto::v1::study_service_server::StudyService;
use tunesmith_proto::v1::{self};

use super::page::Page;
use super::status::ApiError;
use super::{Api, Messages, actor, lineage, view};
use crate::decide::{Counts, StudyEdit, Summary, Terms, TimedOut};
use crate::engine::{EngineError, EngineHandle};
use crate::store::{
    End, PriorTrial, RequestRow, StoreError, StudyRow, StudyState, TrialOrder, TrialQuery, TrialRow,
};

/// Trials read at a time.
const TRIAL_PAGE: u32 = 1_000;
/// Bits of a drawn seed, so that it survives JSON.
const SEED_BITS: u32 = 53;

#[tonic::async_trait]
impl StudyService for Api {
    type WatchStudyStream = Messages<v1::WatchStudyResponse>;

    async fn create_study(
        &self,
        request: Request<v1::CreateStudyRequest>,
    ) -> Result<Response<v1::CreateStudyResponse>, Status> {
        if self.draining.is_cancelled() {
            return Err(ApiError::Unavailable("the coordinator is stopping").into());
        }
        let actor = actor(&request);
        let study = self.create(request.into_inner(), &actor).await?;
        Ok(Response::new(v1::CreateStudyResponse { study: Some(study) }))
    }

    async fn check_study(
        &self,
        request: Request<v1::CheckStudyRequest>,
    ) -> Result<Response<v1::CheckStudyResponse>, Status> {
        let actor = actor(&request);
        Ok(Response::new(self.check(request.into_inner(), &actor).await?))
    }

    async fn get_study(
        &self,
        request: Request<v1::GetStudyRequest>,
    ) -> Result<Response<v1::GetStudyResponse>, Status> {
        let engine = self.study(&request.get_ref().name).await?;
        Ok(Response::new(v1::GetStudyResponse {
            study: Some(self.study_view(&engine).await?),
        }))
    }

    async fn list_studies(
        &self,
        request: Request<v1::ListStudiesRequest>,
    ) -> Result<Response<v1::ListStudiesResponse>, Status> {
        Ok(Response::new(self.list(request.get_ref()).await?))
    }

    async fn update_study(
        &self,
        request: Request<v1::UpdateStudyRequest>,
    ) -> Result<Response<v1::UpdateStudyResponse>, Status> {
        let actor = actor(&request);
        let study = self.update(request.into_inner(), &actor).await?;
        Ok(Response::new(v1::UpdateStudyResponse { study: Some(study) }))
    }

    async fn pause_study(
        &self,
        request: Request<v1::PauseStudyRequest>,
    ) -> Result<Response<v1::PauseStudyResponse>, Status> {
        let actor = actor(&request);
        let engine = self.study(&request.get_ref().name).await?;
        let done = engine
            .call(move |core, out, ctx| Ok(core.pause(out, ctx, &actor)?))
            .await;
        done.map_err(ApiError::from)?;
        Ok(Response::new(v1::PauseStudyResponse {
            study: Some(self.study_view(&engine).await?),
        }))
    }

    async fn resume_study(
        &self,
        request: Request<v1::ResumeStudyRequest>,
    ) -> Result<Response<v1::ResumeStudyResponse>, Status> {
        let actor = actor(&request);
        let engine = self.study(&request.get_ref().name).await?;
        self.resume(&engine, actor).await?;
        Ok(Response::new(v1::ResumeStudyResponse {
            study: Some(self.study_view(&engine).await?),
        }))
    }

    async fn stop_study(
        &self,
        request: Request<v1::StopStudyRequest>,
    ) -> Result<Response<v1::StopStudyResponse>, Status> {
        let actor = actor(&request);
        let engine = self.study(&request.get_ref().name).await?;
        let done = engine
            .call(move |core, out, ctx| {
                core.stop(out, ctx, &actor);
                Ok(())
            })
            .await;
        done.map_err(ApiError::from)?;
        Ok(Response::new(v1::StopStudyResponse {
            study: Some(self.study_view(&engine).await?),
        }))
    }

    async fn archive_study(
        &self,
        request: Request<v1::ArchiveStudyRequest>,
    ) -> Result<Response<v1::ArchiveStudyResponse>, Status> {
        let actor = actor(&request);
        let engine = self.study(&request.get_ref().name).await?;
        let done = engine
            .call(move |core, out, ctx| Ok(core.archive(out, ctx, &actor)?))
            .await;
        done.map_err(ApiError::from)?;
        Ok(Response::new(v1::ArchiveStudyResponse {
            study: Some(self.study_view(&engine).await?),
        }))
    }

    async fn replay_study(
        &self,
        request: Request<v1::ReplayStudyRequest>,
    ) -> Result<Response<v1::ReplayStudyResponse>, Status> {
        Ok(Response::new(self.replay(request.get_ref()).await?))
    }

    async fn list_history(
        &self,
        request: Request<v1::ListHistoryRequest>,
    ) -> Result<Response<v1::ListHistoryResponse>, Status> {
        Ok(Response::new(self.list_of_history(request.get_ref()).await?))
    }

    async fn plan_zoom(
        &self,
        request: Request<v1::PlanZoomRequest>,
    ) -> Result<Response<v1::PlanZoomResponse>, Status> {
        Ok(Response::new(self.zoom(request.get_ref()).await?))
    }

    async fn slice_study(
        &self,
        request: Request<v1::SliceStudyRequest>,
    ) -> Result<Response<v1::SliceStudyResponse>, Status> {
        Ok(Response::new(self.slice(request.get_ref()).await?))
    }

    async fn list_incumbents(
        &self,
        request: Request<v1::ListIncumbentsRequest>,
    ) -> Result<Response<v1::ListIncumbentsResponse>, Status> {
        Ok(Response::new(self.incumbents(request.get_ref()).await?))
    }

    async fn get_importance(
        &self,
        request: Request<v1::GetImportanceRequest>,
    ) -> Result<Response<v1::GetImportanceResponse>, Status> {
        Ok(Response::new(self.importance(request.get_ref()).await?))
    }

    async fn backtest_study(
        &self,
        request: Request<v1::BacktestStudyRequest>,
    ) -> Result<Response<v1::BacktestStudyResponse>, Status> {
        Ok(Response::new(self.backtest(request.into_inner()).await?))
    }

    async fn delete_study(
        &self,
        request: Request<v1::DeleteStudyRequest>,
    ) -> Result<Response<v1::DeleteStudyResponse>, Status> {
        let actor = actor(&request);
        let engine = self.study(&request.get_ref().name).await?;
        let summary = self.summary(&engine).await?;
        match summary.study.state {
            StudyState::Done(_) | StudyState::Archived(_) if summary.counts.alive() == 0 => {}
            _ => {
                let message = format!("study {} has not ended; stop it first", engine.name());
                return Err(ApiError::Precondition {
                    reason: "STUDY_STATE",
                    message,
                }
                .into());
            }
        }
        let audit = self.audit(
            &actor,
            "delete_study",
            study_resource(engine.name()),
            String::new(),
        );
        self.engines
            .delete(engine.id(), audit)
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(v1::DeleteStudyResponse {}))
    }

    async fn watch_study(
        &self,
        request: Request<v1::WatchStudyRequest>,
    ) -> Result<Response<Self::WatchStudyStream>, Status> {
        let engine = self.study(&request.get_ref().name).await?;
        Ok(Response::new(
            self.watch(&engine, request.get_ref().include_points),
        ))
    }
}

impl Api {
    /// The engine of the study named by a resource.
    pub(crate) async fn study(&self, resource: &str) -> Result<EngineHandle, ApiError> {
        let name = study_from_resource(resource, "name")?;
        self.engine(&name).await
    }

    pub(super) async fn summary(&self, engine: &EngineHandle) -> Result<Summary, ApiError> {
        Ok(engine.call(|core, _, ctx| Ok(core.summary(ctx))).await?)
    }

    async fn study_view(&self, engine: &EngineHandle) -> Result<v1::Study, ApiError> {
        let summary = self.summary(engine).await?;
        let best = self
            .best_row(engine.id(), summary.best.map(|(number, _)| number))
            .await?;
        Ok(view::study(
            &self.terms,
            &summary,
            best.as_ref(),
            self.pool().pending_reason(engine.id()),
        ))
    }

    pub(super) async fn best_row(
        &self,
        study: StudyId,
        best: Option<TrialNumber>,
    ) -> Result<Option<TrialRow>, StoreError> {
        match best {
            Some(number) => self.store().trial_fetch(study, number).await,
            None => Ok(None),
        }
    }

    async fn create(&self, request: v1::CreateStudyRequest, actor: &str) -> Result<v1::Study, ApiError> {
        let id = request_id_from_wire(&request.request_id)?;
        let mut raw = study_convert::from_wire(required(request.spec, "spec")?)
            .map_err(|error| error.within("spec"))?;
        let written = raw.clone();
        if raw.strategy.seed.is_none() {
            raw.strategy.seed = Some(draw_seed()?);
        }
        let mut spec = StudySpec::try_from(raw.clone())?;
        let policy = self.terms.govern(&mut raw, &spec, actor)?;
        if policy.as_ref().is_some_and(|policy| !policy.sets.is_empty()) {
            spec = StudySpec::try_from(raw.clone())?;
        }
        let given = request
            .detached
            .then(|| lineage::prior_trials(&request.history, &spec))
            .transpose()?;
        let content = content_of(&written, request.paused, given.as_deref())?;
        let now = self.now();
        let repeatable = id.map(|id| RequestRow {
            id,
            content,
            trials: vec![],
            at: now,
        });
        // What it knew may be gone since then.
        if let (Some(repeatable), false) = (&repeatable, request.validate_only)
            && let Some(earlier) = self.store().study_created_by(repeatable).await?
        {
            return self.study_view(&self.engine(&earlier.name).await?).await;
        }
        let (lineage, history) = match given {
            Some(given) => self.detached(&spec, given).await?,
            None => self.lineage(&spec).await?,
        };
        let row = StudyRow {
            id: StudyId(uuid::Uuid::now_v7()),
            name: spec.name.clone(),
            spec: raw,
            lineage,
            state: if request.paused {
                StudyState::Paused
            } else {
                StudyState::Active
            },
            state_reason: if request.paused {
                "created paused".to_owned()
            } else {
                String::new()
            },
            strategy_note: spec.chosen_strategy().1,
            active_time: std::time::Duration::ZERO,
            gpu_seconds: 0.0,
            cost: 0.0,
            creator: actor.to_owned(),
            policy,
            created_at: now,
            done_at: None,
            updated_at: now,
        };
        if request.validate_only {
            if self.store().study_find(&row.name).await?.is_some() {
                return Err(StoreError::AlreadyExists(format!("study {}", row.name)).into());
            }
            return Ok(v1::Study {
                warnings: spec.warnings(),
                counts: Some(view::counts(&Counts::default())),
                ..view::study_row(&self.terms, &row)
            });
        }
        let audit = self.audit(actor, "create_study", study_resource(&row.name), String::new());
        let (_, engine) = self.engines.create(row, history, repeatable, audit).await?;
        self.study_view(&engine).await
    }

    async fn list(&self, request: &v1::ListStudiesRequest) -> Result<v1::ListStudiesResponse, ApiError> {
        let filter = [u8::from(request.show_archived)];
        let page = Page::read(request.page_size, &request.page_token, &[b"studies", &filter])?;
        let rows = self
            .store()
            .study_list(request.show_archived, page.offset, page.limit)
            .await?;
        let next_page_token = page.next(rows.len());
        let mut studies = Vec::with_capacity(rows.len());
        for row in rows {
            // Which trials are the best of several objectives, or keep their bounds, is for the study itself to say.
            let plain = row.spec.objective.more.is_empty()
                && !row
                    .spec
                    .constraints
                    .iter()
                    .any(|constraint| matches!(constraint, RawConstraint::Measured(_)));
            studies.push(match self.engines.running(row.id) {
                Some(engine) => self.study_view(&engine).await?,
                None if plain => self.stored_view(&row).await?,
                None => self.study_view(&self.engine(&row.name).await?).await?,
            });
        }
        Ok(v1::ListStudiesResponse {
            studies,
            next_page_token,
        })
    }

    /// A study of one objective and without measured constraints whose engine does not run, without loading it.
    async fn stored_view(&self, row: &StudyRow) -> Result<v1::Study, ApiError> {
        let mut counts = Counts::default();
        for (state, number) in self.store().trial_counts(row.id).await? {
            if let Some(count) = counts.of(&state) {
                *count = number;
            }
        }
        let order = order_of(&row.spec);
        let states = vec!["COMPLETED", "EARLY_STOPPED", "TIMED_OUT"];
        let query = TrialQuery {
            states,
            order,
            offset: 0,
            limit: 1,
        };
        let best = self.store().trial_list(row.id, &query).await?.into_iter().next();
        let best = best.filter(|trial| trial.value.is_some_and(f64::is_finite));
        Ok(v1::Study {
            counts: Some(view::counts(&counts)),
            best: best.map(|trial| view::trial(&view::Legend::of_row(row), &trial)),
            ..view::study_row(&self.terms, row)
        })
    }

    /// Trials whose time was up.
    async fn timed_out(&self, engine: &EngineHandle) -> Result<TimedOut, ApiError> {
        let loaded_at = engine.call(|core, _, _| Ok(core.loaded_at())).await?;
        let mut rows = Vec::new();
        loop {
            let query = TrialQuery {
                states: vec![End::TimedOut.name()],
                order: TrialOrder::Number,
                offset: rows.len() as u64,
                limit: TRIAL_PAGE,
            };
            let page = self.store().trial_list(engine.id(), &query).await?;
            let is_last = page.len() < TRIAL_PAGE as usize;
            rows.extend(page);
            if is_last {
                return Ok(TimedOut { rows, loaded_at });
            }
        }
    }

    async fn resume(&self, engine: &EngineHandle, actor: Arc<str>) -> Result<(), ApiError> {
        let timed_out = self.timed_out(engine).await?;
        engine
            .call_and_reload(move |core, out, ctx| {
                let reload = core.resume(out, ctx, timed_out, &actor)?;
                Ok(((), reload))
            })
            .await?;
        Ok(())
    }

    async fn update(&self, request: v1::UpdateStudyRequest, actor: &str) -> Result<v1::Study, ApiError> {
        let paths = request.update_mask.unwrap_or_default().paths;
        if paths.is_empty() {
            let message = format!("is empty; name what to change: {}", EDITABLE.join(", "));
            return Err(ApiError::invalid("update_mask", message));
        }
        if let Some(path) = paths.iter().find(|path| !EDITABLE.contains(&path.as_str())) {
            let message = format!(
                "{path:?} cannot change while a study lives, only {}; clone the study instead",
                EDITABLE.join(", ")
            );
            return Err(ApiError::invalid("update_mask", message));
        }
        let engine = self.study(&request.name).await?;
        let mut given = request.spec.unwrap_or_default();
        // Not among what can change, but without it nothing is a study.
        given.objective.get_or_insert_default().goal = v1::Goal::Minimize.into();
        given.space.clear();
        given.trial = given.trial.map(|trial| v1::TrialTemplate {
            max_runtime: trial.max_runtime,
            ..Default::default()
        });
        given.strategy = None;
        let given = study_convert::from_wire(given).map_err(|error| error.within("spec"))?;
        let terms = Arc::clone(&self.terms);
        let actor = actor.to_owned();
        let timed_out = if paths.iter().any(|path| path == MAX_RUNTIME) {
            self.timed_out(&engine).await?
        } else {
            TimedOut::default()
        };
        let edited: Result<(), SpecErrors> = engine
            .call_and_reload(move |core, out, ctx| {
                let stored = core.summary(ctx).study;
                let raw = merge(stored.spec.clone(), &given, &paths);
                let edit = match edited(&terms, raw, &stored, paths) {
                    Ok(edit) => edit,
                    Err(errors) => return Ok((Err(errors), false)),
                };
                let reload = core.edit(out, ctx, edit, timed_out, &actor)?;
                Ok((Ok(()), reload))
            })
            .await?;
        edited?;
        self.study_view(&engine).await
    }
}

/// An edit, if the study is one with it and its policy allows it. What is not about limits, no policy looks at.
pub(super) fn edited(
    terms: &Terms,
    mut raw: RawStudy,
    stored: &StudyRow,
    changed: Vec<String>,
) -> Result<StudyEdit, SpecErrors> {
    let mut spec = StudySpec::try_from(raw.clone())?;
    let mut policy = stored.policy.clone();
    if raw.trial.is_none() && changed.iter().any(|path| path == MAX_RUNTIME) {
        return Err(SpecErrors(vec![FieldError {
            path: MAX_RUNTIME.to_owned(),
            message: "cannot be set in a study whose programs run by themselves".to_owned(),
        }]));
    }
    let changes = |name: &str| changed.iter().any(|path| path == name);
    if changes("budget") || changes(MAX_RUNTIME) {
        policy = terms.govern_edit(&mut raw, &spec, stored, changes(MAX_RUNTIME))?;
        spec = StudySpec::try_from(raw.clone())?;
    }
    Ok(StudyEdit {
        raw,
        spec,
        policy,
        changed,
    })
}

/// In which order the best trial of a study comes first.
pub(super) fn order_of(spec: &RawStudy) -> TrialOrder {
    match spec.objective.first.goal {
        tunesmith_common::measurement::Goal::Minimize => TrialOrder::BestMinimize,
        tunesmith_common::measurement::Goal::Maximize => TrialOrder::BestMaximize,
    }
}

fn merge(stored: RawStudy, given: &RawStudy, paths: &[String]) -> RawStudy {
    let mut merged = stored;
    for path in paths {
        match path.as_str() {
            "message" => merged.message.clone_from(&given.message),
            "project" => merged.project.clone_from(&given.project),
            "priority" => merged.priority = given.priority,
            "budget" => merged.budget = given.budget.clone(),
            "early_stopping" => merged.early_stopping.clone_from(&given.early_stopping),
            MAX_RUNTIME => {
                let given = given.trial.as_ref().and_then(|trial| trial.max_runtime);
                merged.trial = merged.trial.map(|trial| RawTrial {
                    max_runtime: given,
                    ..trial
                });
            }
            _ => {} // refused before
        }
    }
    merged
}

/// What makes two calls the same. Of the study as it is written, whose maps are sorted, not of the message, whose maps are not.
fn content_of(raw: &RawStudy, paused: bool, given: Option<&[PriorTrial]>) -> Result<[u8; 32], ApiError> {
    let text = serde_json::to_vec(&(raw, paused, format!("{given:?}")))
        .map_err(|error| ApiError::Internal(format!("a study without a JSON form: {error}")))?;
    Ok(Sha256::digest(text).into())
}

fn draw_seed() -> Result<u64, ApiError> {
    let seed = getrandom::u64().map_err(|error| ApiError::Internal(format!("no random numbers: {error}")))?;
    Ok(seed >> (u64::BITS - SEED_BITS))
}

/// The study named by a parent's resource, by its row.
pub(super) async fn stored_study(api: &Api, resource: &str, field: &str) -> Result<StudyRow, ApiError> {
    let name: StudyName = study_from_resource(resource, field)?;
    let found = api.store().study_find(&name).await?;
    found.ok_or_else(|| EngineError::StudyNotFound(name.to_string()).into())
}
