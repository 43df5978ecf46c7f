//! The fake's pool of one worker, and its tokens.

use tonic::{Request, Status};
use tunesmith_proto::v1 as pb;
use tunesmith_proto::v1::pool_service_server::PoolService;
use tunesmith_proto::v1::token_service_server::TokenService;

use super::Memory;
use super::services::{Answer, ok};

#[tonic::async_trait]
impl PoolService for Memory {
    async fn list_workers(&self, _: Request<pb::ListWorkersRequest>) -> Answer<pb::ListWorkersResponse> {
        let worker = pb::Worker {
            name: "workers/gpu1".to_owned(),
            state: pb::WorkerState::Ready.into(),
            resources: Some(pb::WorkerResources {
                slots: 2,
                ..Default::default()
            }),
            ..Default::default()
        };
        ok(pb::ListWorkersResponse {
            workers: vec![worker],
        })
    }

    async fn list_queue(&self, _: Request<pb::ListQueueRequest>) -> Answer<pb::ListQueueResponse> {
        ok(pb::ListQueueResponse::default())
    }

    async fn get_worker(&self, request: Request<pb::GetWorkerRequest>) -> Answer<pb::GetWorkerResponse> {
        let name = request.into_inner().name;
        ok(pb::GetWorkerResponse {
            worker: Some(pb::Worker {
                name,
                ..Default::default()
            }),
        })
    }

    async fn drain_worker(
        &self,
        request: Request<pb::DrainWorkerRequest>,
    ) -> Answer<pb::DrainWorkerResponse> {
        let request = request.into_inner();
        self.lock()
            .calls
            .push(format!("drain {} resume={}", request.name, request.resume));
        ok(pb::DrainWorkerResponse {
            worker: Some(pb::Worker {
                name: request.name,
                ..Default::default()
            }),
        })
    }

    async fn remove_worker(&self, _: Request<pb::RemoveWorkerRequest>) -> Answer<pb::RemoveWorkerResponse> {
        Err(Status::failed_precondition(
            "the worker is connected; stop it first",
        ))
    }
}

#[tonic::async_trait]
impl TokenService for Memory {
    async fn create_token(
        &self,
        request: Request<pb::CreateTokenRequest>,
    ) -> Answer<pb::CreateTokenResponse> {
        let request = request.into_inner();
        let token = pb::Token {
            id: "a1".to_owned(),
            kind: request.kind,
            label: request.label,
            ..Default::default()
        };
        ok(pb::CreateTokenResponse {
            token: Some(token),
            secret: "ts_a1_fresh".to_owned(),
        })
    }

    async fn list_tokens(&self, _: Request<pb::ListTokensRequest>) -> Answer<pb::ListTokensResponse> {
        ok(pb::ListTokensResponse::default())
    }

    async fn revoke_token(&self, _: Request<pb::RevokeTokenRequest>) -> Answer<pb::RevokeTokenResponse> {
        ok(pb::RevokeTokenResponse {})
    }
}
