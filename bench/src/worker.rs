//! A worker under measurement, with real trainings: this program itself, told by hidden flags to act as one.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use tokio::time::Instant;
use tunesmith_proto::v1;

use crate::client::Api;
use crate::coordinator::Coordinator;

/// Between looks at what a study has come to.
const LOOK: Duration = Duration::from_millis(50);

/// A running worker.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    folder: TempDir,
}

impl Drop for Worker {
    fn drop(&mut self) {
        // It may have ended already. Its trainings end by themselves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Worker {
    pub(crate) fn start(coordinator: &Coordinator, programs: &Path, slots: usize) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let log = std::fs::File::create(folder.path().join("log"))?;
        let child = Command::new(programs.join("tunesmith-worker"))
            .args(["--coordinator", &coordinator.url(), "--name", "bench", "--slots"])
            .arg(slots.to_string())
            .arg("--token-file")
            .arg(coordinator.worker_token())
            .arg("--state-dir")
            .arg(folder.path())
            .stdin(Stdio::null())
            .stderr(log.try_clone()?)
            .stdout(log)
            .spawn()
            .context("cannot start the worker")?;
        Ok(Self { child, folder })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file in the worker's folder, for what trainings write down.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// The command of a study whose trainings are this program with these arguments.
pub(crate) fn command(arguments: &[&str]) -> anyhow::Result<String> {
    let program = std::env::current_exe()?;
    let program = program.to_str().context("this program's path is no text")?;
    let mut words = vec![program, "--programs", "."];
    words.extend(arguments);
    Ok(format!(
        "trial: {{command: {}}}\n",
        serde_json::to_string(&words)?
    ))
}

/// Waits until `reached` is true of the study.
pub(crate) async fn wait_for_study(
    api: &mut Api,
    study: &str,
    limit: Duration,
    reached: impl Fn(&v1::Study) -> bool,
) -> anyhow::Result<()> {
    let start = Instant::now();
    loop {
        let request = v1::GetStudyRequest {
            name: study.to_owned(),
        };
        let found = api.studies.get_study(request).await?.into_inner().study;
        if found.as_ref().is_some_and(&reached) {
            return Ok(());
        }
        if start.elapsed() > limit {
            bail!("{study} did not come so far in {} s: {found:?}", limit.as_secs());
        }
        tokio::time::sleep(LOOK).await;
    }
}
