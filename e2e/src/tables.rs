//! The tables of a coordinator's database, whichever it is, as somebody with a database client sees them.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{AssertSqlSafe, Connection as _, Row as _};

use crate::database::Database;

/// How long to wait while the coordinator writes to its file.
const BUSY: Duration = Duration::from_secs(10);

/// Where to look.
#[derive(Clone, Debug)]
pub enum Tables {
    /// A database of Postgres.
    Postgres(Database),
    /// A file of SQLite.
    Sqlite(PathBuf),
}

impl From<&Database> for Tables {
    fn from(database: &Database) -> Self {
        Self::Postgres(database.clone())
    }
}

impl Tables {
    /// Rows of a query, each value as text.
    ///
    /// # Panics
    /// If the query fails.
    pub async fn query(&self, sql: &str) -> Vec<Vec<String>> {
        let file = match self {
            Self::Postgres(database) => return database.query(sql).await,
            Self::Sqlite(file) => file,
        };
        let mut connection = open(file).await;
        let rows = sqlx::query(AssertSqlSafe(sql.to_owned()))
            .fetch_all(&mut connection)
            .await
            .unwrap();
        let text = |value: Option<String>| value.unwrap_or_else(|| "NULL".to_owned());
        rows.iter()
            .map(|row| {
                (0..row.len())
                    .map(|column| text(row.get_unchecked(column)))
                    .collect()
            })
            .collect()
    }

    /// Executes statements.
    ///
    /// # Panics
    /// If one of them fails.
    pub async fn execute(&self, sql: &str) {
        match self {
            Self::Postgres(database) => database.execute(sql).await,
            Self::Sqlite(file) => {
                let mut connection = open(file).await;
                sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                    .execute(&mut connection)
                    .await
                    .unwrap();
            }
        }
    }

    pub(crate) fn is_postgres(&self) -> bool {
        matches!(self, Self::Postgres(_))
    }
}

async fn open(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(file).busy_timeout(BUSY);
    SqliteConnection::connect_with(&options).await.unwrap()
}
