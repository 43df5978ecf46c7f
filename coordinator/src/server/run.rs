//! From a store to a running coordinator, and back.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tunesmith_common::Clock;
use tunesmith_common::worker::WorkerResources;
use tunesmith_proto::convert::worker::resources_from_wire;
use tunesmith_proto::v1;

use super::accept::{Ending, accept};
use super::door::Door;
use crate::auth::{Browsers, HostPolicy, Tokens, TokensError};
use crate::crash::crash_point;
use crate::decide::Terms;
use crate::engine::{EngineSettings, Engines};
use crate::grpc::{Api, Feeds, KeptAnswers, Parts, SERVICES};
use crate::http;
use crate::metrics::{MeteredStore, Metrics};
use crate::pool::{Dispatcher, Pool};
use crate::store::{Store, StoreError, WorkerRow};

/// Time for calls and sessions to end by themselves.
const GRACE: Duration = Duration::from_secs(8);
/// Time for each of the last steps.
const LAST_STEP: Duration = Duration::from_secs(10);
/// How often the database is asked whether it lives.
const PING: Duration = Duration::from_secs(5);
/// Name of the file with the address in the data folder.
const ADDRESS_FILE: &str = "address";

/// What a coordinator is started with.
#[derive(Debug)]
pub struct Setup {
    /// Where studies and trials are kept.
    pub store: Arc<dyn Store>,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// Address to listen on; port 0 is any free one.
    pub listen: SocketAddr,
    /// Folder for the first tokens and the file with the address. It must exist.
    pub data: PathBuf,
    /// Time without a sign of life after which leases end.
    pub lease_ttl: Duration,
    /// Names by which HTTP clients may call.
    pub allowed_hosts: Vec<String>,
    /// On what terms studies use the machines.
    pub terms: Terms,
}

/// Why a coordinator could not be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// It cannot listen there.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// A file in the data folder cannot be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The store does not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The first tokens could not be made.
    #[error(transparent)]
    Tokens(#[from] TokensError),
    /// A bug: what was built in cannot be read.
    #[error("the description of the services cannot be read: {0}")]
    Reflection(String),
}

/// A running coordinator. Dropping it ends nothing in order: call [`Running::stop`].
#[derive(Debug)]
pub struct Running {
    /// Where it listens.
    pub address: SocketAddr,
    store: Arc<dyn Store>,
    engines: Arc<Engines>,
    health: HealthReporter,
    /// Connections, and the tasks behind streams.
    calls: TaskTracker,
    /// What runs beside them.
    background: TaskTracker,
    draining: CancellationToken,
    ending: Ending,
    background_end: CancellationToken,
    engines_end: CancellationToken,
    address_file: PathBuf,
}

/// Starts a coordinator: everything runs when it returns.
///
/// # Errors
/// [`StartError`], whose text is for whoever starts it.
pub async fn start(setup: Setup) -> Result<Running, StartError> {
    let Setup {
        store,
        clock,
        listen,
        data,
        lease_ttl,
        allowed_hosts,
        terms,
    } = setup;
    let terms = Arc::new(terms);
    let listener = TcpListener::bind(listen)
        .await
        .map_err(|source| StartError::Listen {
            address: listen,
            source,
        })?;
    let address = listener.local_addr().map_err(|source| StartError::Listen {
        address: listen,
        source,
    })?;

    let metrics = Arc::new(Metrics::default());
    let store: Arc<dyn Store> = Arc::new(MeteredStore::new(store, Arc::clone(&metrics), Arc::clone(&clock)));
    let tokens = Tokens::load(Arc::clone(&store), Arc::clone(&clock)).await?;
    for path in tokens.ensure_first(&data).await? {
        tracing::info!(file = %path.display(), "token written; only its owner can read it");
    }
    let browsers = Browsers::open(&data).map_err(|source| StartError::File {
        path: data.clone(),
        source,
    })?;
    let browsers = Arc::new(browsers);
    let known = store
        .worker_list()
        .await?
        .into_iter()
        .filter_map(known_worker)
        .collect();
    let pool = Pool::new(Arc::clone(&clock), known, Arc::clone(&terms));
    let engines_end = CancellationToken::new();
    let engines = Engines::new(
        Arc::clone(&store),
        Arc::clone(&pool),
        Arc::clone(&clock),
        EngineSettings::new(lease_ttl),
        engines_end.clone(),
    );
    let studies = engines.start().await?;

    let (calls, background) = (TaskTracker::new(), TaskTracker::new());
    let (draining, background_end, ending) = (
        CancellationToken::new(),
        CancellationToken::new(),
        Ending::default(),
    );
    background.spawn(Dispatcher::new(pool, Arc::clone(&engines)).run(background_end.clone()));
    background.spawn(Arc::clone(&tokens).run(background_end.clone()));

    let api = Api::new(Parts {
        engines: Arc::clone(&engines),
        terms,
        tokens: Arc::clone(&tokens),
        browsers: Arc::clone(&browsers),
        metrics: Arc::clone(&metrics),
        tasks: calls.clone(),
        draining: draining.clone(),
        feeds: Feeds::default(),
        answers: KeptAnswers::default(),
        replaying: Arc::default(),
    });
    let (routes, health) = api
        .routes()
        .await
        .map_err(|error| StartError::Reflection(error.to_string()))?;
    background.spawn(watch_store(Arc::clone(&store), health.clone(), draining.clone()));
    let door = Arc::new(Door {
        tokens,
        browsers,
        clock,
        hosts: HostPolicy::new(&allowed_hosts),
        metrics,
        grpc: routes.into_axum_router(),
        http: http::router(api),
    });
    calls.spawn(accept(listener, door, calls.clone(), ending.clone()));

    let address_file = data.join(ADDRESS_FILE);
    // Whoever waits for the file must not find it before the address is in it.
    let new = address_file.with_extension("new");
    std::fs::write(&new, format!("{address}\n"))
        .and_then(|()| std::fs::rename(&new, &address_file))
        .map_err(|source| StartError::File {
            path: address_file.clone(),
            source,
        })?;
    tracing::info!(%address, studies, version = env!("CARGO_PKG_VERSION"), "listening");
    Ok(Running {
        address,
        store,
        engines,
        health,
        calls,
        background,
        draining,
        ending,
        background_end,
        engines_end,
        address_file,
    })
}

impl Running {
    /// Stops in order: what is under way is answered, sessions and watchers are sent away, engines end, the store is closed.
    /// Takes a bounded time, whatever clients do.
    pub async fn stop(self) {
        tracing::info!("stopping");
        for name in SERVICES {
            self.health
                .set_service_status(*name, ServingStatus::NotServing)
                .await;
        }
        self.engines.keep_leases();
        crash_point!(Stopping);
        self.draining.cancel();
        self.ending.graceful.cancel();
        self.calls.close();
        if tokio::time::timeout(GRACE, self.calls.wait()).await.is_err() {
            tracing::info!(
                left = self.calls.len(),
                "some connections did not end in time; they are dropped"
            );
        }
        self.ending.hard.cancel();
        crash_point!(SentAway);
        self.background_end.cancel();
        self.background.close();
        // Offers under way are answered by engines, which therefore end after them.
        finish("the dispatcher", self.background.wait()).await;
        self.engines_end.cancel();
        finish("the engines", self.engines.ended()).await;
        finish("the connections", self.calls.wait()).await;
        crash_point!(EnginesEnded);
        finish("the store", self.store.close()).await;
        crash_point!(StoreClosed);
        // The next start writes it anew.
        let _ = std::fs::remove_file(&self.address_file);
        tracing::info!("stopped");
    }
}

async fn finish(what: &'static str, step: impl Future<Output = ()>) {
    if tokio::time::timeout(LAST_STEP, step).await.is_err() {
        tracing::warn!(
            what,
            "did not end in time; nothing that was acknowledged is lost by that"
        );
    }
}

/// Says in health whether the database answers.
async fn watch_store(store: Arc<dyn Store>, health: HealthReporter, draining: CancellationToken) {
    let mut serving = true;
    loop {
        tokio::select! {
            () = draining.cancelled() => return,
            () = tokio::time::sleep(PING) => {}
        }
        let answers = store.ping().await;
        if answers.is_ok() == serving || draining.is_cancelled() {
            continue;
        }
        serving = answers.is_ok();
        match answers {
            Ok(()) => tracing::info!("the database answers again"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the database does not answer"
            ),
        }
        let status = if serving {
            ServingStatus::Serving
        } else {
            ServingStatus::NotServing
        };
        for name in SERVICES {
            health.set_service_status(*name, status).await;
        }
    }
}

fn known_worker(row: WorkerRow) -> Option<(WorkerRow, WorkerResources)> {
    let resources = serde_json::from_value::<v1::WorkerResources>(row.resources.clone())
        .map_err(|error| error.to_string())
        .and_then(|wire| resources_from_wire(Some(&wire), "resources").map_err(|error| error.to_string()));
    match resources {
        Ok(resources) => Some((row, resources)),
        Err(error) => {
            tracing::warn!(worker = %row.name, error, "a stored worker cannot be read; it is known again when it connects");
            None
        }
    }
}
