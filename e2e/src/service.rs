//! A coordinator and workers of a test's own.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use crate::bucket::Bucket;
use crate::client::Api;
use crate::command::search_path;
use crate::database::Database;
use crate::process::{Program, program};
use crate::record::marked;
use crate::tables::Tables;
use crate::usage::Usage;
use crate::wait::eventually;

/// Where a coordinator keeps its studies.
#[derive(Clone, Debug)]
pub enum Storage {
    /// In a file of its own.
    Sqlite,
    /// In a database of its own.
    Postgres(Database),
    /// At this address.
    Url(String),
}

/// A coordinator. Killed when dropped.
#[derive(Debug)]
pub struct Coordinator {
    /// The process.
    pub program: Program,
    folder: TempDir,
    storage: Storage,
    store: String,
    address: SocketAddr,
    lease: Duration,
}

impl Coordinator {
    /// Starts a coordinator and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start(storage: &Storage, lease: Duration) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), storage, lease).await
    }

    /// Starts a coordinator with this configuration file and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_configured(storage: &Storage, lease: Duration, config: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(config_file(folder.path()), config).unwrap();
        Self::start_in(folder, storage, lease).await
    }

    /// Gives it another configuration file from its next start on.
    ///
    /// # Panics
    /// If its folder is gone.
    pub fn configure(&self, config: &str) {
        fs::write(config_file(self.folder.path()), config).unwrap();
    }

    /// Starts another coordinator on the same database, which takes the same tokens, and waits until it answers.
    ///
    /// # Panics
    /// If it does not start.
    pub async fn start_beside(&self) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for token in [self.admin_token(), self.worker_token()] {
            fs::copy(&token, folder.path().join(token.file_name().unwrap())).unwrap();
        }
        Self::start_in(folder, &self.storage, self.lease).await
    }

    async fn start_in(folder: TempDir, storage: &Storage, lease: Duration) -> Self {
        let store = match storage {
            Storage::Sqlite => format!("sqlite:{}", folder.path().join("tunesmith.db").display()),
            Storage::Postgres(database) => database.url(),
            Storage::Url(url) => url.clone(),
        };
        let address = free_address();
        let program = launch(folder.path(), &store, address, lease);
        let mut coordinator = Self {
            program,
            folder,
            storage: storage.clone(),
            store,
            address,
            lease,
        };
        coordinator.answers().await;
        coordinator
    }

    /// Starts it again at the same address, with the same storage; one that still runs is killed first.
    pub async fn restart(&mut self) {
        self.restart_without_waiting();
        self.answers().await;
    }

    /// As [`Self::restart`], without waiting until it answers.
    pub fn restart_without_waiting(&mut self) {
        // Gone before the next one asks for the lock of the file.
        self.program.kill();
        self.program = launch(self.folder.path(), &self.store, self.address, self.lease);
    }

    async fn answers(&mut self) {
        let mut api = eventually("tokens are written", async || {
            if !self.program.runs() {
                return Err(format!("the coordinator ended:\n{}", self.program.output()));
            }
            fs::read_to_string(self.folder.path().join("admin.token")).map_err(|error| error.to_string())?;
            Ok(self.api())
        })
        .await;
        eventually("coordinator answers", async || {
            api.studies
                .list_studies(tunesmith_proto::v1::ListStudiesRequest::default())
                .await
        })
        .await;
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as programs want it.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The folder with its tokens.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// File with the token of its user.
    #[must_use]
    pub fn admin_token(&self) -> PathBuf {
        self.folder.path().join("admin.token")
    }

    /// File with the token by which workers join.
    #[must_use]
    pub fn worker_token(&self) -> PathBuf {
        self.folder.path().join("worker.token")
    }

    /// A client with the token by which workers join.
    ///
    /// # Panics
    /// If there is no token yet.
    #[must_use]
    pub fn worker_api(&self) -> Api {
        Api::new(
            &self.url(),
            fs::read_to_string(self.worker_token()).unwrap().trim(),
        )
    }

    /// What it takes of this machine.
    #[must_use]
    pub fn usage(&self) -> Usage {
        Usage::of(&self.program)
    }

    /// The tables of its database.
    ///
    /// # Panics
    /// If it was started with nothing but an address.
    #[must_use]
    pub fn tables(&self) -> Tables {
        match &self.storage {
            Storage::Sqlite => Tables::Sqlite(self.folder.path().join("tunesmith.db")),
            Storage::Postgres(database) => Tables::Postgres(database.clone()),
            Storage::Url(url) => panic!("whose database is {url}?"),
        }
    }

    /// Has it die when it gets to a point, now or after its next start.
    ///
    /// # Panics
    /// If its folder is gone.
    pub fn crash_at(&self, point: &str) {
        // At once, whole: it may be looking.
        let unfinished = self.folder.path().join("crash-at.new");
        fs::write(&unfinished, point).unwrap();
        fs::rename(unfinished, crash_file(self.folder.path())).unwrap();
    }

    /// Whether it still has to get to the point where it is to die.
    #[must_use]
    pub fn will_crash(&self) -> bool {
        crash_file(self.folder.path()).exists()
    }

    /// A client with the user's token.
    ///
    /// # Panics
    /// If there is no token yet.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(
            &self.url(),
            fs::read_to_string(self.admin_token()).unwrap().trim(),
        )
    }
}

fn launch(folder: &Path, store: &str, address: SocketAddr, lease: Duration) -> Program {
    let mut command = Command::new(program("tunesmith-coordinator"));
    command
        .env_clear()
        .args(["--listen", &address.to_string(), "--store", store])
        .args(["--lease-ttl", &format!("{}ms", lease.as_millis())])
        .env("TUNESMITH_CRASH_FILE", crash_file(folder))
        .arg("--data")
        .arg(folder);
    let config = config_file(folder);
    if config.exists() {
        command.arg("--config").arg(config);
    }
    Program::start(command, &folder.join("coordinator.log"))
}

fn config_file(folder: &Path) -> PathBuf {
    folder.join("coordinator.toml")
}

fn crash_file(folder: &Path) -> PathBuf {
    folder.join("crash-at")
}

/// Names of the points at which a coordinator can be told to die.
///
/// # Panics
/// If it was built without them.
#[must_use]
pub fn crash_points() -> Vec<String> {
    let output = Command::new(program("tunesmith-coordinator"))
        .env_clear()
        .arg("crash-points")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "the coordinator was built without crash points: run the tests by `make e2e`, or build it with `--features crash-points`"
    );
    let names = String::from_utf8(output.stdout).unwrap();
    names.lines().map(str::to_owned).collect()
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A worker daemon. Killed when dropped, and what it trained with it.
#[derive(Debug)]
pub struct Worker {
    /// The process.
    pub program: Program,
    folder: TempDir,
    url: String,
    token: PathBuf,
    name: String,
    more: Vec<String>,
    variables: Vec<(String, String)>,
}

impl Worker {
    /// Starts a worker of a coordinator, with further arguments.
    #[must_use]
    pub fn start(coordinator: &Coordinator, name: &str, more: &[&str]) -> Self {
        Self::start_at(&coordinator.url(), &coordinator.worker_token(), name, more)
    }

    /// Starts a worker of a coordinator that keeps checkpoints in a bucket.
    #[must_use]
    pub fn start_with(coordinator: &Coordinator, name: &str, bucket: &Bucket) -> Self {
        let more = ["--checkpoint-dir".to_owned(), bucket.url.clone()];
        let (url, token) = (coordinator.url(), coordinator.worker_token());
        Self::launch(&url, &token, name, more.to_vec(), bucket.variables.clone())
    }

    /// Starts a worker that reaches its coordinator at `url`.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start_at(url: &str, token: &Path, name: &str, more: &[&str]) -> Self {
        let more = more.iter().map(|&argument| argument.to_owned()).collect();
        Self::launch(url, token, name, more, Vec::new())
    }

    fn launch(
        url: &str,
        token: &Path,
        name: &str,
        more: Vec<String>,
        variables: Vec<(String, String)>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let program = launch_worker(folder.path(), url, token, name, &more, &variables);
        Self {
            program,
            folder,
            url: url.to_owned(),
            token: token.to_owned(),
            name: name.to_owned(),
            more,
            variables,
        }
    }

    /// Starts it again after it ended, with what it had on its disk.
    pub fn restart(&mut self) {
        self.program = launch_worker(
            self.folder.path(),
            &self.url,
            &self.token,
            &self.name,
            &self.more,
            &self.variables,
        );
    }

    /// The folder with its state.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Processes whose environment names this worker's folder: its trainings and what they started.
    #[must_use]
    pub fn trainings(&self) -> Vec<u32> {
        marked(&format!("TUNESMITH_TRIAL_DIR={}", self.folder.path().display()))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let trainings = self.trainings();
        self.program.kill();
        for pid in trainings {
            if let Some(pid) = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw) {
                // It may have ended meanwhile.
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
    }
}

fn launch_worker(
    folder: &Path,
    url: &str,
    token: &Path,
    name: &str,
    more: &[String],
    variables: &[(String, String)],
) -> Program {
    let mut command = Command::new(program("tunesmith-worker"));
    command
        .env_clear()
        .env("PATH", search_path())
        .envs(variables.iter().cloned())
        .args(["--coordinator", url, "--name", name])
        .arg("--token-file")
        .arg(token)
        .arg("--state-dir")
        .arg(folder)
        .args(more);
    Program::start(command, &folder.join("worker.log"))
}
