//! Zooms, slices, and studies that know the trials of others, as a person uses them.

use super::*;

#[test]
fn a_zoom_is_planned_changed_and_submitted_or_printed() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let mut zoom = vec![
        "study",
        "zoom",
        "digits",
        "--best",
        "2",
        "--margin",
        "0.2",
        "--range",
        "lr=1e-4..0.01",
    ];
    zoom.extend(["--set", "strategy.name=random", "--print"]);
    let printed = fake.run(&zoom).expect_code(0);
    let file: serde_json::Value = serde_json::from_str(&printed.stdout).unwrap();
    assert_eq!(file["name"], "digits-zoom");
    assert_eq!(file["parent"], "digits");
    assert_eq!(file["strategy"]["name"], "random");
    assert_eq!(file["strategy"]["history"], serde_json::json!(["digits"]));
    for said in [
        "around its trials 3, 1; 12 trials lie in it, 30 do not",
        "momentum is left out",
    ] {
        assert!(printed.stderr.contains(said), "{}", printed.stderr);
    }
    {
        let state = memory.lock();
        assert_eq!(state.studies.len(), 1, "nothing was submitted");
        let asked = &state.zooms[0];
        assert_eq!((asked.best, asked.around_trial, asked.margin), (2, 0, Some(0.2)));
        assert_eq!(
            (asked.ranges.len(), asked.ranges[0].parameter.as_str()),
            (1, "lr")
        );
    }
    let made = fake
        .run(&["study", "zoom", "digits", "--around", "7", "--name", "closer"])
        .expect_code(0);
    assert!(
        made.stdout.contains("tunesmith study watch closer"),
        "{}",
        made.stdout
    );
    let state = memory.lock();
    assert!(state.studies.contains_key("studies/closer"));
    assert_eq!(
        (state.zooms[1].around_trial, state.zooms[1].study.as_str()),
        (7, "closer")
    );
    drop(state);
    let refused = fake
        .run(&["study", "zoom", "digits", "--range", "lr"])
        .expect_code(2);
    assert!(
        refused.stderr.contains("write NAME=LOW..HIGH"),
        "{}",
        refused.stderr
    );
}

#[test]
fn a_slice_shows_what_is_expected_of_each_value() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let ended = fake
        .run(&[
            "study",
            "slice",
            "digits",
            "--next",
            "--parameter",
            "lr",
            "--points",
            "2",
        ])
        .expect_code(0);
    assert!(
        ended.stdout.contains("Next would be tried: lr=0.07."),
        "{}",
        ended.stdout
    );
    let rows: Vec<Vec<&str>> = ended
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    let asked = memory.lock().slices[0].clone();
    assert_eq!((asked.trial, asked.next), (0, true));
    fake.run(&["study", "slice", "digits", "--trial", "7", "--next"])
        .expect_code(2);
    fake.run(&[
        "study",
        "slice",
        "digits",
        "--trial",
        "7",
        "--parameter",
        "lr",
        "--points",
        "2",
    ])
    .expect_code(0);
    assert_eq!(rows[3], ["lr", "VAL_ACC", "LOW", "HIGH", "LOG_EI"]);
    assert_eq!(rows[4], ["0.001", "0.5", "0.25", "0.75", "-3.5"]);
    assert_eq!(rows[5], ["0.1", "0.75", "0.7", "0.8", "-1.25", "<"]);
    let asked = memory.lock().slices[1].clone();
    assert_eq!(
        (asked.trial, asked.points, &asked.parameters[..]),
        (7, 2, &["lr".to_owned()][..])
    );
}

#[test]
fn importance_shows_what_matters_and_how_far_to_trust_it() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let all = fake.run(&["study", "importance", "digits"]).expect_code(0);
    let rows: Vec<Vec<&str>> = all
        .stdout
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        all.stdout.lines().next(),
        Some("Importance for val_acc of 40 results: unseen results are explained to 80 %.")
    );
    assert_eq!(rows[3], ["lr", "60", "%", "5", "%", "##################", "all"]);
    assert_eq!(rows[4], ["momentum", "10", "%", "5", "%", "###", "12"]);
    assert_eq!(rows[7], ["lr", "x", "momentum", "20", "%", "1", "%", "######"]);
    let best = [
        "study",
        "importance",
        "digits",
        "--metric",
        "val_acc",
        "--best",
        "0.25",
    ];
    let best = fake.run(&best).expect_code(0);
    assert!(
        best.stdout
            .contains("among the best 10 are explained to 10 %, so the shares are little more than chance."),
        "{}",
        best.stdout
    );
    let asked = memory.lock().importances.clone();
    assert_eq!((asked[0].quantile, &*asked[0].metric), (None, ""));
    assert_eq!((asked[1].quantile, &*asked[1].metric), (Some(0.25), "val_acc"));
}

#[test]
fn an_export_has_the_trials_of_others_and_an_import_brings_them_along() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let prior = |number| pb::PriorTrial {
        study: "wide".to_owned(),
        number,
        state: pb::TrialState::Completed.into(),
        value: Some(0.5),
        ..Default::default()
    };
    {
        let mut state = memory.lock();
        state.history = vec![prior(1), prior(2)];
        let study = state.studies.get_mut("studies/digits").unwrap();
        study.history = vec![pb::HistorySource {
            study: Some(pb::Relative {
                name: "studies/wide".to_owned(),
                uid: String::new(),
            }),
            taken: 2,
            left_out: 1,
        }];
    }
    let shown = fake.run(&["study", "show", "digits"]).expect_code(0);
    let said = "2 trials of wide, without 1 outside of the space or without a value";
    assert!(shown.stdout.contains(said), "{}", shown.stdout);
    let file = folder.path().join("digits.json");
    let file = file.to_str().unwrap();
    let _ = fake
        .run(&["study", "export", "digits", "-o", file])
        .expect_code(0);
    memory.lock().history.clear();
    let _ = fake
        .run(&["study", "import", file, "--name", "copy"])
        .expect_code(0);
    let state = memory.lock();
    assert!(state.detached);
    assert_eq!(state.history, [prior(1), prior(2)]);
}
