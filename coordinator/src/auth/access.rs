//! The table of all calls and who may make them. What is not in it is refused.

use http::{HeaderMap, Method, header};

use crate::store::TokenKind;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody: whether the coordinator lives is no secret.
    Open,
    /// Whoever has a token of this kind.
    Kind(TokenKind),
}

/// People and their programs.
const USER: Access = Access::Kind(TokenKind::User);
/// Workers.
const WORKER: Access = Access::Kind(TokenKind::Worker);

/// Every call by the path that it has in gRPC.
pub const GRPC: &[(&str, Access)] = &[
    ("/tunesmith.v1.StudyService/CreateStudy", USER),
    ("/tunesmith.v1.StudyService/CheckStudy", USER),
    ("/tunesmith.v1.StudyService/GetStudy", USER),
    ("/tunesmith.v1.StudyService/ListStudies", USER),
    ("/tunesmith.v1.StudyService/UpdateStudy", USER),
    ("/tunesmith.v1.StudyService/PauseStudy", USER),
    ("/tunesmith.v1.StudyService/ResumeStudy", USER),
    ("/tunesmith.v1.StudyService/StopStudy", USER),
    ("/tunesmith.v1.StudyService/ArchiveStudy", USER),
    ("/tunesmith.v1.StudyService/ReplayStudy", USER),
    ("/tunesmith.v1.StudyService/ListHistory", USER),
    ("/tunesmith.v1.StudyService/PlanZoom", USER),
    ("/tunesmith.v1.StudyService/SliceStudy", USER),
    ("/tunesmith.v1.StudyService/ListIncumbents", USER),
    ("/tunesmith.v1.StudyService/GetImportance", USER),
    ("/tunesmith.v1.StudyService/BacktestStudy", USER),
    ("/tunesmith.v1.StudyService/DeleteStudy", USER),
    ("/tunesmith.v1.StudyService/WatchStudy", USER),
    ("/tunesmith.v1.TrialService/GetTrial", USER),
    ("/tunesmith.v1.TrialService/ListTrials", USER),
    ("/tunesmith.v1.TrialService/AddTrial", USER),
    ("/tunesmith.v1.TrialService/AskTrials", USER),
    ("/tunesmith.v1.TrialService/ReportPoints", USER),
    ("/tunesmith.v1.TrialService/TellTrial", USER),
    ("/tunesmith.v1.TrialService/StopTrial", USER),
    ("/tunesmith.v1.TrialService/RetryTrial", USER),
    ("/tunesmith.v1.TrialService/UpdateTrial", USER),
    ("/tunesmith.v1.TrialService/ListPoints", USER),
    ("/tunesmith.v1.TrialService/ListCurves", USER),
    ("/tunesmith.v1.TrialService/ReadLog", USER),
    ("/tunesmith.v1.PoolService/ListWorkers", USER),
    ("/tunesmith.v1.PoolService/GetWorker", USER),
    ("/tunesmith.v1.PoolService/ListQueue", USER),
    ("/tunesmith.v1.PoolService/DrainWorker", USER),
    ("/tunesmith.v1.PoolService/RemoveWorker", USER),
    ("/tunesmith.v1.TokenService/CreateToken", USER),
    ("/tunesmith.v1.TokenService/ListTokens", USER),
    ("/tunesmith.v1.TokenService/RevokeToken", USER),
    ("/tunesmith.v1.WorkerService/OpenSession", WORKER),
    ("/grpc.health.v1.Health/Check", Access::Open),
    ("/grpc.health.v1.Health/Watch", Access::Open),
    ("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo", USER),
];

/// How a request is to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RequestKind {
    /// In gRPC. The number is its place in [`GRPC`], if it is there.
    Grpc(Option<usize>),
    /// In JSON over HTTP, or a plain page.
    Http,
}

impl RequestKind {
    /// The kind of a request, by its content type.
    #[must_use]
    pub fn of(path: &str, headers: &HeaderMap) -> Self {
        let grpc = headers
            .get(header::CONTENT_TYPE)
            .is_some_and(|content| content.as_bytes().starts_with(b"application/grpc"));
        if grpc {
            Self::Grpc(GRPC.iter().position(|(known, _)| *known == path))
        } else {
            Self::Http
        }
    }
}

/// Who may make a request. Pages that do not exist are for users, so that nobody else learns what exists.
#[must_use]
pub fn access_of(kind: RequestKind, method: &Method, path: &str) -> Option<Access> {
    match kind {
        RequestKind::Grpc(index) => index.and_then(|index| GRPC.get(index)).map(|(_, access)| *access),
        RequestKind::Http if matches!(path, "/healthz" | "/readyz") => Some(Access::Open),
        // Signing in is how one gets by with a token; signing out does nothing to anybody else.
        RequestKind::Http if path == "/v1/session" && matches!(*method, Method::POST | Method::DELETE) => {
            Some(Access::Open)
        }
        RequestKind::Http => Some(USER),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use prost::Message as _;

    /// Paths of all methods of our own services, from their description.
    fn described() -> BTreeSet<String> {
        let set = prost_types::FileDescriptorSet::decode(tunesmith_proto::FILE_DESCRIPTOR_SET).unwrap();
        let services = set
            .file
            .iter()
            .flat_map(|file| file.service.iter().map(move |service| (file.package(), service)));
        services
            .flat_map(|(package, service)| {
                service
                    .method
                    .iter()
                    .map(move |method| format!("/{package}.{}/{}", service.name(), method.name()))
            })
            .collect()
    }

    #[test]
    fn every_method_has_exactly_one_entry() {
        let ours: Vec<_> = GRPC
            .iter()
            .filter(|(path, _)| path.starts_with("/tunesmith."))
            .collect();
        let listed: BTreeSet<_> = ours.iter().map(|(path, _)| (*path).to_owned()).collect();
        assert_eq!(listed.len(), ours.len(), "a method is listed twice");
        assert_eq!(listed, described());
    }

    #[test]
    fn nothing_but_health_is_open_and_workers_may_only_open_sessions() {
        for (path, access) in GRPC {
            let expected = match *path {
                path if path.starts_with("/grpc.health.v1.") => Access::Open,
                "/tunesmith.v1.WorkerService/OpenSession" => WORKER,
                _ => USER,
            };
            assert_eq!(*access, expected, "{path}");
        }
        assert_eq!(
            access_of(
                RequestKind::Grpc(None),
                &Method::POST,
                "/tunesmith.v1.StudyService/Nope"
            ),
            None
        );
        let http = |method, path| access_of(RequestKind::Http, method, path);
        assert_eq!(http(&Method::GET, "/v1/studies"), Some(USER));
        assert_eq!(http(&Method::GET, "/healthz/../metrics"), Some(USER));
        assert_eq!(http(&Method::POST, "/v1/session"), Some(Access::Open));
        assert_eq!(http(&Method::GET, "/v1/session"), Some(USER));
        assert_eq!(http(&Method::POST, "/v1/session/x"), Some(USER));
    }
}
