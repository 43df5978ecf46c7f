//! Rules tried on a study, as a person uses that.

use super::*;

#[test]
fn a_back_test_shows_what_would_have_been_stopped_the_best_first() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    let rule = "{rule: asha, reduction: 4}";
    let ended = fake
        .run(&["study", "backtest", "digits", "--rule", "median", "--rule", rule])
        .expect_code(0);
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert_eq!(
        lines[0],
        "rule 1, median of val_acc: judged 9 reports, stopped 2 trials"
    );
    let row = |index: usize| lines[index].split_whitespace().collect::<Vec<&str>>();
    assert_eq!(row(3)[..8], ["5", "median", "3", "0.5", "0.75", "3", "9", "1"]);
    assert_eq!(row(4)[..7], ["2", "median", "3", "0.5", "-", "-", "9"]);
    assert_eq!(
        lines[6..],
        [
            "2 of 12 trials with points would have been stopped; 4 of them were really stopped early, and count only up to there.",
            "Saved: 18 of 120 steps (15 %), 3 min of 20 min of training, 0.1 of 2.0 GPU hours.",
            "Best: trial 7 with 0.875, with the rules as without.",
            "The best of those stopped, trial 5 with 0.75, was number 3 of 11 in the end.",
        ]
    );
    let sent = memory.lock().backtests[0].early_stopping.clone();
    let names: Vec<(&str, Option<u32>)> = sent
        .iter()
        .map(|rule| (rule.rule.as_str(), rule.reduction))
        .collect();
    assert_eq!(names, [("median", None), ("asha", Some(4))]);

    fake.run(&["study", "backtest", "digits"]).expect_code(0);
    assert!(
        memory.lock().backtests[1].early_stopping.is_empty(),
        "the study's own"
    );
    let json = fake
        .run(&["--output", "json", "study", "backtest", "digits"])
        .expect_code(0);
    let answer: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(answer["stops"][1]["decision"]["rule"], "median");
}

#[test]
fn a_rule_that_is_wrong_is_refused_before_anything_is_asked() {
    let folder = tempfile::tempdir().unwrap();
    let (memory, fake) = with_study(folder.path());
    for (rule, said) in [
        (
            "hyperband",
            "  early_stopping[0].rule: unknown value \"hyperband\"",
        ),
        (
            "{rule: percentile, keep: 0}",
            "early_stopping[0].keep: must be between 0 and 100",
        ),
        ("{rule: median", "not well-formed YAML"),
    ] {
        let ended = fake
            .run(&["study", "backtest", "digits", "--rule", rule])
            .expect_code(2);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    assert!(memory.lock().backtests.is_empty());
}
