//! Programs that ask for trials and tell their results; strategies that are not random.

use std::collections::BTreeSet;

use tunesmith_e2e::{Coordinator, ProbeStudy, Storage, points, probe_value};
use tunesmith_proto::v1;
use uuid::Uuid;
use v1::TrialState as State;

use crate::world::{LEASE, World, asked_study, trial_name};

fn ask(study: &str, count: u32, request_id: &str) -> v1::AskTrialsRequest {
    v1::AskTrialsRequest {
        parent: format!("studies/{study}"),
        count,
        client: "test".to_owned(),
        request_id: request_id.to_owned(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_asks_reports_and_tells_and_is_told_to_stop_poor_trials() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let mut api = coordinator.api();
    let more = "early_stopping: [{rule: threshold, below: 0.2, after_step: 2}]\nbudget: {trials: 3}";
    api.create(&asked_study("loop", more)).await;
    for (number, height) in [(1, 0.9), (2, 0.1), (3, 0.5)] {
        let asked = api
            .trials
            .ask_trials(ask("loop", 1, ""))
            .await
            .unwrap()
            .into_inner()
            .trials
            .remove(0);
        let name = trial_name("loop", number);
        assert_eq!(asked.trial.unwrap().name, name);
        let mut stopped = None;
        for step in 1..=5 {
            let report = v1::ReportPointsRequest {
                name: name.clone(),
                points: Some(points("score", &[(step, height)])),
                lease: asked.lease.clone(),
                first_seq: u64::try_from(step).unwrap(),
            };
            let answer = api.trials.report_points(report).await.unwrap().into_inner();
            assert_eq!(answer.committed_seq, u64::try_from(step).unwrap());
            if answer.should_stop {
                stopped = Some((step, answer.stop_reason));
                break;
            }
        }
        let tell = v1::TellTrialRequest {
            name,
            lease: asked.lease,
            ..Default::default()
        };
        let told = api
            .trials
            .tell_trial(tell)
            .await
            .unwrap()
            .into_inner()
            .trial
            .unwrap();
        if height < 0.2 {
            let (step, reason) = stopped.expect("a poor trial is stopped");
            assert!(step == 3 && reason.contains("threshold"), "{step} {reason}");
            assert_eq!(
                (told.state(), told.stopped_by.as_str()),
                (State::EarlyStopped, "threshold"),
                "{told:?}"
            );
        } else {
            assert_eq!(
                (stopped, told.state(), told.value),
                (None, State::Completed, Some(height)),
                "{told:?}"
            );
        }
    }
    let study = api.done("loop", LEASE * 10).await;
    assert_eq!(study.best.map(|best| best.number), Some(1));
    let refused = api.trials.ask_trials(ask("loop", 1, "")).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_call_is_safe_also_over_a_crash_of_the_coordinator() {
    let mut coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let mut api = coordinator.api();
    let spec = tunesmith_e2e::study_spec(&asked_study("twice", ""));
    let create = v1::CreateStudyRequest {
        spec: Some(spec),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let created = api
        .studies
        .create_study(create.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    let asking = ask("twice", 3, &Uuid::new_v4().to_string());
    let asked = api
        .trials
        .ask_trials(asking.clone())
        .await
        .unwrap()
        .into_inner()
        .trials;
    let adding = v1::AddTrialRequest {
        parent: "studies/twice".to_owned(),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let added = api
        .trials
        .add_trial(adding.clone())
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    let telling = v1::TellTrialRequest {
        name: trial_name("twice", 1),
        value: Some(0.25),
        lease: asked[0].lease.clone(),
        request_id: Uuid::new_v4().to_string(),
        ..Default::default()
    };
    let told = api
        .trials
        .tell_trial(telling.clone())
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();

    coordinator.program.kill();
    coordinator.restart().await;

    let again = api
        .studies
        .create_study(create.clone())
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap();
    assert_eq!(again.uid, created.uid);
    let again = api
        .trials
        .ask_trials(asking.clone())
        .await
        .unwrap()
        .into_inner()
        .trials;
    let identity = |trials: &[v1::AskedTrial]| -> Vec<_> {
        trials
            .iter()
            .map(|it| {
                (
                    it.trial.as_ref().unwrap().number,
                    it.trial.as_ref().unwrap().parameters.clone(),
                )
            })
            .collect()
    };
    assert_eq!(identity(&again), identity(&asked));
    assert_eq!(again[0].trial.as_ref().unwrap().state(), State::Completed);
    for (again, asked) in again.iter().zip(&asked) {
        assert_eq!(again.lease, asked.lease, "also that of the trial that was told");
    }
    let again = api
        .trials
        .add_trial(adding)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!((again.number, again.parameters), (added.number, added.parameters));
    let again = api
        .trials
        .tell_trial(telling.clone())
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!((again.state(), again.value), (told.state(), told.value));

    let other = v1::AskTrialsRequest { count: 2, ..asking };
    let refused = api.trials.ask_trials(other).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::AlreadyExists, "{refused}");
    let other = v1::TellTrialRequest {
        value: Some(0.5),
        request_id: Uuid::new_v4().to_string(),
        ..telling
    };
    let refused = api.trials.tell_trial(other).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition, "{refused}");
    assert_eq!(api.trials("twice").await.len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grid_is_tried_whole_and_ends_the_study() {
    let coordinator = Coordinator::start(&Storage::Sqlite, LEASE).await;
    let mut api = coordinator.api();
    let yaml = "name: grid\nobjective: {metric: score, goal: minimize}\nspace:\n  a: {type: int, low: 1, high: 3}\n  \
                b: {type: categorical, choices: [x, y]}\nstrategy: grid\n";
    api.create(yaml).await;
    let mut seen = BTreeSet::new();
    for _ in 0..6 {
        let asked = api
            .trials
            .ask_trials(ask("grid", 1, ""))
            .await
            .unwrap()
            .into_inner()
            .trials
            .remove(0);
        let trial = asked.trial.unwrap();
        let parameters = serde_json::to_value(trial.parameters.unwrap()).unwrap();
        let a = parameters["a"].as_f64().unwrap();
        seen.insert(parameters.to_string());
        let tell = v1::TellTrialRequest {
            name: trial.name,
            value: Some(a),
            lease: asked.lease,
            ..Default::default()
        };
        api.trials.tell_trial(tell).await.unwrap();
    }
    assert_eq!(seen.len(), 6, "{seen:?}");
    // Nobody has to ask for another one to find out that nothing is left.
    let study = api.study("grid").await.unwrap();
    assert_eq!(study.state(), v1::StudyState::Done, "{study:?}");
    assert_eq!(study.done_reason(), v1::DoneReason::Exhausted, "{study:?}");
    assert_eq!(study.best.and_then(|best| best.value), Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn trials_that_people_add_are_run_as_they_are() {
    let mut world = World::start(1).await;
    let mut study = ProbeStudy::new("manual", &world.records, 3, &["--steps=4"]);
    study.more = vec!["strategy: manual".to_owned()];
    world.api.create(&study.yaml()).await;
    for x in [0.3, 0.9] {
        let parameters = pbjson_types::Struct {
            fields: [("x".to_owned(), x.into())].into(),
        };
        let request = v1::AddTrialRequest {
            parent: "studies/manual".to_owned(),
            parameters: Some(parameters),
            ..Default::default()
        };
        world.api.trials.add_trial(request).await.unwrap();
    }
    let request = v1::AddTrialRequest {
        parent: "studies/manual".to_owned(),
        parameters: Some(pbjson_types::Struct {
            fields: [("x".to_owned(), 0.1.into())].into(),
        }),
        result: Some(v1::Result {
            value: Some(0.5),
            ..Default::default()
        }),
        ..Default::default()
    };
    let added = world
        .api
        .trials
        .add_trial(request)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(
        (added.state(), added.value),
        (State::Completed, Some(0.5)),
        "{added:?}"
    );
    world.api.done("manual", crate::world::STUDY).await;
    let trials = world.api.trials("manual").await;
    let values: Vec<Option<f64>> = trials.iter().map(|trial| trial.value).collect();
    assert_eq!(
        values,
        [Some(probe_value(0.3, 4)), Some(probe_value(0.9, 4)), Some(0.5)]
    );
    assert!(
        trials
            .iter()
            .all(|trial| trial.provenance.as_ref().unwrap().origin != "strategy"),
        "{trials:?}"
    );
}
