//! One child process: started in its own process group, its lines shown with its name before them, stopped with a deadline.

use std::collections::VecDeque;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};
use tokio_util::task::TaskTracker;

use crate::error::{self, CliError};
use crate::output::{Screen, human};

/// Lines kept to be shown when the service dies.
const KEPT_LINES: usize = 10;
/// A line longer than this is cut into pieces, so that a line without end costs no memory.
const LINE_LIMIT: u64 = 16 * 1024;
/// Time to read what a service that has ended left in its pipes.
const DRAIN: Duration = Duration::from_secs(2);

/// A child process.
#[derive(Debug)]
pub(super) struct Service {
    name: &'static str,
    child: Child,
    last: Arc<Mutex<VecDeque<String>>>,
    readers: TaskTracker,
}

impl Service {
    /// Starts `program`.
    pub(super) fn start(
        name: &'static str,
        program: &Path,
        args: &[String],
        screen: Screen,
    ) -> Result<Self, CliError> {
        let mut child = Command::new(program)
            .args(args)
            // Meant for this program's own calls; the services are told all they need by arguments.
            .env_remove("TUNESMITH_TOKEN")
            .env_remove("TUNESMITH_TOKEN_FILE")
            .env_remove("TUNESMITH_COORDINATOR")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Its own group: Ctrl-C on the terminal is for us, who stop things in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|error| CliError::file("start", program, &error))?;
        let last = Arc::new(Mutex::new(VecDeque::with_capacity(KEPT_LINES)));
        let readers = TaskTracker::new();
        if let Some(out) = child.stdout.take() {
            readers.spawn(forward(name, out, Arc::clone(&last), screen));
        }
        if let Some(err) = child.stderr.take() {
            readers.spawn(forward(name, err, Arc::clone(&last), screen));
        }
        readers.close();
        Ok(Self {
            name,
            child,
            last,
            readers,
        })
    }

    /// Its name, for messages.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Waits until it ends by itself, which it should not: the error says so, with its last lines.
    pub(super) async fn ended(&mut self) -> CliError {
        let how = match self.child.wait().await {
            Ok(status) => describe(status),
            Err(error) => format!("was lost ({})", error::io_reason(&error)),
        };
        self.drain().await;
        let lines: Vec<String> = self
            .last
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .iter()
            .map(|line| format!("| {line}"))
            .collect();
        let mut hints = vec![];
        if !lines.is_empty() {
            hints.push(format!("its last lines:\n{}", lines.join("\n")));
        }
        CliError::Unreachable {
            headline: format!("the {} {how}", self.name),
            hints,
        }
    }

    /// Asks it to stop and waits; kills it at the deadline. Returns whether it stopped by itself.
    pub(super) async fn stop(&mut self, deadline: Duration) -> bool {
        self.signal(rustix::process::Signal::TERM);
        let stopped = tokio::time::timeout(deadline, self.child.wait()).await.is_ok();
        if !stopped {
            self.kill().await;
        }
        self.drain().await;
        stopped
    }

    /// Kills it.
    pub(super) async fn kill(&mut self) {
        // It may have ended in the meantime, which is what is wanted.
        let _ = self.child.kill().await;
    }

    fn signal(&self, signal: rustix::process::Signal) {
        // None once it was waited for: its id may belong to somebody else by then.
        let pid = self
            .child
            .id()
            .and_then(|pid| i32::try_from(pid).ok())
            .and_then(rustix::process::Pid::from_raw);
        if let Some(pid) = pid {
            // It may have ended in the meantime, which is what is wanted.
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    async fn drain(&self) {
        // Somebody else may have inherited its pipes; they are not waited for.
        let _ = tokio::time::timeout(DRAIN, self.readers.wait()).await;
    }
}

fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("ended with status {code}"),
        (None, Some(signal)) => format!("was killed by signal {signal}"),
        (None, None) => "ended".to_owned(),
    }
}

/// Shows each line of `source` with the service's name, and keeps the last ones.
async fn forward(
    name: &'static str,
    source: impl AsyncRead + Unpin,
    last: Arc<Mutex<VecDeque<String>>>,
    screen: Screen,
) {
    let mut source = BufReader::new(source);
    let label = screen.error_style().dim(&format!("{name:<11} |"));
    let mut line = vec![];
    loop {
        line.clear();
        match (&mut source).take(LINE_LIMIT).read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        let text = human::clean(String::from_utf8_lossy(&line).trim_end());
        screen.message(&format!("{label} {text}"));
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() == KEPT_LINES {
            last.pop_front();
        }
        last.push_back(text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Service {
        let args = ["-c".to_owned(), script.to_owned()];
        Service::start(
            "tester",
            "/bin/sh".as_ref(),
            &args,
            Screen::of_process(false, true),
        )
        .unwrap()
    }

    #[tokio::test]
    async fn a_service_that_dies_is_told_with_its_last_lines() {
        let error =
            shell("i=0; while [ $i -lt 30 ]; do echo line $i; i=$((i+1)); done; echo 'no disk' >&2; exit 3")
                .ended()
                .await;
        assert_eq!(error.to_string(), "the tester ended with status 3");
        let text = error.render();
        assert!(
            text.contains("| no disk") && text.contains("| line 29") && !text.contains("| line 19"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn a_service_is_stopped_and_killed_if_it_does_not_listen() {
        assert!(shell("exec sleep 600").stop(Duration::from_secs(60)).await);
        // Waits for the line that says that the signal is ignored from now on.
        let mut deaf = shell("trap '' TERM; echo deaf; while :; do sleep 1; done");
        let heard = async {
            while deaf.last.lock().unwrap().is_empty() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(60), heard)
            .await
            .unwrap();
        assert!(!deaf.stop(Duration::from_millis(300)).await);
    }
}
