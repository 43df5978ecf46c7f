//! A database of a test's own in the private Postgres server that `scripts/test.sh` starts.

use std::time::Duration;

use tokio_postgres::NoTls;
use uuid::Uuid;

/// A database, dropped by [`Database::drop_database`].
#[derive(Clone, Debug)]
pub struct Database {
    admin: String,
    name: String,
}

impl Database {
    /// Creates an empty database in the server of `TUNESMITH_TEST_POSTGRES_URL`.
    ///
    /// # Panics
    /// If there is no such server.
    pub async fn create() -> Self {
        let admin = std::env::var("TUNESMITH_TEST_POSTGRES_URL")
            .expect("no private Postgres: run the tests by `make e2e`, or set TUNESMITH_TEST_POSTGRES_URL");
        Self::create_in(&admin).await
    }

    /// Creates an empty database in the server at `admin`.
    ///
    /// # Panics
    /// If there is no such server.
    pub async fn create_in(admin: &str) -> Self {
        let database = Self {
            admin: admin.to_owned(),
            name: format!("e2e_{}", Uuid::new_v4().simple()),
        };
        database
            .admin(&format!("CREATE DATABASE {}", database.name))
            .await;
        database
    }

    /// Its address.
    ///
    /// # Panics
    /// If the server's address has no database.
    #[must_use]
    pub fn url(&self) -> String {
        let (server, _) = self.admin.rsplit_once('/').unwrap();
        format!("{server}/{}", self.name)
    }

    /// Rows of a query, each value as text.
    ///
    /// # Panics
    /// If the query fails.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let client = connect(&self.url()).await;
        let messages = client.simple_query(sql).await.unwrap();
        messages
            .iter()
            .filter_map(|message| match message {
                tokio_postgres::SimpleQueryMessage::Row(row) => Some(
                    (0..row.len())
                        .map(|column| row.get(column).unwrap_or("NULL").to_owned())
                        .collect(),
                ),
                _ => None,
            })
            .collect()
    }

    /// Executes statements.
    ///
    /// # Panics
    /// If one of them fails.
    pub async fn execute(&self, sql: &str) {
        connect(&self.url()).await.batch_execute(sql).await.unwrap();
    }

    /// Locks a table against everybody else.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn lock(&self, table: &str) -> TableLock {
        let client = connect(&self.url()).await;
        client
            .batch_execute(&format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"))
            .await
            .unwrap();
        TableLock { client }
    }

    /// Drops it.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn drop_database(self) {
        self.admin(&format!("DROP DATABASE IF EXISTS {} WITH (FORCE)", self.name))
            .await;
    }

    async fn admin(&self, sql: &str) {
        connect(&self.admin).await.batch_execute(sql).await.unwrap();
    }
}

/// A table that nobody else can use. Released at the latest when dropped.
pub struct TableLock {
    client: tokio_postgres::Client,
}

impl std::fmt::Debug for TableLock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TableLock").finish_non_exhaustive()
    }
}

impl TableLock {
    /// How long it has been held.
    ///
    /// # Panics
    /// If the server is gone.
    pub async fn held(&self) -> Duration {
        let sql = "SELECT extract(epoch FROM clock_timestamp() - transaction_timestamp())::float8";
        Duration::from_secs_f64(self.client.query_one(sql, &[]).await.unwrap().get(0))
    }

    /// Gives the table back.
    ///
    /// # Panics
    /// If the server is gone.
    pub async fn release(self) {
        self.client.batch_execute("ROLLBACK").await.unwrap();
    }
}

async fn connect(url: &str) -> tokio_postgres::Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with its client")]
    tokio::spawn(connection);
    client
}
