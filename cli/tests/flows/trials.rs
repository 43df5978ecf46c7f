//! What people do to trials, and how they find them and their studies again.

use super::*;

#[test]
fn trials_are_added_noted_stopped_and_their_logs_read() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    memory.lock().log = b"epoch 1\nepoch 2\n".to_vec();
    assert_eq!(
        fake.run(&["trial", "logs", "digits/1"]).expect_code(0).stdout,
        "epoch 1\nepoch 2\n"
    );
    let ended = fake.run(&["trial", "show", "digits/2"]).expect_code(0);
    assert!(ended.stdout.contains("opt = adam"), "{}", ended.stdout);
    fake.run(&["trial", "add", "digits", "lr=0.02", "opt=sgd", "--note", "mine"])
        .expect_code(0);
    fake.run(&["trial", "note", "digits/2", "look here"])
        .expect_code(0);
    fake.run(&["trial", "stop", "digits/1"]).expect_code(0);
    fake.run(&["worker", "drain", "gpu1"]).expect_code(0);
    fake.run(&["worker", "resume", "gpu1"]).expect_code(0);
    let state = memory.lock();
    assert_eq!(
        state.calls,
        [
            "note studies/digits/trials/2 look here",
            "stop studies/digits/trials/1",
            "drain workers/gpu1 resume=false",
            "drain workers/gpu1 resume=true"
        ]
    );
    assert_eq!(
        (state.added[0].note.as_str(), state.added[0].result.is_none()),
        ("mine", true)
    );
}

#[test]
fn tags_are_given_shown_and_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let tagged = fake
        .run(&["trial", "tag", "digits/2", "good one", "b"])
        .expect_code(0);
    assert!(
        tagged.stdout.contains("digits/2 is tagged good one, b"),
        "{}",
        tagged.stdout
    );
    assert_eq!(memory.lock().calls, ["tag studies/digits/trials/2 good one,b"]);
    let numbers = |arguments: &[&str]| -> Vec<u64> {
        let ended = fake
            .run(&[&["trial", "list", "digits", "--output", "json"], arguments].concat())
            .expect_code(0);
        let list: pb::ListTrialsResponse = serde_json::from_str(&ended.stdout).unwrap();
        list.trials.iter().map(|trial| trial.number).collect()
    };
    assert!(numbers(&[]).len() > 1);
    assert_eq!(numbers(&["--tag", "good one", "--tag", "b"]), [2]);
    assert_eq!(numbers(&["--tag", "bad"]), [0; 0]);
    let list = fake
        .run(&["trial", "list", "digits", "--tag", "b"])
        .expect_code(0);
    assert!(
        list.stdout.contains("TAGS") && list.stdout.contains("good one, b"),
        "{}",
        list.stdout
    );
    let none = fake.run(&["trial", "tag", "digits/2"]).expect_code(0);
    assert!(none.stdout.contains("has no tags any more"), "{}", none.stdout);
}

#[test]
fn studies_are_listed_by_their_project() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let listed = |project: &str| {
        let ended = fake
            .run(&["study", "list", "--project", project, "--output", "json"])
            .expect_code(0);
        let list: pb::ListStudiesResponse = serde_json::from_str(&ended.stdout).unwrap();
        list.studies.len()
    };
    assert_eq!(listed("vision"), 0);
    memory.change_study(|study| {
        "vision".clone_into(&mut study.spec.get_or_insert_default().project);
    });
    assert_eq!((listed("vision"), listed("other")), (1, 0));
    let shown = fake.run(&["study", "show", "digits"]).expect_code(0);
    assert!(shown.stdout.contains("Project    vision"), "{}", shown.stdout);
}
