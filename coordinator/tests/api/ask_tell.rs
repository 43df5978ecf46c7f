//! Programs that ask and tell: a study from its first trial to its end, with early stopping, as watchers see it.

use std::sync::Arc;

use tonic::Code;
use tunesmith_coordinator::store::MemoryStore;
use tunesmith_proto::v1;
use tunesmith_proto::v1::watch_study_response::Event;

use crate::support::{World, points, refused, request_id, soon, spec};

#[tokio::test(flavor = "multi_thread")]
async fn a_study_runs_to_its_end_and_stops_the_hopeless() {
    let world = World::start().await;
    let mut study = spec("loop");
    study.budget = Some(v1::Budget {
        trials: Some(6),
        ..Default::default()
    });
    study.early_stopping = vec![v1::StopperRule {
        rule: "median".to_owned(),
        min_trials: Some(2),
        warmup_steps: Some(0),
        ..Default::default()
    }];
    world.create(study).await;
    let watch = v1::WatchStudyRequest {
        name: "studies/loop".to_owned(),
        include_points: true,
    };
    let mut watch = world.studies().watch_study(watch).await.unwrap().into_inner();

    let mut reported = 0;
    for level in [0.1, 0.2, 0.3, 9.0, 0.05, 0.4] {
        let asked = world.ask("loop").await;
        let name = asked.trial.unwrap().name;
        let mut stopped = false;
        for step in 1..=4_u32 {
            let request = v1::ReportPointsRequest {
                name: name.clone(),
                points: points("loss", &[(i64::from(step), level)]),
                lease: asked.lease.clone(),
                first_seq: u64::from(step),
            };
            let answer = world.trials().report_points(request).await.unwrap().into_inner();
            reported += 1;
            stopped |= answer.should_stop;
            if answer.should_stop {
                assert!(answer.stop_reason.contains("median"), "{}", answer.stop_reason);
                break;
            }
        }
        let told = v1::TellTrialRequest {
            name: name.clone(),
            lease: asked.lease,
            ..Default::default()
        };
        let told = world
            .trials()
            .tell_trial(told)
            .await
            .unwrap()
            .into_inner()
            .trial
            .unwrap();
        let expected = if stopped {
            v1::TrialState::EarlyStopped
        } else {
            v1::TrialState::Completed
        };
        assert_eq!(told.state(), expected, "{told:?}");
        assert_eq!(told.value, Some(level));
    }

    let study = world.study("loop").await;
    assert_eq!(study.state(), v1::StudyState::Done);
    assert_eq!(study.done_reason(), v1::DoneReason::Budget);
    let counts = study.counts.unwrap();
    assert!(
        counts.early_stopped >= 1 && counts.early_stopped + counts.completed == 6,
        "{counts:?}"
    );
    assert_eq!(study.best.unwrap().value, Some(0.05));

    let stopped = v1::GetTrialRequest {
        name: "studies/loop/trials/4".to_owned(),
    };
    let stopped = world
        .trials()
        .get_trial(stopped)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(
        (stopped.stopped_by.as_str(), stopped.decisions.len()),
        ("median", 1)
    );
    assert_eq!(
        (stopped.attempts[0].points, stopped.attempts[0].holder.as_str()),
        (1, "client")
    );

    // The watch ends by itself, after everything that happened.
    let (mut states, mut seen, mut last) = (Vec::new(), 0, None);
    while let Some(message) = soon(watch.message()).await.unwrap() {
        match message.event.unwrap() {
            Event::Study(study) => last = Some(study),
            Event::Trial(trial) => states.push((trial.number, trial.state())),
            Event::Points(points) => seen += points.points.unwrap().step.len(),
        }
    }
    assert_eq!(last.unwrap().state(), v1::StudyState::Done);
    assert!(states.contains(&(4, v1::TrialState::Stopping)), "{states:?}");
    assert!(states.contains(&(4, v1::TrialState::EarlyStopped)), "{states:?}");
    assert_eq!(seen, reported, "points seen by the watcher");
}

#[tokio::test(flavor = "multi_thread")]
async fn curves_notes_retries_and_imports_are_kept() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let asked = world.ask("s").await;
    let name = asked.trial.unwrap().name;
    let report = v1::ReportPointsRequest {
        name: name.clone(),
        points: points("loss", &[(1, 0.5), (2, 0.4), (2, 0.45)]),
        ..Default::default()
    };
    world.trials().report_points(report).await.unwrap();
    let curves = v1::ListPointsRequest {
        name: name.clone(),
        ..Default::default()
    };
    let curves = world
        .trials()
        .list_points(curves)
        .await
        .unwrap()
        .into_inner()
        .curves;
    assert_eq!(
        (&curves[0].step, &curves[0].value),
        (&vec![1, 2], &vec![0.5, 0.45])
    );

    let note = async |note: &str| {
        let request = v1::UpdateTrialRequest {
            name: name.clone(),
            note: note.to_owned(),
            ..Default::default()
        };
        world
            .trials()
            .update_trial(request)
            .await
            .unwrap()
            .into_inner()
            .trial
            .unwrap()
            .note
    };
    assert_eq!(note("running").await, "running");
    let tell = v1::TellTrialRequest {
        name: name.clone(),
        failed: true,
        reason: "no luck".to_owned(),
        ..Default::default()
    };
    let told = world
        .trials()
        .tell_trial(tell)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(
        (told.state(), told.failure_cause.as_str()),
        (v1::TrialState::Failed, "TOLD")
    );
    assert_eq!(note("ended").await, "ended");

    let retry = v1::RetryTrialRequest {
        name: name.clone(),
        request_id: String::new(),
    };
    let retried = world
        .trials()
        .retry_trial(retry)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!((retried.number, retried.parameters.clone()), (2, told.parameters));
    assert_eq!(world.ask("s").await.trial.unwrap().number, 2);

    let add = v1::AddTrialRequest {
        parent: "studies/s".to_owned(),
        parameters: crate::support::parameters(&[("x", 0.5)]),
        result: Some(v1::Result {
            value: Some(-3.0),
            points: points("loss", &[(1, -2.0), (2, -3.0)]),
            ..Default::default()
        }),
        ..Default::default()
    };
    let added = world
        .trials()
        .add_trial(add)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(
        (added.state(), added.value),
        (v1::TrialState::Completed, Some(-3.0))
    );
    assert_eq!(world.study("s").await.best.unwrap().number, added.number);
    let best_first = v1::ListTrialsRequest {
        parent: "studies/s".to_owned(),
        order_by: "value".to_owned(),
        ..Default::default()
    };
    let listed = world
        .trials()
        .list_trials(best_first)
        .await
        .unwrap()
        .into_inner()
        .trials;
    assert_eq!(
        listed.iter().map(|trial| trial.number).collect::<Vec<_>>(),
        [added.number, 1, 2]
    );
}

async fn told(world: &World, asked: &v1::AskedTrial, value: f64) -> v1::Trial {
    let request = v1::TellTrialRequest {
        name: asked.trial.as_ref().unwrap().name.clone(),
        lease: asked.lease.clone(),
        value: Some(value),
        ..Default::default()
    };
    let told = world.trials().tell_trial(request).await.unwrap();
    told.into_inner().trial.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn asking_again_returns_the_trials_that_were_told_too_also_after_a_restart() {
    let store = Arc::new(MemoryStore::default());
    let world = World::on(store.clone()).await;
    world.create(spec("s")).await;
    let ask = v1::AskTrialsRequest {
        parent: "studies/s".to_owned(),
        count: 3,
        request_id: request_id(),
        ..Default::default()
    };
    let asked = async |world: &World| {
        let asked = world.trials().ask_trials(ask.clone()).await.unwrap();
        asked.into_inner().trials
    };
    let first = asked(&world).await;
    assert_eq!(first.len(), 3);
    assert_eq!(asked(&world).await, first);
    told(&world, &first[1], 0.25).await;
    let stop = v1::StopTrialRequest {
        name: "studies/s/trials/3".to_owned(),
    };
    world.trials().stop_trial(stop).await.unwrap();

    let mut world = world;
    for _ in 0..2 {
        let again = asked(&world).await;
        let identity = |asked: &v1::AskedTrial| {
            let trial = asked.trial.clone().unwrap();
            (trial.name, trial.parameters, trial.seed, asked.lease.clone())
        };
        assert_eq!(
            again.iter().map(identity).collect::<Vec<_>>(),
            first.iter().map(identity).collect::<Vec<_>>()
        );
        let states: Vec<_> = again
            .iter()
            .map(|asked| asked.trial.as_ref().unwrap().state())
            .collect();
        use v1::TrialState::{Completed, Running, Stopping};
        assert_eq!(states, [Running, Completed, Stopping]);
        assert_eq!(again[1].trial.as_ref().unwrap().value, Some(0.25));
        // Telling the same end once more is accepted, another one is not.
        told(&world, &again[1], 0.25).await;
        soon(world.running.stop()).await;
        world = World::again(store.clone(), world.folder).await;
    }
    let other = v1::AskTrialsRequest {
        count: 2,
        ..ask.clone()
    };
    let other = world.trials().ask_trials(other).await;
    refused(other, Code::AlreadyExists, "REQUEST_REUSED", "request id");
    assert_eq!(world.ask("s").await.trial.unwrap().number, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_that_another_caller_has_by_now_is_named_with_the_stale_lease() {
    let world = World::start().await;
    let mut study = spec("s");
    study.budget = Some(v1::Budget {
        trials: Some(1),
        ..Default::default()
    });
    world.create(study).await;
    let ask = |seconds| v1::AskTrialsRequest {
        parent: "studies/s".to_owned(),
        lease_ttl: Some(pbjson_types::Duration {
            seconds,
            nanos: 1_000_000,
        }),
        request_id: request_id(),
        ..Default::default()
    };
    let asked = async |ask: &v1::AskTrialsRequest| {
        let asked = world.trials().ask_trials(ask.clone()).await;
        asked.map(|asked| asked.into_inner().trials.remove(0))
    };
    let (first, second) = (ask(0), ask(3_600));
    let mine = asked(&first).await.unwrap();
    // The lease is lost; the trial waits a little, and is then somebody else's.
    let others = soon(async {
        let mut poll = tokio::time::interval(std::time::Duration::from_millis(20));
        loop {
            poll.tick().await;
            if let Ok(others) = asked(&second).await {
                return others;
            }
        }
    })
    .await;
    assert_eq!(others.trial.as_ref().unwrap().number, 1);
    let again = asked(&first).await.unwrap();
    assert_eq!(again.lease, mine.lease);
    assert_ne!(again.lease, others.lease);
    let report = v1::ReportPointsRequest {
        name: "studies/s/trials/1".to_owned(),
        points: points("loss", &[(1, 0.5)]),
        lease: again.lease.clone(),
        ..Default::default()
    };
    let report = world.trials().report_points(report).await;
    refused(report, Code::Aborted, "STALE_LEASE", "stale lease");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_is_done_with_the_last_tell_and_watchers_learn_it_with_that() {
    let world = World::start().await;
    let mut study = spec("grid");
    study.strategy = Some(v1::Strategy {
        name: "grid".to_owned(),
        points: Some(2),
        seed: Some(1),
        ..Default::default()
    });
    world.create(study).await;
    let watch = v1::WatchStudyRequest {
        name: "studies/grid".to_owned(),
        include_points: false,
    };
    let mut watch = world.studies().watch_study(watch).await.unwrap().into_inner();
    for (value, expected) in [(0.5, v1::StudyState::Active), (0.25, v1::StudyState::Done)] {
        let asked = world.ask("grid").await;
        told(&world, &asked, value).await;
        assert_eq!(world.study("grid").await.state(), expected);
    }
    let study = world.study("grid").await;
    assert_eq!(study.done_reason(), v1::DoneReason::Exhausted);
    assert_eq!(study.state_reason, "every point of the search space was tried");
    let mut last = None;
    while let Some(message) = soon(watch.message()).await.unwrap() {
        if let Event::Study(study) = message.event.unwrap() {
            last = Some(study);
        }
    }
    assert_eq!(last.unwrap().state(), v1::StudyState::Done);
    let ask = v1::AskTrialsRequest {
        parent: "studies/grid".to_owned(),
        ..Default::default()
    };
    let late = world.trials().ask_trials(ask).await;
    refused(
        late,
        Code::FailedPrecondition,
        "STUDY_ENDED",
        "every point of the search space",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_on_another_metric_stops_what_is_worse_by_its_own_goal() {
    let world = World::start().await;
    let mut study = spec("s");
    study.early_stopping = vec![v1::StopperRule {
        rule: "median".to_owned(),
        metric: "accuracy".to_owned(),
        min_trials: Some(1),
        ..Default::default()
    }];
    let create = |study: &v1::StudySpec| v1::CreateStudyRequest {
        spec: Some(study.clone()),
        ..Default::default()
    };
    let without = world.studies().create_study(create(&study)).await;
    refused(
        without,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "early_stopping[0]: the key \"goal\" is missing: \"accuracy\"",
    );
    study.early_stopping[0].goal = v1::Goal::Maximize.into();
    world.studies().create_study(create(&study)).await.unwrap();
    let mut reported = Vec::new();
    for accuracy in [0.5, 0.9, 0.1] {
        let asked = world.ask("s").await;
        let report = v1::ReportPointsRequest {
            name: asked.trial.as_ref().unwrap().name.clone(),
            points: points("accuracy", &[(1, accuracy)]),
            lease: asked.lease,
            ..Default::default()
        };
        let answer = world.trials().report_points(report).await.unwrap().into_inner();
        reported.push((answer.should_stop, answer.stop_reason));
    }
    assert_eq!(
        (reported[0].0, reported[1].0, reported[2].0),
        (false, false, true)
    );
    assert_eq!(
        reported[2].1,
        "median: best accuracy so far 0.1 at step 1 is below 0.7, the median of the running averages of 2 other trials at that step"
    );
    let study = world.study("s").await;
    assert_eq!(
        study.stopper_notes,
        ["rule 1, median of accuracy, maximized: judged 2 reports, stopped 1 trial"]
    );
    assert_eq!(study.spec.unwrap().early_stopping[0].goal(), v1::Goal::Maximize);
}
