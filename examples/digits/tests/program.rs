//! The program as a tuner meets it: environment variables, signals, exit codes, lines on stdout.
//!
//! What the numbers are is tested beside the training loop.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};

/// Options of a network so small that an epoch takes milliseconds even without compiler optimisation.
const SMALL: [&str; 5] = ["--width=4", "--depth=1", "--copies=0", "--batch=200", "--lr=0.1"];

fn digits(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_digits"));
    command
        .args(SMALL)
        .args(arguments)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    for name in ["SEED", "CHECKPOINT_DIR", "RESUME_FROM", "STOP_FILE"] {
        command.env_remove(format!("TUNESMITH_{name}"));
    }
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// Waits for the end of `child`, whose stdout is read here from `stdout` on.
fn rest(mut child: Child, mut stdout: BufReader<std::process::ChildStdout>) -> (Option<i32>, String, String) {
    let (mut lines, mut messages) = (String::new(), String::new());
    stdout.read_to_string(&mut lines).unwrap();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut messages)
        .unwrap();
    (child.wait().unwrap().code(), lines, messages)
}

/// Epochs of a run that is to be stopped: seconds of work, so that a run nobody stops fails its test and does not hang.
const LONG: usize = 1_000;

/// Starts a long run and returns it once its first line has arrived.
fn long_run(root: &Path, stop_file: Option<&Path>) -> (Child, BufReader<std::process::ChildStdout>, String) {
    let mut command = digits(&[&format!("--epochs={LONG}"), "--checkpoint-every=1000000"]);
    command.env("TUNESMITH_CHECKPOINT_DIR", root);
    if let Some(file) = stop_file {
        command.env("TUNESMITH_STOP_FILE", file);
    }
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first = String::new();
    stdout.read_line(&mut first).unwrap();
    assert!(
        first.starts_with("{\"epoch\": 1, "),
        "lines come at once, not at the end: {first}"
    );
    (child, stdout, first)
}

/// The number of epochs printed, if each epoch from 1 on has its line.
fn epochs(lines: &str) -> usize {
    for (index, line) in lines.lines().enumerate() {
        assert!(
            line.starts_with(&format!("{{\"epoch\": {}, \"val_acc\": ", index + 1)),
            "{line}"
        );
    }
    lines.lines().count()
}

#[test]
fn sigterm_ends_with_a_checkpoint_of_the_last_epoch_printed() {
    let root = tempfile::tempdir().unwrap();
    let (child, stdout, first) = long_run(root.path(), None);
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    let (code, lines, messages) = rest(child, stdout);
    let last = epochs(&(first + &lines));
    assert_eq!(code, Some(0), "{messages}");
    assert!(
        messages.starts_with(&format!("stopped after epoch {last} as asked")),
        "{messages}"
    );
    assert!(root.path().join(format!("step-{last}/manifest.json")).exists());
}

#[test]
fn the_stop_file_ends_with_a_checkpoint_too() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("stop");
    let (child, stdout, first) = long_run(&root.path().join("checkpoints"), Some(&file));
    std::fs::write(&file, "").unwrap();
    let (code, lines, messages) = rest(child, stdout);
    let last = epochs(&(first + &lines));
    assert_eq!(code, Some(0), "{messages}");
    assert!(
        messages.starts_with(&format!("stopped after epoch {last} as asked")),
        "{messages}"
    );
    assert!(
        root.path()
            .join(format!("checkpoints/step-{last}/manifest.json"))
            .exists()
    );
}

/// `kill -9` at a moment nobody chose, then the newest checkpoint: together the numbers of an uninterrupted run.
#[test]
fn a_killed_run_goes_on_from_its_newest_checkpoint_with_the_same_numbers() {
    const EPOCHS: usize = 60;
    let total = format!("--epochs={EPOCHS}");
    let whole = stdout(&digits(&[&total]).env("TUNESMITH_SEED", "9").output().unwrap());
    assert_eq!(epochs(&whole), EPOCHS);

    let root = tempfile::tempdir().unwrap();
    let mut child = digits(&[&total, "--checkpoint-every=1"])
        .env("TUNESMITH_SEED", "9")
        .env("TUNESMITH_CHECKPOINT_DIR", root.path())
        .spawn()
        .unwrap();
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    for _ in 0..5 {
        reader.read_line(&mut String::new()).unwrap();
    }
    child.kill().unwrap();
    child.wait().unwrap();

    let newest = std::fs::read_dir(root.path())
        .unwrap()
        .filter_map(|entry| {
            entry
                .unwrap()
                .file_name()
                .to_str()?
                .strip_prefix("step-")?
                .parse::<usize>()
                .ok()
        })
        .max()
        .unwrap();
    assert!(
        (4..=EPOCHS).contains(&newest),
        "the line of epoch 5 means that epoch 4 is saved; found {newest}"
    );
    let resumed = digits(&[&total])
        .env("TUNESMITH_SEED", "9")
        .env(
            "TUNESMITH_RESUME_FROM",
            root.path().join(format!("step-{newest}")),
        )
        .output()
        .unwrap();
    let expected: Vec<&str> = whole.lines().skip(newest.min(EPOCHS - 1)).collect();
    assert_eq!(stdout(&resumed).lines().collect::<Vec<_>>(), expected);
}

#[test]
fn exit_codes_tell_wrong_usage_impossible_points_and_lost_files_apart() {
    for (arguments, code, message) in [
        (
            &["--lr=0"][..],
            2,
            "invalid value '0' for '--lr <LR>': must be finite and above 0",
        ),
        (&["--optimiser=sgd"], 2, "unexpected argument '--optimiser'"),
        (
            &["--batch=1201"],
            78,
            "error: --batch 1201 is larger than the training set of 1200 images",
        ),
        (
            &["--optimizer=adam", "--momentum=0.5"],
            78,
            "error: --momentum 0.5 has no meaning with --optimizer adam",
        ),
        (
            &["--resume-from=/nowhere/step-3"],
            1,
            "error: cannot read /nowhere/step-3/manifest.json: No such file",
        ),
        (
            &["--checkpoint-dir=/dev/null/x", "--epochs=1"],
            1,
            "error: cannot create /dev/null/x: ",
        ),
    ] {
        let output = digits(arguments).output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(message), "{arguments:?}: {text}");
    }
}

#[test]
fn a_diverged_run_prints_nan_and_ends_well() {
    let output = digits(&["--lr=1e300", "--width=64"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).ends_with("\"val_loss\": NaN, \"loss\": NaN}\n"),
        "{}",
        stdout(&output)
    );
    assert_eq!(
        String::from_utf8(output.stderr).unwrap(),
        "training diverged in epoch 1\n"
    );
}
