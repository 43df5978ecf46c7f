//! Watching a study: everybody is told the same news, from when they came.

use tonic::Streaming;
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use crate::support::{World, points, soon, spec};

type News = Streaming<v1::WatchStudyResponse>;

/// Watches study `s`, and returns the trials that had completed.
async fn watch(world: &World, include_points: bool) -> (News, u64) {
    let request = v1::WatchStudyRequest {
        name: "studies/s".to_owned(),
        include_points,
    };
    let mut news = world.studies().watch_study(request).await.unwrap().into_inner();
    let first = soon(news.message()).await.unwrap().unwrap();
    let Some(Event::Study(study)) = first.event else {
        panic!("the present state comes first: {first:?}");
    };
    (news, study.counts.unwrap().completed)
}

/// What is told of trials until one has completed: its points, and its states.
async fn until_completed(news: &mut News) -> Vec<String> {
    let mut told = Vec::new();
    loop {
        match soon(news.message()).await.unwrap().unwrap().event.unwrap() {
            Event::Study(_) => {}
            Event::Points(points) => told.push(format!("{:?}", points.points.unwrap().value)),
            Event::Trial(trial) => {
                told.push(trial.state().as_str_name().replace("TRIAL_STATE_", ""));
                if trial.state() == v1::TrialState::Completed {
                    return told;
                }
            }
        }
    }
}

async fn report(world: &World, trial: &v1::Trial, step: i64, value: f64) {
    let request = v1::ReportPointsRequest {
        name: trial.name.clone(),
        points: points("loss", &[(step, value)]),
        ..Default::default()
    };
    world.trials().report_points(request).await.unwrap();
}

async fn end(world: &World, trial: &v1::Trial) {
    let request = v1::TellTrialRequest {
        name: trial.name.clone(),
        ..Default::default()
    };
    world.trials().tell_trial(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn all_who_watch_are_told_the_same_from_when_they_came() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let (mut with_points, _) = watch(&world, true).await;
    let trial = world.ask("s").await.trial.unwrap();
    report(&world, &trial, 1, 0.5).await;
    let (mut without, _) = watch(&world, false).await;
    let (mut late, _) = watch(&world, true).await;
    report(&world, &trial, 2, 0.25).await;
    end(&world, &trial).await;
    assert_eq!(
        until_completed(&mut with_points).await,
        ["RUNNING", "[0.5]", "[0.25]", "COMPLETED"],
        "points are told before the end that came after them"
    );
    assert_eq!(until_completed(&mut late).await, ["[0.25]", "COMPLETED"]);
    assert_eq!(until_completed(&mut without).await, ["COMPLETED"]);
    // Nobody watches any more, then somebody does again.
    drop((with_points, without, late));
    let (mut again, completed) = watch(&world, true).await;
    assert_eq!(completed, 1);
    let trial = world.ask("s").await.trial.unwrap();
    report(&world, &trial, 1, 0.75).await;
    end(&world, &trial).await;
    assert_eq!(until_completed(&mut again).await.last().unwrap(), "COMPLETED");
}
