//! A Postgres server of a test's own, which may crash.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::process::repository;

/// A server. Stopped when dropped.
#[derive(Debug)]
pub struct Postgres {
    folder: TempDir,
    url: String,
}

impl Postgres {
    /// Creates and starts a server.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = script("start", folder.path());
        Self { folder, url }
    }

    /// Address of its administrator's database.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Crashes it and starts it again, at the same address. Returns when it takes connections.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn crash_and_restart(&self) {
        let folder = self.folder.path().to_owned();
        tokio::task::spawn_blocking(move || script("crash", &folder))
            .await
            .unwrap();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        script("stop", self.folder.path());
    }
}

fn script(command: &str, folder: &Path) -> String {
    let program = repository().join("scripts/postgres.sh");
    let output = Command::new(program).arg(command).arg(folder).output().unwrap();
    assert!(
        output.status.success(),
        "postgres.sh {command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
