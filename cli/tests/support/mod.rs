//! A coordinator made of a few maps, on a real socket, and the real `tunesmith` program run against it.
//!
//! It answers what the tests need and records what it was asked. Stopping it drops its connections at once, like a crash.

mod pool;
mod services;

use std::collections::{BTreeMap, VecDeque};
use std::io::Read as _;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{broadcast, oneshot};
use tunesmith_proto::v1 as pb;

/// The token that the fake accepts.
pub(crate) const TOKEN: &str = "ts_secret";
/// Longest time any single wait of a test may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// What the fake knows and was asked.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) studies: BTreeMap<String, pb::Study>,
    pub(crate) trials: Vec<pb::Trial>,
    pub(crate) curves: Vec<pb::Curve>,
    pub(crate) log: Vec<u8>,
    pub(crate) created: Vec<pb::CreateStudyRequest>,
    pub(crate) updated: Vec<pb::UpdateStudyRequest>,
    pub(crate) added: Vec<pb::AddTrialRequest>,
    /// Answers to replays, in order.
    pub(crate) replays: VecDeque<pb::ReplayStudyResponse>,
    /// Trials of other studies that every study knows, or that the last one was created with.
    pub(crate) history: Vec<pb::PriorTrial>,
    /// Whether the last study was created without its relatives.
    pub(crate) detached: bool,
    /// Zooms, slices and back-tests asked for.
    pub(crate) zooms: Vec<pb::PlanZoomRequest>,
    pub(crate) slices: Vec<pb::SliceStudyRequest>,
    pub(crate) importances: Vec<pb::GetImportanceRequest>,
    pub(crate) backtests: Vec<pb::BacktestStudyRequest>,
    /// Names of other calls that change something.
    pub(crate) calls: Vec<String>,
    /// How often a study was watched.
    pub(crate) watches: usize,
    events: broadcast::Sender<pb::WatchStudyResponse>,
}

/// The fake's memory, which outlives a crash like a database does.
#[derive(Clone, Debug)]
pub(crate) struct Memory(Arc<Mutex<State>>);

impl Memory {
    pub(crate) fn new() -> Self {
        let (events, _) = broadcast::channel(64);
        Self(Arc::new(Mutex::new(State {
            studies: BTreeMap::new(),
            trials: vec![],
            curves: vec![],
            log: vec![],
            created: vec![],
            updated: vec![],
            added: vec![],
            replays: VecDeque::new(),
            history: Vec::new(),
            detached: false,
            zooms: Vec::new(),
            slices: Vec::new(),
            importances: Vec::new(),
            backtests: Vec::new(),
            calls: vec![],
            watches: 0,
            events,
        })))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Changes the only study and tells those who watch.
    pub(crate) fn change_study(&self, change: impl FnOnce(&mut pb::Study)) {
        let mut state = self.lock();
        let study = state.studies.values_mut().next().unwrap();
        study.revision += 1;
        change(study);
        let event = Some(pb::watch_study_response::Event::Study(study.clone()));
        let message = pb::WatchStudyResponse {
            revision: study.revision,
            committed_at: None,
            event,
        };
        // Nobody may be watching, as after a crash.
        let _ = state.events.send(message);
    }

    /// Waits until `condition` holds.
    pub(crate) fn wait_for(&self, what: &str, condition: impl Fn(&State) -> bool) {
        wait_until(what, || condition(&self.lock()));
    }
}

/// Waits until `condition` holds, with a deadline.
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let mut waited = Duration::ZERO;
    while !condition() {
        assert!(waited < DEADLINE, "waited in vain for: {what}");
        let step = Duration::from_millis(5);
        std::thread::sleep(step);
        waited += step;
    }
}

/// A running fake coordinator.
#[derive(Debug)]
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    /// Serves `memory` at a free port.
    pub(crate) fn start(memory: &Memory) -> Self {
        Self::start_at(memory, "127.0.0.1:0".parse().unwrap())
    }

    /// Serves `memory` at `address`.
    pub(crate) fn start_at(memory: &Memory, address: SocketAddr) -> Self {
        let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
        let (stop, stopped) = oneshot::channel::<()>();
        let memory = memory.clone();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async move {
                let listener = tokio::net::TcpListener::bind(address).await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
                tokio::select! {
                    served = services::router(memory).serve_with_incoming(incoming) => served.unwrap(),
                    _ = stopped => {}
                }
            });
            // Dropping the runtime drops all connections, whatever was on its way.
        });
        let address = is_ready.recv_timeout(DEADLINE).unwrap();
        Self {
            address,
            stop: Some(stop),
            thread: Some(thread),
        }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// `tunesmith` with these words, against this fake.
    pub(crate) fn tunesmith(&self, words: &[&str]) -> Command {
        let mut command = tunesmith(words);
        command
            .env("TUNESMITH_COORDINATOR", self.url())
            .env("TUNESMITH_TOKEN", TOKEN);
        command
    }

    /// Runs `tunesmith` to its end.
    pub(crate) fn run(&self, words: &[&str]) -> Ended {
        Running::start(&mut self.tunesmith(words)).end()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            // It may have ended by a panic, which the join below tells.
            let _ = stop.send(());
        }
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
            && !std::thread::panicking()
        {
            panic!("the fake coordinator panicked");
        }
    }
}

/// `tunesmith` with these words, in an empty environment.
pub(crate) fn tunesmith(words: &[&str]) -> Command {
    of_program(Path::new(env!("CARGO_BIN_EXE_tunesmith")), words)
}

/// The same for a copy of the program.
pub(crate) fn of_program(program: &Path, words: &[&str]) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .env("HOME", "/nonexistent")
        .args(words);
    command
}

/// A `tunesmith` that runs.
#[derive(Debug)]
pub(crate) struct Running {
    child: Child,
    stdout: Option<JoinHandle<String>>,
    stderr: Option<JoinHandle<()>>,
    said: Arc<Mutex<Vec<u8>>>,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Checks the exit status; shows everything if it is another.
    pub(crate) fn expect_code(self, code: i32) -> Self {
        assert_eq!(
            self.status.code(),
            Some(code),
            "stdout:\n{}\nstderr:\n{}",
            self.stdout,
            self.stderr
        );
        self
    }
}

impl Running {
    pub(crate) fn start(command: &mut Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("start tunesmith");
        let mut out = child.stdout.take().unwrap();
        let mut err = child.stderr.take().unwrap();
        let said = Arc::new(Mutex::new(vec![]));
        let saying = Arc::clone(&said);
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            out.read_to_string(&mut text).unwrap();
            text
        });
        let stderr = std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(read @ 1..) = err.read(&mut buffer) {
                saying.lock().unwrap().extend_from_slice(&buffer[..read]);
            }
        });
        Self {
            child,
            stdout: Some(stdout),
            stderr: Some(stderr),
            said,
        }
    }

    /// What it said on standard error so far.
    pub(crate) fn said(&self) -> String {
        String::from_utf8_lossy(&self.said.lock().unwrap()).into_owned()
    }

    /// Waits until it said `text`.
    pub(crate) fn wait_to_hear(&self, text: &str) {
        let mut heard = String::new();
        let mut waited = Duration::ZERO;
        while waited < DEADLINE {
            heard = self.said();
            if heard.contains(text) {
                return;
            }
            std::thread::sleep(Duration::from_millis(5));
            waited += Duration::from_millis(5);
        }
        panic!("waited in vain to hear {text:?}, heard:\n{heard}");
    }

    /// Ctrl-C.
    pub(crate) fn interrupt(&self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    }

    /// Waits for its end.
    pub(crate) fn end(mut self) -> Ended {
        let mut status = None;
        wait_until("the end of tunesmith", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        let stdout = self.stdout.take().unwrap().join().unwrap();
        self.stderr.take().unwrap().join().unwrap();
        Ended {
            status: status.unwrap(),
            stdout,
            stderr: self.said(),
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Of a test that failed; one that has ended is not touched.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
