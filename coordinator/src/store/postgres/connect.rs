//! Connecting to Postgres and bringing its schema up to date.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use sqlx::migrate::MigrateError;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection, PgPool};
use tokio::time::Instant;

use super::super::open::OpenError;
use super::super::sql::SCHEMA_VERSION;
use super::committers::{Committers, lives};

/// The oldest server whose statements and settings are the ones used here.
const OLDEST_SERVER: i32 = 130_000;
/// Number of the advisory lock that is held while migrating: "tunesmit" in ASCII.
const MIGRATION_LOCK: i64 = 0x7475_6e65_736d_6974;
/// Another coordinator may be migrating: wait that long for it.
const MIGRATION_LOCK_WAIT: Duration = Duration::from_secs(60);
const MIGRATION_LOCK_POLL: Duration = Duration::from_millis(200);
/// Commits are grouped, so that few connections suffice; a long wait for one shows overload better than an early error.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(30);
/// A commit is one statement: a server that is there answers or ends it before.
const COMMIT_TIMEOUT: Duration = Duration::from_secs(20);

/// How to connect.
#[derive(Clone, Debug)]
pub struct PostgresOptions {
    /// Connections kept at most.
    pub max_connections: u32,
    /// Name under which the server lists the connections.
    pub application_name: String,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            max_connections: 16,
            application_name: format!("tunesmith-coordinator {}", std::process::id()),
        }
    }
}

/// Connects, migrates and checks the server. Half of the connections are for commits.
pub(super) async fn connect(url: &str, options: &PostgresOptions) -> Result<(PgPool, Committers), OpenError> {
    // The error of the driver may repeat parts of the address, and so the password.
    let parsed = PgConnectOptions::from_str(url).map_err(|_| OpenError::BadAddress {
        remedy: "postgres://USER:PASSWORD@HOST:PORT/DATABASE, with special characters of the password percent-encoded",
    })?;
    let connect = parsed
        .application_name(&options.application_name)
        .disable_statement_logging();
    let server = Server(format!(
        "{}:{}/{}",
        connect.get_host(),
        connect.get_port(),
        connect.get_database().unwrap_or(connect.get_username())
    ));
    // No pooler, no time limits: a migration may take long.
    let mut direct = PgConnection::connect_with(&connect)
        .await
        .map_err(|source| server.failed("connect to", source))?;
    check_server(&mut direct, &server).await?;
    migrate(&mut direct, &server).await?;
    check_schema(&mut direct, &server).await?;
    direct
        .close()
        .await
        .map_err(|source| server.failed("close a connection to", source))?;

    let limited = connect.statement_cache_capacity(256).options([
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
        ("tcp_user_timeout", "10s"),
        // Every statement here goes by a key. Planning it anew for each execution costs more than it finds, and what the
        // planner believes about a table that grew a minute ago must not make it read all of it.
        ("plan_cache_mode", "force_generic_plan"),
        ("enable_seqscan", "off"),
        ("jit", "off"),
    ]);
    let commits = (options.max_connections / 2).max(1);
    let committers = Committers::new(limited.clone(), commits, ACQUIRE_TIMEOUT, COMMIT_TIMEOUT);
    let pool = PgPoolOptions::new()
        .max_connections(options.max_connections.saturating_sub(commits).max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The pool's own question may wait for as long as all of the above.
        .test_before_acquire(false)
        .before_acquire(|connection, _| {
            Box::pin(async {
                let lives = lives(connection).await;
                if let Err(error) = &lives {
                    let error: &dyn std::error::Error = error;
                    tracing::info!(
                        error,
                        "a connection to the database was gone; another one is made"
                    );
                }
                Ok(lives.is_ok())
            })
        })
        .connect_with(limited)
        .await
        .map_err(|source| server.failed("connect to", source))?;
    Ok((pool, committers))
}

/// The server and database for messages, without the password.
struct Server(String);

impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Server {
    fn failed(&self, action: &'static str, source: sqlx::Error) -> OpenError {
        OpenError::Database {
            action,
            database: self.to_string(),
            source: Box::new(source),
        }
    }
}

async fn check_server(connection: &mut PgConnection, server: &Server) -> Result<(), OpenError> {
    let (version, standby): (i32, bool) =
        sqlx::query_as("SELECT current_setting('server_version_num')::int, pg_is_in_recovery()")
            .fetch_one(connection)
            .await
            .map_err(|source| server.failed("ask the version of", source))?;
    if version < OLDEST_SERVER {
        let (found, needed) = (version / 10_000, OLDEST_SERVER / 10_000);
        return Err(OpenError::OldServer {
            database: server.to_string(),
            found,
            needed,
        });
    }
    if standby {
        return Err(OpenError::Standby {
            database: server.to_string(),
        });
    }
    Ok(())
}

/// Migrates under an advisory lock of our own, which is polled: waiting inside the server, as the migrator would, holds a
/// snapshot that `CREATE INDEX CONCURRENTLY` of the one who has the lock waits for. The lock ends with the connection.
async fn migrate(connection: &mut PgConnection, server: &Server) -> Result<(), OpenError> {
    let deadline = Instant::now() + MIGRATION_LOCK_WAIT;
    loop {
        let locked: bool = sqlx::query_scalar("SELECT pg_try_advisory_lock($1)")
            .bind(MIGRATION_LOCK)
            .fetch_one(&mut *connection)
            .await
            .map_err(|source| server.failed("lock", source))?;
        if locked {
            break;
        }
        if Instant::now() >= deadline {
            let database = server.to_string();
            return Err(OpenError::Migrating {
                database,
                waited: MIGRATION_LOCK_WAIT,
            });
        }
        tokio::time::sleep(MIGRATION_LOCK_POLL).await;
    }
    sqlx::raw_sql("SET lock_timeout = '2s'")
        .execute(&mut *connection)
        .await
        .map_err(|source| server.failed("set up", source))?;
    run(&mut *connection)
        .await
        .map_err(|source| OpenError::Migration {
            database: server.to_string(),
            source: Box::new(source),
        })?;
    sqlx::query("SELECT pg_advisory_unlock($1)")
        .bind(MIGRATION_LOCK)
        .execute(connection)
        .await
        .map_err(|source| server.failed("unlock", source))?;
    Ok(())
}

/// A database that a newer version has migrated is not refused for that: `check_schema` decides.
async fn run(connection: &mut PgConnection) -> Result<(), MigrateError> {
    sqlx::migrate!("../migrations/postgres")
        .set_locking(false)
        .set_ignore_missing(true)
        // As `run` does, whose future is not `Send` with a borrowed connection.
        .run_direct(None, connection, false)
        .await
}

async fn check_schema(connection: &mut PgConnection, server: &Server) -> Result<(), OpenError> {
    let oldest: i32 = sqlx::query_scalar("SELECT oldest_coordinator FROM schema_version")
        .fetch_one(connection)
        .await
        .map_err(|source| server.failed("read the schema's version of", source))?;
    if oldest > SCHEMA_VERSION {
        return Err(OpenError::NewerSchema {
            database: server.to_string(),
            needed: oldest,
            known: SCHEMA_VERSION,
        });
    }
    Ok(())
}
