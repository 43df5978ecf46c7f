//! Study files while they are written: checked, changed, never created.

use serde_json::json;
use tonic::Code;
use tunesmith_proto::v1::{self, study_file_edit::Change};

use crate::http::send;
use crate::support::{World, refused, spec, spec_for_workers};

const TEXT: &str = "\
# Mine.
name: s
objective: {metric: loss, goal: minimize}
space:
  x: {type: float, low: 0, high: 1}   # any
budget: {trials: 8}
trial: {command: [train, \"--x={x}\"], steps: {name: epoch, max: 5}}
";

fn edit(path: &[&str], change: Change) -> v1::StudyFileEdit {
    v1::StudyFileEdit {
        path: path.iter().map(|part| (*part).to_owned()).collect(),
        change: Some(change),
    }
}

fn set(path: &[&str], value: &str) -> v1::StudyFileEdit {
    edit(path, Change::Set(value.to_owned()))
}

async fn check(world: &World, request: v1::CheckStudyRequest) -> v1::CheckStudyResponse {
    world.studies().check_study(request).await.unwrap().into_inner()
}

async fn check_text(world: &World, text: &str) -> v1::CheckStudyResponse {
    let text = text.to_owned();
    check(
        world,
        v1::CheckStudyRequest {
            text,
            ..Default::default()
        },
    )
    .await
}

/// Path, line and text of each problem.
fn problems(answer: &v1::CheckStudyResponse) -> Vec<(&str, u32, &str)> {
    let problems = answer.problems.iter();
    problems
        .map(|problem| (&*problem.path, problem.line, &*problem.text))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_file_is_understood_and_nothing_is_created() {
    let world = World::start().await;
    let answer = check_text(&world, TEXT).await;
    assert_eq!(problems(&answer), []);
    assert_eq!(answer.text, TEXT);
    let facts: Vec<String> = answer
        .facts
        .iter()
        .map(|fact| format!("{}: {}", fact.title, fact.text))
        .collect();
    assert!(
        facts.contains(&"At most: 40 epochs of training".to_owned()),
        "{facts:?}"
    );
    let low = answer
        .values
        .iter()
        .find(|value| value.path == ["space", "x", "low"])
        .unwrap();
    assert_eq!((&*low.text, low.quoted, low.line), ("0", false, 5));
    assert_eq!(
        answer
            .spec
            .as_ref()
            .unwrap()
            .strategy
            .clone()
            .unwrap_or_default()
            .seed,
        None,
        "it is drawn later"
    );
    assert!(
        world
            .studies()
            .list_studies(v1::ListStudiesRequest::default())
            .await
            .unwrap()
            .into_inner()
            .studies
            .is_empty()
    );
    // What is understood is what is created.
    let created = world.create(answer.spec.unwrap()).await.spec.unwrap();
    assert_eq!((&*created.name, created.budget.unwrap().trials), ("s", Some(8)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_written_as_a_text_reads_back_as_the_same() {
    let world = World::start().await;
    for (name, of) in [("a", spec("a")), ("b", spec_for_workers("b"))] {
        let stored = world.create(of).await.spec.unwrap();
        let request = v1::CheckStudyRequest {
            spec: Some(stored.clone()),
            edits: vec![set(&["name"], "other")],
            ..Default::default()
        };
        let first = check(&world, request).await;
        assert_eq!(problems(&first), [], "{name}");
        let again = v1::CheckStudyRequest {
            spec: first.spec.clone(),
            ..Default::default()
        };
        assert_eq!(check(&world, again).await.text, first.text, "{name}");
        let meant = v1::StudySpec {
            name: name.to_owned(),
            ..first.spec.unwrap()
        };
        assert_eq!(meant.space, stored.space);
        assert_eq!(meant.trial, stored.trial);
        assert_eq!(meant.strategy.unwrap().seed, stored.strategy.unwrap().seed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_problem_has_its_path_its_line_and_a_remedy() {
    let world = World::start().await;
    world.create(spec("taken")).await;
    let with = |from: &str, to: &str| TEXT.replace(from, to);
    for (text, path, line, what) in [
        (String::new(), "", 1, "is empty"),
        (with("{trials: 8}", "{trials: 8"), "", 7, "not well-formed YAML"),
        (with("low: 0", "hihg: 0"), "space.x", 5, "did you mean \"high\"?"),
        (with("low: 0", "low: much"), "space.x.low", 5, "expected a number"),
        (with("low: 0", "low: 5"), "space.x.low", 5, "exchange them"),
        (with("name: s\n", ""), "name", 2, "give the study one"),
        (
            with("name: s", "name: taken"),
            "name",
            2,
            "choose another name, such as taken-2",
        ),
        (
            with("budget: {trials: 8}", "parent: nobody"),
            "parent",
            6,
            "there is no study nobody; correct the name, or remove it",
        ),
        (
            with(
                "budget: {trials: 8}",
                "strategy: {name: random, history: [nobody]}",
            ),
            "strategy.history[0]",
            6,
            "remove it",
        ),
        (
            with("budget: {trials: 8}", "budget: {cost: 5}"),
            "budget.cost",
            6,
            "or remove this",
        ),
        (
            with("budget: {trials: 8}", "project: a/b"),
            "project",
            6,
            "is not allowed in a project name; use",
        ),
        (with("--x={x}", "--x={y}"), "trial.command[1]", 7, "{y}"),
    ] {
        let answer = check_text(&world, &text).await;
        let found = problems(&answer);
        assert!(
            found
                .iter()
                .any(|(p, l, t)| *p == path && *l == line && t.contains(what)),
            "{path} {line} {what}: {found:?}"
        );
        assert!(answer.spec.is_none() && answer.facts.is_empty());
        assert_eq!(answer.text, text, "what is wrong stays as it was written");
    }
    let several = with("low: 0", "low: 5").replace("goal: minimize", "goal: minimize, from: nowhere");
    assert_eq!(
        check_text(&world, &several).await.problems.len(),
        2,
        "all are told at once"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_everything_else_as_it_is_written() {
    let world = World::start().await;
    let change = async |edits: Vec<v1::StudyFileEdit>| {
        check(
            &world,
            v1::CheckStudyRequest {
                text: TEXT.to_owned(),
                edits,
                ..Default::default()
            },
        )
        .await
    };
    let answer = change(vec![
        set(&["space", "x", "high"], "2.5"),
        set(&["strategy", "name"], "random"),
        set(&["strategy", "seed"], "7"),
        edit(&["space", "x"], Change::Rename("lr".to_owned())),
        set(&["trial", "command"], "[train, \"--lr={lr}\"]"),
        edit(&["budget"], Change::Remove(true)),
    ])
    .await;
    assert_eq!(problems(&answer), []);
    assert_eq!(
        answer.text,
        "# Mine.\nname: s\nobjective: {metric: loss, goal: minimize}\nspace:\n  lr: {type: float, low: 0, high: 2.5}\n\
         trial:\n  command: [train, \"--lr={lr}\"]\n  steps: {name: epoch, max: 5}\nstrategy: {name: random, seed: 7}\n"
    );
    // A name alone, as a study file may have it.
    let text = TEXT.replace("budget: {trials: 8}", "strategy: random");
    let request = v1::CheckStudyRequest {
        text,
        edits: vec![set(&["strategy", "seed"], "3")],
        ..Default::default()
    };
    let answer = check(&world, request).await;
    assert_eq!(problems(&answer), []);
    assert!(
        answer.text.contains("strategy: {name: random, seed: 3}\n"),
        "{}",
        answer.text
    );
    // What cannot be done is told, and nothing after it is done.
    let answer = change(vec![set(&["name"], "[1"), set(&["budget", "trials"], "9")]).await;
    assert_eq!(answer.text, TEXT);
    let [problem] = &answer.problems[..] else {
        panic!("{:?}", answer.problems)
    };
    assert_eq!(problem.path, "name");
    let nothing = v1::StudyFileEdit {
        path: vec!["name".to_owned()],
        change: None,
    };
    let request = v1::CheckStudyRequest {
        text: TEXT.to_owned(),
        edits: vec![nothing],
        ..Default::default()
    };
    refused(
        world.studies().check_study(request).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "edits[0].change",
    );
    let edits = vec![set(&["name"], "a"); 1_001];
    let request = v1::CheckStudyRequest {
        text: TEXT.to_owned(),
        edits,
        ..Default::default()
    };
    refused(
        world.studies().check_study(request).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "at most 1000",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_may_change_of_a_study_is_told_before_it_does() {
    let world = World::start().await;
    let stored = world.create(spec_for_workers("s")).await.spec.unwrap();
    let change = async |edits: Vec<v1::StudyFileEdit>| {
        let request = v1::CheckStudyRequest {
            spec: Some(stored.clone()),
            edits,
            study: "studies/s".to_owned(),
            ..Default::default()
        };
        check(&world, request).await
    };
    let answer = change(vec![]).await;
    assert_eq!(problems(&answer), [], "its name is not taken by itself");
    assert!(answer.changed.is_empty());
    let answer = change(vec![
        set(&["budget", "trials"], "9"),
        set(&["trial", "max_runtime"], "5m"),
        set(&["project"], "p"),
    ])
    .await;
    assert_eq!(problems(&answer), []);
    assert_eq!(answer.changed, ["project", "budget", "trial.max_runtime"]);
    let mask = pbjson_types::FieldMask {
        paths: answer.changed,
    };
    let request = v1::UpdateStudyRequest {
        name: "studies/s".to_owned(),
        spec: answer.spec,
        update_mask: Some(mask),
    };
    let now = world
        .studies()
        .update_study(request)
        .await
        .unwrap()
        .into_inner()
        .study
        .unwrap()
        .spec
        .unwrap();
    assert_eq!((&*now.project, now.budget.unwrap().trials), ("p", Some(9)));
    let answer = change(vec![set(&["space", "x", "low"], "-5")]).await;
    let [(path, _, text)] = problems(&answer)[..] else {
        panic!("{:?}", answer.problems)
    };
    assert_eq!(path, "space");
    assert!(text.ends_with("clone the study instead"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_study_file_is_checked_over_http_beside_a_study_of_any_name() {
    let world = World::start().await;
    let body = json!({"text": TEXT, "edits": [{"path": ["budget", "trials"], "set": "3"}]}).to_string();
    let answer = send(&world, "POST", "/v1/studies:check", &[], &body).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_eq!(answer.json()["spec"]["budget"]["trials"], "3");
    assert_eq!(
        send(
            &world,
            "POST",
            "/v1/studies:check",
            &[("authorization", "")],
            &body
        )
        .await
        .status,
        401
    );
    world.create(spec("check")).await;
    assert_eq!(
        send(&world, "GET", "/v1/studies/check", &[], "").await.status,
        200
    );
}
