//! What charts are made of: how the best value came about, and the curves of many trials.

use serde_json::{Value, json};
use tonic::Code;
use tunesmith_proto::v1;

use crate::http::send;
use crate::support::{World, points, refused, spec};

/// Runs a trial of study `s` that reports these values of `loss` and ends with the last.
async fn run(world: &World, values: &[f64]) -> u64 {
    let trial = world.ask("s").await.trial.unwrap();
    let curve: Vec<(i64, f64)> = values
        .iter()
        .zip(1..)
        .map(|(value, step)| (step, *value))
        .collect();
    let report = v1::ReportPointsRequest {
        name: trial.name.clone(),
        points: points("loss", &curve),
        ..Default::default()
    };
    world.trials().report_points(report).await.unwrap();
    let tell = v1::TellTrialRequest {
        name: trial.name,
        failed: values.is_empty(),
        ..Default::default()
    };
    world.trials().tell_trial(tell).await.unwrap();
    trial.number
}

async fn get(world: &World, path: &str) -> Value {
    let answer = send(world, "GET", path, &[], "").await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn incumbents_are_the_trials_that_were_the_best_when_they_ended() {
    let world = World::start().await;
    let mut study = spec("s");
    study.measured_constraints.push(v1::MeasuredConstraint {
        metric: "loss".to_owned(),
        at_least: Some(0.1),
        ..Default::default()
    });
    world.create(study).await;
    let empty = get(&world, "/v1/studies/s/incumbents").await;
    assert!(
        empty["ended"].is_null() && empty["incumbents"]["trial"].is_null(),
        "{empty}"
    );
    // The fourth fails, the fifth breaks its bound, the sixth has no finite value.
    for values in [&[0.9][..], &[0.5], &[0.7], &[], &[0.05], &[f64::INFINITY], &[0.4]] {
        run(&world, values).await;
    }
    let answer = get(&world, "/v1/studies/s/incumbents?sample=10").await;
    assert_eq!(answer["incumbents"]["trial"], json!(["1", "2", "7"]));
    assert_eq!(answer["incumbents"]["value"], json!([0.9, 0.5, 0.4]));
    assert_eq!(answer["incumbents"]["ended"], json!(["1", "2", "7"]));
    assert_eq!(answer["sample"]["trial"], json!(["3"]));
    assert_eq!((&answer["results"], &answer["ended"]), (&json!("4"), &json!("7")));
    assert_eq!(answer["incumbents"]["state"][0], "TRIAL_STATE_COMPLETED");
    // What had not ended when it was asked about before is there once it has, in the order of the ends.
    let (slow, quick) = (world.ask("s").await, world.ask("s").await);
    let path = "/v1/studies/s/incumbents";
    assert_eq!(get(&world, path).await["ended"], "7");
    for (trial, value) in [(quick, 0.3), (slow, 0.2)] {
        let tell = v1::TellTrialRequest {
            name: trial.trial.unwrap().name,
            value: Some(value),
            ..Default::default()
        };
        world.trials().tell_trial(tell).await.unwrap();
        get(&world, path).await;
    }
    assert_eq!(
        get(&world, path).await["incumbents"]["trial"],
        json!(["1", "2", "7", "9", "8"])
    );
    let request = v1::ListIncumbentsRequest {
        name: "studies/s".to_owned(),
        sample: 5_001,
    };
    let result = world.studies().list_incumbents(request).await;
    refused(
        result,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "sample: must be at most 5000",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn curves_of_many_trials_come_thinned_with_what_is_usual_among_them() {
    let world = World::start().await;
    world.create(spec("s")).await;
    for height in 1..=4_i32 {
        let long: Vec<f64> = (0..300)
            .map(|step| f64::from(height) - f64::from(step) / 1_024.0)
            .collect();
        run(&world, &long).await;
    }
    world.ask("s").await;
    let answer = get(&world, "/v1/studies/s/curves?points=20").await;
    assert_eq!(
        (&answer["metric"], &answer["trials"]),
        (&json!("loss"), &json!("5"))
    );
    let curves = answer["curves"].as_array().unwrap();
    assert_eq!(curves.len(), 4, "one has reported nothing");
    let steps = curves[0]["step"].as_array().unwrap();
    assert!(steps.len() <= 20, "{steps:?}");
    assert_eq!(
        (steps.first(), steps.last()),
        (Some(&json!("1")), Some(&json!("300")))
    );
    assert_eq!(curves[0]["result"], 1.0 - 299.0 / 1_024.0);
    assert_eq!(answer["band"]["median"][0], 2.5);
    let others = get(&world, "/v1/studies/s/curves?except=4").await;
    assert_eq!(others["band"]["median"][0], 2);
    let two = get(&world, "/v1/studies/s/curves?trials=4&trials=2").await;
    let numbers: Vec<&Value> = two["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|curve| &curve["trial"])
        .collect();
    assert_eq!(numbers, [&json!("2"), &json!("4")]);
    assert!(two["band"].is_null(), "two are no crowd");
    // What runs, half of what is left for the best, then the newest.
    let few = get(&world, "/v1/studies/s/curves?most=3").await;
    let numbers: Vec<&Value> = few["curves"]
        .as_array()
        .unwrap()
        .iter()
        .map(|curve| &curve["trial"])
        .collect();
    assert_eq!(
        numbers,
        [&json!("1"), &json!("4")],
        "and the fifth, which has reported nothing"
    );
    for (path, what) in [
        ("points=1", "points: must be from 2 to 2000"),
        ("most=501", "most: must be from 1 to 500"),
        ("trials=9", "there is no trial 9"),
        ("metric=a%3Cb", "metric"),
    ] {
        let answer = send(&world, "GET", &format!("/v1/studies/s/curves?{path}"), &[], "").await;
        assert!(
            answer.status >= 400 && answer.body.contains(what),
            "{path}: {}",
            answer.body
        );
    }
}
