//! What people write on trials: notes and tags.

use serde_json::json;
use tonic::Code;
use tunesmith_proto::v1;

use crate::http::send;
use crate::support::{World, parameters, refused, spec};

#[tokio::test(flavor = "multi_thread")]
async fn tags_are_kept_changed_and_checked() {
    let world = World::start().await;
    world.create(spec("s")).await;
    let add = v1::AddTrialRequest {
        parent: "studies/s".to_owned(),
        parameters: parameters(&[("x", 0.5)]),
        tags: vec!["first".to_owned()],
        ..Default::default()
    };
    let trial = world
        .trials()
        .add_trial(add)
        .await
        .unwrap()
        .into_inner()
        .trial
        .unwrap();
    assert_eq!(trial.tags, ["first"]);
    let update = async |note: &str, tags: &[&str], paths: &[&str]| {
        let request = v1::UpdateTrialRequest {
            name: "studies/s/trials/1".to_owned(),
            note: note.to_owned(),
            tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
            update_mask: Some(pbjson_types::FieldMask {
                paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            }),
        };
        world
            .trials()
            .update_trial(request)
            .await
            .map(|answer| answer.into_inner().trial.unwrap())
    };
    let now = update("", &["good one", "b", "b"], &["tags"]).await.unwrap();
    assert_eq!(now.tags, ["good one", "b"]);
    let now = update("mine", &["lost"], &[]).await.unwrap();
    assert_eq!(
        (&*now.note, &now.tags[..]),
        ("mine", &["good one".to_owned(), "b".to_owned()][..]),
        "the note alone"
    );
    // One that has ended, which is not in memory.
    let asked = world.ask("s").await;
    assert_eq!(asked.trial.unwrap().tags, ["good one", "b"]);
    let tell = v1::TellTrialRequest {
        name: "studies/s/trials/1".to_owned(),
        value: Some(1.0),
        ..Default::default()
    };
    world.trials().tell_trial(tell).await.unwrap();
    let now = update("ended", &[], &["note", "tags"]).await.unwrap();
    assert_eq!((&*now.note, now.tags.len()), ("ended", 0));
    for (tags, what) in [
        (vec!["a,b"], "tags[0]"),
        (vec!["a", " b"], "tags[1]"),
        (vec![""], "tags[0]"),
        (vec!["a\nb"], "tags[0]"),
        (vec!["x"; 21], "at most 20"),
    ] {
        refused(
            update("", &tags, &["tags"]).await,
            Code::InvalidArgument,
            "INVALID_ARGUMENT",
            what,
        );
    }
    let long = "x".repeat(65);
    refused(
        update("", &[&long], &["tags"]).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "more than 64",
    );
    refused(
        update("", &[], &["state"]).await,
        Code::InvalidArgument,
        "INVALID_ARGUMENT",
        "only note and tags",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_mask_stands_in_the_address() {
    let world = World::start().await;
    world.create(spec("s")).await;
    world.ask("s").await;
    let patch = async |query: &str, body: serde_json::Value| {
        send(
            &world,
            "PATCH",
            &format!("/v1/studies/s/trials/1{query}"),
            &[],
            &body.to_string(),
        )
        .await
    };
    assert_eq!(
        patch("", json!({"note": "mine"})).await.json()["trial"]["note"],
        "mine"
    );
    let answer = patch("?update_mask=tags", json!({"tags": ["a", "b"]})).await;
    assert_eq!(
        (&answer.json()["trial"]["tags"], &answer.json()["trial"]["note"]),
        (&json!(["a", "b"]), &json!("mine"))
    );
    assert_eq!(
        patch("?update_mask=note,tags", json!({})).await.json()["trial"]["tags"],
        json!(null)
    );
    assert_eq!(patch("", json!({"state": 3})).await.status, 400);
}
