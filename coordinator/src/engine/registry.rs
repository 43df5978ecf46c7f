//! All engines of this coordinator: at most one for each study, started when somebody needs it.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tunesmith_common::{Clock, StudyId, StudyName};

use super::handle::{EngineError, EngineHandle};
use super::task::Engine;
use super::thinking::Thinkers;
use super::upkeep::{Upkeep, UpkeepHandle};
use crate::crash::crash_point;
use crate::pool::Pool;
use crate::store::{AuditRow, PriorTrial, RequestRow, Store, StoreError, StudyRow};

/// Commands that wait for one study at most; callers beyond that wait for room.
const WAITING_COMMANDS: usize = 4_096;
/// Commits that a slow watcher may lag behind before it is told to start again.
const WATCHED_COMMITS: usize = 1_024;

/// Settings of all engines.
#[derive(Clone, Copy, Debug)]
pub struct EngineSettings {
    /// Time without a sign of life after which a worker's leases end.
    pub lease_ttl: Duration,
    /// How often an engine looks at its clocks.
    pub tick: Duration,
    /// How long after the end of an attempt its points are joined.
    pub join_after: Duration,
}

impl EngineSettings {
    /// Settings for a lease of this length.
    #[must_use]
    pub fn new(lease_ttl: Duration) -> Self {
        Self {
            lease_ttl,
            tick: (lease_ttl / 16).clamp(Duration::from_millis(10), Duration::from_millis(250)),
            // Its worker has its next trial by then.
            join_after: Duration::from_secs(2),
        }
    }
}

#[derive(Default)]
struct Table {
    by_id: HashMap<StudyId, EngineHandle>,
    by_name: HashMap<StudyName, StudyId>,
}

/// All engines of this coordinator.
pub struct Engines {
    engines: Mutex<Table>,
    store: Arc<dyn Store>,
    pool: Arc<Pool>,
    clock: Arc<dyn Clock>,
    settings: EngineSettings,
    tasks: TaskTracker,
    upkeep: UpkeepHandle,
    thinkers: Thinkers,
    /// No lease ends from here on.
    leaving: CancellationToken,
    shutdown: CancellationToken,
}

impl fmt::Debug for Engines {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engines")
            .field("running", &self.lock().by_id.len())
            .finish_non_exhaustive()
    }
}

impl Engines {
    /// No engines yet. All of them end when `shutdown` is cancelled.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        pool: Arc<Pool>,
        clock: Arc<dyn Clock>,
        settings: EngineSettings,
        shutdown: CancellationToken,
    ) -> Arc<Self> {
        let (upkeep, handle) = Upkeep::new(Arc::clone(&store), Arc::clone(&clock), settings.join_after);
        let tasks = TaskTracker::new();
        tasks.spawn(upkeep.run(shutdown.clone()));
        Arc::new(Self {
            engines: Mutex::default(),
            store,
            pool,
            clock,
            settings,
            thinkers: Thinkers::new(tasks.clone()),
            tasks,
            upkeep: handle,
            leaving: CancellationToken::new(),
            shutdown,
        })
    }

    /// From here on no lease ends: this coordinator sends workers away, and whoever loads the studies next gives them new terms.
    pub fn keep_leases(&self) {
        self.leaving.cancel();
    }

    fn lock(&self) -> MutexGuard<'_, Table> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where studies and trials are kept, for reading.
    #[must_use]
    pub fn store(&self) -> &Arc<dyn Store> {
        &self.store
    }

    /// The pool.
    #[must_use]
    pub fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The clock.
    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// Settings of all engines.
    #[must_use]
    pub fn settings(&self) -> EngineSettings {
        self.settings
    }

    /// Starts the engines of all studies that have not ended. Returns how many.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn start(&self) -> Result<usize, StoreError> {
        let studies = self.store.study_list_alive().await?;
        let mut started = 0;
        for study in studies {
            if let Some(row) = self.store.study_fetch(study).await? {
                self.ensure(row.id, &row.name);
                started += 1;
            }
        }
        Ok(started)
    }

    /// The engine of a study, if it runs.
    #[must_use]
    pub fn running(&self, study: StudyId) -> Option<EngineHandle> {
        self.lock()
            .by_id
            .get(&study)
            .filter(|engine| engine.is_alive())
            .cloned()
    }

    /// All engines that run.
    #[must_use]
    pub fn all_running(&self) -> Vec<EngineHandle> {
        self.lock()
            .by_id
            .values()
            .filter(|engine| engine.is_alive())
            .cloned()
            .collect()
    }

    /// The engine of a study by name, if it runs.
    #[must_use]
    pub fn running_by_name(&self, name: &StudyName) -> Option<EngineHandle> {
        let engines = self.lock();
        let id = engines.by_name.get(name)?;
        engines.by_id.get(id).filter(|engine| engine.is_alive()).cloned()
    }

    /// The engine of a study, started if need be.
    ///
    /// # Errors
    /// If there is no such study, or the store does not answer.
    pub async fn open(&self, name: &StudyName) -> Result<EngineHandle, EngineError> {
        if let Some(engine) = self.running_by_name(name) {
            return Ok(engine);
        }
        match self.store.study_find(name).await {
            Ok(Some(row)) => Ok(self.ensure(row.id, &row.name)),
            Ok(None) => Err(EngineError::StudyNotFound(name.to_string())),
            Err(error) => Err(EngineError::from_store(&error)),
        }
    }

    /// The engine of a study by identity, started if need be; none if there is no such study.
    ///
    /// # Errors
    /// If the store does not answer.
    pub async fn open_by_id(&self, study: StudyId) -> Result<Option<EngineHandle>, StoreError> {
        if let Some(engine) = self.running(study) {
            return Ok(Some(engine));
        }
        Ok(self
            .store
            .study_fetch(study)
            .await?
            .map(|row| self.ensure(row.id, &row.name)))
    }

    /// Stores a new study and starts its engine. Goes on to its end even if the caller goes away.
    ///
    /// # Errors
    /// Those of [`Store::study_create`].
    pub async fn create(
        &self,
        study: StudyRow,
        history: Vec<PriorTrial>,
        request: Option<RequestRow>,
        audit: AuditRow,
    ) -> Result<(StudyRow, EngineHandle), StoreError> {
        let store = Arc::clone(&self.store);
        let created = self
            .uncancelled(async move {
                crash_point!(BeforeCreate);
                let created = store
                    .study_create(&study, &history, request.as_ref(), &audit)
                    .await;
                crash_point!(Created);
                created
            })
            .await?;
        let engine = self.ensure(created.id, &created.name);
        Ok((created, engine))
    }

    /// Deletes a study with everything it has. The caller has made sure that it has ended.
    ///
    /// # Errors
    /// Those of [`Store::study_delete`].
    pub async fn delete(&self, study: StudyId, audit: AuditRow) -> Result<(), StoreError> {
        {
            let mut engines = self.lock();
            if let Some(engine) = engines.by_id.remove(&study) {
                engines.by_name.remove(&engine.name);
            }
        }
        let store = Arc::clone(&self.store);
        self.uncancelled(async move { store.study_delete(study, &audit).await })
            .await?;
        self.pool.drop_checkpoints(study);
        Ok(())
    }

    /// Runs something that writes to the store in a task of its own, which a caller that goes away does not cancel.
    ///
    /// # Errors
    /// Those of `work`; [`StoreError::Unavailable`] if the coordinator is stopping.
    pub async fn uncancelled<T: Send + 'static>(
        &self,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.tasks.spawn(work).await.unwrap_or_else(|error| {
            Err(StoreError::Unavailable {
                context: "the write was interrupted".to_owned(),
                source: Some(Box::new(error)),
            })
        })
    }

    /// Waits until every engine has ended. To be called after the shutdown was cancelled.
    pub async fn ended(&self) {
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn ensure(&self, id: StudyId, name: &StudyName) -> EngineHandle {
        let mut engines = self.lock();
        if let Some(engine) = engines.by_id.get(&id).filter(|engine| engine.is_alive()) {
            return engine.clone();
        }
        let (commands, receiver) = mpsc::channel(WAITING_COMMANDS);
        let (events, _) = broadcast::channel(WATCHED_COMMITS);
        let (advised, advice) = watch::channel(0);
        let handle = EngineHandle {
            id,
            name: name.clone(),
            commands,
            events: events.clone(),
            advised: advice,
        };
        let engine = Engine {
            id,
            name: name.clone(),
            store: Arc::clone(&self.store),
            pool: Arc::clone(&self.pool),
            clock: Arc::clone(&self.clock),
            settings: self.settings,
            upkeep: self.upkeep.clone(),
            leaving: self.leaving.clone(),
            thinkers: self.thinkers.clone(),
            commands: receiver,
            events,
            advised,
        };
        self.tasks.spawn(engine.run(self.shutdown.clone()));
        engines.by_name.insert(name.clone(), id);
        engines.by_id.insert(id, handle.clone());
        handle
    }
}
