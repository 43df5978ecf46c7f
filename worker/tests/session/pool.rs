//! A coordinator of the tests' own: a real server on a real socket whose every answer the test gives by hand. And the worker: the real
//! program.

use std::net::SocketAddr;
use std::path::Path;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::net::TcpListener;
use tokio::process::{Child, ChildStderr, Command};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status, Streaming};
use tunesmith_proto::v1;
use tunesmith_proto::v1::open_session_request::Message as FromWorker;
use tunesmith_proto::v1::open_session_response::Message as ToWorker;
use tunesmith_proto::v1::worker_service_server::{WorkerService, WorkerServiceServer};

/// The token that workers of the tests present.
pub(crate) const TOKEN: &str = "ts_worker_test_c2VjcmV0";

/// Waits for something that must happen.
pub(crate) async fn soon<F: Future>(what: &str, happens: F) -> F::Output {
    match tokio::time::timeout(Duration::from_secs(60), happens).await {
        Ok(output) => output,
        Err(_) => panic!("did not happen: {what}"),
    }
}

/// Waits until something is true that nobody announces.
pub(crate) async fn until(what: &str, is_true: impl Fn() -> bool) {
    soon(what, async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        while !is_true() {
            ticks.tick().await;
        }
    })
    .await;
}

/// A coordinator.
#[derive(Debug)]
pub(crate) struct Pool {
    pub(crate) address: SocketAddr,
    sessions: mpsc::Receiver<Session>,
    refusal: Arc<Mutex<Option<Status>>>,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Pool {
    pub(crate) async fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (arrived, sessions) = mpsc::channel(8);
        let refusal = Arc::new(Mutex::new(None));
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let service = Service {
            arrived,
            refusal: refusal.clone(),
        };
        let server = Server::builder()
            .initial_connection_window_size(8 << 20)
            .add_service(WorkerServiceServer::new(service))
            .serve_with_incoming(TcpIncoming::from(listener));
        let stopped = stop.clone();
        tasks.spawn(async move {
            tokio::select! {
                () = stopped.cancelled() => {}
                result = server => result.unwrap(),
            }
        });
        Self {
            address,
            sessions,
            refusal,
            stop,
            tasks,
        }
    }

    /// Answers every further session with this.
    pub(crate) fn refuse(&self, status: Status) {
        *self.refusal.lock().unwrap() = Some(status);
    }

    /// The next session that a worker opens; its `hello` has been read.
    pub(crate) async fn session(&mut self) -> Session {
        soon("a worker opens a session", self.sessions.recv())
            .await
            .unwrap()
    }

    /// The next session, greeted without verdicts.
    pub(crate) async fn greeted(&mut self) -> Session {
        let session = self.session().await;
        session.greet(vec![]).await;
        session
    }

    /// Ends the server and frees its address.
    pub(crate) async fn stop(self) -> SocketAddr {
        self.stop.cancel();
        self.tasks.close();
        drop(self.sessions);
        self.tasks.wait().await;
        self.address
    }
}

#[derive(Debug)]
struct Service {
    arrived: mpsc::Sender<Session>,
    refusal: Arc<Mutex<Option<Status>>>,
}

#[tonic::async_trait]
impl WorkerService for Service {
    type OpenSessionStream = Pin<Box<dyn Stream<Item = Result<v1::OpenSessionResponse, Status>> + Send>>;

    async fn open_session(
        &self,
        request: Request<Streaming<v1::OpenSessionRequest>>,
    ) -> Result<Response<Self::OpenSessionStream>, Status> {
        if let Some(refusal) = self.refusal.lock().unwrap().clone() {
            return Err(refusal);
        }
        let authorization = request
            .metadata()
            .get("authorization")
            .map(|value| value.to_str().unwrap().to_owned());
        let mut inbound = request.into_inner();
        let Some(FromWorker::Hello(hello)) = inbound.message().await?.and_then(|first| first.message) else {
            return Err(Status::invalid_argument("the first message must be hello"));
        };
        let (out, queue) = mpsc::channel(64);
        let session = Session {
            authorization,
            hello,
            inbound,
            out,
        };
        self.arrived
            .send(session)
            .await
            .map_err(|_| Status::unavailable("the test is over"))?;
        Ok(Response::new(Box::pin(ReceiverStream::new(queue))))
    }
}

/// One session of one worker. Dropping it breaks the session off.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) authorization: Option<String>,
    pub(crate) hello: v1::WorkerHello,
    inbound: Streaming<v1::OpenSessionRequest>,
    out: mpsc::Sender<Result<v1::OpenSessionResponse, Status>>,
}

impl Session {
    pub(crate) async fn greet(&self, verdicts: Vec<v1::AttemptVerdict>) {
        self.greet_with_heartbeat(Duration::from_secs(30), verdicts).await;
    }

    pub(crate) async fn greet_with_heartbeat(&self, heartbeat: Duration, verdicts: Vec<v1::AttemptVerdict>) {
        self.hello(heartbeat, verdicts, None).await;
    }

    /// As a coordinator that wants to know what is in use.
    pub(crate) async fn greet_and_ask_for_usage(&self, verdicts: Vec<v1::AttemptVerdict>) {
        self.hello(Duration::from_secs(30), verdicts, Some(Duration::from_secs(5)))
            .await;
    }

    async fn hello(
        &self,
        heartbeat: Duration,
        verdicts: Vec<v1::AttemptVerdict>,
        usage_interval: Option<Duration>,
    ) {
        self.send(ToWorker::Hello(v1::CoordinatorHello {
            version: "test".to_owned(),
            protocol: 1,
            lease_ttl: Some(Duration::from_secs(60).into()),
            heartbeat_interval: Some(heartbeat.into()),
            verdicts,
            usage_interval: usage_interval.map(Into::into),
        }))
        .await;
    }

    pub(crate) async fn send(&self, message: ToWorker) {
        let message = v1::OpenSessionResponse {
            message: Some(message),
        };
        soon("the worker reads", self.out.send(Ok(message)))
            .await
            .unwrap();
    }

    /// Ends the session with an error.
    pub(crate) async fn fail(self, status: Status) {
        soon("the worker reads", self.out.send(Err(status)))
            .await
            .unwrap();
    }

    /// The next message; none if the worker closed the session.
    pub(crate) async fn next(&mut self) -> Option<FromWorker> {
        let next = soon("the worker says something", self.inbound.message()).await;
        next.ok()
            .flatten()
            .map(|message| message.message.expect("a message of this version"))
    }

    pub(crate) async fn started(&mut self) -> v1::AttemptStarted {
        match self.next().await {
            Some(FromWorker::Started(started)) => started,
            other => panic!("not a start: {other:?}"),
        }
    }

    pub(crate) async fn points(&mut self) -> v1::PointsBatch {
        match self.next().await {
            Some(FromWorker::Points(points)) => points,
            other => panic!("not points: {other:?}"),
        }
    }

    pub(crate) async fn ended(&mut self) -> v1::AttemptEnded {
        match self.next().await {
            Some(FromWorker::Ended(ended)) => ended,
            other => panic!("not an end: {other:?}"),
        }
    }

    pub(crate) async fn log(&mut self) -> v1::LogChunk {
        match self.next().await {
            Some(FromWorker::Log(chunk)) => chunk,
            other => panic!("not a piece of a log: {other:?}"),
        }
    }

    /// Reads points, acknowledging each batch, until the attempt ends; returns (seq of the first, values) and the end.
    pub(crate) async fn points_until_end(&mut self) -> (u64, Vec<f64>, v1::AttemptEnded) {
        let (mut first, mut values) = (None, vec![]);
        loop {
            match self.next().await {
                Some(FromWorker::Points(batch)) => {
                    let points = batch.points.unwrap();
                    let expected = first
                        .map(|first: u64| first + values.len() as u64)
                        .unwrap_or(batch.first_seq);
                    assert_eq!(batch.first_seq, expected, "points out of order");
                    first.get_or_insert(batch.first_seq);
                    values.extend(&points.value);
                    let committed_seq = batch.first_seq + points.value.len() as u64 - 1;
                    self.send(ToWorker::Ack(v1::PointsAck {
                        lease: batch.lease,
                        committed_seq,
                    }))
                    .await;
                }
                Some(FromWorker::Ended(ended)) => return (first.unwrap_or(0), values, ended),
                other => panic!("neither points nor an end: {other:?}"),
            }
        }
    }

    pub(crate) async fn forget(&self, lease: &v1::Lease) {
        self.send(ToWorker::Forget(v1::AttemptForget {
            lease: Some(lease.clone()),
        }))
        .await;
    }

    /// Sends the worker away and takes the next session, greeted with these verdicts.
    pub(crate) async fn reopen(self, pool: &mut Pool, verdicts: Vec<v1::AttemptVerdict>) -> Session {
        self.send(ToWorker::Drain(v1::Drain {
            reconnect_after: None,
        }))
        .await;
        let session = pool.session().await;
        session.greet(verdicts).await;
        session
    }
}

/// The real program.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

impl Worker {
    pub(crate) fn command(state: &Path) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tunesmith-worker"));
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("TUNESMITH_WORKER_GPUS", "none");
        command.arg("--state-dir").arg(state);
        // A test that fails leaves nothing running for long.
        command.args(["--name", "tester", "--orphan-timeout", "20s"]);
        command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    pub(crate) fn start(address: SocketAddr, state: &Path, flags: &[&str]) -> Self {
        Self::start_with(address, state, flags, &[])
    }

    /// Starts it with further variables.
    pub(crate) fn start_with(
        address: SocketAddr,
        state: &Path,
        flags: &[&str],
        variables: &[(String, String)],
    ) -> Self {
        let mut command = Self::command(state);
        command
            .env("TUNESMITH_TOKEN", TOKEN)
            .envs(variables.iter().cloned())
            .arg(format!("--coordinator=http://{address}"))
            .args(flags);
        let mut child = command.spawn().unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        Self {
            child,
            stderr,
            said: String::new(),
        }
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.child.id().expect("it runs")).unwrap();
        rustix::process::kill_process(rustix::process::Pid::from_raw(pid).unwrap(), signal).unwrap();
    }

    /// Waits until it has written this to standard error.
    pub(crate) async fn says(&mut self, text: &str) {
        soon(text, async {
            while !self.said.contains(text) {
                let read = self.stderr.read_line(&mut self.said).await.unwrap();
                assert_ne!(read, 0, "it ended without saying {text:?}: {}", self.said);
            }
        })
        .await;
    }

    /// Waits for its end; returns its exit status and what it wrote to standard error.
    pub(crate) async fn end(mut self) -> (ExitStatus, String) {
        soon("the worker ends", async {
            self.stderr.read_to_string(&mut self.said).await.unwrap();
            (self.child.wait().await.unwrap(), self.said)
        })
        .await
    }

    /// Ends it as a crash would.
    pub(crate) async fn crash(mut self) {
        self.child.start_kill().unwrap();
        self.child.wait().await.unwrap();
    }
}

/// An assignment of trial `number` that runs a shell script.
pub(crate) fn script(number: u64, script: &str) -> v1::Assignment {
    v1::Assignment {
        lease: Some(v1::Lease {
            study_uid: "018f7a3e-0000-7000-8000-000000000001".to_owned(),
            trial: number,
            attempt: 1,
            id: format!("018f7a3e-0000-4000-8000-{number:012}"),
        }),
        study: "digits".to_owned(),
        parameters: vec![],
        template: Some(v1::TrialTemplate {
            command: vec!["/bin/sh".to_owned(), "-c".to_owned(), script.to_owned()],
            grace: Some(Duration::from_secs(5).into()),
            ..v1::TrialTemplate::default()
        }),
        gpus: vec![],
        seed: 1,
        metrics: vec!["acc".to_owned()],
        objectives: 1,
        resume: None,
        until: None,
        keep_checkpoint: false,
    }
}

/// A shell command that prints points 1 ..= `count` of the objective, the value being the step. Braces are doubled, as in any command.
pub(crate) fn print_points(count: u32) -> String {
    format!(
        "i=1; while [ $i -le {count} ]; do echo \"{{{{\\\"step\\\": $i, \\\"acc\\\": $i}}}}\"; i=$((i+1)); done"
    )
}

pub(crate) fn verdict(lease: &v1::Lease, verdict: v1::Verdict, committed_seq: u64) -> v1::AttemptVerdict {
    v1::AttemptVerdict {
        lease: Some(lease.clone()),
        verdict: verdict.into(),
        committed_seq,
    }
}

pub(crate) fn is_alive(pid: u32) -> bool {
    // A zombie that nobody has reaped is dead for our purposes.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}
