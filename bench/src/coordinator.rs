//! A coordinator under measurement, with a store of its own.

use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use sqlx::{Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::time::Instant;
use tunesmith_coordinator::store;

use crate::client::Api;

/// The list of studies comes when they are loaded, which takes its time if other work runs beside.
const STARTS_WITHIN: Duration = Duration::from_secs(300);

/// Which database to measure on.
#[derive(Clone, Debug)]
pub(crate) enum Store {
    Sqlite,
    Postgres(String),
}

/// A running coordinator.
#[derive(Debug)]
pub(crate) struct Coordinator {
    child: Child,
    program: PathBuf,
    folder: TempDir,
    url: String,
    address: SocketAddr,
    pub(crate) store: &'static str,
    database: Option<(String, String)>,
}

impl Drop for Coordinator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Coordinator {
    pub(crate) async fn start(programs: &Path, store: &Store) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let (url, name, database) = match store {
            Store::Sqlite => (
                format!("sqlite:{}", folder.path().join("tunesmith.db").display()),
                "sqlite",
                None,
            ),
            Store::Postgres(admin) => {
                let name = format!("bench_{}", uuid::Uuid::new_v4().simple());
                let mut connection = sqlx::PgConnection::connect(admin)
                    .await
                    .context("cannot reach Postgres")?;
                connection
                    .execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}")))
                    .await?;
                let (server, _) = admin
                    .rsplit_once('/')
                    .context("the address of Postgres names no database")?;
                (
                    format!("{server}/{name}"),
                    "postgres",
                    Some((admin.clone(), name)),
                )
            }
        };
        let program = programs.join("tunesmith-coordinator");
        let child = launch(&program, folder.path(), &url, address)?;
        let coordinator = Self {
            child,
            program,
            folder,
            url,
            address,
            store: name,
            database,
        };
        coordinator.answers().await?;
        Ok(coordinator)
    }

    /// Kills it as `kill -9` does and starts it again; returns the time until it answers a call.
    pub(crate) async fn restart(&mut self) -> anyhow::Result<Duration> {
        self.child.kill()?;
        self.child.wait()?;
        let start = Instant::now();
        self.child = launch(&self.program, self.folder.path(), &self.url, self.address)?;
        self.answers().await?;
        Ok(start.elapsed())
    }

    /// Stops it as `kill -9` does, lets `work` have its store, and starts it again.
    pub(crate) async fn while_down(
        &mut self,
        work: impl AsyncFnOnce(Arc<dyn store::Store>) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        let store = store::open(&self.url).await?;
        let done = work(Arc::clone(&store)).await;
        store.close().await;
        done?;
        self.child = launch(&self.program, self.folder.path(), &self.url, self.address)?;
        self.answers().await
    }

    async fn answers(&self) -> anyhow::Result<()> {
        let start = Instant::now();
        loop {
            if let Ok(mut api) = self.api()
                && api.list_studies().await.is_ok()
            {
                return Ok(());
            }
            if start.elapsed() > STARTS_WITHIN {
                bail!(
                    "the coordinator does not answer:\n{}",
                    std::fs::read_to_string(self.folder.path().join("log"))?
                );
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A client with a connection of its own.
    pub(crate) fn api(&self) -> anyhow::Result<Api> {
        let token = std::fs::read_to_string(self.folder.path().join("admin.token"))?;
        Api::new(&self.url(), token.trim())
    }

    /// A client that may join as a worker.
    pub(crate) fn worker_api(&self) -> anyhow::Result<Api> {
        let token = std::fs::read_to_string(self.worker_token())?;
        Api::new(&self.url(), token.trim())
    }

    pub(crate) fn worker_token(&self) -> PathBuf {
        self.folder.path().join("worker.token")
    }

    /// Main memory it uses, in MiB.
    pub(crate) fn memory_mib(&self) -> u64 {
        self.memory("VmRSS:")
    }

    /// The most main memory it has used, in MiB.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, field: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(field))
            .unwrap_or_default();
        line.trim()
            .trim_end_matches(" kB")
            .trim()
            .parse::<u64>()
            .unwrap_or(0)
            / 1024
    }

    /// Processor time it has used since it was started, user and system, in seconds.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.child.id().to_string())
    }

    pub(crate) async fn stop(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        if let Some((admin, name)) = self.database.take() {
            let mut connection = sqlx::PgConnection::connect(&admin).await?;
            connection
                .execute(sqlx::AssertSqlSafe(format!(
                    "DROP DATABASE IF EXISTS {name} WITH (FORCE)"
                )))
                .await?;
        }
        Ok(())
    }
}

/// Processor time that a process has used, user and system, in seconds. `self` is this one.
pub(crate) fn cpu_seconds(pid: &str) -> f64 {
    const TICKS_PER_SECOND: f64 = 100.0;
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name of the program, in parentheses, is the second field and may have spaces.
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks = fields.split(' ').skip(11).take(2);
    ticks.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS_PER_SECOND
}

fn launch(program: &Path, folder: &Path, store: &str, address: SocketAddr) -> anyhow::Result<Child> {
    let log = std::fs::File::options()
        .create(true)
        .append(true)
        .open(folder.join("log"))?;
    let errors = log.try_clone()?;
    Command::new(program)
        .args(["--listen", &address.to_string(), "--store", store, "--data"])
        .arg(folder)
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors)
        .spawn()
        .with_context(|| format!("cannot start {}", program.display()))
}
