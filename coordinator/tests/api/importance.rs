//! Which parameters matter, as it is asked for.

use tonic::Code;
use tunesmith_proto::v1;

use crate::http::send;
use crate::support::{World, number, refused, request_id, spec};

fn float(name: &str) -> v1::Parameter {
    v1::Parameter {
        name: name.to_owned(),
        r#type: "float".to_owned(),
        low: Some(0.0),
        high: Some(1.0),
        ..Default::default()
    }
}

/// A study of two objectives: the first is told by `x`, the second by `y`.
fn study(name: &str) -> v1::StudySpec {
    v1::StudySpec {
        space: vec![float("x"), float("y")],
        more_objectives: vec![v1::Objective {
            metric: "acc".to_owned(),
            goal: v1::Goal::Maximize.into(),
            from: String::new(),
        }],
        ..spec(name)
    }
}

/// Adds the trial with this index; one of ten fails, and one of ten diverges where `x` is large.
async fn add(world: &World, study: &str, index: u32) {
    let at = |step: f64| (0.5 + f64::from(index) * step).fract();
    let (x, y) = (at(0.754_877_666_2), at(0.569_840_290_9));
    let failed = index % 10 == 9;
    let loss = if x > 0.9 { f64::NAN } else { x };
    let result = v1::Result {
        value: (!failed).then_some(loss),
        state: if failed { v1::TrialState::Failed.into() } else { 0 },
        values: if failed {
            Default::default()
        } else {
            [("acc".to_owned(), 10.0 * y)].into()
        },
        points: None,
    };
    let request = v1::AddTrialRequest {
        parent: format!("studies/{study}"),
        parameters: Some(pbjson_types::Struct {
            fields: [("x".to_owned(), number(x)), ("y".to_owned(), number(y))].into(),
        }),
        result: Some(result),
        request_id: request_id(),
        ..Default::default()
    };
    world.trials().add_trial(request).await.unwrap();
}

async fn ask(
    world: &World,
    metric: &str,
    quantile: Option<f64>,
) -> Result<v1::GetImportanceResponse, tonic::Status> {
    let request = v1::GetImportanceRequest {
        name: "studies/s".to_owned(),
        metric: metric.to_owned(),
        quantile,
    };
    world
        .studies()
        .get_importance(request)
        .await
        .map(tonic::Response::into_inner)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_parameter_that_matters_comes_first_and_new_results_are_seen() {
    let world = World::start().await;
    world.create(study("s")).await;
    for index in 0..60 {
        add(&world, "s", index).await;
    }
    let found = ask(&world, "", None).await.unwrap();
    assert_eq!(
        (&*found.metric, found.ended, found.results, found.best),
        ("loss", 60, 54, 54)
    );
    let first = &found.parameters[0];
    assert_eq!((&*first.parameter, first.active), ("x", 54));
    assert!(first.share > 0.8 && found.explained > 0.8, "{found:?}");
    assert_eq!((&*found.pairs[0].first, &*found.pairs[0].second), ("x", "y"));
    assert_eq!(
        ask(&world, "loss", Some(1.0)).await.unwrap(),
        found,
        "the same question, kept or not"
    );

    let other = ask(&world, "acc", None).await.unwrap();
    assert_eq!((&*other.metric, &*other.parameters[0].parameter), ("acc", "y"));
    let best = ask(&world, "", Some(0.5)).await.unwrap();
    assert_eq!((best.best, &*best.parameters[0].parameter), (27, "x"));

    add(&world, "s", 60).await;
    let after = ask(&world, "", None).await.unwrap();
    assert_eq!((after.ended, after.results), (61, 55));

    let over_http = send(
        &world,
        "GET",
        "/v1/studies/s/importance?metric=acc&quantile=0.5",
        &[],
        "",
    )
    .await
    .json();
    assert_eq!(over_http["parameters"][0]["parameter"], "y", "{over_http}");
    assert_eq!(over_http["best"], "28");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_answered_is_refused_with_what_is_missing() {
    let world = World::start().await;
    world.create(study("s")).await;
    for index in 0..21 {
        add(&world, "s", index).await;
    }
    let few = "there are 19 results, and at least 20 are needed";
    refused(
        ask(&world, "", None).await,
        Code::FailedPrecondition,
        "TOO_FEW_RESULTS",
        few,
    );
    add(&world, "s", 21).await;
    let few = "the best 5 of 20 results are too few, at least 20 are needed";
    refused(
        ask(&world, "", Some(0.25)).await,
        Code::FailedPrecondition,
        "TOO_FEW_RESULTS",
        few,
    );
    refused(
        ask(&world, "los", None).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "name one of loss, acc",
    );
    for quantile in [0.0, 1.5, f64::NAN] {
        refused(
            ask(&world, "", Some(quantile)).await,
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            "quantile",
        );
    }
}
