//! The one connection that writes.
//!
//! Whoever is dropped in the middle of a transaction leaves it open; the next one to write rolls it back first.

use sqlx::query::Query;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Sqlite, SqliteConnection, raw_sql};
use tokio::sync::{MappedMutexGuard, Mutex, MutexGuard};

use super::super::StoreError;
use super::error::store_error;

#[derive(Debug)]
struct Connection {
    raw: SqliteConnection,
    /// Whether a transaction may be open.
    in_transaction: bool,
}

/// The connection, or nothing when it is closed.
#[derive(Debug)]
pub(super) struct Writer(Mutex<Option<Connection>>);

impl Writer {
    pub(super) fn new(raw: SqliteConnection) -> Self {
        Self(Mutex::new(Some(Connection {
            raw,
            in_transaction: false,
        })))
    }

    /// Waits for its turn and begins a transaction that can write from the start: one that reads first could not wait.
    pub(super) async fn begin(&self) -> Result<Transaction<'_>, StoreError> {
        let (transaction, _) = self.begin_with(sqlx::query("BEGIN IMMEDIATE")).await?;
        Ok(transaction)
    }

    /// As [`Self::begin`], by statements of which the first is that one; returns the rows that the others return, too. (How many rows they
    /// changed is not known: SQLite counts for BEGIN what was changed before it.)
    pub(super) async fn begin_with(
        &self,
        statements: Query<'_, Sqlite, SqliteArguments>,
    ) -> Result<(Transaction<'_>, Vec<SqliteRow>), StoreError> {
        let closed = |_| StoreError::Unavailable {
            context: "the store is closed".to_owned(),
            source: None,
        };
        let mut connection = MutexGuard::try_map(self.0.lock().await, Option::as_mut).map_err(closed)?;
        if connection.in_transaction {
            rollback(&mut connection).await;
        }
        connection.in_transaction = true;
        let rows = statements
            .fetch_all(&mut connection.raw)
            .await
            .map_err(|error| store_error("begin", error))?;
        Ok((Transaction(connection), rows))
    }

    /// Waits for what is under way and closes the connection.
    pub(super) async fn close(&self) {
        if let Some(connection) = self.0.lock().await.take()
            && let Err(error) = sqlx::Connection::close(connection.raw).await
        {
            let error: &dyn std::error::Error = &error;
            tracing::warn!(error, "the database file was not closed cleanly");
        }
    }
}

/// An error means that SQLite has rolled back by itself.
async fn rollback(connection: &mut Connection) {
    if let Err(error) = raw_sql("ROLLBACK").execute(&mut connection.raw).await {
        let error: &dyn std::error::Error = &error;
        tracing::debug!(error, "nothing to roll back");
    }
    connection.in_transaction = false;
}

/// A transaction that must be [ended](Self::end).
pub(super) struct Transaction<'w>(MappedMutexGuard<'w, Connection>);

impl Transaction<'_> {
    pub(super) fn connection(&mut self) -> &mut SqliteConnection {
        &mut self.0.raw
    }

    /// Commits if `result` is good, else rolls back; returns it, or why it could not be committed.
    pub(super) async fn end<T>(mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        let result = match result {
            Ok(result) => {
                let done = raw_sql("COMMIT").execute(&mut self.0.raw).await;
                done.map(|_| result).map_err(|error| store_error("commit", error))
            }
            Err(error) => Err(error),
        };
        match result {
            Ok(_) => self.0.in_transaction = false,
            Err(_) => rollback(&mut self.0).await,
        }
        result
    }
}
