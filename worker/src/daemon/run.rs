//! The daemon's outer loop: connect, talk, come back; and in the end stop what runs.
//!
//! Trainings do not depend on it: however long the coordinator is away they go on, and what they report waits on disk.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::transport::Endpoint;
use tunesmith_common::Clock;
use tunesmith_common::worker::WorkerResources;
use tunesmith_proto::convert::worker::{held_to_wire, resources_to_wire};
use tunesmith_proto::{SESSION_PROTOCOL, v1};

use super::core::Core;
use super::identity::{Identity, IdentityError};
use super::launches::Launches;
use super::lifecycle::{Lifecycle, Shutdown, Verdict};
use crate::attempt::{AttemptError, AttemptStore, StopKind, StopRequest, StoreOptions};
use crate::config::{Config, ConfigError, OnExit};
use crate::resources::{self, GpuError, GpuEyes};
use crate::session::{self, Backoff, OpenError, SessionEnd};
use crate::usage::Sampler;

/// Pause after a refusal: it needs a person, who needs more than a moment.
const REFUSED_PAUSE: Duration = Duration::from_secs(30);
/// The same trouble is told again after that long.
const REPEAT_TROUBLE: Duration = Duration::from_secs(30);
/// A conversation that lasted this long was a good one: the next try comes at once.
const GOOD_SESSION: Duration = Duration::from_secs(5);
/// How often folders of forgotten attempts are looked through.
const SWEEP_INTERVAL: Duration = Duration::from_secs(300);
/// What a supervisor needs beyond the grace to end everything of a trial.
const KILL_RESERVE: Duration = Duration::from_secs(15);

/// Why the worker ended.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The state folder is in use, or cannot be used.
    #[error(transparent)]
    Attempts(#[from] AttemptError),
    /// There is no identity.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The configured GPUs cannot be offered.
    #[error(transparent)]
    Gpus(#[from] GpuError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The coordinator's address cannot be used.
    #[error("the coordinator's address {0:?} cannot be used")]
    Address(String, #[source] tonic::transport::Error),
    /// The coordinator refuses this worker, which runs nothing.
    #[error("the coordinator at {coordinator} refuses this worker: {message}\n{remedy}")]
    Refused {
        /// Its address.
        coordinator: String,
        /// Its words.
        message: String,
        /// What to do.
        remedy: &'static str,
    },
    /// Some trials did not stop in time. They are being killed, or left to their supervisors.
    #[error("some trials did not stop within {} s", .0.as_secs())]
    DrainTimedOut(Duration),
    /// A second signal ended the worker at once.
    #[error("ended at once by a second signal")]
    Interrupted,
}

impl WorkerError {
    /// Exit status of the program.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Config(_) | Self::Gpus(_) | Self::Address(..) => 2,
            Self::Refused { .. } => 4,
            Self::Attempts(_) | Self::Identity(_) | Self::DrainTimedOut(_) => 1,
            Self::Interrupted => 130,
        }
    }
}

/// Runs the worker until `shutdown` asks for its end, or it has been idle for as long as the configuration allows.
///
/// The coordinator may be away for any time. Nothing that this started outlives it, but for the supervisors of trials: on return none of
/// their trainings is alive, unless the configuration says to leave them or the error is [`WorkerError::DrainTimedOut`] or
/// [`WorkerError::Interrupted`].
///
/// # Errors
/// [`WorkerError`]. [`WorkerError::Refused`] only before the first conversation, and while nothing runs here.
pub async fn run(
    config: Config,
    clock: Arc<dyn Clock>,
    shutdown: watch::Receiver<Shutdown>,
) -> Result<(), WorkerError> {
    let endpoint = session::endpoint(&config.coordinator)
        .map_err(|error| WorkerError::Address(config.coordinator.clone(), error))?;
    let mut resources = resources::detect(&config)?;
    let options = StoreOptions {
        checkpoint_dir: config.checkpoint_dir.clone(),
        checkpoint_limit: config.checkpoint_limit,
        log_limit: config.output_limit,
        orphan_timeout: config.orphan_timeout,
        retention: config.keep_attempts,
        retention_bytes: config.keep_attempts_limit,
        ..StoreOptions::new(&config.state_dir)
    };
    let (store, events) = AttemptStore::open(options, clock.clone()).await?;
    resources.stores = vec![store.checkpoint_place()];
    let identity = match Identity::start(&config.state_dir) {
        Ok(identity) => identity,
        Err(error) => {
            store.close().await;
            return Err(error.into());
        }
    };
    tracing::info!(
        worker = %config.name,
        uid = %identity.uid,
        generation = identity.generation,
        coordinator = config.coordinator,
        slots = resources.slots,
        cpus = resources.cpus,
        memory = resources.memory,
        gpus = resources.gpus.len(),
        attempts = store.attempts().len(),
        state_dir = %config.state_dir.display(),
        "worker started"
    );

    let sweeping = CancellationToken::new();
    let tasks = TaskTracker::new();
    tasks.spawn(sweep(store.clone(), sweeping.clone()));
    let gpus = GpuEyes::new(&resources.gpus, config.fake_gpus.is_some());
    let (sampler, looks) = Sampler::new(store.clone(), clock.clone(), gpus);
    tasks.spawn(sampler.run(sweeping.clone()));
    let core = Core {
        store: store.clone(),
        events,
        shutdown,
        lifecycle: Lifecycle::new(&config),
        launches: Launches::default(),
        clock,
        looks,
    };
    let mut daemon = Daemon {
        core,
        config,
        identity,
        resources,
        endpoint,
        backoff: Backoff::default(),
        greeted: false,
        trouble: None,
    };
    let ended = Box::pin(daemon.serve()).await;
    drop(daemon);
    sweeping.cancel();
    tasks.close();
    tasks.wait().await;
    store.close().await;
    ended
}

async fn sweep(store: AttemptStore, cancel: CancellationToken) {
    let mut ticks = tokio::time::interval(SWEEP_INTERVAL);
    loop {
        tokio::select! {
            () = cancel.cancelled() => return,
            _ = ticks.tick() => store.sweep().await,
        }
    }
}

#[derive(Debug)]
struct Daemon {
    core: Core,
    config: Config,
    identity: Identity,
    resources: WorkerResources,
    endpoint: Endpoint,
    backoff: Backoff,
    /// Whether there was a conversation since the start.
    greeted: bool,
    /// The trouble that was told last, and when.
    trouble: Option<(String, Instant)>,
}

impl Daemon {
    async fn serve(&mut self) -> Result<(), WorkerError> {
        let mut pause = Duration::ZERO;
        loop {
            let step = match self.core.attend(tokio::time::sleep(pause)).await {
                Ok(()) => self.converse().await?,
                Err(verdict) => Step::Verdict(verdict),
            };
            match step {
                Step::Again(after) => pause = after,
                Step::Verdict(verdict) => {
                    if let Some(ended) = self.act(verdict).await {
                        return ended;
                    }
                    pause = Duration::ZERO;
                }
            }
        }
    }

    /// Opens a conversation and holds it to its end.
    async fn converse(&mut self) -> Result<Step, WorkerError> {
        let token = match self.config.token.read() {
            Ok(token) => token,
            Err(error) => return Ok(Step::Again(self.trouble(&error.to_string()))),
        };
        let opening = session::open(self.endpoint.clone(), token, self.hello());
        let opened = match self.core.attend(opening).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return self.missed(error).map(Step::Again),
            Err(verdict) => return Ok(Step::Verdict(verdict)),
        };
        self.greeted = true;
        self.trouble = None;
        if let Some(ttl) = opened.lease_ttl() {
            self.backoff.leases_last(ttl);
        }
        tracing::info!(
            coordinator = self.config.coordinator,
            "connected to the coordinator"
        );
        let since = Instant::now();
        let end = Box::pin(session::run(&mut self.core, opened)).await;
        if since.elapsed() >= GOOD_SESSION {
            self.backoff.reset();
        }
        match end {
            SessionEnd::Verdict(verdict) => Ok(Step::Verdict(verdict)),
            SessionEnd::ComeBack(after) => {
                tracing::info!(
                    after_ms = after.as_millis(),
                    "the coordinator leaves; coming back"
                );
                self.backoff.reset();
                Ok(Step::Again(after + self.backoff.next(random())))
            }
            SessionEnd::Lost(error) => self.missed(error).map(Step::Again),
        }
    }

    fn hello(&self) -> v1::WorkerHello {
        v1::WorkerHello {
            worker: self.config.name.to_string(),
            worker_uid: self.identity.uid.to_string(),
            instance: self.identity.instance.to_string(),
            generation: self.identity.generation,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            protocol_min: SESSION_PROTOCOL,
            protocol_max: SESSION_PROTOCOL,
            resources: Some(resources_to_wire(&self.resources)),
            attempts: self
                .core
                .store
                .attempts()
                .iter()
                .map(|attempt| held_to_wire(&attempt.held()))
                .collect(),
            draining: self.core.lifecycle.is_leaving(),
        }
    }

    /// There is no conversation: how long to wait before the next try.
    fn missed(&mut self, error: OpenError) -> Result<Duration, WorkerError> {
        if let OpenError::Refused { code, message } = &error {
            let remedy = match code {
                tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
                    "Give it a worker's token that is valid there with --token-file; `tunesmith token create --label NAME --worker --file PATH` makes one."
                }
                _ => "",
            };
            let running = self
                .core
                .store
                .attempts()
                .iter()
                .any(|attempt| !attempt.held().ended);
            if !remedy.is_empty() && !self.greeted && !running {
                let coordinator = self.config.coordinator.clone();
                return Err(WorkerError::Refused {
                    coordinator,
                    message: message.clone(),
                    remedy,
                });
            }
            self.trouble(&format!("{error}. {remedy}"));
            return Ok(REFUSED_PAUSE);
        }
        let text = match std::error::Error::source(&error) {
            // The transport's own words are "transport error"; what happened is at the bottom.
            Some(mut cause) => {
                while let Some(deeper) = cause.source() {
                    cause = deeper;
                }
                format!("{error}: {cause}")
            }
            None => error.to_string(),
        };
        Ok(self.trouble(&text))
    }

    /// Tells of trouble, unless the same was told a moment ago, and returns the pause before the next try.
    fn trouble(&mut self, text: &str) -> Duration {
        let now = Instant::now();
        let told = self
            .trouble
            .as_ref()
            .is_some_and(|(last, at)| last == text && now.duration_since(*at) < REPEAT_TROUBLE);
        if !told {
            tracing::warn!(
                coordinator = self.config.coordinator,
                "no session with the coordinator; trying again: {text}"
            );
            self.trouble = Some((text.to_owned(), now));
        }
        self.backoff.next(random())
    }

    /// Does what the worker's own life asks for. Returns how the worker ends, if it does.
    async fn act(&mut self, verdict: Verdict) -> Option<Result<(), WorkerError>> {
        match verdict {
            Verdict::Go => None,
            Verdict::Begin(OnExit::Leave) => {
                tracing::info!("worker ends; its trials go on");
                Some(Ok(()))
            }
            Verdict::Begin(OnExit::Finish) => {
                tracing::info!("worker ends when its trials have ended");
                None
            }
            Verdict::Begin(OnExit::Stop) => {
                tracing::info!("worker ends: stopping its trials and giving them back");
                self.stop_all().await;
                None
            }
            Verdict::Done => {
                tracing::info!("worker ended");
                Some(Ok(()))
            }
            Verdict::TimedOut => {
                self.kill_all().await;
                Some(Err(WorkerError::DrainTimedOut(self.config.drain_timeout)))
            }
            Verdict::AtOnce => {
                if self.core.lifecycle.policy() == OnExit::Stop {
                    self.kill_all().await;
                }
                Some(Err(WorkerError::Interrupted))
            }
        }
    }

    async fn stop_all(&self) {
        self.core.store.give_up_launches();
        let longest = self.config.drain_timeout.saturating_sub(KILL_RESERVE);
        for attempt in self
            .core
            .store
            .attempts()
            .iter()
            .filter(|attempt| !attempt.held().ended)
        {
            let grace = attempt.grace().min(longest);
            let request = StopRequest {
                kind: StopKind::Drain,
                reason: "the worker is ending".to_owned(),
                grace,
            };
            if let Err(error) = attempt.request_stop(request).await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot stop a trial");
            }
        }
    }

    async fn kill_all(&self) {
        self.core.store.give_up_launches();
        for attempt in self
            .core
            .store
            .attempts()
            .iter()
            .filter(|attempt| !attempt.held().ended)
        {
            if let Err(error) = attempt.kill_stale().await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot kill a trial");
            }
        }
    }
}

/// What to do next.
#[derive(Debug)]
enum Step {
    /// Try again after this time.
    Again(Duration),
    /// The worker's own life asks for something.
    Verdict(Verdict),
}

fn random() -> u64 {
    // Only spreads the tries of many workers; without it they come in step.
    getrandom::u64().unwrap_or(0)
}
