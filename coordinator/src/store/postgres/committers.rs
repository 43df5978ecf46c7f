//! The connections that commit.
//!
//! Not those of the pool, which asks each connection whether it lives when it is lent and when it came back: three round trips for a commit
//! that is one. Here the connection that committed last commits next, whose plans and pages are warm, and one that was idle for a
//! while is asked. One whose commit failed or was dropped midway is closed: whatever it was doing, the commit's compare-and-swap decides.
//!
//! A connection can be gone with nobody told: a firewall that forgot it, a standby that took over the address. Then the kernel goes on
//! sending for a quarter of an hour, so whoever gives no answer in time counts as gone.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, PgConnection};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

/// A connection that did nothing for that long is asked whether it still lives: the server may have restarted.
const ASKED_AFTER: Duration = Duration::from_secs(1);
/// The answer to that question takes no longer.
const LIVES_WITHIN: Duration = Duration::from_secs(2);
/// One that was not needed for that long is closed.
const CLOSED_AFTER: Duration = Duration::from_secs(600);

/// Asks the other end of a connection whether it is there.
///
/// # Errors
/// [`sqlx::Error::Io`] if it is not, or does not say so in time.
pub(super) async fn lives(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    answered_within(LIVES_WITHIN, connection.ping()).await
}

async fn answered_within<T>(
    limit: Duration,
    asked: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    timeout(limit, asked)
        .await
        .unwrap_or_else(|_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())))
}

struct Idle {
    connection: PgConnection,
    since: Instant,
}

/// Lends connections to commits.
pub(super) struct Committers {
    options: PgConnectOptions,
    most: u32,
    patience: Duration,
    answer: Duration,
    room: Semaphore,
    /// The one used last comes last.
    idle: Mutex<Vec<Idle>>,
}

impl Committers {
    /// At most `most` connections; a commit waits for up to `patience` for one, and for up to `answer` for what becomes of it.
    pub(super) fn new(options: PgConnectOptions, most: u32, patience: Duration, answer: Duration) -> Self {
        Self {
            options,
            most,
            patience,
            answer,
            room: Semaphore::new(usize::try_from(most).unwrap_or(Semaphore::MAX_PERMITS)),
            idle: Mutex::default(),
        }
    }

    /// Runs `work` on a connection.
    ///
    /// # Errors
    /// That of the work; [`sqlx::Error::PoolTimedOut`] if no connection became free, or none could be made, in time;
    /// [`sqlx::Error::Io`] if the work took too long, which may be done all the same; [`sqlx::Error::PoolClosed`].
    pub(super) async fn with<T>(
        &self,
        work: impl AsyncFnOnce(&mut PgConnection) -> Result<T, sqlx::Error>,
    ) -> Result<T, sqlx::Error> {
        let until = Instant::now() + self.patience;
        let late = |_| sqlx::Error::PoolTimedOut;
        let room = timeout_at(until, self.room.acquire()).await.map_err(late)?;
        let _room = room.map_err(|_| sqlx::Error::PoolClosed)?;
        let mut connection = timeout_at(until, self.connection()).await.map_err(late)??;
        let done = answered_within(self.answer, work(&mut connection)).await;
        if done.is_ok() && !self.room.is_closed() {
            self.put(connection);
        }
        done
    }

    async fn connection(&self) -> Result<PgConnection, sqlx::Error> {
        while let Some(mut idle) = self.take() {
            if idle.since.elapsed() < ASKED_AFTER {
                return Ok(idle.connection);
            }
            if lives(&mut idle.connection).await.is_ok() {
                return Ok(idle.connection);
            }
            // What ended this one has likely ended those that are idle for longer.
            self.idle().clear();
        }
        PgConnection::connect_with(&self.options).await
    }

    fn take(&self) -> Option<Idle> {
        self.idle().pop()
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn put(&self, connection: PgConnection) {
        let since = Instant::now();
        let mut idle = self.idle();
        idle.push(Idle { connection, since });
        let kept = idle.iter().position(|idle| since - idle.since < CLOSED_AFTER);
        idle.drain(..kept.unwrap_or_default());
    }

    /// Waits for what is under way and closes all connections; whoever wants one from now on is refused.
    pub(super) async fn close(&self) {
        // Refused only if it is closed already.
        let _all = self.room.acquire_many(self.most).await;
        self.room.close();
        while let Some(idle) = self.take() {
            if let Err(error) = idle.connection.close().await {
                let error: &dyn std::error::Error = &error;
                tracing::debug!(error, "a connection was not closed cleanly");
            }
        }
    }
}
