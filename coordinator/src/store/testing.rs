//! Databases for tests: each test has its own, so that tests run side by side and start from nothing.

use std::path::PathBuf;
use std::sync::Arc;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tempfile::TempDir;
use uuid::Uuid;

use super::{MemoryStore, PostgresOptions, PostgresStore, SqliteStore, Store};

/// Address of a Postgres server in which tests may create databases.
const POSTGRES_URL: &str = "TUNESMITH_TEST_POSTGRES_URL";

/// A database of its own on the server of [`POSTGRES_URL`].
#[derive(Debug)]
pub(crate) struct TestPostgres {
    admin: String,
    name: String,
}

impl TestPostgres {
    /// Creates an empty database.
    pub(crate) async fn create() -> Self {
        let admin = std::env::var(POSTGRES_URL).unwrap_or_else(|_| {
            panic!("{POSTGRES_URL} is not set: run `make test`, or `export {POSTGRES_URL}=$(scripts/postgres.sh start)`")
        });
        let name = format!("tunesmith_test_{}", Uuid::new_v4().simple());
        let database = Self { admin, name };
        database
            .administer(format!("CREATE DATABASE {}", database.name))
            .await;
        database
    }

    /// Address of the database.
    pub(crate) fn url(&self) -> String {
        let (server, _) = self
            .admin
            .rsplit_once('/')
            .expect("an address ends in the name of a database");
        format!("{server}/{}", self.name)
    }

    /// Drops the database, though somebody may be connected.
    pub(crate) async fn drop(self) {
        self.administer(format!("DROP DATABASE {} WITH (FORCE)", self.name))
            .await;
    }

    async fn administer(&self, sql: String) {
        let mut connection = PgConnection::connect(&self.admin)
            .await
            .expect("the test server answers");
        sqlx::raw_sql(AssertSqlSafe(sql))
            .execute(&mut connection)
            .await
            .expect("an administrator may do this");
        connection.close().await.expect("close");
    }
}

/// What a store keeps its rows in; outlives the stores opened on it.
#[derive(Debug)]
pub(crate) enum Backend {
    Memory(MemoryStore),
    Sqlite(TempDir),
    Postgres(TestPostgres),
}

impl Backend {
    pub(crate) async fn memory() -> Self {
        Self::Memory(MemoryStore::new())
    }

    pub(crate) async fn sqlite() -> Self {
        Self::Sqlite(TempDir::new().expect("a folder for the file"))
    }

    pub(crate) async fn postgres() -> Self {
        Self::Postgres(TestPostgres::create().await)
    }

    /// Opens a store, which must be closed before the next is opened.
    pub(crate) async fn open(&self) -> Arc<dyn Store> {
        match self {
            Self::Memory(store) => Arc::new(store.clone()),
            Self::Sqlite(_) => Arc::new(SqliteStore::open(&self.file()).await.expect("open the file")),
            Self::Postgres(database) => {
                let options = PostgresOptions {
                    max_connections: 4,
                    ..PostgresOptions::default()
                };
                Arc::new(
                    PostgresStore::connect(&database.url(), &options)
                        .await
                        .expect("open the database"),
                )
            }
        }
    }

    /// Path of the SQLite file.
    pub(crate) fn file(&self) -> PathBuf {
        match self {
            Self::Sqlite(folder) => folder.path().join("tunesmith.db"),
            Self::Memory(_) | Self::Postgres(_) => panic!("{self:?} has no file"),
        }
    }

    /// Removes everything.
    pub(crate) async fn remove(self) {
        if let Self::Postgres(database) = self {
            database.drop().await;
        }
    }
}
