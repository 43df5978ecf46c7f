//! Each documented refusal, produced once.

use tonic::Code;
use tunesmith_proto::v1;
use tunesmith_proto::v1::study_service_client::StudyServiceClient;
use tunesmith_proto::v1::worker_service_client::WorkerServiceClient;

use crate::support::{World, parameters, points, refusal, refused, request_id, spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_wrong_or_revoked_token_is_refused_with_one_text() {
    let world = World::start().await;
    let made = v1::CreateTokenRequest {
        kind: v1::TokenKind::User.into(),
        label: "ann".to_owned(),
    };
    let made = world.tokens().create_token(made).await.unwrap().into_inner();
    let id = made.token.unwrap().id;
    let mut ann = StudyServiceClient::new(world.service(Some(&made.secret)));
    ann.list_studies(v1::ListStudiesRequest::default()).await.unwrap();
    world
        .tokens()
        .revoke_token(v1::RevokeTokenRequest { id })
        .await
        .unwrap();

    let wrong_secret = format!("{}{}", &world.user[..world.user.len() - 3], "AAA");
    let mut seen = Vec::new();
    for token in [
        None,
        Some("x"),
        Some(&*wrong_secret),
        Some(&*made.secret),
        Some("ts_user_000000000000_"),
    ] {
        let mut client = StudyServiceClient::new(world.service(token));
        seen.push(refusal(
            client.list_studies(v1::ListStudiesRequest::default()).await,
        ));
    }
    assert_eq!(
        (seen[0].0, &*seen[0].1),
        (Code::Unauthenticated, "UNAUTHENTICATED")
    );
    seen.dedup();
    assert_eq!(seen.len(), 1, "{seen:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_are_good_for_their_kind_only() {
    let world = World::start().await;
    let mut worker = StudyServiceClient::new(world.service(Some(&world.worker)));
    let request = v1::CreateStudyRequest {
        spec: Some(spec("a")),
        ..Default::default()
    };
    refused(
        worker.create_study(request).await,
        Code::PermissionDenied,
        "WRONG_TOKEN_KIND",
        "users' tokens",
    );
    let mut user = WorkerServiceClient::new(world.service(Some(&world.user)));
    let session = user.open_session(tokio_stream::empty()).await;
    refused(
        session.map(|_| ()),
        Code::PermissionDenied,
        "WRONG_TOKEN_KIND",
        "workers' tokens",
    );
    let bad = v1::CreateTokenRequest {
        kind: 0,
        label: "x".to_owned(),
    };
    refused(
        world.tokens().create_token(bad).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "kind",
    );
    let unknown = v1::RevokeTokenRequest {
        id: "nobody".to_owned(),
    };
    refused(
        world.tokens().revoke_token(unknown).await,
        Code::NotFound,
        "NOT_FOUND",
        "nobody",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn names_that_cannot_be_are_refused_and_what_is_not_there_is_not_found() {
    let world = World::start().await;
    let get = async |name: String| world.studies().get_study(v1::GetStudyRequest { name }).await;
    refused(
        get("studies/none".to_owned()).await,
        Code::NotFound,
        "NOT_FOUND",
        "none",
    );
    for name in ["a/b", "line\nbreak", "<b>x</b>", "", "../../etc", "\u{202e}evil"] {
        refused(
            get(format!("studies/{name}")).await,
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            "name",
        );
    }
    refused(
        get("x".repeat(10_000)).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "studies/NAME",
    );
    // A long name is refused in a message that still fits into headers.
    let (code, _, message) = refusal(get(format!("studies/{}", "\u{e9}".repeat(10_000))).await);
    assert_eq!(code, Code::InvalidArgument);
    assert!(message.len() < 3_000);

    world.create(spec("real")).await;
    let trial = v1::GetTrialRequest {
        name: "studies/real/trials/9".to_owned(),
    };
    refused(
        world.trials().get_trial(trial).await,
        Code::NotFound,
        "NOT_FOUND",
        "trial 9",
    );
    let trial = v1::GetTrialRequest {
        name: "studies/real/trials/x".to_owned(),
    };
    refused(
        world.trials().get_trial(trial).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "trials/NUMBER",
    );
    let worker = v1::GetWorkerRequest {
        name: "workers/none".to_owned(),
    };
    refused(
        world.pool().get_worker(worker).await,
        Code::NotFound,
        "NOT_FOUND",
        "worker none",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_cannot_be_run_is_refused_with_all_that_is_wrong() {
    use tonic_types::StatusExt as _;
    let world = World::start().await;
    let mut bad = spec("bad");
    bad.space[0].low = Some(2.0);
    bad.budget = Some(v1::Budget {
        target: Some(f64::NAN),
        ..Default::default()
    });
    let request = v1::CreateStudyRequest {
        spec: Some(bad),
        ..Default::default()
    };
    let status = world.studies().create_study(request).await.unwrap_err();
    assert_eq!(status.code(), Code::InvalidArgument);
    let fields: Vec<String> = status
        .get_details_bad_request()
        .unwrap()
        .field_violations
        .into_iter()
        .map(|bad| bad.field)
        .collect();
    assert!(fields.iter().any(|field| field.contains("space.x")), "{fields:?}");
    assert!(fields.iter().any(|field| field.contains("target")), "{fields:?}");
    let empty = v1::CreateStudyRequest::default();
    refused(
        world.studies().create_study(empty).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "spec",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn reports_that_cannot_be_are_refused_and_infinite_values_are_taken() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let asked = world.ask("s").await;
    let name = asked.trial.unwrap().name;
    let report = async |change: &dyn Fn(&mut v1::ReportPointsRequest)| {
        let mut request = v1::ReportPointsRequest {
            name: name.clone(),
            points: points("loss", &[(1, 0.5)]),
            ..Default::default()
        };
        change(&mut request);
        world.trials().report_points(request).await
    };
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let negative = report(&|r| r.points = points("loss", &[(-1, 0.5)])).await;
    refused(
        negative,
        invalid.0,
        invalid.1,
        "points.step[0]: must be at least 0, got -1",
    );
    let metric = report(&|r| r.points = points(&"m".repeat(1 << 20), &[(1, 0.5)])).await;
    refused(metric, invalid.0, invalid.1, "128");
    let gap = report(&|r| r.first_seq = 5).await;
    refused(gap, invalid.0, invalid.1, "first_seq");
    let many = vec![(1, 0.0); 10_001];
    refused(
        report(&|r| r.points = points("loss", &many)).await,
        invalid.0,
        invalid.1,
        "10000",
    );
    let stale = v1::Lease {
        id: request_id(),
        ..asked.lease.clone().unwrap()
    };
    let stale = report(&move |r| r.lease = Some(stale.clone())).await;
    refused(stale, Code::Aborted, "STALE_LEASE", "attempt 1");
    let other = v1::Lease {
        study_uid: request_id(),
        ..asked.lease.clone().unwrap()
    };
    let other = report(&move |r| r.lease = Some(other.clone())).await;
    refused(other, Code::Aborted, "STALE_LEASE", "another study");

    let odd = [(1, f64::NAN), (2, f64::INFINITY), (3, f64::NEG_INFINITY)];
    let taken = report(&|r| r.points = points("loss", &odd))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((taken.committed_seq, taken.should_stop), (3, false));
    let tell = v1::TellTrialRequest {
        name: name.clone(),
        value: Some(f64::NAN),
        ..Default::default()
    };
    world.trials().tell_trial(tell.clone()).await.unwrap();
    world.trials().tell_trial(tell).await.unwrap();
    assert!(world.study("s").await.best.is_none(), "NaN is the best");

    refused(
        report(&|_| ()).await,
        Code::FailedPrecondition,
        "ALREADY_ENDED",
        "COMPLETED",
    );
    let tell = v1::TellTrialRequest {
        name: name.clone(),
        value: Some(1.0),
        ..Default::default()
    };
    refused(
        world.trials().tell_trial(tell).await,
        Code::FailedPrecondition,
        "ALREADY_ENDED",
        "NaN",
    );
    let stop = v1::StopTrialRequest { name };
    refused(
        world.trials().stop_trial(stop).await,
        Code::FailedPrecondition,
        "ILLEGAL_TRANSITION",
        "COMPLETED",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_id_stands_for_one_content() {
    let world = World::start().await;
    let id = request_id();
    let create = v1::CreateStudyRequest {
        spec: Some(spec("s")),
        request_id: id.clone(),
        ..Default::default()
    };
    let first = world
        .studies()
        .create_study(create.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    let again = world
        .studies()
        .create_study(create.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    assert_eq!(first.uid, again.uid);
    let other = v1::CreateStudyRequest {
        paused: true,
        ..create.clone()
    };
    refused(
        world.studies().create_study(other).await,
        Code::AlreadyExists,
        "ALREADY_EXISTS",
        &id,
    );
    let same_name = v1::CreateStudyRequest {
        request_id: request_id(),
        ..create
    };
    refused(
        world.studies().create_study(same_name).await,
        Code::AlreadyExists,
        "ALREADY_EXISTS",
        "study s",
    );

    let ask = v1::AskTrialsRequest {
        parent: "studies/s".to_owned(),
        count: 2,
        request_id: request_id(),
        ..Default::default()
    };
    let first = world.trials().ask_trials(ask.clone()).await.unwrap().into_inner();
    assert_eq!(
        first,
        world.trials().ask_trials(ask.clone()).await.unwrap().into_inner()
    );
    let other = v1::AskTrialsRequest { count: 3, ..ask };
    refused(
        world.trials().ask_trials(other).await,
        Code::AlreadyExists,
        "REQUEST_REUSED",
        "other content",
    );

    let add = v1::AddTrialRequest {
        parent: "studies/s".to_owned(),
        parameters: parameters(&[("x", 0.25)]),
        request_id: request_id(),
        ..Default::default()
    };
    let first = world.trials().add_trial(add.clone()).await.unwrap().into_inner();
    assert_eq!(
        first,
        world.trials().add_trial(add.clone()).await.unwrap().into_inner()
    );
    let other = v1::AddTrialRequest {
        parameters: parameters(&[("x", 0.5)]),
        ..add.clone()
    };
    refused(
        world.trials().add_trial(other).await,
        Code::AlreadyExists,
        "REQUEST_REUSED",
        "other content",
    );
    let bad = v1::AddTrialRequest {
        request_id: "x".to_owned(),
        ..add
    };
    refused(
        world.trials().add_trial(bad).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "request_id",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn sizes_and_page_tokens_are_checked() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let list = async |change: &dyn Fn(&mut v1::ListTrialsRequest)| {
        let mut request = v1::ListTrialsRequest {
            parent: "studies/s".to_owned(),
            page_size: 1,
            ..Default::default()
        };
        change(&mut request);
        world.trials().list_trials(request).await
    };
    for size in [-1, 1_001, i32::MAX] {
        refused(
            list(&|r| r.page_size = size).await,
            invalid.0,
            invalid.1,
            "page_size",
        );
    }
    refused(
        list(&|r| r.states = vec![99]).await,
        invalid.0,
        invalid.1,
        "states[0]",
    );
    refused(
        list(&|r| r.order_by = "luck".to_owned()).await,
        invalid.0,
        invalid.1,
        "order_by",
    );
    for (order_by, best_only) in [("value", false), ("newest", false), ("", true)] {
        let listed = list(&|r| {
            r.order_by = order_by.to_owned();
            r.best_only = best_only;
            r.with_attempts = true;
        })
        .await;
        refused(listed, invalid.0, invalid.1, "with_attempts");
    }
    refused(
        list(&|r| r.page_token = "garbled".to_owned()).await,
        invalid.0,
        invalid.1,
        "page_token",
    );

    world.ask("s").await;
    world.ask("s").await;
    let first = list(&|_| ()).await.unwrap().into_inner();
    let token = first.next_page_token;
    let second = list(&|r| r.page_token.clone_from(&token))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((first.trials[0].number, second.trials[0].number), (1, 2));
    let newest = list(&|r| r.order_by = "newest".to_owned()).await.unwrap();
    assert_eq!(newest.into_inner().trials[0].number, 2);
    let other = list(&|r| {
        r.page_token.clone_from(&token);
        r.order_by = "value".to_owned();
    })
    .await;
    refused(other, invalid.0, invalid.1, "page_token");
    let asked = v1::AskTrialsRequest {
        parent: "studies/s".to_owned(),
        count: 1_001,
        ..Default::default()
    };
    refused(
        world.trials().ask_trials(asked).await,
        invalid.0,
        invalid.1,
        "count",
    );
    let note = v1::UpdateTrialRequest {
        name: "studies/s/trials/1".to_owned(),
        note: "n".repeat(17 << 10),
        ..Default::default()
    };
    refused(
        world.trials().update_trial(note).await,
        invalid.0,
        invalid.1,
        "note",
    );
    let note = v1::UpdateTrialRequest {
        name: "studies/s/trials/1".to_owned(),
        note: "n".repeat(5 << 20),
        ..Default::default()
    };
    let (code, ..) = refusal(world.trials().update_trial(note).await);
    assert_eq!(code, Code::OutOfRange, "the transport's own limit");
    // A study may come with the trials of others, but not with anything.
    let mut huge = spec("huge");
    huge.message = "m".repeat(5 << 20);
    let request = v1::CreateStudyRequest {
        spec: Some(huge),
        ..Default::default()
    };
    let created = world.studies().create_study(request.clone()).await;
    refused(created, invalid.0, invalid.1, "message");
    let mut huger = request;
    huger.spec.as_mut().unwrap().message = "m".repeat(65 << 20);
    let (code, ..) = refusal(world.studies().create_study(huger).await);
    assert_eq!(code, Code::OutOfRange);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_that_hands_nothing_out_says_why() {
    let world = World::start().await;
    let mut budget = spec("budget");
    budget.budget = Some(v1::Budget {
        trials: Some(1),
        parallel: Some(1),
        ..Default::default()
    });
    world.create(budget).await;
    let ask = async |study: &str| {
        let request = v1::AskTrialsRequest {
            parent: format!("studies/{study}"),
            ..Default::default()
        };
        world.trials().ask_trials(request).await
    };
    ask("budget").await.unwrap();
    refused(
        ask("budget").await,
        Code::ResourceExhausted,
        "PARALLEL_LIMIT",
        "1 trials run",
    );

    world.create(spec("paused")).await;
    let pause = v1::PauseStudyRequest {
        name: "studies/paused".to_owned(),
    };
    world.studies().pause_study(pause).await.unwrap();
    refused(
        ask("paused").await,
        Code::FailedPrecondition,
        "STUDY_PAUSED",
        "paused",
    );
    let delete = v1::DeleteStudyRequest {
        name: "studies/paused".to_owned(),
    };
    refused(
        world.studies().delete_study(delete).await,
        Code::FailedPrecondition,
        "STUDY_STATE",
        "stop it first",
    );
    let archive = v1::ArchiveStudyRequest {
        name: "studies/paused".to_owned(),
    };
    refused(
        world.studies().archive_study(archive).await,
        Code::FailedPrecondition,
        "STUDY_STATE",
        "stop it first",
    );
    let stop = v1::StopStudyRequest {
        name: "studies/paused".to_owned(),
    };
    world.studies().stop_study(stop).await.unwrap();
    refused(
        ask("paused").await,
        Code::FailedPrecondition,
        "STUDY_ENDED",
        "ended",
    );

    let mut manual = spec("manual");
    manual.strategy.as_mut().unwrap().name = "manual".to_owned();
    world.create(manual).await;
    refused(
        ask("manual").await,
        Code::FailedPrecondition,
        "STUDY_MANUAL",
        "manual",
    );
    let outside = v1::AddTrialRequest {
        parent: "studies/manual".to_owned(),
        parameters: parameters(&[("x", 7.0)]),
        ..Default::default()
    };
    refused(
        world.trials().add_trial(outside).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "x",
    );
    let log = v1::ReadLogRequest {
        name: "studies/budget/trials/1".to_owned(),
        ..Default::default()
    };
    let log = world.trials().read_log(log).await.map(|_| ());
    refused(log, Code::FailedPrecondition, "NO_LOG", "keeps its log itself");
}
