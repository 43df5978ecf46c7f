//! What the model of a study expects along its parameters.

use pbjson_types::Value;
use tonic::Code;
use tunesmith_proto::v1;

use crate::lineage::{coordinate, loss, run, study};
use crate::support::{World, number, refused, request_id, soon};

#[tokio::test(flavor = "multi_thread")]
async fn slices_tell_what_the_model_expects_and_why_a_point_was_proposed() {
    let world = World::start().await;
    let mut upside_down = study("digits", "gp", &[]);
    upside_down.objective.as_mut().unwrap().goal = v1::Goal::Maximize.into();
    world.create(upside_down).await;
    let slice = async |study: &str, trial: u64, parameters: &[&str], points: u32| {
        let request = v1::SliceStudyRequest {
            name: format!("studies/{study}"),
            trial,
            parameters: parameters.iter().map(|&name| name.to_owned()).collect(),
            points,
            next: false,
        };
        soon(async { world.studies().slice_study(request).await })
            .await
            .map(tonic::Response::into_inner)
    };
    let early = slice("digits", 0, &[], 5).await;
    refused(early, Code::FailedPrecondition, "NO_RESULT", "no best trial yet");
    // The larger the better: 1 less the loss. So many that the next one is not one of those that go elsewhere.
    for _ in 0..28 {
        let asked = soon(world.ask("digits")).await;
        let trial = asked.trial.unwrap();
        let request = v1::TellTrialRequest {
            name: trial.name,
            lease: asked.lease,
            value: Some(1.0 - loss(trial.parameters.as_ref())),
            ..Default::default()
        };
        world.trials().tell_trial(request).await.unwrap();
    }
    let now = slice("digits", 0, &[], 21).await.unwrap();
    assert_eq!(
        (now.strategy.as_str(), now.results, now.acquisition.as_str()),
        ("gp", 28, "mean")
    );
    let names: Vec<&str> = now.slices.iter().map(|slice| slice.parameter.as_str()).collect();
    assert_eq!(names, ["x", "y"]);
    for slice in &now.slices {
        let expected = &slice.objectives[0];
        assert_eq!(
            (
                expected.metric.as_str(),
                slice.values.len(),
                slice.acquisition.len()
            ),
            ("loss", 22, 22),
            "21, and that of the best trial"
        );
        for row in 0..22 {
            let parameters = {
                let mut parameters = now.parameters.clone().unwrap();
                parameters
                    .fields
                    .insert(slice.parameter.clone(), slice.values[row].clone());
                parameters
            };
            let (low, mean, high) = (expected.low[row], expected.mean[row], expected.high[row]);
            assert!(low <= mean && mean <= high && low < high);
            // A quadratic function after 28 results: what is expected around the best is what is so. How many results a proposal had seen depends
            // on how quick the model was, and so does where they are.
            let own = coordinate(now.parameters.as_ref(), &slice.parameter);
            let truth = 1.0 - loss(Some(&parameters));
            let is_near = (coordinate(Some(&parameters), &slice.parameter) - own).abs() < 0.11;
            assert!(
                !is_near || (mean - truth).abs() < 0.02,
                "{} {row}: {mean} {truth}",
                slice.parameter
            );
        }
    }
    // How far the most promising value is from that of the point which the slices go through.
    let missed_by = |slices: &v1::SliceStudyResponse, slice: &v1::Slice| {
        let own = coordinate(slices.parameters.as_ref(), &slice.parameter);
        let value = |row: usize| match slice.values[row].kind {
            Some(pbjson_types::value::Kind::NumberValue(value)) => value,
            _ => panic!("no number"),
        };
        let near = (0..slice.values.len())
            .min_by(|&a, &b| (value(a) - own).abs().total_cmp(&(value(b) - own).abs()))
            .unwrap();
        let most = (0..slice.values.len())
            .max_by(|&a, &b| slice.acquisition[a].total_cmp(&slice.acquisition[b]))
            .unwrap();
        (value(near) - value(most)).abs()
    };
    let is_chosen = |slices: &v1::SliceStudyResponse| {
        slices.chosen == slices.parameters
            && slices.slices.iter().all(|slice| missed_by(slices, slice) < 0.03)
    };
    // At its proposal each trial was the one chosen, and an early one the most promising point that there is; later ones may go elsewhere. A proposal
    // that took long may not have seen the newest results.
    for trial in 6..=20 {
        let then = slice("digits", trial, &[], 101).await.unwrap();
        assert!(
            then.results < trial && then.results + 5 >= trial,
            "trial {trial}: {then:?}"
        );
        assert_eq!(then.chosen, then.parameters, "trial {trial}");
        if trial == 6 {
            assert_eq!(then.acquisition, "log_ei");
            assert!(is_chosen(&then), "{then:?}");
        }
    }
    // As is what would be proposed next.
    let request = v1::SliceStudyRequest {
        name: "studies/digits".to_owned(),
        points: 101,
        next: true,
        ..Default::default()
    };
    let next = soon(async { world.studies().slice_study(request.clone()).await }).await;
    let next = next.unwrap().into_inner();
    assert_eq!(next.results, 28);
    assert!(is_chosen(&next), "{next:?}");
    assert_ne!(now.chosen, now.parameters, "the best is known already");
    assert_eq!(now.chosen, next.chosen);
    let both = v1::SliceStudyRequest { trial: 20, ..request };
    let both = world.studies().slice_study(both).await;
    refused(
        both,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "next: is given together with trial",
    );

    for (study, trial, parameters, points, code, reason, text) in [
        (
            "digits",
            1,
            &[][..],
            5,
            Code::FailedPrecondition,
            "NO_MODEL",
            "too few results",
        ),
        (
            "digits",
            0,
            &["z"][..],
            5,
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            "parameters[0]: there is no parameter \"z\"",
        ),
        (
            "digits",
            0,
            &[][..],
            1,
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            "points: must be from 2 to 1000",
        ),
        ("digits", 99, &[][..], 5, Code::NotFound, "NOT_FOUND", "trial 99"),
    ] {
        refused(slice(study, trial, parameters, points).await, code, reason, text);
    }
    world.create(study("chance", "random", &[])).await;
    run(&world, "chance", 12).await;
    let no_model = slice("chance", 0, &[], 5).await;
    refused(
        no_model,
        Code::FailedPrecondition,
        "NO_MODEL",
        "the strategy random has no model of the objective, only gp has",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn slices_run_along_categories_and_conditions_for_each_objective_as_it_is_measured() {
    let world = World::start().await;
    let mut both = study("both", "gp", &[]);
    both.more_objectives = vec![v1::Objective {
        metric: "acc".to_owned(),
        goal: v1::Goal::Maximize.into(),
        from: String::new(),
    }];
    let texts = |names: &[&str]| names.iter().map(|&name| Value::from(name.to_owned())).collect();
    both.space = vec![
        v1::Parameter {
            name: "kind".to_owned(),
            r#type: "categorical".to_owned(),
            choices: texts(&["good", "bad"]),
            ..Default::default()
        },
        both.space[0].clone(),
        v1::Parameter {
            name: "depth".to_owned(),
            r#type: "int".to_owned(),
            low: Some(1.0),
            high: Some(4.0),
            when: vec![v1::Condition {
                parent: "kind".to_owned(),
                values: texts(&["good"]),
            }],
            ..Default::default()
        },
    ];
    world.create(both).await;
    for k in 0..18_u32 {
        let x = (f64::from(k) * 0.618).fract();
        let depth = 1.0 + f64::from(k / 2 % 4);
        // Kind `good` has less loss, depth makes it more accurate.
        let (kind, more, loss, acc) = if k % 2 == 0 {
            ("good", Some(("depth", number(depth))), x, 0.5 + 0.1 * depth)
        } else {
            ("bad", None, 2.0 + x, 0.4)
        };
        let text = Value::from(kind.to_owned());
        let pairs = [("kind", text), ("x", number(x))].into_iter().chain(more);
        let fields = pairs.map(|(name, value)| (name.to_owned(), value)).collect();
        let request = v1::AddTrialRequest {
            parent: "studies/both".to_owned(),
            parameters: Some(pbjson_types::Struct { fields }),
            result: Some(v1::Result {
                values: [("loss".to_owned(), loss), ("acc".to_owned(), acc)].into(),
                ..Default::default()
            }),
            request_id: request_id(),
            ..Default::default()
        };
        world.trials().add_trial(request).await.unwrap();
    }
    // Of what is proposed next with all of these known, whatever was thought of while they came.
    let request = v1::SliceStudyRequest {
        name: "studies/both".to_owned(),
        points: 11,
        next: true,
        ..Default::default()
    };
    let slices = soon(async { world.studies().slice_study(request).await })
        .await
        .unwrap()
        .into_inner()
        .slices;
    let names: Vec<&str> = slices.iter().map(|slice| &*slice.parameter).collect();
    assert_eq!(names, ["kind", "x", "depth"]);
    for slice in &slices {
        let metrics: Vec<&str> = slice
            .objectives
            .iter()
            .map(|expected| &*expected.metric)
            .collect();
        assert_eq!(metrics, ["loss", "acc"]);
    }
    let means = |slice: usize, objective: usize| &slices[slice].objectives[objective].mean[..];
    assert_eq!(slices[0].values, texts(&["good", "bad"]));
    assert!(
        means(0, 0)[0] + 1.0 < means(0, 0)[1],
        "less loss: {:?}",
        means(0, 0)
    );
    assert!(
        means(0, 1)[0] > means(0, 1)[1] + 0.05,
        "more accurate: {:?}",
        means(0, 1)
    );
    assert_eq!(slices[2].values, [1.0, 2.0, 3.0, 4.0].map(Value::from));
    let accurate = means(2, 1);
    assert!(
        accurate.is_sorted() && accurate[3] > accurate[0] + 0.15,
        "{accurate:?}"
    );
}
