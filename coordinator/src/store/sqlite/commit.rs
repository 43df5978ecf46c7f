//! One commit as one transaction of multi-row statements.

use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments, AssertSqlSafe, Encode, Sqlite, SqliteConnection, Type};
use tunesmith_common::StudyId;

use super::super::sql::json::points_to_json;
use super::super::sql::records::{
    AttemptRecord, AuditRecord, DecisionRecord, RequestRecord, StudyRecord, TrialRecord, signed,
};
use super::super::{
    AttemptRow, AuditRow, Changes, DecisionRow, Ownership, PointChunk, RequestRow, StoreError, StudyRow,
    TrialRow, study_taken,
};
use super::error::store_error;
use super::writer::{Transaction, Writer};
use crate::crash::crash_point;

/// Rows that one statement inserts at most. Each statement is a trip to the connection's thread, which costs more than a row does.
const MOST_ROWS: usize = 64;
/// Up to so many rows there is a statement for each number; above, for doubled ones: so few are kept prepared.
const ANY_NUMBER: usize = 16;

/// A statement that inserts rows of one table.
struct Insert {
    /// Up to `VALUES`.
    head: &'static str,
    columns: usize,
    /// What follows the rows.
    tail: &'static str,
}

const TRIALS: Insert = Insert {
    head: "INSERT INTO trial (study_id, number, state, reason, lease_id, lease_holder, attempt, program_failures,
        infrastructure_failures, params, seed, value, more_values, last_step, metrics, stages, note, tags, provenance, created_at, started_at, ended_at)
        VALUES ",
    columns: 22,
    tail: " ON CONFLICT (study_id, number) DO UPDATE SET state = excluded.state, reason = excluded.reason,
        lease_id = excluded.lease_id, lease_holder = excluded.lease_holder, attempt = excluded.attempt,
        program_failures = excluded.program_failures, infrastructure_failures = excluded.infrastructure_failures,
        params = excluded.params, seed = excluded.seed, value = excluded.value, more_values = excluded.more_values, last_step = excluded.last_step,
        metrics = excluded.metrics, stages = excluded.stages, note = excluded.note, tags = excluded.tags, provenance = excluded.provenance,
        created_at = excluded.created_at, started_at = excluded.started_at, ended_at = excluded.ended_at",
};

const ATTEMPTS: Insert = Insert {
    head: "INSERT INTO attempt (study_id, trial, attempt, lease_id, holder, holder_name, gpus, client_ttl_microseconds,
        leased_at, started_at, ended_at, outcome, failure, pid, exit_code, peak_memory, log_tail,
        price_per_hour, cost, usage) VALUES ",
    columns: 20,
    tail: " ON CONFLICT (study_id, trial, attempt) DO UPDATE SET lease_id = excluded.lease_id, holder = excluded.holder,
        holder_name = excluded.holder_name, gpus = excluded.gpus,
        client_ttl_microseconds = excluded.client_ttl_microseconds, leased_at = excluded.leased_at,
        started_at = excluded.started_at, ended_at = excluded.ended_at, outcome = excluded.outcome,
        failure = excluded.failure, pid = excluded.pid, exit_code = excluded.exit_code,
        peak_memory = excluded.peak_memory, log_tail = excluded.log_tail,
        price_per_hour = excluded.price_per_hour, cost = excluded.cost, usage = excluded.usage",
};

const POINTS: Insert = Insert {
    head: "INSERT INTO point_chunk (study_id, trial, attempt, metric, first_seq, last_seq, points) VALUES ",
    columns: 7,
    tail: " ON CONFLICT (study_id, trial, attempt, metric, first_seq) DO UPDATE SET last_seq = excluded.last_seq,
        points = excluded.points",
};

const DECISIONS: Insert = Insert {
    head: "INSERT INTO decision (study_id, revision, place, trial, attempt, rule_index, rule, shadow, metric, step, value,
        reference, compared_trials, explanation, at) VALUES ",
    columns: 15,
    tail: "",
};

const REQUESTS: Insert = Insert {
    head: "INSERT INTO request (study_id, id, content, trials, at) VALUES ",
    columns: 5,
    tail: " ON CONFLICT (study_id, at, id) DO UPDATE SET content = excluded.content, trials = excluded.trials",
};

const AUDIT: Insert = Insert {
    head: "INSERT INTO audit (at, actor, action, subject, detail) VALUES ",
    columns: 5,
    tail: "",
};

/// Arguments of a statement, in order.
#[derive(Default)]
struct Bound(SqliteArguments);

impl Bound {
    fn add<'t, T: Encode<'t, Sqlite> + Type<Sqlite>>(&mut self, value: T) -> Result<(), StoreError> {
        self.0
            .add(value)
            .map_err(|error| StoreError::Invalid(format!("argument of a commit: {error}")))
    }
}

/// Adds the named fields of a record, in order.
macro_rules! add_columns {
    ($bound:ident, $record:ident, $($field:ident),+ $(,)?) => {{
        $($bound.add($record.$field)?;)+
        Ok(())
    }};
}

impl Insert {
    /// Inserts `rows`, whose columns `bind` adds.
    async fn run<R>(
        &self,
        connection: &mut SqliteConnection,
        rows: Vec<R>,
        mut bind: impl FnMut(&mut Bound, R) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        let mut rows = rows.into_iter();
        while rows.len() > 0 {
            let size = rows_of_statement(rows.len());
            let mut bound = Bound::default();
            for row in rows.by_ref().take(size) {
                bind(&mut bound, row)?;
            }
            let row = format!("({})", vec!["?"; self.columns].join(","));
            let sql = format!("{}{}{}", self.head, vec![row; size].join(","), self.tail);
            sqlx::query_with(AssertSqlSafe(sql), bound.0)
                .execute(&mut *connection)
                .await
                .map_err(|error| store_error("commit", error))?;
        }
        Ok(())
    }
}

/// How many of the `rows` left the next statement inserts; `rows` is positive.
fn rows_of_statement(rows: usize) -> usize {
    if rows < 2 * ANY_NUMBER {
        rows.min(ANY_NUMBER)
    } else {
        MOST_ROWS.min(1 << rows.ilog2())
    }
}

/// Begins a transaction by the compare-and-swap of the owner, in one trip to the connection's thread.
pub(super) async fn begin<'w>(writer: &'w Writer, owner: &Ownership) -> Result<Transaction<'w>, StoreError> {
    let swap = sqlx::query(
        "BEGIN IMMEDIATE;
        UPDATE study_owner SET commit_seq = commit_seq + 1 WHERE study_id = ?1 AND owner_epoch = ?2 AND commit_seq = ?3
        RETURNING commit_seq",
    )
    .bind(owner.study.0)
    .bind(signed(owner.epoch))
    .bind(signed(owner.commit_seq));
    let (transaction, swapped) = writer.begin_with(swap).await?;
    if swapped.is_empty() {
        return transaction.end(Err(StoreError::NotOwner(owner.study))).await;
    }
    crash_point!(Swapped);
    Ok(transaction)
}

/// Writes `changes`, whose rows have been checked, within the transaction of `connection` that [began](begin) for `owner`. Returns the new
/// `commit_seq`.
pub(super) async fn commit(
    connection: &mut SqliteConnection,
    owner: &Ownership,
    changes: &Changes,
) -> Result<u64, StoreError> {
    let commit_seq = owner.commit_seq + 1;
    if let Some(study) = &changes.study {
        write_study(connection, study).await?;
    }
    write_trials(connection, owner.study, &changes.trials).await?;
    write_attempts(connection, owner.study, &changes.attempts).await?;
    crash_point!(HalfWritten);
    write_points(connection, owner.study, &changes.points).await?;
    write_decisions(connection, owner.study, commit_seq, &changes.decisions).await?;
    write_requests(connection, owner.study, &changes.requests).await?;
    write_audit(connection, &changes.audit).await?;
    Ok(commit_seq)
}

async fn write_study(connection: &mut SqliteConnection, row: &StudyRow) -> Result<(), StoreError> {
    if name_is_taken(connection, row).await? {
        return Err(study_taken(&row.name));
    }
    let record = StudyRecord::try_from(row)?;
    sqlx::query(
        "UPDATE study SET name = $2, spec = $3, state = $4, done_reason = $5, state_reason = $6, strategy_note = $7,
            active_microseconds = $8, gpu_seconds = $9, created_at = $10, done_at = $11, updated_at = $12,
            cost = $13, policy = $14 WHERE id = $1",
    )
    .bind(record.id)
    .bind(record.name)
    .bind(record.spec)
    .bind(record.state)
    .bind(record.done_reason)
    .bind(record.state_reason)
    .bind(record.strategy_note)
    .bind(record.active_microseconds)
    .bind(record.gpu_seconds)
    .bind(record.created_at)
    .bind(record.done_at)
    .bind(record.updated_at)
    .bind(record.cost)
    .bind(record.policy)
    .execute(connection)
    .await
    .map_err(|error| store_error("commit", error))?;
    Ok(())
}

/// Whether another study has the name. SQLite does not say which constraint a row broke, and nobody else writes meanwhile.
pub(super) async fn name_is_taken(
    connection: &mut SqliteConnection,
    row: &StudyRow,
) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM study WHERE name = $1 AND id <> $2)")
        .bind(row.name.as_str())
        .bind(row.id.0)
        .fetch_one(connection)
        .await
        .map_err(|error| store_error("find a study", error))
}

async fn write_trials(
    connection: &mut SqliteConnection,
    study: StudyId,
    rows: &[TrialRow],
) -> Result<(), StoreError> {
    let records = rows
        .iter()
        .map(TrialRecord::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let bind = |bound: &mut Bound, record: TrialRecord| {
        bound.add(study.0)?;
        add_columns!(
            bound,
            record,
            number,
            state,
            reason,
            lease_id,
            lease_holder,
            attempt,
            program_failures,
            infrastructure_failures,
            params,
            seed,
            value,
            more_values,
            last_step,
            metrics,
            stages,
            note,
            tags,
            provenance,
            created_at,
            started_at,
            ended_at,
        )
    };
    TRIALS.run(connection, records, bind).await
}

async fn write_attempts(
    connection: &mut SqliteConnection,
    study: StudyId,
    rows: &[AttemptRow],
) -> Result<(), StoreError> {
    let records = rows
        .iter()
        .map(AttemptRecord::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let bind = |bound: &mut Bound, record: AttemptRecord| {
        bound.add(study.0)?;
        add_columns!(
            bound,
            record,
            trial,
            attempt,
            lease_id,
            holder,
            holder_name,
            gpus,
            client_ttl_microseconds,
            leased_at,
            started_at,
            ended_at,
            outcome,
            failure,
            pid,
            exit_code,
            peak_memory,
            log_tail,
            price_per_hour,
            cost,
            usage,
        )
    };
    ATTEMPTS.run(connection, records, bind).await
}

/// Inserts chunks of points, or replaces those that have the same key.
async fn write_points(
    connection: &mut SqliteConnection,
    study: StudyId,
    chunks: &[PointChunk],
) -> Result<(), StoreError> {
    let bind = |bound: &mut Bound, chunk: &PointChunk| {
        bound.add(study.0)?;
        bound.add(signed(chunk.trial.0))?;
        bound.add(i64::from(chunk.attempt.0))?;
        bound.add(chunk.metric.as_str().to_owned())?;
        bound.add(signed(chunk.first_seq))?;
        bound.add(signed(chunk.last_seq))?;
        bound.add(points_to_json(chunk)?)
    };
    POINTS.run(connection, chunks.iter().collect(), bind).await
}

async fn write_decisions(
    connection: &mut SqliteConnection,
    study: StudyId,
    commit_seq: u64,
    rows: &[DecisionRow],
) -> Result<(), StoreError> {
    let mut places = 0_i64..;
    let bind = |bound: &mut Bound, record: DecisionRecord| {
        bound.add(study.0)?;
        bound.add(signed(commit_seq))?;
        bound.add(places.next())?;
        add_columns!(
            bound,
            record,
            trial,
            attempt,
            rule_index,
            rule,
            shadow,
            metric,
            step,
            value,
            reference,
            compared_trials,
            explanation,
            at,
        )
    };
    DECISIONS
        .run(connection, rows.iter().map(DecisionRecord::from).collect(), bind)
        .await
}

async fn write_requests(
    connection: &mut SqliteConnection,
    study: StudyId,
    rows: &[RequestRow],
) -> Result<(), StoreError> {
    let records = rows
        .iter()
        .map(RequestRecord::try_from)
        .collect::<Result<Vec<_>, _>>()?;
    let bind = |bound: &mut Bound, record: RequestRecord| {
        bound.add(study.0)?;
        add_columns!(bound, record, id, content, trials, at)
    };
    REQUESTS.run(connection, records, bind).await
}

async fn write_audit(connection: &mut SqliteConnection, rows: &[AuditRow]) -> Result<(), StoreError> {
    let bind = |bound: &mut Bound, record: AuditRecord| {
        add_columns!(bound, record, at, actor, action, subject, detail)
    };
    AUDIT
        .run(connection, rows.iter().map(AuditRecord::from).collect(), bind)
        .await
}
