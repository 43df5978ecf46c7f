//! A training program for tests: prints what it is told to print, and writes down, where the auditor finds it, everything that it
//! printed and every signal that it saw. Started by workers as `tunesmith-probe`.
//!
//! `--steps`, `--pause` (milliseconds after each step), `--hold-at` (a step at which to wait until the test says go), `--open-end` (go on
//! after the last step until then), `--crash-at` (a step) with `--crash-code` and `--crash-attempts` (only so many), `--exit-code`,
//! `--checkpoint-every`, `--silent` (no metrics), `--garbage`, `--ignore-term`, `--child` (leaves one behind).
//!
//! Each line of the record is written before what it tells of is done, so that a kill at any point leaves a record of at least
//! what was printed. Options are `--key=value`; those it does not know are hyperparameters and ignored, but for `x`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "printing is what a training does"
)]
#![expect(clippy::unwrap_used, reason = "a test program that cannot go on panics")]

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use tunesmith_e2e::probe_value;

/// How long a child lives that nobody ends.
const LINGER: Duration = Duration::from_secs(300);
/// How often a training looks whether it may go on.
const LOOK: Duration = Duration::from_millis(10);

struct Record(Option<File>);

impl Record {
    fn open(attempt: u32) -> Self {
        let folder = std::env::var_os("RECORD_DIR").map(PathBuf::from);
        let trial = std::env::var("TUNESMITH_TRIAL").unwrap_or_default();
        Self(folder.map(|folder| {
            let path = folder.join(format!("{trial}-{attempt}.jsonl"));
            File::options().create(true).append(true).open(path).unwrap()
        }))
    }

    fn write(&mut self, fact: &Value) {
        if let Some(file) = &mut self.0 {
            // One write each: the file is shared with children.
            file.write_all(format!("{fact}\n").as_bytes()).unwrap();
        }
    }
}

struct Options(HashMap<String, String>);

impl Options {
    fn of_this_process() -> Self {
        let arguments = std::env::args().skip(1);
        Self(
            arguments
                .filter_map(|argument| {
                    let argument = argument.strip_prefix("--")?;
                    let (key, value) = argument.split_once('=').unwrap_or((argument, ""));
                    Some((key.to_owned(), value.to_owned()))
                })
                .collect(),
        )
    }

    fn has(&self, key: &str) -> bool {
        self.0.contains_key(key)
    }

    fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(&self, key: &str, default: T) -> T {
        self.0.get(key).map_or(default, |text| text.parse().unwrap())
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let options = Options::of_this_process();
    let attempt: u32 = std::env::var("TUNESMITH_ATTEMPT").map_or(1, |text| text.parse().unwrap());
    let mut record = Record::open(attempt);
    if options.has("linger") {
        return linger(&mut record).await;
    }
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    record.write(&json!({"fact": "start", "pid": std::process::id()}));
    if options.has("child") {
        start_child();
    }
    if options.has("garbage") {
        print_garbage();
    }
    let (code, signalled) = tokio::select! {
        biased;
        _ = terminate.recv(), if !options.has("ignore-term") => (0, true),
        code = train(&options, attempt, Record::open(attempt)) => (code, false),
    };
    if signalled {
        record.write(&json!({"fact": "signal", "signal": "TERM"}));
    }
    record.write(&json!({"fact": "end", "code": code}));
    ExitCode::from(code)
}

async fn train(options: &Options, attempt: u32, mut record: Record) -> u8 {
    let steps: i64 = options.number("steps", 10);
    let pause = Duration::from_millis(options.number("pause", 20));
    let x: f64 = options.number("x", 0.5);
    let (crash_at, crash_attempts) = (
        options.number("crash-at", i64::MAX),
        options.number("crash-attempts", u32::MAX),
    );
    let (hold_at, every) = (
        options.number("hold-at", i64::MAX),
        options.number("checkpoint-every", i64::MAX),
    );
    let gate = PathBuf::from(std::env::var_os("RECORD_DIR").unwrap_or_default()).join("go");
    let first = resumed_step() + 1;
    for step in first.. {
        // An open end goes on beyond the last step until the test lets it end.
        if step > steps && (gate.exists() || !options.has("open-end")) {
            break;
        }
        while step >= hold_at && !gate.exists() {
            tokio::time::sleep(LOOK).await;
        }
        if step == crash_at && attempt <= crash_attempts {
            record.write(&json!({"fact": "crash", "step": step}));
            eprintln!("Traceback: the loss went through the roof");
            return options.number("crash-code", 3);
        }
        if !options.has("silent") {
            let score = probe_value(x, step);
            for (metric, value) in [("score", score), ("loss", 1.0 - score)] {
                record.write(&json!({"fact": "point", "metric": metric, "step": step, "value": value}));
                println!("{}", json!({"metric": metric, "value": value, "step": step}));
            }
        } else {
            println!("step {step} done");
        }
        if step % every == 0 {
            save_checkpoint(step);
        }
        tokio::time::sleep(pause).await;
    }
    options.number("exit-code", 0)
}

/// The step of the checkpoint to go on from; 0 if there is none.
fn resumed_step() -> i64 {
    let Some(path) = std::env::var_os("TUNESMITH_RESUME_FROM").map(PathBuf::from) else {
        return 0;
    };
    fs::read_to_string(path.join("step"))
        .unwrap()
        .trim()
        .parse()
        .unwrap()
}

fn save_checkpoint(step: i64) {
    let folder = PathBuf::from(std::env::var_os("TUNESMITH_CHECKPOINT_DIR").unwrap());
    let unfinished = folder.join(format!("step-{step}.tmp"));
    fs::create_dir_all(&unfinished).unwrap();
    fs::write(unfinished.join("step"), step.to_string()).unwrap();
    fs::rename(&unfinished, folder.join(format!("step-{step}"))).unwrap();
}

/// What programs print that nobody should choke on: bytes that are no text, a line that begins like a metric, a very long one.
fn print_garbage() {
    let mut out = std::io::stdout().lock();
    out.write_all(b"\x00\xff\xfe\x80 \x1b[31mred\x1b[0m\r\n{\"metric\": \n{\"metric\": \"score\", \"value\": {}}\n[[[[[[\n").unwrap();
    out.write_all(&vec![b'x'; 3 << 20]).unwrap();
    out.write_all(b"\n").unwrap();
    out.flush().unwrap();
}

/// A child in a session of its own that outlives this program and does not care for SIGTERM.
#[expect(clippy::zombie_processes, reason = "that it is left behind is what is tested")]
fn start_child() {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new("setsid");
    command.arg(program).arg("--linger").stdin(Stdio::null());
    command.spawn().unwrap();
}

async fn linger(record: &mut Record) -> ExitCode {
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    record.write(&json!({"fact": "child", "pid": std::process::id()}));
    let ignore = async { while terminate.recv().await.is_some() {} };
    // Ends in any case, so that a broken worker does not fill the machine.
    let _ = tokio::time::timeout(LINGER, ignore).await;
    ExitCode::SUCCESS
}
