//! The command line as a person at a terminal would use it.

use std::process::{Command, Output, Stdio};

use crate::process::program;
use crate::service::Coordinator;

/// What a command printed and how it ended.
#[derive(Clone, Debug)]
pub struct Ran {
    /// Exit status; none if it was killed.
    pub code: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Ran {
    /// Asserts that it ended with this status.
    ///
    /// # Panics
    /// If it did not.
    #[must_use]
    pub fn expect_code(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }

    /// Its standard output as JSON.
    ///
    /// # Panics
    /// If it is not.
    #[must_use]
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {}", self.out))
    }
}

/// The command `tunesmith`, for a coordinator, with nothing of this process's environment but the way to programs.
#[must_use]
pub fn tunesmith(coordinator: Option<&Coordinator>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program("tunesmith"));
    command
        .env_clear()
        .env("PATH", search_path())
        .args(arguments)
        .stdin(Stdio::null());
    if let Some(coordinator) = coordinator {
        command
            .arg("--coordinator")
            .arg(coordinator.url())
            .arg("--token-file")
            .arg(coordinator.admin_token());
    }
    command
}

/// `PATH` with the programs under test first.
pub(crate) fn search_path() -> String {
    let folders = ["tunesmith-worker", "tunesmith-probe"].map(|name| {
        let path = program(name);
        path.parent()
            .map(|folder| folder.display().to_string())
            .unwrap_or_default()
    });
    let path = std::env::var("PATH").unwrap_or_default();
    format!("{}:{path}", folders.join(":"))
}

impl Coordinator {
    /// Runs `tunesmith` with these arguments against this coordinator, to its end.
    ///
    /// # Panics
    /// If it cannot be started.
    pub async fn cli(&self, arguments: &[&str]) -> Ran {
        let mut command = tunesmith(Some(self), arguments);
        tokio::task::spawn_blocking(move || command.output().unwrap().into())
            .await
            .unwrap()
    }
}
