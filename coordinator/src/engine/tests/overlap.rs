//! Commands that come while a commit is on its way: somebody else holds what the commit needs, so that it stays on its way.

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, SqliteConnection};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::*;
use crate::engine::EngineError;

/// A transaction of somebody else without which the study cannot be written.
enum Held {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Held {
    async fn take(backend: &Backend) -> Self {
        let mut held = match backend {
            Backend::Sqlite(_) => {
                let path = format!("sqlite:{}", backend.file().display());
                Self::Sqlite(SqliteConnection::connect(&path).await.unwrap())
            }
            Backend::Postgres(database) => {
                Self::Postgres(PgConnection::connect(&database.url()).await.unwrap())
            }
            Backend::Memory(_) => panic!("nobody else has the memory"),
        };
        match &mut held {
            Self::Sqlite(connection) => drop(connection.execute("BEGIN IMMEDIATE").await.unwrap()),
            Self::Postgres(connection) => {
                connection.execute("BEGIN").await.unwrap();
                connection
                    .execute("SELECT 1 FROM study_owner FOR UPDATE")
                    .await
                    .unwrap();
            }
        }
        held
    }

    async fn run(&mut self, sql: &str) {
        match self {
            Self::Sqlite(connection) => drop(connection.execute(AssertSqlSafe(sql)).await.unwrap()),
            Self::Postgres(connection) => drop(connection.execute(AssertSqlSafe(sql)).await.unwrap()),
        }
    }
}

/// Asks for a trial, and says when the memory has it.
fn ask_in_background(
    engine: &EngineHandle,
    request: u128,
) -> (
    oneshot::Receiver<()>,
    JoinHandle<Result<TrialNumber, EngineError>>,
) {
    let (applied, is_applied) = oneshot::channel();
    let engine = engine.clone();
    let request = (RequestId(Uuid::from_u128(request)), [0; 32]);
    let asked = tokio::spawn(async move {
        engine
            .call(move |core, out, ctx| {
                let given = core.ask(out, ctx, 1, "me", None, Some(request))?;
                let _ = applied.send(());
                Ok(given[0].trial)
            })
            .await
    });
    (is_applied, asked)
}

/// Two calls, the second of which came while the commit of the first was on its way.
async fn two_calls(engine: &EngineHandle) -> [JoinHandle<Result<TrialNumber, EngineError>>; 2] {
    let (applied, first) = ask_in_background(engine, 1);
    tokio::time::timeout(DEADLINE, applied).await.unwrap().unwrap();
    let (applied, second) = ask_in_background(engine, 2);
    tokio::time::timeout(DEADLINE, applied).await.unwrap().unwrap();
    assert!(
        !first.is_finished() && !second.is_finished(),
        "an answer before what it tells of is stored"
    );
    [first, second]
}

pub(super) async fn what_comes_during_a_commit_is_the_next_one(backend: Backend) {
    let store = backend.open().await;
    let desk = Desk::new(&store, &Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)));
    let engine = desk.study(1, "").await;
    // It has loaded.
    let before = engine.call(|core, _, _| Ok(core.revision())).await.unwrap();
    let mut commits = engine.watch();
    let mut held = Held::take(&backend).await;
    let [first, second] = two_calls(&engine).await;
    held.run("COMMIT").await;
    assert_eq!(first.await.unwrap().unwrap(), TrialNumber(1));
    assert_eq!(second.await.unwrap().unwrap(), TrialNumber(2));
    for number in 1..=2 {
        let commit = tokio::time::timeout(DEADLINE, commits.recv())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(commit.revision, before + number, "one commit each, in order");
        assert_eq!(commit.summary.revision, commit.revision);
        let trials: Vec<_> = commit.changes.trials.iter().map(|row| row.number.0).collect();
        assert_eq!(trials, [number]);
    }
    desk.stop().await;
    store.close().await;
    backend.remove().await;
}

pub(super) async fn a_commit_that_fails_takes_what_came_meanwhile_with_it(backend: Backend) {
    let store = backend.open().await;
    let desk = Desk::new(&store, &Arc::new(TestClock::at(Timestamp::UNIX_EPOCH)));
    let engine = desk.study(1, "").await;
    engine.call(|core, _, _| Ok(core.revision())).await.unwrap();
    let mut held = Held::take(&backend).await;
    let [first, second] = two_calls(&engine).await;
    held.run("UPDATE study_owner SET owner_epoch = owner_epoch + 1")
        .await;
    held.run("COMMIT").await;
    for call in [first, second] {
        let refused = call.await.unwrap();
        assert!(matches!(refused, Err(EngineError::Unavailable(_))), "{refused:?}");
    }
    // The study was loaded again, as if nothing had been.
    let trial = eventually(async || {
        let request = (RequestId(Uuid::from_u128(2)), [0; 32]);
        let asked =
            engine.call(move |core, out, ctx| Ok(core.ask(out, ctx, 1, "me", None, Some(request))?));
        asked.await.ok().map(|given| given[0].trial)
    });
    assert_eq!(trial.await, TrialNumber(1));
    desk.stop().await;
    store.close().await;
    backend.remove().await;
}
