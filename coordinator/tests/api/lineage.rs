//! Studies that come from others: what they know from the start, and zooms.

use std::sync::Arc;

use tonic::Code;
use tunesmith_coordinator::store::{MemoryStore, Store};
use tunesmith_proto::v1;

use crate::support::{World, number, parameters, refused, replayed, request_id, soon, spec};

fn float(name: &str, low: f64, high: f64) -> v1::Parameter {
    v1::Parameter {
        name: name.to_owned(),
        r#type: "float".to_owned(),
        low: Some(low),
        high: Some(high),
        ..Default::default()
    }
}

pub(crate) fn study(name: &str, strategy: &str, history: &[&str]) -> v1::StudySpec {
    v1::StudySpec {
        space: vec![float("x", 0.0, 1.0), float("y", 0.0, 1.0)],
        strategy: Some(v1::Strategy {
            name: strategy.to_owned(),
            seed: Some(7),
            history: history.iter().map(|&name| name.to_owned()).collect(),
            ..Default::default()
        }),
        ..spec(name)
    }
}

pub(crate) fn coordinate(parameters: Option<&pbjson_types::Struct>, name: &str) -> f64 {
    match parameters.unwrap().fields[name].kind.clone() {
        Some(pbjson_types::value::Kind::NumberValue(value)) => value,
        other => panic!("{name} is {other:?}"),
    }
}

/// The better the nearer to (0.3, 0.8).
pub(crate) fn loss(parameters: Option<&pbjson_types::Struct>) -> f64 {
    (coordinate(parameters, "x") - 0.3).powi(2) + (coordinate(parameters, "y") - 0.8).powi(2)
}

/// Runs so many trials in pairs, of which the second ends first; every seventh fails.
pub(crate) async fn run(world: &World, study: &str, trials: u64) -> Vec<v1::Trial> {
    let mut told = Vec::new();
    let mut open = Vec::new();
    for trial in 1..=trials {
        open.push((trial, soon(world.ask(study)).await));
        if open.len() < 2 && trial < trials {
            continue;
        }
        while let Some((trial, asked)) = open.pop() {
            let asked_trial = asked.trial.unwrap();
            let value = loss(asked_trial.parameters.as_ref());
            let fails = trial % 7 == 0;
            let request = v1::TellTrialRequest {
                name: asked_trial.name,
                lease: asked.lease,
                value: (!fails).then_some(value),
                failed: fails,
                ..Default::default()
            };
            let answer = world.trials().tell_trial(request).await.unwrap();
            told.push(answer.into_inner().trial.unwrap());
        }
    }
    told
}

async fn history(world: &World, study: &str) -> Vec<v1::PriorTrial> {
    let mut request = v1::ListHistoryRequest {
        name: format!("studies/{study}"),
        page_size: 7,
        ..Default::default()
    };
    let mut trials = Vec::new();
    loop {
        let page = world
            .studies()
            .list_history(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.trials.len() <= 7);
        trials.extend(page.trials);
        if page.next_page_token.is_empty() {
            return trials;
        }
        request.page_token = page.next_page_token;
    }
}

async fn same_again(world: &World, study: &str) -> u64 {
    let answer = replayed(world, study, 0).await;
    assert_eq!(answer.differences, []);
    answer.same
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_begins_where_the_one_that_it_knows_has_found_the_best() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::default());
    let mut world = World::on(Arc::clone(&store)).await;
    world.create(study("wide", "random", &[])).await;
    let wide = run(&world, "wide", 40).await;
    let inside = |trial: &&v1::Trial| coordinate(trial.parameters.as_ref(), "x") <= 0.5;
    let expected: Vec<u64> = wide.iter().filter(inside).map(|trial| trial.number).collect();
    for strategy in ["gp", "tpe", "cmaes", "evolution"] {
        let mut narrow = study(strategy, strategy, &["wide"]);
        narrow.space[0].high = Some(0.5);
        narrow.parent = "wide".to_owned();
        let made = world.create(narrow).await;
        assert_eq!(made.parent.unwrap().name, "studies/wide");
        let source = &made.history[0];
        assert_eq!(source.study.as_ref().unwrap().name, "studies/wide");
        assert_eq!(
            (source.taken, source.left_out),
            (expected.len() as u64, 40 - expected.len() as u64)
        );
        let known = history(&world, strategy).await;
        let numbers: Vec<u64> = known.iter().map(|trial| trial.number).collect();
        assert_eq!(numbers, expected, "in the order in which they ended");
        let failed = known
            .iter()
            .filter(|trial| trial.state() == v1::TrialState::Failed)
            .count();
        assert!(failed > 0 && known.iter().all(|trial| trial.study == "wide"));
        let first = run(&world, strategy, 6).await;
        let provenance = first[0].provenance.clone().unwrap();
        assert_eq!(
            provenance.results,
            expected.len() as u64,
            "the history counts as seen"
        );
        let World { running, folder, .. } = world;
        running.stop().await;
        world = World::again(Arc::clone(&store), folder).await;
        run(&world, strategy, 6).await;
        // With a restart in their midst.
        assert_eq!(same_again(&world, strategy).await, 12);
        let found = world.study(strategy).await;
        assert_eq!(found.counts.unwrap().completed + found.counts.unwrap().failed, 12);
        assert_eq!(found.history, made.history);
        // Nothing near it without what is known: ten points are spread over the space first.
        let best = first
            .iter()
            .filter_map(|trial| trial.value)
            .fold(f64::INFINITY, f64::min);
        assert!(best < 0.02, "{strategy}: {best}");
    }
    // What it knows is its own, also for a call that is repeated later.
    let call = v1::CreateStudyRequest {
        spec: Some(study("late", "gp", &["wide"])),
        request_id: request_id(),
        ..Default::default()
    };
    let create = async || {
        let made = world.studies().create_study(call.clone()).await.unwrap();
        made.into_inner().study.unwrap()
    };
    let made = create().await;
    let stop = v1::StopStudyRequest {
        name: "studies/wide".to_owned(),
    };
    world.studies().stop_study(stop).await.unwrap();
    let delete = v1::DeleteStudyRequest {
        name: "studies/wide".to_owned(),
    };
    world.studies().delete_study(delete).await.unwrap();
    assert_eq!(history(&world, "gp").await.len(), expected.len());
    assert_eq!(same_again(&world, "gp").await, 12);
    assert_eq!(create().await.uid, made.uid);
}

#[tokio::test(flavor = "multi_thread")]
async fn schedules_begin_with_given_points_draw_their_share_at_random_and_know_what_others_found() {
    let world = World::on(Arc::new(MemoryStore::default())).await;
    world.create(study("first", "random", &[])).await;
    run(&world, "first", 12).await;
    for (schedule, sampler) in [
        ("asha", "random"),
        ("asha", "gp"),
        ("hyperband", "sobol"),
        ("hyperband", "tpe"),
        ("bohb", ""),
    ] {
        let name = format!("{schedule}-{sampler}").trim_end_matches('-').to_owned();
        let mut scheduled = study(&name, schedule, &["first"]);
        let strategy = scheduled.strategy.as_mut().unwrap();
        strategy.sampler = sampler.to_owned();
        (strategy.min_steps, strategy.max_steps, strategy.reduction) = (Some(1), Some(9), Some(3));
        let given = parameters(&[("x", 0.25), ("y", 0.75)]);
        strategy.initial = given.clone().into_iter().collect();
        strategy.random_share = Some(0.5);
        assert_eq!(world.create(scheduled).await.history[0].taken, 12, "{name}");
        let trials = run(&world, &name, 12).await;
        let first = trials.iter().find(|trial| trial.number == 1).unwrap();
        assert_eq!(first.parameters, given, "{name}");
        let (mut drawn, mut own) = (0, 0);
        for trial in trials.iter().filter(|trial| trial.number > 1) {
            let provenance = trial.provenance.as_ref().unwrap();
            assert!(provenance.results >= 12, "{name}: {provenance:?}");
            if provenance.note == "drawn at random, as a baseline" {
                drawn += 1;
            } else {
                own += 1;
            }
        }
        assert!(drawn > 0 && own > 0, "{name}: {drawn} {own}");
        assert_eq!(same_again(&world, &name).await, 12, "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_study_names_must_be_there_and_have_its_values() {
    let world = World::start().await;
    world.create(study("wide", "random", &[])).await;
    run(&world, "wide", 3).await;
    let create = async |spec: v1::StudySpec| {
        let request = v1::CreateStudyRequest {
            spec: Some(spec),
            ..Default::default()
        };
        world.studies().create_study(request).await
    };
    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let missing = study("a", "gp", &["wide", "other"]);
    let text = "strategy.history[1]: there is no study other; correct the name, or remove it";
    refused(create(missing).await, invalid.0, invalid.1, text);
    let mut orphan = study("a", "gp", &[]);
    orphan.parent = "other".to_owned();
    refused(
        create(orphan).await,
        invalid.0,
        invalid.1,
        "parent: there is no study other",
    );
    let mut best = study("a", "gp", &["wide"]);
    best.objective.as_mut().unwrap().from = "best".to_owned();
    let text = "strategy.history[0]: study wide has no values of the objective loss (the smallest), only of loss (last)";
    refused(create(best).await, invalid.0, invalid.1, text);

    // Brought from elsewhere with what it knows, a study's relatives need not be here.
    let prior = |study: &str, x: f64, state: v1::TrialState| v1::PriorTrial {
        study: study.to_owned(),
        number: 3,
        state: state.into(),
        parameters: parameters(&[("x", x), ("y", 0.5)]),
        value: Some(0.5),
        ..Default::default()
    };
    let done = v1::TrialState::Completed;
    let bring = |history: Vec<v1::PriorTrial>, id: &str| {
        let mut spec = study("brought", "gp", &["other", "wide"]);
        spec.parent = "other".to_owned();
        v1::CreateStudyRequest {
            spec: Some(spec),
            request_id: id.to_owned(),
            detached: true,
            history,
            ..Default::default()
        }
    };
    for (wrong, text) in [
        (
            prior("nobody", 0.5, done),
            "history[1].study: \"nobody\" is not in spec.strategy.history",
        ),
        (prior("other", 1.5, done), "history[1].parameters: "),
        (
            prior("other", 0.5, v1::TrialState::Cancelled),
            "history[1].state: must be COMPLETED",
        ),
        (
            v1::PriorTrial {
                more_values: vec![v1::OptionalValue::default()],
                ..prior("other", 0.5, done)
            },
            "history[1].more_values: has 1 entries, but the study has 0",
        ),
    ] {
        let request = bring(vec![prior("other", 0.5, done), wrong], "");
        refused(
            world.studies().create_study(request).await,
            invalid.0,
            invalid.1,
            text,
        );
    }
    let (id, known) = (
        request_id(),
        vec![
            prior("other", 0.25, done),
            prior("wide", 0.75, v1::TrialState::Failed),
        ],
    );
    for _ in 0..2 {
        let made = world
            .studies()
            .create_study(bring(known.clone(), &id))
            .await
            .unwrap()
            .into_inner()
            .study
            .unwrap();
        let relative = |source: &v1::HistorySource| source.study.clone().unwrap();
        assert_eq!(made.parent.as_ref().unwrap().uid, "", "it was never here");
        assert!(relative(&made.history[0]).uid.is_empty() && !relative(&made.history[1]).uid.is_empty());
        assert_eq!((made.history[0].taken, made.history[1].taken), (1, 1));
        assert_eq!(history(&world, "brought").await, known);
    }
    let other_content = bring(known[..1].to_vec(), &id);
    let again = world.studies().create_study(other_content).await;
    refused(again, Code::AlreadyExists, "ALREADY_EXISTS", "with other content");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_zoom_lies_around_the_best_trials_and_knows_those_that_lie_in_it() {
    let world = World::start().await;
    let mut wide = study("wide", "random", &[]);
    wide.space.push(v1::Parameter {
        name: "opt".to_owned(),
        r#type: "categorical".to_owned(),
        choices: ["sgd", "adam"]
            .map(|name| pbjson_types::Value::from(name.to_owned()))
            .into(),
        ..Default::default()
    });
    world.create(wide).await;
    let zoom = async |request: v1::PlanZoomRequest| {
        let request = v1::PlanZoomRequest {
            name: "studies/wide".to_owned(),
            ..request
        };
        world
            .studies()
            .plan_zoom(request)
            .await
            .map(tonic::Response::into_inner)
    };
    let early = zoom(v1::PlanZoomRequest::default()).await;
    refused(
        early,
        Code::FailedPrecondition,
        "NO_RESULT",
        "study wide has no finished trial with a value",
    );
    let trials = run(&world, "wide", 60).await;
    let mut ranked: Vec<&v1::Trial> = trials.iter().filter(|trial| trial.value.is_some()).collect();
    ranked.sort_by(|a, b| a.value.unwrap().total_cmp(&b.value.unwrap()));

    let plan = zoom(v1::PlanZoomRequest::default()).await.unwrap();
    let best: Vec<u64> = ranked[..6].iter().map(|trial| trial.number).collect();
    assert_eq!(plan.trials, best, "a tenth of those with a value");
    let child = plan.spec.unwrap();
    assert_eq!(
        (child.name.as_str(), child.parent.as_str()),
        ("wide-zoom", "wide")
    );
    assert_eq!(child.strategy.as_ref().unwrap().history, ["wide"]);
    let bounds = |spec: &v1::StudySpec, index: usize| {
        (spec.space[index].low.unwrap(), spec.space[index].high.unwrap())
    };
    for (index, name) in ["x", "y"].into_iter().enumerate() {
        let (low, high) = bounds(&child, index);
        let values = ranked[..6]
            .iter()
            .map(|trial| coordinate(trial.parameters.as_ref(), name));
        let least = values.clone().fold(f64::INFINITY, f64::min);
        let most = values.fold(f64::NEG_INFINITY, f64::max);
        assert!((low - (least - 0.1).max(0.0)).abs() < 0.01 && (high - (most + 0.1).min(1.0)).abs() < 0.01);
    }
    let made = world.create(child).await;
    assert_eq!(
        (made.history[0].taken, made.history[0].left_out),
        (plan.taken, plan.left_out)
    );
    assert!(plan.taken >= 6 && plan.taken + plan.left_out == 60);
    assert_eq!(run(&world, "wide-zoom", 3).await.len(), 3);

    // The next name is another one; ranges go before trials; the parent's history comes along.
    let ranges = vec![
        v1::ZoomRange {
            parameter: "x".to_owned(),
            low: Some(number(0.25)),
            high: None,
            choices: vec![],
        },
        v1::ZoomRange {
            parameter: "opt".to_owned(),
            choices: vec![pbjson_types::Value::from("adam".to_owned())],
            ..Default::default()
        },
    ];
    let request = v1::PlanZoomRequest {
        around_trial: best[0],
        margin: Some(0.05),
        ranges: ranges.clone(),
        ..Default::default()
    };
    let plan = zoom(request).await.unwrap();
    let child = plan.spec.unwrap();
    assert_eq!(
        (child.name.as_str(), &plan.trials[..]),
        ("wide-zoom-2", &best[..1])
    );
    assert_eq!(
        (bounds(&child, 0), child.space[2].r#type.as_str()),
        ((0.25, 1.0), "constant")
    );
    let y = coordinate(ranked[0].parameters.as_ref(), "y");
    assert!((bounds(&child, 1).0 - (y - 0.05)).abs() < 0.01);
    let only = v1::PlanZoomRequest {
        ranges,
        ..Default::default()
    };
    let plan = zoom(only).await.unwrap();
    assert_eq!(
        (plan.trials.len(), bounds(plan.spec.as_ref().unwrap(), 1)),
        (0, (0.0, 1.0))
    );
    let of_child = v1::PlanZoomRequest {
        name: "studies/wide-zoom".to_owned(),
        ..Default::default()
    };
    let plan = world.studies().plan_zoom(of_child).await.unwrap().into_inner();
    assert_eq!(
        plan.spec.unwrap().strategy.unwrap().history,
        ["wide-zoom", "wide"]
    );

    let invalid = (Code::InvalidArgument, "INVALID_ARGUMENT");
    let empty = v1::ZoomRange {
        parameter: "x".to_owned(),
        ..Default::default()
    };
    let outside = v1::ZoomRange {
        low: Some(number(2.0)),
        ..empty.clone()
    };
    for (request, text) in [
        (
            v1::PlanZoomRequest {
                margin: Some(1.5),
                ..Default::default()
            },
            "margin: must be from 0 to 1, got 1.5",
        ),
        (
            v1::PlanZoomRequest {
                best: 3,
                around_trial: 1,
                ..Default::default()
            },
            "best: is given together with around_trial",
        ),
        (
            v1::PlanZoomRequest {
                ranges: vec![empty],
                ..Default::default()
            },
            "ranges[0]: is empty",
        ),
        (
            v1::PlanZoomRequest {
                ranges: vec![outside],
                ..Default::default()
            },
            "ranges.x: 2 is above 1; exchange them",
        ),
        (
            v1::PlanZoomRequest {
                study: "a/b".to_owned(),
                ..Default::default()
            },
            "study: '/' at position 2",
        ),
    ] {
        refused(zoom(request).await, invalid.0, invalid.1, text);
    }
    let taken = v1::PlanZoomRequest {
        study: "wide".to_owned(),
        ..Default::default()
    };
    refused(
        zoom(taken).await,
        Code::AlreadyExists,
        "ALREADY_EXISTS",
        "study wide exists already",
    );
    let nobody = v1::PlanZoomRequest {
        around_trial: 99,
        ..Default::default()
    };
    refused(zoom(nobody).await, Code::NotFound, "NOT_FOUND", "trial 99");
}
