//! Opening the file: who may, where it may lie, and its connections.

use std::fs::{File, OpenOptions, Permissions};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FlockOperation, flock, statfs};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection, SqlitePool};

use super::super::open::OpenError;
use super::super::sql::SCHEMA_VERSION;

/// Readers never wait for the writer in WAL mode; a few of them keep lists from queueing behind a large one.
const READERS: u32 = 4;
/// Rows that a connection's thread reads ahead. It is woken for each row that is taken once so many wait.
const BUFFERED_ROWS: usize = 8_192;
/// Statements that a connection keeps prepared: those of commits are some twenty for each table.
const PREPARED: usize = 256;
/// Only tools of people can hold the write lock, since coordinators are kept out.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Only the owner may read the file: it names people, and hashes of tokens.
const PRIVATE: u32 = 0o600;

/// File systems whose locks and shared memory do not hold between machines, by their magic numbers (statfs(2)).
const NETWORK_FILESYSTEMS: [(u32, &str); 11] = [
    (0x6969, "NFS"),
    (0x517b, "SMB"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB2"),
    (0x0bd0_0bd0, "Lustre"),
    (0x00c3_6400, "Ceph"),
    (0x1983_0326, "BeeGFS"),
    (0x4750_4653, "GPFS"),
    (0x5346_414f, "AFS"),
    (0x7375_7245, "Coda"),
    (0x0102_1997, "9P"),
];

/// The connections to a file that no other coordinator has.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) writer: SqliteConnection,
    pub(super) readers: SqlitePool,
    /// Locked as long as it is open.
    pub(super) lock: File,
}

/// Opens, locks and migrates the file at `path`.
pub(super) async fn open(path: &Path) -> Result<Opened, OpenError> {
    let failed = |action| {
        move |source| OpenError::File {
            action,
            path: path.to_owned(),
            source,
        }
    };
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let filesystem = statfs(folder).map_err(|errno| failed("look at the folder of")(errno.into()))?;
    if let Some(kind) = network_filesystem(filesystem.f_type) {
        return Err(OpenError::NetworkFilesystem {
            path: path.to_owned(),
            kind,
        });
    }
    let lock = private_file(&lock_path(path)).map_err(failed("create the lock file of"))?;
    match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(rustix::io::Errno::WOULDBLOCK) => {
            return Err(OpenError::InUse {
                path: path.to_owned(),
            });
        }
        Err(errno) => return Err(failed("lock")(errno.into())),
    }
    // SQLite gives its other files the mode of this one.
    private_file(path).map_err(failed("create"))?;

    let refused = |action| {
        move |source: sqlx::Error| OpenError::Database {
            action,
            database: path.display().to_string(),
            source: Box::new(source),
        }
    };
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        // A commit is acknowledged only when it is on the disk.
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_TIMEOUT)
        .pragma("journal_size_limit", "67108864")
        .pragma("cache_size", "-32768")
        // Statements that may fail halfway keep what they changed: not in files, which cost more than the statements.
        .pragma("temp_store", "MEMORY")
        .statement_cache_capacity(PREPARED)
        .row_buffer_size(BUFFERED_ROWS)
        .disable_statement_logging();
    let mut writer = options.connect().await.map_err(refused("open"))?;
    let mut migrations = sqlx::migrate!("../migrations/sqlite");
    migrations
        .set_ignore_missing(true)
        // As `run` does, whose future is not `Send` with a borrowed connection.
        .run_direct(None, &mut writer, false)
        .await
        .map_err(|source| OpenError::Migration {
            database: path.display().to_string(),
            source: Box::new(source),
        })?;
    let oldest: i32 = sqlx::query_scalar("SELECT oldest_coordinator FROM schema_version")
        .fetch_one(&mut writer)
        .await
        .map_err(refused("read the schema's version of"))?;
    if oldest > SCHEMA_VERSION {
        let database = path.display().to_string();
        return Err(OpenError::NewerSchema {
            database,
            needed: oldest,
            known: SCHEMA_VERSION,
        });
    }
    let readers = SqlitePoolOptions::new()
        .max_connections(READERS)
        .connect_with(options.read_only(true))
        .await
        .map_err(refused("open"))?;
    Ok(Opened {
        writer,
        readers,
        lock,
    })
}

/// `tunesmith.db.lock` for `tunesmith.db`.
fn lock_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    name.into()
}

fn private_file(path: &Path) -> std::io::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(PRIVATE)
        .open(path)?;
    if file.metadata()?.permissions().mode() & 0o777 != PRIVATE {
        file.set_permissions(Permissions::from_mode(PRIVATE))?;
    }
    Ok(file)
}

fn network_filesystem(magic: impl TryInto<u64>) -> Option<&'static str> {
    let magic = magic.try_into().ok()?;
    NETWORK_FILESYSTEMS
        .iter()
        .find(|(known, _)| u64::from(*known) == magic)
        .map(|(_, name)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_file_systems_are_known_by_their_magic_numbers() {
        assert_eq!(network_filesystem(0x6969_i64), Some("NFS"));
        assert_eq!(network_filesystem(0xff53_4d42_i64), Some("CIFS"));
        assert_eq!(network_filesystem(0xef53_i64), None);
    }
}
