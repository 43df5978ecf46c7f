//! Studies: created, checked, edited, listed, deleted.

use tonic::Code;
use tunesmith_proto::v1;

use crate::support::{World, refused, soon, spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_study_can_be_checked_without_being_created() {
    let world = World::start().await;
    let check = v1::CreateStudyRequest {
        spec: Some(spec("s")),
        validate_only: true,
        ..Default::default()
    };
    let study = world
        .studies()
        .create_study(check.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    assert_eq!(study.state(), v1::StudyState::Active);
    let list = world
        .studies()
        .list_studies(v1::ListStudiesRequest::default())
        .await
        .unwrap()
        .into_inner();
    assert!(list.studies.is_empty());
    world.create(spec("s")).await;
    refused(
        world.studies().create_study(check).await,
        Code::AlreadyExists,
        "ALREADY_EXISTS",
        "study s",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_seed_is_drawn_once_and_survives_json() {
    let world = World::start().await;
    let seedless = |name: &str| v1::StudySpec {
        strategy: None,
        ..spec(name)
    };
    let seed = |study: v1::Study| study.spec.unwrap().strategy.unwrap().seed.unwrap();
    let first = seed(world.create(seedless("a")).await);
    assert_eq!(first, seed(world.study("a").await));
    assert_ne!(first, seed(world.create(seedless("b")).await));
    assert!(first < 1 << 53);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_may_change_changes() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let update = async |paths: &[&str], change: v1::StudySpec| {
        let mask = pbjson_types::FieldMask {
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        };
        let name = "studies/s".to_owned();
        let request = v1::UpdateStudyRequest {
            name,
            spec: Some(change),
            update_mask: Some(mask),
        };
        world.studies().update_study(request).await
    };
    let change = v1::StudySpec {
        message: "new".to_owned(),
        budget: Some(v1::Budget {
            trials: Some(3),
            ..Default::default()
        }),
        early_stopping: vec![v1::StopperRule {
            rule: "diverging".to_owned(),
            ..Default::default()
        }],
        ..Default::default()
    };
    let edited = update(&["message", "early_stopping"], change.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    let spec = edited.spec.unwrap();
    assert_eq!((spec.message.as_str(), spec.early_stopping.len()), ("new", 1));
    assert_eq!((spec.budget.unwrap().trials, spec.name.as_str()), (None, "s"));
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    refused(
        update(&["space"], change.clone()).await,
        invalid.0,
        invalid.1,
        "\"space\" cannot change",
    );
    refused(
        update(&[], change.clone()).await,
        invalid.0,
        invalid.1,
        "update_mask",
    );
    let zero = v1::StudySpec {
        priority: Some(0),
        ..change
    };
    refused(
        update(&["priority"], zero).await,
        invalid.0,
        invalid.1,
        "priority",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_goes_from_paused_over_stopped_and_archived_to_deleted() {
    let world = World::start().await;
    let paused = v1::CreateStudyRequest {
        spec: Some(spec("s")),
        paused: true,
        ..Default::default()
    };
    let study = world
        .studies()
        .create_study(paused)
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    assert_eq!(study.state(), v1::StudyState::Paused);
    let name = || "studies/s".to_owned();
    let resumed = world
        .studies()
        .resume_study(v1::ResumeStudyRequest { name: name() })
        .await
        .unwrap();
    assert_eq!(
        resumed.into_inner().study.unwrap().state(),
        v1::StudyState::Active
    );
    world.ask("s").await;
    let stopped = world
        .studies()
        .stop_study(v1::StopStudyRequest { name: name() })
        .await
        .unwrap();
    let stopped = stopped.into_inner().study.unwrap();
    assert!(stopped.state_reason.contains("admin"), "{}", stopped.state_reason);
    let told = v1::TellTrialRequest {
        name: "studies/s/trials/1".to_owned(),
        value: Some(1.0),
        ..Default::default()
    };
    world.trials().tell_trial(told).await.unwrap();
    assert_eq!(world.study("s").await.done_reason(), v1::DoneReason::Cancelled);
    world
        .studies()
        .archive_study(v1::ArchiveStudyRequest { name: name() })
        .await
        .unwrap();
    let list = async |show_archived| {
        let request = v1::ListStudiesRequest {
            show_archived,
            ..Default::default()
        };
        world
            .studies()
            .list_studies(request)
            .await
            .unwrap()
            .into_inner()
            .studies
            .len()
    };
    assert_eq!((list(false).await, list(true).await), (0, 1));

    let watch = v1::WatchStudyRequest {
        name: name(),
        include_points: false,
    };
    let mut watch = world.studies().watch_study(watch).await.unwrap().into_inner();
    assert!(soon(watch.message()).await.unwrap().is_some());
    assert!(
        soon(watch.message()).await.unwrap().is_none(),
        "a study that is over has no news"
    );
    world
        .studies()
        .delete_study(v1::DeleteStudyRequest { name: name() })
        .await
        .unwrap();
    let gone = world
        .studies()
        .get_study(v1::GetStudyRequest { name: name() })
        .await;
    refused(gone, Code::NotFound, "NOT_FOUND", "s");
}
