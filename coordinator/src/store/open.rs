//! Opens a store by its address. No message and no `Debug` shows a password.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::{PostgresOptions, PostgresStore, SqliteStore, Store};

/// Why a store could not be opened. The texts are for whoever starts the coordinator.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Not an address of a store.
    #[error("the database's address cannot be read; write {remedy}")]
    BadAddress {
        /// The form it should have.
        remedy: &'static str,
    },
    /// The database could not be reached, or refused.
    #[error("cannot {action} the database {database}")]
    Database {
        /// What was tried.
        action: &'static str,
        /// Which database, without the password.
        database: String,
        /// What the driver said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The server is older than what is supported.
    #[error("the database {database} runs Postgres {found}; version {needed} or newer is needed")]
    OldServer {
        /// Which database.
        database: String,
        /// Its version.
        found: i32,
        /// The oldest that works.
        needed: i32,
    },
    /// The server takes no writes.
    #[error("the database {database} is a standby and takes no writes; use the address of the primary")]
    Standby {
        /// Which database.
        database: String,
    },
    /// Another coordinator did not finish migrating in time.
    #[error(
        "another coordinator is migrating the database {database}, for more than {waited:?}; start again when it has finished"
    )]
    Migrating {
        /// Which database.
        database: String,
        /// Time waited.
        waited: Duration,
    },
    /// A migration failed; the schema is as it was before this migration.
    #[error("cannot migrate the database {database}")]
    Migration {
        /// Which database.
        database: String,
        /// What went wrong.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A newer version has changed the schema so that this one must not write.
    #[error(
        "the database {database} has schema {needed}, this version knows up to {known}; use a newer version"
    )]
    NewerSchema {
        /// Which database.
        database: String,
        /// The oldest schema that a coordinator must know.
        needed: i32,
        /// The schema this version knows.
        known: i32,
    },
    /// The file cannot be used.
    #[error("cannot {action} {}", path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// SQLite's locks do not work there.
    #[error(
        "{} is on a network file system ({kind}), on which SQLite loses data; use a local folder, or Postgres",
        path.display()
    )]
    NetworkFilesystem {
        /// The file.
        path: PathBuf,
        /// Which file system.
        kind: &'static str,
    },
    /// Another coordinator has the file.
    #[error(
        "another coordinator uses {}; stop it first, or use Postgres to run several on one database",
        path.display()
    )]
    InUse {
        /// The file.
        path: PathBuf,
    },
}

/// Opens the store at `url`, creates its tables if it has none, and migrates it if they are old.
///
/// `sqlite:PATH` is a file, made if there is none; its folder must exist. `postgres://USER:PASSWORD@HOST:PORT/DATABASE` is a
/// database, which must exist.
///
/// # Errors
/// [`OpenError`], whose text says what to do.
pub async fn open(url: &str) -> Result<Arc<dyn Store>, OpenError> {
    if let Some(path) = url.strip_prefix("sqlite:") {
        let path = path.strip_prefix("//").unwrap_or(path);
        if path.is_empty() || path.contains('?') || path.starts_with(':') {
            return Err(OpenError::BadAddress {
                remedy: "sqlite:PATH, where PATH is a file",
            });
        }
        return Ok(Arc::new(SqliteStore::open(path.as_ref()).await?));
    }
    if url.starts_with("postgres://") || url.starts_with("postgresql://") {
        return Ok(Arc::new(
            PostgresStore::connect(url, &PostgresOptions::default()).await?,
        ));
    }
    Err(OpenError::BadAddress {
        remedy: "sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
    })
}

#[cfg(test)]
mod tests;
