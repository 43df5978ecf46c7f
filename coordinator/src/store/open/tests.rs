use std::error::Error;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection, SqliteConnection};
use tokio_util::task::TaskTracker;
use tunesmith_common::decision::{Origin, Provenance};
use tunesmith_common::trial::{Holder, TrialState};
use tunesmith_common::{Attempt, LeaseId, StudyId, Timestamp, TrialNumber};
use uuid::Uuid;

use super::super::sql::SCHEMA_VERSION;
use super::super::testing::{Backend, TestPostgres};
use super::super::{
    AttemptRow, AuditRow, Changes, Lineage, StoreError, StudyRow, StudyState, TokenKind, TokenRow, TrialRow,
};
use super::*;

/// An error as people and logs may see it: its text, its causes, and all of it for programmers.
fn everything_shown(error: &OpenError) -> String {
    let mut text = format!("{error} {error:?} {error:#?}");
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(" {error} {error:?}"));
        cause = error.source();
    }
    text
}

fn token(id: &str) -> TokenRow {
    let at = tunesmith_common::Timestamp::UNIX_EPOCH;
    TokenRow {
        id: id.to_owned(),
        kind: TokenKind::User,
        label: String::new(),
        secret_hash: [0; 32],
        created_at: at,
        revoked_at: None,
    }
}

#[tokio::test]
async fn no_error_shows_the_password() {
    for url in [
        "postgres://kim:hunter2@127.0.0.1:notaport/db",
        "postgres://kim:hunter2@[::1/db",
        "postgres://kim:hunter2@127.0.0.1:1/db",
        "postgres:kim:hunter2@127.0.0.1/db",
        "mysql://kim:hunter2@127.0.0.1/db",
        "sqlite::hunter2:",
        "sqlite:file?password=hunter2",
        "sqlite:",
        "hunter2",
    ] {
        let error = open(url).await.expect_err(url);
        assert!(!everything_shown(&error).contains("hunter2"), "{error:?}");
    }
    let error = open("postgres://kim:hunter2@127.0.0.1:1/db").await.unwrap_err();
    assert_eq!(error.to_string(), "cannot connect to the database 127.0.0.1:1/db");
}

#[tokio::test]
async fn a_store_does_not_show_its_password() {
    let database = TestPostgres::create().await;
    let url = database.url();
    let password = url.split([':', '@']).nth(2).unwrap().to_owned();
    let store = open(&url).await.unwrap();
    store.ping().await.unwrap();
    assert!(!format!("{store:?} {store:#?}").contains(&password));
    store.close().await;
    database.drop().await;
}

#[tokio::test]
async fn a_file_has_one_coordinator_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("tunesmith.db").display());
    let first = open(&url).await.unwrap();
    let refused = open(&url).await.unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "{refused:?}");
    first.close().await;
    assert!(matches!(first.ping().await, Err(StoreError::Unavailable { .. })));
    assert!(matches!(
        first.token_add(&token("a")).await,
        Err(StoreError::Unavailable { .. })
    ));
    let second = open(&url).await.unwrap();
    // Dropping is as good as closing.
    drop(second);
    open(&url).await.unwrap().close().await;
}

#[tokio::test]
async fn files_are_private_to_their_owner() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("tunesmith.db");
    std::fs::write(&path, "").unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    let store = open(&format!("sqlite://{}", path.display())).await.unwrap();
    store.token_add(&token("a")).await.unwrap();
    let mut names = Vec::new();
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
        names.push(file.file_name().into_string().unwrap());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "tunesmith.db",
            "tunesmith.db-shm",
            "tunesmith.db-wal",
            "tunesmith.db.lock"
        ]
    );
    store.close().await;
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let error = open("sqlite:/nowhere/at/all/tunesmith.db").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot look at the folder of /nowhere/at/all/tunesmith.db"
    );
}

#[tokio::test]
async fn what_is_no_database_is_refused_and_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notes.txt");
    let text = "These are my notes, and no database. ".repeat(100);
    std::fs::write(&path, &text).unwrap();
    let error = open(&format!("sqlite:{}", path.display())).await.unwrap_err();
    assert!(matches!(error, OpenError::Database { .. }), "{error:?}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
}

/// Newer versions of the schema say themselves who may still write.
#[tokio::test]
async fn a_schema_that_is_too_new_is_refused_and_one_that_is_only_newer_is_not() {
    let sqlite = Backend::sqlite().await;
    sqlite.open().await.close().await;
    let postgres = TestPostgres::create().await;
    open(&postgres.url()).await.unwrap().close().await;
    let file = format!("sqlite:{}", sqlite.file().display());
    // As a newer version would: it has run a migration that this one does not know.
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
        VALUES (9999, 'later', true, '', 0)";
    for (oldest, refused) in [(SCHEMA_VERSION, false), (SCHEMA_VERSION + 1, true)] {
        let change =
            format!("UPDATE schema_version SET version = {oldest} + 1, oldest_coordinator = {oldest}");
        let mut connection = SqliteConnection::connect(&file).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(change.as_str()))
            .execute(&mut connection)
            .await
            .unwrap();
        if !refused {
            sqlx::raw_sql(later).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        let mut connection = PgConnection::connect(&postgres.url()).await.unwrap();
        sqlx::raw_sql(AssertSqlSafe(change.as_str()))
            .execute(&mut connection)
            .await
            .unwrap();
        if !refused {
            sqlx::raw_sql(later).execute(&mut connection).await.unwrap();
        }
        connection.close().await.unwrap();
        for url in [&file, &postgres.url()] {
            match open(url).await {
                Ok(store) => {
                    assert!(!refused, "{url} was opened");
                    store.close().await;
                }
                Err(error) => assert!(
                    refused
                        && matches!(error, OpenError::NewerSchema { needed, .. } if needed == SCHEMA_VERSION + 1),
                    "{error:?}"
                ),
            }
        }
    }
    postgres.drop().await;
}

/// Trials from before a study could have several objectives and a trial tags, and attempts and studies from before anything had a price.
#[tokio::test]
async fn rows_from_before_a_migration_stay_what_they_were() {
    let undo = "ALTER TABLE trial DROP COLUMN more_values; DELETE FROM _sqlx_migrations WHERE version = 2;
        ALTER TABLE attempt DROP COLUMN price_per_hour; ALTER TABLE attempt DROP COLUMN cost; ALTER TABLE study DROP COLUMN cost;
        ALTER TABLE study DROP COLUMN creator; ALTER TABLE study DROP COLUMN policy; DELETE FROM _sqlx_migrations WHERE version = 6;
        ALTER TABLE trial DROP COLUMN tags; DELETE FROM _sqlx_migrations WHERE version = 9;
        UPDATE schema_version SET version = 1";
    for backend in [Backend::sqlite().await, Backend::postgres().await] {
        let store = backend.open().await;
        let (study, trial) = (study(), trial());
        let audit = AuditRow {
            at: study.created_at,
            actor: "kim".to_owned(),
            action: "create_study".to_owned(),
            subject: "studies/old".to_owned(),
            detail: String::new(),
        };
        store.study_create(&study, &[], None, &audit).await.unwrap();
        let owner = store.study_take(study.id).await.unwrap();
        let changes = Changes {
            trials: vec![trial.clone()],
            attempts: vec![attempt()],
            ..Changes::default()
        };
        store.commit(&owner, &changes).await.unwrap();
        store.close().await;
        if let Backend::Postgres(database) = &backend {
            let mut connection = PgConnection::connect(&database.url()).await.unwrap();
            sqlx::raw_sql(undo).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        } else {
            let file = format!("sqlite:{}", backend.file().display());
            let mut connection = SqliteConnection::connect(&file).await.unwrap();
            sqlx::raw_sql(undo).execute(&mut connection).await.unwrap();
            connection.close().await.unwrap();
        }
        let store = backend.open().await;
        let found = store.trial_fetch(study.id, trial.number).await.unwrap();
        assert_eq!(found.as_ref(), Some(&trial));
        assert_eq!(
            store.trial_page(study.id, TrialNumber(0), 9).await.unwrap().len(),
            1
        );
        let attempts = store.attempt_list(study.id, trial.number).await.unwrap();
        assert_eq!(attempts, [attempt()]);
        assert_eq!(store.study_fetch(study.id).await.unwrap(), Some(study));
        store.close().await;
        backend.remove().await;
    }
}

fn study() -> StudyRow {
    let spec = serde_json::json!({"objective": {"metric": "acc", "goal": "maximize"}, "space": {"x": {"type": "bool"}}});
    StudyRow {
        id: StudyId(Uuid::from_u128(1)),
        name: "old".parse().unwrap(),
        spec: serde_json::from_value(spec).unwrap(),
        lineage: Lineage::default(),
        state: StudyState::Active,
        state_reason: String::new(),
        strategy_note: String::new(),
        active_time: Duration::ZERO,
        gpu_seconds: 0.0,
        cost: 0.0,
        creator: String::new(),
        policy: None,
        created_at: Timestamp::UNIX_EPOCH,
        done_at: None,
        updated_at: Timestamp::UNIX_EPOCH,
    }
}

fn attempt() -> AttemptRow {
    AttemptRow {
        trial: TrialNumber(1),
        attempt: Attempt(1),
        lease: LeaseId(Uuid::from_u128(1)),
        holder: Holder::Client("old".to_owned()),
        holder_name: "old".to_owned(),
        gpus: Vec::new(),
        price_per_hour: 0.0,
        cost: 0.0,
        client_ttl: None,
        leased_at: Timestamp::UNIX_EPOCH,
        started_at: Some(Timestamp::UNIX_EPOCH),
        ended_at: None,
        outcome: String::new(),
        failure: None,
        pid: 0,
        exit_code: None,
        peak_memory: 0,
        usage: Default::default(),
        log_tail: String::new(),
    }
}

fn trial() -> TrialRow {
    TrialRow {
        number: TrialNumber(1),
        state: TrialState::Completed,
        attempt: Attempt(0),
        program_failures: 0,
        infrastructure_failures: 0,
        params: Arc::default(),
        seed: 1,
        value: Some(0.5),
        more_values: Box::default(),
        last_step: None,
        metrics: Vec::new(),
        stages: Arc::default(),
        note: String::new(),
        tags: Vec::new(),
        provenance: Arc::new(Provenance {
            origin: Origin::Manual,
            strategy: String::new(),
            settings: None,
            seed: 1,
            history_revision: 0,
            results: 0,
            cursor: None,
            note: String::new(),
        }),
        created_at: Timestamp::UNIX_EPOCH,
        started_at: None,
        ended_at: Some(Timestamp::UNIX_EPOCH),
    }
}

#[tokio::test]
async fn coordinators_that_start_at_once_migrate_once() {
    let database = TestPostgres::create().await;
    let tasks = TaskTracker::new();
    let starts: Vec<_> = (0..4)
        .map(|n| {
            let url = database.url();
            tasks.spawn(async move {
                let store = open(&url).await.unwrap();
                store.token_add(&token(&format!("t{n}"))).await.unwrap();
                store
            })
        })
        .collect();
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for start in starts {
        stores.push(start.await.unwrap());
    }
    assert_eq!(stores[0].token_list().await.unwrap().len(), 4);
    for store in stores {
        store.close().await;
    }
    database.drop().await;
}

#[tokio::test]
async fn connections_that_the_server_ended_are_replaced() {
    let database = TestPostgres::create().await;
    let store = open(&database.url()).await.unwrap();
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    for n in 0..3 {
        store.token_add(&token(&format!("t{n}"))).await.unwrap();
        sqlx::raw_sql(
            "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
             WHERE datname = current_database() AND pid <> pg_backend_pid()",
        )
        .execute(&mut admin)
        .await
        .unwrap();
    }
    assert_eq!(store.token_list().await.unwrap().len(), 3);
    store.close().await;
    admin.close().await.unwrap();
    database.drop().await;
}

#[tokio::test]
async fn a_call_that_the_server_cuts_off_is_unavailable_and_not_stored() {
    let database = TestPostgres::create().await;
    let store = open(&database.url()).await.unwrap();
    let mut admin = PgConnection::connect(&database.url()).await.unwrap();
    let mut blocker = PgConnection::connect(&database.url()).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE token")
        .execute(&mut blocker)
        .await
        .unwrap();
    let tasks = TaskTracker::new();
    let call = tasks.spawn({
        let store = Arc::clone(&store);
        async move { store.token_add(&token("cut")).await }
    });
    let mut cut = 0;
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while cut == 0 {
        assert!(
            tokio::time::Instant::now() < deadline,
            "the call never waited for the lock"
        );
        let ended = sqlx::query(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
             WHERE datname = current_database() AND wait_event_type = 'Lock'",
        );
        cut = ended.fetch_all(&mut admin).await.unwrap().len();
    }
    let error = call.await.unwrap().unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    blocker.close().await.unwrap();
    assert_eq!(store.token_list().await.unwrap(), []);
    store.token_add(&token("cut")).await.unwrap();
    store.close().await;
    admin.close().await.unwrap();
    database.drop().await;
}
