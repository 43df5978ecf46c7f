//! Tests of the training loop on small networks, without processes and signals.

use std::cell::Cell;
use std::path::Path;

use clap::Parser;

use super::*;
use crate::cli::Args;

fn config(arguments: &[&str]) -> Config {
    let small = [
        "digits",
        "--width=8",
        "--depth=1",
        "--copies=0",
        "--batch=64",
        "--seed=3",
        "--checkpoint-every=2",
    ];
    Config::try_from(Args::try_parse_from([&small, arguments].concat()).unwrap()).unwrap()
}

fn train(config: &Config, stop: &dyn Fn() -> bool) -> (Vec<String>, Result<Outcome, TrainError>) {
    let mut out = Vec::new();
    let outcome = run(config, &Dataset::load().unwrap(), &mut out, stop);
    (
        String::from_utf8(out)
            .unwrap()
            .lines()
            .map(ToOwned::to_owned)
            .collect(),
        outcome,
    )
}

fn names(root: &Path) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(root)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Stopped at epoch 3 and continued, with everything that has a state: dropout, momentum or moments, moved copies.
#[test]
fn a_resumed_run_prints_what_an_uninterrupted_one_prints() {
    for optimizer in ["sgd", "adam"] {
        let root = tempfile::tempdir().unwrap();
        let arguments = [
            "--epochs=6",
            "--dropout=0.2",
            "--copies=1",
            "--lr=0.01",
            "--optimizer",
            optimizer,
            "--weight-decay=0.01",
        ];
        let mut config = config(&arguments);
        let (whole, outcome) = train(&config, &|| false);
        assert_eq!((whole.len(), outcome.unwrap()), (6, Outcome::Finished));

        config.checkpoint_dir = Some(root.path().to_owned());
        let asked = Cell::new(0);
        let (first, outcome) = train(&config, &|| asked.replace(asked.get() + 1) == 2);
        let checkpoint = root.path().join("step-3");
        assert_eq!(outcome.unwrap(), Outcome::Stopped(3, Some(checkpoint.clone())));
        config.resume_from = Some(checkpoint);
        let (second, outcome) = train(&config, &|| false);
        assert_eq!(outcome.unwrap(), Outcome::Finished);
        assert_eq!([first, second].concat(), whole, "{optimizer}");
        assert_eq!(names(root.path()), ["step-4", "step-6"]);
    }
}

#[test]
fn seeds_differ_and_a_seed_repeats() {
    let lines = |seed: u64| {
        train(
            &Config {
                seed,
                ..config(&["--epochs=1"])
            },
            &|| false,
        )
        .0
    };
    assert_eq!(lines(1), lines(1));
    assert_ne!(lines(1), lines(2));
}

/// The weights stay as they are, so that only an epoch's own random numbers can make a difference.
#[test]
fn each_epoch_has_random_numbers_of_its_own() {
    let (lines, _) = train(&config(&["--lr=1e-300", "--dropout=0.5", "--epochs=3"]), &|| {
        false
    });
    let reports: Vec<EpochReport> = lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let losses: Vec<u64> = reports.iter().map(|report| report.loss.to_bits()).collect();
    assert!(
        losses[0] != losses[1] && losses[1] != losses[2] && losses[0] != losses[2],
        "{lines:?}"
    );
}

#[test]
fn a_finished_checkpoint_gives_its_last_line_again() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(&["--epochs=3"]);
    config.checkpoint_dir = Some(root.path().to_owned());
    let (lines, _) = train(&config, &|| false);
    config.resume_from = Some(root.path().join("step-3"));
    let (again, outcome) = train(&config, &|| false);
    assert_eq!(
        (again.as_slice(), outcome.unwrap()),
        (&lines[2..], Outcome::Finished)
    );
}

#[test]
fn a_diverged_run_says_so_and_leaves_no_checkpoint() {
    let root = tempfile::tempdir().unwrap();
    let mut config = config(&["--lr=1e300", "--checkpoint-every=1"]);
    config.checkpoint_dir = Some(root.path().join("checkpoints"));
    let (lines, outcome) = train(&config, &|| false);
    assert_eq!(outcome.unwrap(), Outcome::Diverged(1));
    assert!(
        lines.len() == 1 && lines[0].contains("\"val_loss\": NaN"),
        "{lines:?}"
    );
    assert!(!root.path().join("checkpoints").exists());
}

#[test]
fn a_checkpoint_of_another_network_is_infeasible_but_other_settings_may_change() {
    let root = tempfile::tempdir().unwrap();
    let mut first = config(&["--epochs=1"]);
    first.checkpoint_dir = Some(root.path().to_owned());
    train(&first, &|| false).1.unwrap();
    for (argument, expected) in [
        ("--width=9", "1 hidden layer of 8 units (relu)"),
        ("--activation=tanh", "(tanh)"),
        ("--optimizer=adam", "optimizer sgd"),
    ] {
        let mut other = config(&[argument]);
        other.resume_from = Some(root.path().join("step-1"));
        let (lines, outcome) = train(&other, &|| false);
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, TrainError::Infeasible(_)) && error.to_string().contains(expected),
            "{error}"
        );
        assert!(lines.is_empty());
    }
    let mut other = config(&[
        "--epochs=2",
        "--lr=0.001",
        "--momentum=0.1",
        "--batch=128",
        "--dropout=0.5",
    ]);
    other.resume_from = Some(root.path().join("step-1"));
    assert_eq!(train(&other, &|| false).1.unwrap(), Outcome::Finished);
}

/// Every image as it is and `copies` moved ones, so that all have the same weight in an epoch.
#[test]
fn an_epoch_shows_each_image_equally_often() {
    let order = shuffled(50, 3, &mut rng(1, 1));
    for image in 0..50 {
        let shown: Vec<Shift> = order
            .iter()
            .filter(|shown| shown.0 == image)
            .map(|shown| shown.1)
            .collect();
        assert_eq!(shown.len(), 4);
        assert!(shown.contains(&Shift::NONE));
    }
    assert!(order.iter().any(|shown| shown.1 == Shift { down: -1, right: 1 }));
    assert_ne!(
        order,
        shuffled(50, 3, &mut rng(1, 2)),
        "each epoch has its own order"
    );
}
