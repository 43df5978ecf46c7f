//! The socket through which a program reports and asks whether to stop: one JSON object per line, one answer per line.
//!
//! ```text
//! {"op": "report", "metrics": {"loss": 0.1}, "step": 3}   {"ok":true,"should_stop":false,"reason":null}
//! {"op": "should_stop"}                                   {"ok":true,"should_stop":true,"reason":"median: ..."}
//! {"op": "infeasible", "reason": "too wide"}              {"ok":true,"should_stop":false,"reason":null}
//! nonsense                                                {"ok":false,"error":"..."}
//! ```
//!
//! A report is in the spool before it is answered. Values may be strings that hold a number, and `NaN` and infinities as Python
//! writes them. Unknown keys are ignored. Nobody but the worker's own user, and root, is listened to.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunesmith_common::measurement::MetricName;
use tunesmith_common::metrics::{MAX_READINGS_PER_LINE, parse_step, parse_value, quote_bare_words};

use super::folder::Folder;

/// Longest request, newline included.
const MAX_REQUEST: u64 = 64 * 1024;
/// Programs, or parts of one, that may be connected at the same time.
const MAX_CONNECTIONS: usize = 64;
/// Longest path that fits the address of a socket, without its final zero.
const MAX_PATH: usize = 107;
/// Longest reason that is kept, in characters.
const MAX_REASON: usize = 2_000;

/// What a program says.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Operation {
    Report {
        values: Vec<(MetricName, f64)>,
        step: Option<i64>,
    },
    ShouldStop,
    Infeasible(String),
}

/// A request on its way to the attempt.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) operation: Operation,
    pub(super) answer: oneshot::Sender<Answer>,
}

/// What a program is told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Done {
        ok: bool,
        should_stop: bool,
        reason: Option<String>,
    },
    Refused {
        ok: bool,
        error: String,
    },
}

impl Answer {
    /// Done; and the reason to stop, if there is one.
    pub(super) fn done(reason: Option<String>) -> Self {
        Self::Done {
            ok: true,
            should_stop: reason.is_some(),
            reason,
        }
    }

    pub(super) fn refused(error: impl Into<String>) -> Self {
        Self::Refused {
            ok: false,
            error: error.into(),
        }
    }
}

/// Where to listen for the attempt in `folder`: there if the path is short enough for a socket, else in a new folder of its own
/// among the temporary files.
pub(super) fn place(folder: &Folder) -> io::Result<PathBuf> {
    let path = folder.socket();
    if path.as_os_str().len() <= MAX_PATH {
        return Ok(path);
    }
    let mut random = [0_u8; 8];
    getrandom::fill(&mut random).map_err(io::Error::other)?;
    let dir = std::env::temp_dir().join(format!("tunesmith-{:016x}", u64::from_le_bytes(random)));
    std::os::unix::fs::DirBuilderExt::mode(&mut std::fs::DirBuilder::new(), 0o700).create(&dir)?;
    Ok(dir.join("socket"))
}

/// Removes a socket, and its folder if it has one of its own.
pub(super) fn remove(path: &Path, folder: &Folder) {
    // It may never have been made.
    let _ = std::fs::remove_file(path);
    if let Some(dir) = path.parent().filter(|dir| *dir != folder.path()) {
        let _ = std::fs::remove_dir(dir);
    }
}

/// Listens at `path`, in the place of a daemon that is gone.
pub(super) fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(path)?;
    listener.set_nonblocking(true)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Serves programs until `shutdown`.
pub(super) async fn serve(
    listener: UnixListener,
    requests: mpsc::Sender<Request>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&free).acquire_owned().await else {
            return;
        };
        let accepted = tokio::select! {
            () = shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, most likely: others will end.
            tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            continue;
        };
        if !is_ours(&stream) {
            continue;
        }
        let (requests, shutdown) = (requests.clone(), shutdown.clone());
        tasks.spawn(async move {
            // An error is the program going away.
            tokio::select! {
                () = shutdown.cancelled() => {}
                _ = converse(stream, requests) => {}
            }
            drop(permit);
        });
    }
}

fn is_ours(stream: &UnixStream) -> bool {
    let us = rustix::process::geteuid().as_raw();
    stream
        .peer_cred()
        .is_ok_and(|peer| peer.uid() == us || peer.uid() == 0)
}

async fn converse(mut stream: UnixStream, requests: mpsc::Sender<Request>) -> io::Result<()> {
    let (read, mut write) = stream.split();
    let mut read = BufReader::new(read);
    let mut line = Vec::new();
    loop {
        line.clear();
        let length = (&mut read).take(MAX_REQUEST).read_until(b'\n', &mut line).await?;
        if length == 0 {
            return Ok(());
        }
        let too_long = length as u64 == MAX_REQUEST && !line.ends_with(b"\n");
        let answer = if too_long {
            Answer::refused(format!("a request has at most {MAX_REQUEST} bytes"))
        } else {
            match parse(&line) {
                Ok(operation) => ask(&requests, operation).await,
                Err(error) => Answer::refused(error),
            }
        };
        let mut text = serde_json::to_vec(&answer)?;
        text.push(b'\n');
        write.write_all(&text).await?;
        if too_long {
            return Ok(());
        }
    }
}

async fn ask(requests: &mpsc::Sender<Request>, operation: Operation) -> Answer {
    let (answer, answered) = oneshot::channel();
    let gone = || Answer::refused("the attempt has ended");
    match requests.send(Request { operation, answer }).await {
        Ok(()) => answered.await.unwrap_or_else(|_| gone()),
        Err(_) => gone(),
    }
}

fn parse(line: &[u8]) -> Result<Operation, String> {
    let text = std::str::from_utf8(line).map_err(|_| "a request is UTF-8".to_owned())?;
    let request: Value =
        serde_json::from_str(&quote_bare_words(text)).map_err(|error| format!("no JSON: {error}"))?;
    match request.get("op").and_then(Value::as_str) {
        Some("report") => report(&request),
        Some("should_stop") => Ok(Operation::ShouldStop),
        Some("infeasible") => {
            let reason = request
                .get("reason")
                .and_then(Value::as_str)
                .unwrap_or("the program says so");
            Ok(Operation::Infeasible(reason.chars().take(MAX_REASON).collect()))
        }
        _ => Err("`op` must be \"report\", \"should_stop\" or \"infeasible\"".to_owned()),
    }
}

fn report(request: &Value) -> Result<Operation, String> {
    let Some(metrics) = request.get("metrics").and_then(Value::as_object) else {
        return Err("`metrics` must be an object of names and numbers".to_owned());
    };
    if metrics.len() > MAX_READINGS_PER_LINE {
        return Err(format!("`metrics` has at most {MAX_READINGS_PER_LINE} entries"));
    }
    let values = metrics
        .iter()
        .map(|(name, value)| {
            let metric: MetricName = name.parse().map_err(|error| format!("`metrics`: {error}"))?;
            match number(value).and_then(|text| parse_value(&text)) {
                Some(value) => Ok((metric, value)),
                None => Err(format!("`metrics.{metric}` must be a number")),
            }
        })
        .collect::<Result<_, String>>()?;
    let step = match request.get("step") {
        None | Some(Value::Null) => None,
        Some(step) => {
            let step = number(step).and_then(|text| parse_step(&text));
            Some(step.ok_or("`step` must be a whole number of at least 0")?)
        }
    };
    Ok(Operation::Report { values, step })
}

fn number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Some(number.to_string()),
        Value::String(text) => Some(text.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(name: &str) -> MetricName {
        name.parse().unwrap()
    }

    #[test]
    fn requests_are_read_as_python_writes_them() {
        let report =
            parse(br#"{"op": "report", "metrics": {"loss": 0.5, "acc": "1e-3"}, "step": 3.0, "more": []}"#);
        let values = vec![(metric("loss"), 0.5), (metric("acc"), 1e-3)];
        assert_eq!(
            report,
            Ok(Operation::Report {
                values,
                step: Some(3)
            })
        );
        let Ok(Operation::Report { values, step: None }) =
            parse(br#"{"op":"report","metrics":{"a":NaN,"b":-Infinity}}"#)
        else {
            panic!("not a report without a step")
        };
        assert!(values[0].1.is_nan() && values[1].1 == f64::NEG_INFINITY);
        assert_eq!(parse(b"{\"op\":\"should_stop\"}\n"), Ok(Operation::ShouldStop));
        let infeasible = parse(br#"{"op":"infeasible","reason":"too wide"}"#);
        assert_eq!(infeasible, Ok(Operation::Infeasible("too wide".to_owned())));
    }

    #[test]
    fn anything_else_is_refused_with_words() {
        let cases: [(&[u8], &str); 9] = [
            (b"\xff", "a request is UTF-8"),
            (b"", "no JSON"),
            (b"[]", "`op` must be"),
            (br#"{"op":"stop"}"#, "`op` must be"),
            (br#"{"op":"report"}"#, "`metrics` must be an object"),
            (br#"{"op":"report","metrics":{"a b\n":1}}"#, "`metrics`: "),
            (
                br#"{"op":"report","metrics":{"a":null}}"#,
                "`metrics.a` must be a number",
            ),
            (
                br#"{"op":"report","metrics":{"a":1},"step":-1}"#,
                "`step` must be",
            ),
            (
                br#"{"op":"report","metrics":{"a":1},"step":0.5}"#,
                "`step` must be",
            ),
        ];
        for (line, expected) in cases {
            let error = parse(line).unwrap_err();
            assert!(error.starts_with(expected), "{error}");
        }
    }
}
