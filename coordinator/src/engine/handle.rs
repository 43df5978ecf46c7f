//! The way in: a cheap, cloneable handle by which others give an engine commands and await the answers.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tunesmith_common::{StudyId, StudyName, Timestamp};

use crate::decide::{CoreError, Ctx, NoTrial, Outbox, StudyCore, Summary};
use crate::store::{Changes, StoreError};

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum EngineError {
    /// The study refused it.
    #[error(transparent)]
    Core(#[from] CoreError),
    /// The store is not available, or the coordinator is stopping. It may or may not have been carried out: repeating it with the
    /// same request id is safe.
    #[error("try again: {0}")]
    Unavailable(String),
    /// The store has no room left.
    #[error("the database has no room left: {0}")]
    Full(String),
    /// There is no such study.
    #[error("there is no study {0}")]
    StudyNotFound(String),
    /// What is stored of the study cannot be read: a person must look.
    #[error("study {0} cannot be loaded")]
    Broken(StudyId),
}

impl From<crate::decide::NoTrial> for EngineError {
    fn from(reason: crate::decide::NoTrial) -> Self {
        Self::Core(reason.into())
    }
}

impl EngineError {
    /// What callers are told about an error of the store.
    #[must_use]
    pub fn from_store(error: &StoreError) -> Self {
        match error {
            StoreError::Full(text) => Self::Full(text.clone()),
            StoreError::NotFound(text) => Self::StudyNotFound(text.clone()),
            StoreError::NotOwner(_) => {
                Self::Unavailable("the study has moved to another coordinator".to_owned())
            }
            StoreError::Unavailable { .. }
            | StoreError::AlreadyExists(_)
            | StoreError::Invalid(_)
            | StoreError::Corrupt(_) => Self::Unavailable("the database did not take the change".to_owned()),
        }
    }
}

/// What a commit changed, for those who watch.
#[derive(Clone, Debug)]
pub struct Committed {
    /// The study's revision after it.
    pub revision: u64,
    /// When.
    pub at: Timestamp,
    /// What was written.
    pub changes: Arc<Changes>,
    /// The study after it.
    pub summary: Arc<Summary>,
}

/// To be called once it is known whether the changes were committed.
pub(super) type Answer = Box<dyn FnOnce(Result<(), EngineError>) + Send>;

/// What a command led to.
pub(super) struct Step {
    pub(super) answer: Answer,
    /// Whether the study must be loaded again after the commit.
    pub(super) reload: bool,
}

/// One command on its way to an engine.
pub(super) trait Command: Send {
    /// Applies it.
    fn apply(self: Box<Self>, core: &mut StudyCore, out: &mut Outbox, ctx: &mut Ctx<'_>) -> Step;

    /// Answers it without applying it.
    fn refuse(self: Box<Self>, error: EngineError);
}

/// A command whose caller waits for the result.
struct Call<F, T> {
    command: F,
    answer: oneshot::Sender<Result<T, EngineError>>,
}

impl<F, T> Command for Call<F, T>
where
    F: FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> Result<(T, bool), EngineError> + Send,
    T: Send + 'static,
{
    fn apply(self: Box<Self>, core: &mut StudyCore, out: &mut Outbox, ctx: &mut Ctx<'_>) -> Step {
        let Self { command, answer } = *self;
        let (result, reload) = match command(core, out, ctx) {
            Ok((result, reload)) => (Ok(result), reload),
            Err(error) => (Err(error), false),
        };
        // A caller that has gone does not need its answer.
        Step {
            answer: Box::new(move |commit| drop(answer.send(commit.and(result)))),
            reload,
        }
    }

    fn refuse(self: Box<Self>, error: EngineError) {
        drop(self.answer.send(Err(error)));
    }
}

/// A message that nobody waits for.
struct Tell<F>(F);

impl<F: FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) + Send> Command for Tell<F> {
    fn apply(self: Box<Self>, core: &mut StudyCore, out: &mut Outbox, ctx: &mut Ctx<'_>) -> Step {
        (self.0)(core, out, ctx);
        Step {
            answer: Box::new(|_| {}),
            reload: false,
        }
    }

    fn refuse(self: Box<Self>, _: EngineError) {}
}

/// Gives commands to the engine of one study.
#[derive(Clone)]
pub struct EngineHandle {
    pub(super) id: StudyId,
    pub(super) name: StudyName,
    pub(super) commands: mpsc::Sender<Box<dyn Command>>,
    pub(super) events: broadcast::Sender<Committed>,
    pub(super) advised: watch::Receiver<u64>,
}

impl fmt::Debug for EngineHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineHandle")
            .field("study", &self.name)
            .finish_non_exhaustive()
    }
}

impl EngineHandle {
    /// Identity of the study.
    #[must_use]
    pub fn id(&self) -> StudyId {
        self.id
    }

    /// Name of the study.
    #[must_use]
    pub fn name(&self) -> &StudyName {
        &self.name
    }

    /// Has `command` applied to the study, and returns its result once everything that it changed is committed.
    ///
    /// Dropping the future does not undo the command.
    ///
    /// # Errors
    /// Those of the command, and [`EngineError::Unavailable`] if the commit failed or its outcome is unknown.
    pub async fn call<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> Result<T, EngineError> + Send + 'static,
    ) -> Result<T, EngineError> {
        self.call_and_reload(move |core, out, ctx| command(core, out, ctx).map(|result| (result, false)))
            .await
    }

    /// As [`Self::call`], for commands that say whether the study must be loaded again after the commit.
    ///
    /// # Errors
    /// As for [`Self::call`].
    pub async fn call_and_reload<T: Send + 'static>(
        &self,
        command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> Result<(T, bool), EngineError>
        + Send
        + 'static,
    ) -> Result<T, EngineError> {
        let (answer, receiver) = oneshot::channel();
        self.commands
            .send(Box::new(Call { command, answer }))
            .await
            .map_err(|_| stopping())?;
        receiver.await.unwrap_or_else(|_| Err(stopping()))
    }

    /// Has `command` applied without waiting for the commit. For messages of workers, which are acknowledged by orders and sent
    /// again if they were lost.
    ///
    /// # Errors
    /// [`EngineError::Unavailable`] if the engine is stopping.
    pub async fn tell(
        &self,
        command: impl FnOnce(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) + Send + 'static,
    ) -> Result<(), EngineError> {
        self.commands
            .send(Box::new(Tell(command)))
            .await
            .map_err(|_| stopping())
    }

    /// As [`Self::call`], for commands that need a proposal of the study's strategy: where it is still being computed, the command is
    /// given again once it is there.
    ///
    /// # Errors
    /// As for [`Self::call`]; [`EngineError::Unavailable`] also if the strategy takes very long.
    pub async fn call_with_advice<T: Send + 'static>(
        &self,
        command: impl Fn(&mut StudyCore, &mut Outbox, &mut Ctx<'_>) -> Result<T, EngineError>
        + Clone
        + Send
        + 'static,
    ) -> Result<T, EngineError> {
        /// A caller is better off trying again than waiting for longer.
        const PATIENCE: Duration = Duration::from_secs(60);
        let mut advised = self.advised.clone();
        let until = tokio::time::Instant::now() + PATIENCE;
        loop {
            advised.borrow_and_update();
            let result = self.call(command.clone()).await;
            if !matches!(
                result,
                Err(EngineError::Core(CoreError::NoTrial(NoTrial::Thinking)))
            ) {
                return result;
            }
            match tokio::time::timeout_at(until, advised.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(stopping()),
                Err(_) => return Err(EngineError::Unavailable(NoTrial::Thinking.to_string())),
            }
        }
    }

    /// What is committed from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Committed> {
        self.events.subscribe()
    }

    /// Whether the engine still runs.
    pub(super) fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }
}

fn stopping() -> EngineError {
    EngineError::Unavailable("the study is being loaded, moved or the coordinator is stopping".to_owned())
}
