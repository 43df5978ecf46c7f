//! `tunesmith up`: a coordinator and a worker on this machine, as child processes, until interrupted.
//!
//! Both keep their state in the data folder, so that the next `up` goes on where this one ended. They run in process groups of
//! their own: Ctrl-C reaches this program only, which stops the worker first (it stops its trainings) and then the coordinator.

mod service;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tunesmith_proto::v1 as pb;

use crate::args::UpArgs;
use crate::client::{self, Client};
use crate::context::Context;
use crate::error::{self, CliError};
use crate::output::Screen;
use crate::settings::{
    ADMIN_TOKEN_FILE, DEFAULT_LISTEN, Settings, TokenOrigin, WORKER_TOKEN_FILE, read_token,
};
use crate::view::pool;
use service::Service;

/// Time for the coordinator to answer: it may have to bring a large database up to date.
const START_DEADLINE: Duration = Duration::from_secs(60);
/// Time for the worker to join before its absence is mentioned.
const JOIN_DEADLINE: Duration = Duration::from_secs(15);
/// Time between two questions whether something is ready.
const POLL: Duration = Duration::from_millis(100);
/// Time for the worker to stop its trainings; longer than the 2 minutes after which it gives up on them itself.
const WORKER_STOP_DEADLINE: Duration = Duration::from_secs(130);
/// Time for the coordinator to write what it has.
const COORDINATOR_STOP_DEADLINE: Duration = Duration::from_secs(15);

/// Signals that mean: stop.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
    hangup: Signal,
}

impl Signals {
    fn install() -> Result<Self, CliError> {
        let install = |kind| {
            signal(kind).map_err(|error| {
                let reason = error::io_reason(&error);
                CliError::Usage {
                    headline: format!("cannot listen for signals: {reason}"),
                    hints: vec![],
                }
            })
        };
        Ok(Self {
            interrupt: install(SignalKind::interrupt())?,
            terminate: install(SignalKind::terminate())?,
            hangup: install(SignalKind::hangup())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
            _ = self.hangup.recv() => {}
        }
    }
}

/// What is to be started, where.
#[derive(Debug)]
struct Plan {
    data: PathBuf,
    data_is_default: bool,
    listen: SocketAddr,
    url: String,
}

impl Plan {
    fn new(args: &UpArgs, context: &Context) -> Result<Self, CliError> {
        if args.listen.port() == 0 {
            return Err(CliError::usage(
                "--listen needs a port",
                format!("such as --listen {DEFAULT_LISTEN}"),
            ));
        }
        let default = context.environment.data_dir();
        let data = args.data.clone().unwrap_or_else(|| default.clone());
        std::fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&data)
            .map_err(|error| CliError::file("create the data folder", &data, &error))?;
        let data = data
            .canonicalize()
            .map_err(|error| CliError::file("open the data folder", &data, &error))?;
        let data_is_default = default.canonicalize().is_ok_and(|default| default == data);
        Ok(Self {
            data,
            data_is_default,
            listen: args.listen,
            url: format!("http://{}", reachable(args.listen)),
        })
    }

    fn coordinator_args(&self) -> Vec<String> {
        let database = self.data.join("tunesmith.db");
        vec![
            "--listen".to_owned(),
            self.listen.to_string(),
            "--store".to_owned(),
            format!("sqlite:{}", database.display()),
            "--data".to_owned(),
            self.data.display().to_string(),
        ]
    }

    fn worker_args(&self, args: &UpArgs) -> Vec<String> {
        let mut words = vec![
            "--coordinator".to_owned(),
            self.url.clone(),
            "--token-file".to_owned(),
            self.data.join(WORKER_TOKEN_FILE).display().to_string(),
            "--state-dir".to_owned(),
            self.data.join("worker").display().to_string(),
            "--on-exit".to_owned(),
            "stop".to_owned(),
        ];
        if let Some(slots) = args.slots {
            words.extend(["--slots".to_owned(), slots.to_string()]);
        }
        if let Some(gpus) = &args.gpus {
            words.extend(["--gpus".to_owned(), gpus.clone()]);
        }
        words
    }
}

/// The address by which this machine reaches a listener at `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}

/// Runs until interrupted, or until one of the services ends by itself.
pub(crate) async fn up(args: UpArgs, context: &Context) -> Result<(), CliError> {
    let coordinator_program = find_program("tunesmith-coordinator", context)?;
    let worker_program = if args.no_worker {
        None
    } else {
        Some(find_program("tunesmith-worker", context)?)
    };
    let plan = Plan::new(&args, context)?;
    check_port_is_free(plan.listen)?;

    let mut signals = Signals::install()?;
    let screen = context.screen;
    screen.message(&format!(
        "Starting the coordinator; data in {}.",
        plan.data.display()
    ));
    let mut services = Services {
        coordinator: None,
        worker: None,
        screen,
    };
    services.coordinator = Some(Service::start(
        "coordinator",
        &coordinator_program,
        &plan.coordinator_args(),
        screen,
    )?);
    let result = tokio::select! {
        result = run(&plan, &args, worker_program.as_deref(), &mut services) => result,
        () = signals.next() => Ok(()),
    };
    if result.is_ok() {
        screen.message("\nTrainings get the time to save what they have. Press Ctrl-C again to kill.");
    }
    tokio::select! {
        () = services.stop() => {}
        () = signals.next() => {
            services.kill().await;
            screen.warning("killed; the worker's next start ends or takes up the trainings that were running");
            return result.and(Err(CliError::Interrupted));
        }
    }
    if result.is_ok() {
        screen.message("Stopped. Studies go on with the next `tunesmith up`.");
    }
    result
}

/// Brings everything up, then waits for something to end that should not.
async fn run(
    plan: &Plan,
    args: &UpArgs,
    worker: Option<&Path>,
    services: &mut Services,
) -> Result<(), CliError> {
    {
        let Some(coordinator) = services.coordinator.as_mut() else {
            return Ok(());
        };
        tokio::select! {
            ready = until_ready(&plan.url) => ready?,
            ended = coordinator.ended() => return Err(ended),
        }
    }
    let token_file = plan.data.join(ADMIN_TOKEN_FILE);
    let token = read_token(&token_file)?;
    let settings = Settings {
        url: plan.url.clone(),
        token: Some(token.clone()),
        token_origin: TokenOrigin::File(token_file),
    };
    let client = Client::connect(&settings).await?;
    if let Some(program) = worker {
        let service = Service::start("worker", program, &plan.worker_args(args), services.screen)?;
        services.worker = Some(service);
    }
    let joined = async {
        if worker.is_some() {
            until_joined(&client).await
        } else {
            Ok(None)
        }
    };
    let joined = tokio::select! {
        joined = joined => joined?,
        ended = services.any_ended() => return Err(ended),
    };
    // Shown to whoever sits there, and kept in no file that standard error may go to.
    let shown = services.screen.error_is_terminal().then_some(token.expose());
    services
        .screen
        .message(&welcome(plan, shown, worker.is_some(), joined.as_ref()));
    Err(services.any_ended().await)
}

/// What to do next, for somebody who has just started Tunesmith for the first time. With `token` the dashboard's address signs in.
fn welcome(plan: &Plan, token: Option<&str>, with_worker: bool, joined: Option<&pb::Worker>) -> String {
    let worker = match joined {
        Some(worker) => pool::worker_summary(worker),
        None if with_worker => "has not joined yet, see its lines above".to_owned(),
        None => format!(
            "none; start tunesmith-worker elsewhere with {}",
            plan.data.join(WORKER_TOKEN_FILE).display()
        ),
    };
    let mut lines = vec![String::new(), "Tunesmith is up.".to_owned()];
    lines.push(format!("  coordinator  {}", plan.url));
    lines.push(format!("  worker       {worker}"));
    lines.push(match token {
        Some(token) => format!("  dashboard    {}/#token={token}", plan.url),
        None => format!(
            "  dashboard    {}/, with the token in {}",
            plan.url,
            plan.data.join(ADMIN_TOKEN_FILE).display()
        ),
    });
    lines.push(String::new());
    lines.push("Next, in another terminal:".to_owned());
    if plan.listen.to_string() != DEFAULT_LISTEN {
        lines.push(format!("  export TUNESMITH_COORDINATOR={}", plan.url));
    }
    if !plan.data_is_default {
        lines.push(format!(
            "  export TUNESMITH_TOKEN_FILE={}",
            plan.data.join(ADMIN_TOKEN_FILE).display()
        ));
    }
    lines.push("  tunesmith run study.yaml".to_owned());
    lines.push(String::new());
    lines.push("Ctrl-C stops everything; studies go on with the next `tunesmith up`.".to_owned());
    lines.join("\n")
}

/// A program of ours: beside this one, or in PATH.
fn find_program(name: &str, context: &Context) -> Result<PathBuf, CliError> {
    let own = std::env::current_exe().ok();
    let beside = own
        .as_deref()
        .and_then(Path::parent)
        .map(|folder| folder.join(name));
    let in_path = context
        .environment
        .path
        .iter()
        .flat_map(std::env::split_paths)
        .map(|folder| folder.join(name));
    beside
        .into_iter()
        .chain(in_path)
        .find(|path| path.is_file())
        .ok_or_else(|| {
            CliError::usage(
                format!("the program {name} was found neither beside this one nor in PATH"),
                "install it with the same version, or build it with `cargo build --workspace`",
            )
        })
}

/// Notices a port that is taken before a coordinator starts only to fail.
fn check_port_is_free(listen: SocketAddr) -> Result<(), CliError> {
    match std::net::TcpListener::bind(listen) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let other = SocketAddr::new(listen.ip(), listen.port().checked_add(1).unwrap_or(7701));
            Err(CliError::Usage {
                headline: format!(
                    "cannot listen at {listen}: the port is in use, perhaps by another `tunesmith up`"
                ),
                hints: vec![
                    format!(
                        "see whether it is one with `tunesmith config check --coordinator http://{}`",
                        reachable(listen)
                    ),
                    format!("or choose another port, such as --listen {other}"),
                ],
            })
        }
        Err(error) => Err(CliError::usage(
            format!("cannot listen at {listen}: {}", error::io_reason(&error)),
            format!("choose an address of this machine, such as --listen {DEFAULT_LISTEN}"),
        )),
    }
}

/// Waits until the coordinator says that it serves.
async fn until_ready(url: &str) -> Result<(), CliError> {
    let ask = async {
        loop {
            if let Ok(channel) = client::endpoint(url)?.connect().await {
                let answer = HealthClient::new(channel)
                    .check(HealthCheckRequest {
                        service: String::new(),
                    })
                    .await;
                if answer.is_ok_and(|answer| answer.into_inner().status() == ServingStatus::Serving) {
                    return Ok(());
                }
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(START_DEADLINE, ask)
        .await
        .unwrap_or_else(|_| {
            Err(CliError::Unreachable {
                headline: format!(
                    "the coordinator did not answer at {url} within {} s",
                    START_DEADLINE.as_secs()
                ),
                hints: vec!["its lines above may say why".to_owned()],
            })
        })
}

/// Waits until a worker has joined; none if that takes long.
async fn until_joined(client: &Client) -> Result<Option<pb::Worker>, CliError> {
    let ask = async {
        loop {
            let workers = client
                .list_workers(pb::ListWorkersRequest {}, "look for the worker")
                .await?
                .workers;
            if let Some(worker) = workers
                .into_iter()
                .find(|worker| worker.state() == pb::WorkerState::Ready)
            {
                return Ok(worker);
            }
            tokio::time::sleep(POLL).await;
        }
    };
    tokio::time::timeout(JOIN_DEADLINE, ask).await.ok().transpose()
}

/// What runs.
struct Services {
    coordinator: Option<Service>,
    worker: Option<Service>,
    screen: Screen,
}

impl Services {
    /// Waits for one of them to end by itself.
    async fn any_ended(&mut self) -> CliError {
        let coordinator = async {
            match &mut self.coordinator {
                Some(service) => service.ended().await,
                None => std::future::pending().await,
            }
        };
        let worker = async {
            match &mut self.worker {
                Some(service) => service.ended().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = coordinator => error,
            error = worker => error,
        }
    }

    /// Stops the worker, then the coordinator, which hears how the worker's trials ended.
    async fn stop(&mut self) {
        for (service, deadline) in [
            (&mut self.worker, WORKER_STOP_DEADLINE),
            (&mut self.coordinator, COORDINATOR_STOP_DEADLINE),
        ] {
            let Some(service) = service else { continue };
            self.screen.message(&format!("Stopping the {}.", service.name()));
            if !service.stop(deadline).await {
                self.screen.warning(&format!(
                    "the {} did not stop within {} s and was killed",
                    service.name(),
                    deadline.as_secs()
                ));
            }
        }
    }

    async fn kill(&mut self) {
        for service in [&mut self.worker, &mut self.coordinator].into_iter().flatten() {
            service.kill().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_reached_by_loopback() {
        let cases = [
            ("0.0.0.0:7700", "127.0.0.1:7700"),
            ("[::]:7700", "[::1]:7700"),
            ("10.0.0.7:1", "10.0.0.7:1"),
        ];
        for (listen, reached) in cases {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), reached);
        }
    }

    #[test]
    fn a_port_in_use_is_noticed_with_a_remedy() {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let error = check_port_is_free(taken.local_addr().unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("the port is in use") && error.render().contains("--listen"),
            "{}",
            error.render()
        );
    }

    #[test]
    fn the_welcome_names_what_the_next_terminal_needs() {
        let mut plan = Plan {
            data: PathBuf::from("/data"),
            data_is_default: true,
            listen: DEFAULT_LISTEN.parse().unwrap(),
            url: format!("http://{DEFAULT_LISTEN}"),
        };
        let worker = crate::view::samples::worker();
        insta::assert_snapshot!(welcome(&plan, Some("ts_user_1_x"), true, Some(&worker)));
        plan.data_is_default = false;
        plan.listen = "127.0.0.1:7999".parse().unwrap();
        plan.url = "http://127.0.0.1:7999".to_owned();
        let text = welcome(&plan, None, false, None);
        for line in [
            "TUNESMITH_COORDINATOR=http://127.0.0.1:7999",
            "TUNESMITH_TOKEN_FILE=/data/admin.token",
            "/data/worker.token",
            "  dashboard    http://127.0.0.1:7999/, with the token in /data/admin.token",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
