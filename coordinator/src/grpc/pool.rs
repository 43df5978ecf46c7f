//! The pool service: workers as people see them.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::{LeaseKey, StudyId, WorkerName};
use tunesmith_proto::convert::{study_resource, worker_from_resource, worker_resource};
use tunesmith_proto::v1;
use tunesmith_proto::v1::pool_service_server::PoolService;

use super::status::ApiError;
use super::{Api, actor, view};
use crate::pool::WorkerStatus;
use crate::store::AttemptRow;

#[tonic::async_trait]
impl PoolService for Api {
    async fn list_workers(
        &self,
        _: Request<v1::ListWorkersRequest>,
    ) -> Result<Response<v1::ListWorkersResponse>, Status> {
        let workers = self
            .pool()
            .workers()
            .iter()
            .map(|worker| self.worker_view(worker))
            .collect();
        Ok(Response::new(v1::ListWorkersResponse { workers }))
    }

    async fn get_worker(
        &self,
        request: Request<v1::GetWorkerRequest>,
    ) -> Result<Response<v1::GetWorkerResponse>, Status> {
        let worker = self.worker(&request.get_ref().name)?;
        Ok(Response::new(v1::GetWorkerResponse {
            worker: Some(self.worker_view(&worker)),
        }))
    }

    async fn list_queue(
        &self,
        _: Request<v1::ListQueueRequest>,
    ) -> Result<Response<v1::ListQueueResponse>, Status> {
        let queue = self.pool().queue().into_iter();
        let studies = queue.filter_map(|waiting| {
            let engine = self.engines.running(waiting.study)?;
            Some(v1::QueuedStudy {
                study: study_resource(engine.name()),
                waiting: waiting.waiting,
                running: waiting.running,
                priority: waiting.priority,
                reason: waiting.reason,
            })
        });
        Ok(Response::new(v1::ListQueueResponse {
            studies: studies.collect(),
        }))
    }

    async fn drain_worker(
        &self,
        request: Request<v1::DrainWorkerRequest>,
    ) -> Result<Response<v1::DrainWorkerResponse>, Status> {
        let actor = actor(&request);
        let drained = !request.get_ref().resume;
        let known = self.worker(&request.get_ref().name)?;
        let status = self
            .pool()
            .drain(&known.name, drained)
            .ok_or_else(|| not_found(&known.name))?;
        let action = if drained { "drain_worker" } else { "resume_worker" };
        let audit = self.audit(&actor, action, worker_resource(&known.name), String::new());
        let store = Arc::clone(self.store());
        self.engines
            .uncancelled(async move {
                let rows = store.worker_list().await?;
                if let Some(row) = rows.into_iter().find(|row| row.id == known.id) {
                    store
                        .worker_save(&crate::store::WorkerRow {
                            draining: drained,
                            ..row
                        })
                        .await?;
                }
                store.audit_add(&audit).await
            })
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(v1::DrainWorkerResponse {
            worker: Some(self.worker_view(&status)),
        }))
    }

    async fn remove_worker(
        &self,
        request: Request<v1::RemoveWorkerRequest>,
    ) -> Result<Response<v1::RemoveWorkerResponse>, Status> {
        let actor = actor(&request);
        let known = self.worker(&request.get_ref().name)?;
        if !self.pool().remove(known.id) {
            let message = format!("worker {} is connected; stop it first", known.name);
            return Err(ApiError::Precondition {
                reason: "WORKER_CONNECTED",
                message,
            }
            .into());
        }
        let audit = self.audit(
            &actor,
            "remove_worker",
            worker_resource(&known.name),
            String::new(),
        );
        let store = Arc::clone(self.store());
        self.engines
            .uncancelled(async move {
                store.worker_delete(known.id).await?;
                store.audit_add(&audit).await
            })
            .await
            .map_err(ApiError::from)?;
        Ok(Response::new(v1::RemoveWorkerResponse {}))
    }
}

impl Api {
    /// What an attempt has used: as it is stored if it has ended, else as its worker has told.
    pub(super) fn usage_of(&self, study: StudyId, row: &AttemptRow) -> UsageSeries {
        match view::worker_of(row) {
            Some(worker) if row.ended_at.is_none() => {
                let lease = LeaseKey {
                    study,
                    trial: row.trial,
                    attempt: row.attempt,
                    id: row.lease,
                };
                self.pool().usage_of(worker, &lease)
            }
            _ => row.usage.clone(),
        }
    }

    fn worker(&self, resource: &str) -> Result<WorkerStatus, ApiError> {
        let name = worker_from_resource(resource, "name")?;
        self.pool().worker(&name).ok_or_else(|| not_found(&name))
    }

    fn worker_view(&self, status: &WorkerStatus) -> v1::Worker {
        view::worker(status, |lease| {
            self.engines
                .running(lease.study)
                .map(|engine| engine.name().clone())
        })
    }
}

fn not_found(name: &WorkerName) -> ApiError {
    ApiError::NotFound(format!("worker {name}"))
}
