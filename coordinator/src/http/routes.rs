//! The table of all routes: each is one method of a gRPC service.

use axum::Router;
use axum::routing::{MethodFilter, on};
use futures::future::BoxFuture;
use serde_json::Value;
use tonic::{Request, Status};
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::SizeAbove;
use tunesmith_proto::v1;
use tunesmith_proto::v1::pool_service_server::PoolService as _;
use tunesmith_proto::v1::study_service_server::StudyService as _;
use tunesmith_proto::v1::token_service_server::TokenService as _;
use tunesmith_proto::v1::trial_service_server::TrialService as _;

use super::call::{answer, decode, encode};
use crate::grpc::{Api, ApiError};

/// One route.
#[derive(Clone, Copy)]
pub(super) struct Route {
    pub(super) verb: MethodFilter,
    pub(super) path: &'static str,
    /// The method in gRPC.
    pub(super) method: &'static str,
    /// Field of the request that names the resource, and the name, with the placeholders of the path.
    pub(super) resource: Option<(&'static str, &'static str)>,
    pub(super) call: Call,
}

/// Calls a method with a request as JSON.
pub(super) type Call = fn(Api, Request<Value>) -> BoxFuture<'static, Result<Value, Status>>;

macro_rules! call {
    ($method:ident) => {
        |api, request| {
            Box::pin(async move {
                let response = api.$method(decode(request)?).await?;
                encode(&response.into_inner())
            })
        }
    };
}

macro_rules! routes {
    ($($verb:ident $path:literal => $service:literal . $method:ident as $name:literal $(for $field:literal = $resource:literal)?;)*) => {
        &[$(Route {
            verb: MethodFilter::$verb,
            path: $path,
            method: concat!("tunesmith.v1.", $service, "/", $name),
            resource: routes!(@resource $($field $resource)?),
            call: call!($method),
        }),*]
    };
    (@resource) => { None };
    (@resource $field:literal $resource:literal) => { Some(($field, $resource)) };
}

/// All routes but those of streams.
pub(super) const ROUTES: &[Route] = routes! {
    POST "/v1/studies" => "StudyService".create_study as "CreateStudy";
    POST "/v1/studies:check" => "StudyService".check_study as "CheckStudy";
    GET "/v1/studies" => "StudyService".list_studies as "ListStudies";
    GET "/v1/studies/{study}" => "StudyService".get_study as "GetStudy" for "name" = "studies/{study}";
    PATCH "/v1/studies/{study}" => "StudyService".patch_study as "UpdateStudy" for "name" = "studies/{study}";
    DELETE "/v1/studies/{study}" => "StudyService".delete_study as "DeleteStudy" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/pause" => "StudyService".pause_study as "PauseStudy" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/resume" => "StudyService".resume_study as "ResumeStudy" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/stop" => "StudyService".stop_study as "StopStudy" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/archive" => "StudyService".archive_study as "ArchiveStudy" for "name" = "studies/{study}";
    GET "/v1/studies/{study}/replay" => "StudyService".replay_study as "ReplayStudy" for "name" = "studies/{study}";
    GET "/v1/studies/{study}/history" => "StudyService".list_history as "ListHistory" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/zoom" => "StudyService".plan_zoom as "PlanZoom" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/slice" => "StudyService".slice_study as "SliceStudy" for "name" = "studies/{study}";
    POST "/v1/studies/{study}/backtest" => "StudyService".backtest_study as "BacktestStudy" for "name" = "studies/{study}";
    GET "/v1/studies/{study}/incumbents" => "StudyService".list_incumbents as "ListIncumbents" for "name" = "studies/{study}";
    GET "/v1/studies/{study}/importance" => "StudyService".get_importance as "GetImportance" for "name" = "studies/{study}";
    GET "/v1/studies/{study}/curves" => "TrialService".list_curves as "ListCurves" for "parent" = "studies/{study}";
    GET "/v1/studies/{study}/trials" => "TrialService".list_trials as "ListTrials" for "parent" = "studies/{study}";
    POST "/v1/studies/{study}/trials" => "TrialService".add_trial as "AddTrial" for "parent" = "studies/{study}";
    POST "/v1/studies/{study}/ask" => "TrialService".ask_trials as "AskTrials" for "parent" = "studies/{study}";
    GET "/v1/studies/{study}/trials/{trial}" => "TrialService".get_trial as "GetTrial"
        for "name" = "studies/{study}/trials/{trial}";
    PATCH "/v1/studies/{study}/trials/{trial}" => "TrialService".patch_trial as "UpdateTrial"
        for "name" = "studies/{study}/trials/{trial}";
    POST "/v1/studies/{study}/trials/{trial}/report" => "TrialService".report_points as "ReportPoints"
        for "name" = "studies/{study}/trials/{trial}";
    POST "/v1/studies/{study}/trials/{trial}/tell" => "TrialService".tell_trial as "TellTrial"
        for "name" = "studies/{study}/trials/{trial}";
    POST "/v1/studies/{study}/trials/{trial}/stop" => "TrialService".stop_trial as "StopTrial"
        for "name" = "studies/{study}/trials/{trial}";
    POST "/v1/studies/{study}/trials/{trial}/retry" => "TrialService".retry_trial as "RetryTrial"
        for "name" = "studies/{study}/trials/{trial}";
    GET "/v1/studies/{study}/trials/{trial}/points" => "TrialService".list_points as "ListPoints"
        for "name" = "studies/{study}/trials/{trial}";
    GET "/v1/workers" => "PoolService".list_workers as "ListWorkers";
    GET "/v1/workers/{worker}" => "PoolService".get_worker as "GetWorker" for "name" = "workers/{worker}";
    GET "/v1/queue" => "PoolService".list_queue as "ListQueue";
    POST "/v1/workers/{worker}/drain" => "PoolService".drain_worker as "DrainWorker" for "name" = "workers/{worker}";
    DELETE "/v1/workers/{worker}" => "PoolService".remove_worker as "RemoveWorker" for "name" = "workers/{worker}";
    POST "/v1/tokens" => "TokenService".create_token as "CreateToken";
    GET "/v1/tokens" => "TokenService".list_tokens as "ListTokens";
    DELETE "/v1/tokens/{token}" => "TokenService".revoke_token as "RevokeToken" for "id" = "{token}";
};

impl Api {
    /// As `update_study`, with the mask as HTTP clients write it: names separated by commas.
    async fn patch_study(
        &self,
        request: Request<Patch>,
    ) -> Result<tonic::Response<v1::UpdateStudyResponse>, Status> {
        let (metadata, extensions, patch) = request.into_parts();
        let mask = mask(&patch.update_mask);
        // The fields of a study that may change are all that a patch may have.
        let spec: v1::StudySpec = serde_json::from_value(Value::Object(patch.spec))
            .map_err(|error| ApiError::invalid("body", error))?;
        let request = v1::UpdateStudyRequest {
            name: patch.name,
            spec: Some(spec),
            update_mask: Some(mask),
        };
        self.update_study(Request::from_parts(metadata, extensions, request))
            .await
    }

    /// As `update_trial`, likewise.
    async fn patch_trial(
        &self,
        request: Request<TrialPatch>,
    ) -> Result<tonic::Response<v1::UpdateTrialResponse>, Status> {
        let (metadata, extensions, patch) = request.into_parts();
        let request = v1::UpdateTrialRequest {
            name: patch.name,
            note: patch.note,
            tags: patch.tags,
            update_mask: Some(mask(&patch.update_mask)),
        };
        self.update_trial(Request::from_parts(metadata, extensions, request))
            .await
    }
}

/// Names of fields, separated by commas.
fn mask(text: &str) -> pbjson_types::FieldMask {
    let paths = text.split(',').map(str::trim).filter(|path| !path.is_empty());
    pbjson_types::FieldMask {
        paths: paths.map(str::to_owned).collect(),
    }
}

/// A change of a trial: the mask in the address, the new values as the body.
#[derive(Debug, serde::Deserialize)]
#[serde(deny_unknown_fields)]
struct TrialPatch {
    name: String,
    #[serde(default, alias = "updateMask")]
    update_mask: String,
    #[serde(default)]
    note: String,
    #[serde(default)]
    tags: Vec<String>,
}

/// A change of a study: the mask in the address, the new values as the body.
#[derive(Debug, serde::Deserialize)]
struct Patch {
    name: String,
    #[serde(default, alias = "updateMask")]
    update_mask: String,
    #[serde(flatten)]
    spec: serde_json::Map<String, Value>,
}

/// Bytes from which on an answer is compressed: below, it is one packet anyway.
const WORTH_IT: u16 = 1_024;
/// The one method whose answer has a secret. It is not compressed: how long an answer becomes tells of what in it repeats (BREACH, 2013).
const SECRET: &str = "tunesmith.v1.TokenService/CreateToken";

pub(super) fn router(api: &Api) -> Router {
    // Lists shrink to a tenth at any level; the fastest takes a third of the time of the usual one.
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(WORTH_IT));
    ROUTES.iter().fold(Router::new(), |router, route| {
        let api = api.clone();
        let call = on(route.verb, move |request: axum::extract::Request| {
            answer(api.clone(), route, request)
        });
        let call = if route.method == SECRET {
            call
        } else {
            call.layer(compression.clone())
        };
        router.route(route.path, call)
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use prost::Message as _;
    use prost_types::field_descriptor_proto::{Label, Type};

    use super::super::call::{FLAGS, REPEATED};
    use super::*;

    #[test]
    fn the_method_with_a_secret_has_a_route() {
        assert_eq!(ROUTES.iter().filter(|route| route.method == SECRET).count(), 1);
    }

    #[test]
    fn every_method_that_is_no_stream_has_one_route() {
        let set = prost_types::FileDescriptorSet::decode(tunesmith_proto::FILE_DESCRIPTOR_SET).unwrap();
        let mut described = BTreeSet::new();
        for (package, service) in set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)))
        {
            let unary = service
                .method
                .iter()
                .filter(|method| !method.server_streaming() && !method.client_streaming());
            described.extend(unary.map(|method| format!("{package}.{}/{}", service.name(), method.name())));
        }
        let routed: BTreeSet<String> = ROUTES.iter().map(|route| route.method.to_owned()).collect();
        assert_eq!(routed.len(), ROUTES.len(), "a method has two routes");
        assert_eq!(routed, described);
    }

    #[test]
    fn what_is_no_text_in_an_address_is_known_by_its_name() {
        let set = prost_types::FileDescriptorSet::decode(tunesmith_proto::FILE_DESCRIPTOR_SET).unwrap();
        let asked: BTreeSet<String> = ROUTES
            .iter()
            .filter(|route| route.verb == MethodFilter::GET)
            .map(|route| format!("{}Request", route.method.rsplit('/').next().unwrap()))
            .collect();
        let (mut flags, mut repeated) = (BTreeSet::new(), BTreeSet::new());
        let messages = set.file.iter().flat_map(|file| &file.message_type);
        for field in messages
            .filter(|message| asked.contains(message.name()))
            .flat_map(|message| &message.field)
        {
            let names = [field.name().to_owned(), field.json_name().to_owned()];
            match (field.r#type(), field.label()) {
                (_, Label::Repeated) => repeated.extend(names),
                (Type::Bool, _) => flags.extend(names),
                _ => {}
            }
        }
        assert_eq!(flags, FLAGS.map(str::to_owned).into());
        assert_eq!(repeated, REPEATED.map(str::to_owned).into());
    }
}
