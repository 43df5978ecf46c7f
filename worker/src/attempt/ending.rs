//! How an attempt ended, put together from what the supervisor saw and what the program said.

use std::time::Duration;

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tunesmith_common::checkpoint::Checkpoint;
use tunesmith_common::clock::Timestamp;
use tunesmith_common::id::LeaseKey;
use tunesmith_common::usage::UsageSeries;
use tunesmith_common::worker::{AttemptEnd, AttemptOutcome, MAX_LOG_TAIL, MAX_WARNINGS, StopCause};

use super::folder::Folder;
use super::records::{Exit, How, Launch, StopWhy};

/// Exit status that says: these parameters can never work.
const INFEASIBLE_STATUS: i32 = 78;
const SIGKILL: i32 = 9;
/// Longest warning that is passed on, in bytes.
const MAX_WARNING: usize = 500;
/// What programs print when memory runs out, of the machine or of its device.
const OUT_OF_MEMORY: [&[u8]; 7] = [
    b"CUDA out of memory",
    b"torch.cuda.OutOfMemoryError",
    b"torch.OutOfMemoryError",
    b"CUDA_ERROR_OUT_OF_MEMORY",
    b"MemoryError",
    b"std::bad_alloc",
    b"Out of memory",
];

/// An end as it is kept in the spool.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct StoredEnd {
    lease: LeaseKey,
    last_seq: u64,
    ended_at: Timestamp,
    outcome: StoredOutcome,
    stopped: Option<StoredCause>,
    infeasible: Option<String>,
    out_of_memory: bool,
    peak_memory: u64,
    log_tail: String,
    warnings: Vec<String>,
    #[serde(default)]
    checkpoint: Option<Checkpoint>,
    #[serde(default)]
    usage: UsageSeries,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredOutcome {
    Exited(i32),
    Signalled(i32),
    LaunchFailed(String),
    Lost(String),
    HandedBack,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredCause {
    Asked,
    MaxRuntime(Duration),
}

impl From<&AttemptEnd> for StoredEnd {
    fn from(end: &AttemptEnd) -> Self {
        Self {
            lease: end.lease,
            last_seq: end.last_seq,
            ended_at: end.ended_at,
            outcome: match &end.outcome {
                AttemptOutcome::Exited(code) => StoredOutcome::Exited(*code),
                AttemptOutcome::Signalled(signal) => StoredOutcome::Signalled(*signal),
                AttemptOutcome::LaunchFailed(text) => StoredOutcome::LaunchFailed(text.clone()),
                AttemptOutcome::Lost(text) => StoredOutcome::Lost(text.clone()),
                AttemptOutcome::HandedBack => StoredOutcome::HandedBack,
            },
            stopped: end.stop_cause.map(|cause| match cause {
                StopCause::Asked => StoredCause::Asked,
                StopCause::MaxRuntime(limit) => StoredCause::MaxRuntime(limit),
            }),
            infeasible: end.infeasible.clone(),
            out_of_memory: end.out_of_memory,
            peak_memory: end.peak_memory,
            log_tail: end.log_tail.clone(),
            warnings: end.warnings.clone(),
            checkpoint: end.checkpoint.clone(),
            usage: end.usage.clone(),
        }
    }
}

impl From<StoredEnd> for AttemptEnd {
    fn from(end: StoredEnd) -> Self {
        Self {
            lease: end.lease,
            last_seq: end.last_seq,
            ended_at: end.ended_at,
            outcome: match end.outcome {
                StoredOutcome::Exited(code) => AttemptOutcome::Exited(code),
                StoredOutcome::Signalled(signal) => AttemptOutcome::Signalled(signal),
                StoredOutcome::LaunchFailed(text) => AttemptOutcome::LaunchFailed(text),
                StoredOutcome::Lost(text) => AttemptOutcome::Lost(text),
                StoredOutcome::HandedBack => AttemptOutcome::HandedBack,
            },
            stop_cause: end.stopped.map(|cause| match cause {
                StoredCause::Asked => StopCause::Asked,
                StoredCause::MaxRuntime(limit) => StopCause::MaxRuntime(limit),
            }),
            infeasible: end.infeasible,
            out_of_memory: end.out_of_memory,
            peak_memory: end.peak_memory,
            log_tail: end.log_tail,
            warnings: end.warnings,
            checkpoint: end.checkpoint,
            usage: end.usage,
        }
    }
}

/// The end of an attempt of which nothing lives and everything was read.
///
/// `has_objectives`: whether there is a point of the metric of each objective; a program that ends well without one is quoted like
/// one that failed. What it used is not known here.
pub(super) fn end_of(
    folder: &Folder,
    launch: &Launch,
    exit: &Exit,
    last_seq: u64,
    has_objectives: bool,
    mut warnings: Vec<String>,
    checkpoint: Option<Checkpoint>,
) -> AttemptEnd {
    let outcome = outcome(launch, exit);
    let said = std::fs::read_to_string(folder.infeasible()).ok();
    let infeasible = match outcome {
        AttemptOutcome::Exited(INFEASIBLE_STATUS) => {
            Some(said.unwrap_or_else(|| "exit status 78".to_owned()))
        }
        _ => said,
    };
    let well = matches!(outcome, AttemptOutcome::Exited(0));
    let output = if well && has_objectives {
        Vec::new()
    } else {
        last_output(folder, well)
    };
    let failed = matches!(&outcome, AttemptOutcome::Exited(code) if *code != 0)
        || matches!(outcome, AttemptOutcome::Signalled(_));
    let says_so = || OUT_OF_MEMORY.iter().any(|pattern| contains(&output, pattern));
    let killed_for_memory =
        exit.oom_killed && matches!(exit.how, How::Signalled(SIGKILL)) && exit.stopped.is_none();
    if exit.leftovers > 0 {
        warnings.push(format!(
            "{} processes outlived the program and were killed",
            exit.leftovers
        ));
    }
    AttemptEnd {
        lease: launch.lease,
        last_seq,
        ended_at: exit.ended_at,
        stop_cause: match exit.stopped {
            Some(StopWhy::Asked) => Some(StopCause::Asked),
            Some(StopWhy::MaxRuntime) => Some(StopCause::MaxRuntime(launch.max_runtime.unwrap_or_default())),
            _ => None,
        },
        infeasible,
        out_of_memory: killed_for_memory || (failed && says_so()),
        peak_memory: exit.peak_memory,
        log_tail: lossy_tail(&output),
        warnings: warnings
            .into_iter()
            .take(MAX_WARNINGS)
            .map(|warning| cut(warning, MAX_WARNING))
            .collect(),
        outcome,
        checkpoint,
        usage: UsageSeries::default(),
    }
}

fn outcome(launch: &Launch, exit: &Exit) -> AttemptOutcome {
    match (&exit.how, exit.stopped) {
        (_, Some(StopWhy::Stale)) => AttemptOutcome::Lost("the lease was no longer valid: killed".to_owned()),
        (How::LaunchFailed(text), _) => AttemptOutcome::LaunchFailed(text.clone()),
        (How::Lost(text), _) => AttemptOutcome::Lost(text.clone()),
        (_, Some(StopWhy::Drain)) | (How::NotStarted, _) => AttemptOutcome::HandedBack,
        (_, Some(StopWhy::Orphaned)) => AttemptOutcome::Lost(format!(
            "stopped: no worker daemon for {} s",
            launch.orphan_timeout.as_secs()
        )),
        (_, Some(StopWhy::Signal)) => AttemptOutcome::Lost(
            "stopped: its supervisor was told to end, as when a machine shuts down".to_owned(),
        ),
        (How::Exited(code), _) => AttemptOutcome::Exited(*code),
        (How::Signalled(signal), _) => AttemptOutcome::Signalled(*signal),
    }
}

fn contains(text: &[u8], pattern: &[u8]) -> bool {
    text.windows(pattern.len()).any(|window| window == pattern)
}

/// The last output of the program, half of the space for each of its outputs if both need it. What explains the end comes last: an
/// error of the program stands in its standard error, a metric that is missing was to be in its standard output.
fn last_output(folder: &Folder, metric_is_missing: bool) -> Vec<u8> {
    let (out, err) = (folder.stdout(), folder.stderr());
    let length = |path: &Path| std::fs::metadata(path).map_or(0, |metadata| metadata.len());
    let limit = MAX_LOG_TAIL as u64;
    let half = limit / 2;
    let for_err = length(&err).min(half.max(limit.saturating_sub(length(&out))));
    let mut first = read_tail(&out, limit - for_err).unwrap_or_default();
    let mut last = read_tail(&err, for_err).unwrap_or_default();
    if metric_is_missing {
        std::mem::swap(&mut first, &mut last);
    }
    if !first.is_empty() && !last.is_empty() && !first.ends_with(b"\n") {
        first.push(b'\n');
    }
    first.extend(last);
    first
}

/// The last bytes of a file, from the beginning of a line on if there is one.
fn read_tail(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let length = file.metadata()?.len();
    let start = length.saturating_sub(limit);
    let mut bytes = vec![0; usize::try_from(length - start).map_err(io::Error::other)?];
    let mut read = 0;
    while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, start + read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    bytes.truncate(read);
    if start > 0
        && let Some(newline) = bytes.iter().position(|byte| *byte == b'\n')
        && newline + 1 < bytes.len()
    {
        bytes.drain(..=newline);
    }
    Ok(bytes)
}

/// `bytes` as text; what is no text takes more space, so that the beginning may have to go.
fn lossy_tail(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes).replace('\0', "\u{fffd}");
    let mut start = text.len().saturating_sub(MAX_LOG_TAIL);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    text[start..].to_owned()
}

fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        let mut end = limit;
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use tunesmith_common::usage::UsageSample;

    use super::*;

    #[test]
    fn both_outputs_are_quoted_within_the_limit_and_from_the_beginning_of_a_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::at(dir.path());
        std::fs::write(folder.stdout(), format!("{}\nlast of out", "o".repeat(100_000))).unwrap();
        std::fs::write(folder.stderr(), "err\n".repeat(100_000)).unwrap();
        let text = lossy_tail(&last_output(&folder, false));
        assert!(
            text.starts_with("last of out\nerr\n") && text.ends_with("err\n"),
            "{}",
            &text[..40]
        );
        assert!(text.len() <= MAX_LOG_TAIL && text.len() > MAX_LOG_TAIL / 2 - 10);

        std::fs::write(folder.stdout(), [0xff; MAX_LOG_TAIL]).unwrap();
        std::fs::write(folder.stderr(), "").unwrap();
        let text = lossy_tail(&last_output(&folder, false));
        assert!(text.len() <= MAX_LOG_TAIL && text.starts_with('\u{fffd}'));
    }

    #[test]
    fn an_end_reads_back_from_the_spool() {
        let end = AttemptEnd {
            lease: LeaseKey {
                study: tunesmith_common::StudyId(uuid::Uuid::from_u128(1)),
                trial: tunesmith_common::TrialNumber(2),
                attempt: tunesmith_common::Attempt(3),
                id: tunesmith_common::LeaseId(uuid::Uuid::from_u128(4)),
            },
            last_seq: 5,
            ended_at: Timestamp::from_micros(6),
            outcome: AttemptOutcome::Signalled(11),
            stop_cause: Some(StopCause::MaxRuntime(Duration::from_millis(1_500))),
            infeasible: Some("too wide".to_owned()),
            out_of_memory: true,
            peak_memory: 7,
            log_tail: "last \u{0} words".to_owned(),
            warnings: vec!["w".to_owned()],
            checkpoint: None,
            usage: UsageSeries::new(
                1,
                1,
                vec![UsageSample {
                    seconds: 3,
                    ..Default::default()
                }],
            )
            .unwrap(),
        };
        let bytes = serde_json::to_vec(&StoredEnd::from(&end)).unwrap();
        let stored: StoredEnd = serde_json::from_slice(&bytes).unwrap();
        assert_eq!(AttemptEnd::from(stored), end);
    }
}
