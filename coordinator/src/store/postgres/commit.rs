//! One commit as one statement.
//!
//! A statement is atomic by itself: no BEGIN travels ahead and no COMMIT after, so a commit costs one round trip, and a caller
//! that goes away in the middle leaves no transaction open. Its parts are data-modifying CTEs. All of them read the row that
//! `owner` returns: if the compare-and-swap matched nothing, they write nothing. Parts without rows are left out.
//!
//! Rows travel as one array for each column. Columns that are themselves arrays travel joined to one, with places for slices.

use sqlx::postgres::{PgArguments, Postgres};
use sqlx::{AssertSqlSafe, Encode, Type};

use super::super::sql::records::{
    AttemptRecord, AuditRecord, DecisionRecord, RequestRecord, StudyRecord, TrialRecord, signed, unsigned,
};
use super::super::{
    AttemptRow, AuditRow, Changes, DecisionRow, Ownership, PointChunk, RequestRow, StoreError, StudyRow,
    TrialRow, study_taken,
};
use super::committers::Committers;
use super::error::{broken_constraint, store_error};

const OWNER: &str = "WITH owner AS (
    UPDATE study_owner SET commit_seq = commit_seq + 1 WHERE study_id = $1 AND owner_epoch = $2 AND commit_seq = $3
    RETURNING study_id, commit_seq)";

const STUDY: &str = "study_part AS (
    UPDATE study SET name = $1, spec = $2, state = $3, done_reason = $4, state_reason = $5, strategy_note = $6,
        active_microseconds = $7, gpu_seconds = $8, created_at = $9, done_at = $10, updated_at = $11, cost = $12, policy = $13
    FROM owner WHERE study.id = owner.study_id)";

const TRIALS: &str = "trial_part AS (
    INSERT INTO trial (study_id, number, state, reason, lease_id, lease_holder, attempt, program_failures,
        infrastructure_failures, params, seed, value, more_values, last_step, metrics, stages, note, tags, provenance, created_at, started_at, ended_at)
    SELECT owner.study_id, new.* FROM owner, unnest($1::bigint[], $2::text[], $3::json[], $4::uuid[], $5::json[],
        $6::bigint[], $7::bigint[], $8::bigint[], $9::json[], $10::bigint[], $11::float8[], $12::json[], $13::bigint[],
        $14::json[], $15::json[], $16::text[], $17::json[], $18::json[], $19::timestamptz[], $20::timestamptz[], $21::timestamptz[]) AS new
    ON CONFLICT (study_id, number) DO UPDATE SET state = excluded.state, reason = excluded.reason,
        lease_id = excluded.lease_id, lease_holder = excluded.lease_holder, attempt = excluded.attempt,
        program_failures = excluded.program_failures, infrastructure_failures = excluded.infrastructure_failures,
        params = excluded.params, seed = excluded.seed, value = excluded.value, more_values = excluded.more_values, last_step = excluded.last_step,
        metrics = excluded.metrics, stages = excluded.stages, note = excluded.note, tags = excluded.tags, provenance = excluded.provenance,
        created_at = excluded.created_at, started_at = excluded.started_at, ended_at = excluded.ended_at)";

const ATTEMPTS: &str = "attempt_part AS (
    INSERT INTO attempt (study_id, trial, attempt, lease_id, holder, holder_name, gpus, client_ttl_microseconds, leased_at,
        started_at, ended_at, outcome, failure, pid, exit_code, peak_memory, log_tail, price_per_hour, cost, usage)
    SELECT owner.study_id, new.* FROM owner, unnest($1::bigint[], $2::bigint[], $3::uuid[], $4::json[], $5::text[],
        $6::json[], $7::bigint[], $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::text[], $12::json[],
        $13::bigint[], $14::bigint[], $15::bigint[], $16::text[], $17::float8[], $18::float8[], $19::json[]) AS new
    ON CONFLICT (study_id, trial, attempt) DO UPDATE SET lease_id = excluded.lease_id, holder = excluded.holder,
        holder_name = excluded.holder_name, gpus = excluded.gpus,
        client_ttl_microseconds = excluded.client_ttl_microseconds, leased_at = excluded.leased_at,
        started_at = excluded.started_at, ended_at = excluded.ended_at, outcome = excluded.outcome,
        failure = excluded.failure, pid = excluded.pid, exit_code = excluded.exit_code,
        peak_memory = excluded.peak_memory, log_tail = excluded.log_tail,
        price_per_hour = excluded.price_per_hour, cost = excluded.cost, usage = excluded.usage)";

const POINTS: &str = "point_part AS (
    INSERT INTO point_chunk (study_id, trial, attempt, metric, first_seq, last_seq, steps, vals, times, arrivals)
    SELECT owner.study_id, new.trial, new.attempt, new.metric, new.first_seq, new.last_seq,
        ($8::bigint[])[new.a:new.b], ($9::float8[])[new.a:new.b], ($10::bigint[])[new.a:new.b], ($11::bigint[])[new.a:new.b]
    FROM owner, unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::bigint[], $6::int[], $7::int[])
        AS new (trial, attempt, metric, first_seq, last_seq, a, b)
    ON CONFLICT (study_id, trial, attempt, metric, first_seq) DO UPDATE SET last_seq = excluded.last_seq,
        steps = excluded.steps, vals = excluded.vals, times = excluded.times, arrivals = excluded.arrivals)";

const DECISIONS: &str = "decision_part AS (
    INSERT INTO decision (study_id, revision, place, trial, attempt, rule_index, rule, shadow, metric, step, value, reference,
        compared_trials, explanation, at)
    SELECT owner.study_id, owner.commit_seq, new.* FROM owner, unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[],
        $5::text[], $6::bool[], $7::text[], $8::bigint[], $9::float8[], $10::float8[], $11::bigint[], $12::text[],
        $13::timestamptz[]) AS new)";

const REQUESTS: &str = "request_part AS (
    INSERT INTO request (study_id, id, content, trials, at)
    SELECT owner.study_id, new.* FROM owner, unnest($1::uuid[], $2::bytea[], $3::json[], $4::timestamptz[]) AS new
    ON CONFLICT (study_id, at, id) DO UPDATE SET content = excluded.content, trials = excluded.trials)";

const AUDIT: &str = "audit_part AS (
    INSERT INTO audit (at, actor, action, subject, detail)
    SELECT new.* FROM owner, unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[]) AS new)";

/// Parts of a statement with their arguments. Each part counts its parameters from `$1`.
struct Statement {
    sql: String,
    arguments: PgArguments,
    count: usize,
}

/// Binds one array for each named field of the records, in order.
macro_rules! bind_columns {
    ($statement:ident, $records:ident, $($field:ident),+ $(,)?) => {
        $($statement.bind($records.iter().map(|record| &record.$field).collect::<Vec<_>>())?;)+
    };
}

fn checked<'a, T, R: TryFrom<&'a T, Error = StoreError>>(rows: &'a [T]) -> Result<Vec<R>, StoreError> {
    rows.iter().map(R::try_from).collect()
}

fn plain<'a, T, R: From<&'a T>>(rows: &'a [T]) -> Vec<R> {
    rows.iter().map(R::from).collect()
}

impl Statement {
    fn new(owner: &Ownership) -> Result<Self, StoreError> {
        let mut statement = Self {
            sql: String::with_capacity(4_096),
            arguments: PgArguments::default(),
            count: 0,
        };
        statement.part(OWNER);
        statement.bind(owner.study.0)?;
        statement.bind(signed(owner.epoch))?;
        statement.bind(signed(owner.commit_seq))?;
        Ok(statement)
    }

    fn study(&mut self, row: &StudyRow) -> Result<(), StoreError> {
        let record = StudyRecord::try_from(row)?;
        self.next_part(STUDY);
        self.bind(record.name)?;
        self.bind(record.spec)?;
        self.bind(record.state)?;
        self.bind(record.done_reason)?;
        self.bind(record.state_reason)?;
        self.bind(record.strategy_note)?;
        self.bind(record.active_microseconds)?;
        self.bind(record.gpu_seconds)?;
        self.bind(record.created_at)?;
        self.bind(record.done_at)?;
        self.bind(record.updated_at)?;
        self.bind(record.cost)?;
        self.bind(record.policy)
    }

    fn trials(&mut self, rows: &[TrialRow]) -> Result<(), StoreError> {
        let records: Vec<TrialRecord> = checked(rows)?;
        self.next_part(TRIALS);
        bind_columns!(
            self,
            records,
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
        );
        Ok(())
    }

    fn attempts(&mut self, rows: &[AttemptRow]) -> Result<(), StoreError> {
        let records: Vec<AttemptRecord> = checked(rows)?;
        self.next_part(ATTEMPTS);
        bind_columns!(
            self,
            records,
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
        );
        Ok(())
    }

    fn points(&mut self, chunks: &[PointChunk]) -> Result<(), StoreError> {
        self.next_part(POINTS);
        self.bind(
            chunks
                .iter()
                .map(|chunk| signed(chunk.trial.0))
                .collect::<Vec<_>>(),
        )?;
        self.bind(
            chunks
                .iter()
                .map(|chunk| i64::from(chunk.attempt.0))
                .collect::<Vec<_>>(),
        )?;
        self.bind(
            chunks
                .iter()
                .map(|chunk| chunk.metric.as_str())
                .collect::<Vec<_>>(),
        )?;
        self.bind(
            chunks
                .iter()
                .map(|chunk| signed(chunk.first_seq))
                .collect::<Vec<_>>(),
        )?;
        self.bind(
            chunks
                .iter()
                .map(|chunk| signed(chunk.last_seq))
                .collect::<Vec<_>>(),
        )?;
        let flat = FlatPoints::new(chunks.iter())?;
        self.bind(flat.begins)?;
        self.bind(flat.ends)?;
        self.bind(flat.steps)?;
        self.bind(flat.values)?;
        self.bind(flat.times)?;
        self.bind(flat.arrivals)
    }

    fn decisions(&mut self, rows: &[DecisionRow]) -> Result<(), StoreError> {
        let records: Vec<DecisionRecord> = plain(rows);
        self.next_part(DECISIONS);
        self.bind((0..).take(records.len()).collect::<Vec<i64>>())?;
        bind_columns!(
            self,
            records,
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
        );
        Ok(())
    }

    fn requests(&mut self, rows: &[RequestRow]) -> Result<(), StoreError> {
        let records: Vec<RequestRecord> = checked(rows)?;
        self.next_part(REQUESTS);
        bind_columns!(self, records, id, content, trials, at);
        Ok(())
    }

    fn audit(&mut self, rows: &[AuditRow]) -> Result<(), StoreError> {
        let records: Vec<AuditRecord> = plain(rows);
        self.next_part(AUDIT);
        bind_columns!(self, records, at, actor, action, subject, detail);
        Ok(())
    }

    fn next_part(&mut self, part: &str) {
        self.sql.push_str(", ");
        self.part(part);
    }

    /// Appends a part with its parameters renumbered to follow those of the parts before.
    fn part(&mut self, part: &str) {
        let shift = self.count;
        let mut pieces = part.split('$');
        self.sql.push_str(pieces.next().unwrap_or_default());
        for piece in pieces {
            let digits = piece.len() - piece.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, rest) = piece.split_at(digits);
            let number = number.parse::<usize>().unwrap_or_default() + shift;
            self.sql.push('$');
            self.sql.push_str(&number.to_string());
            self.sql.push_str(rest);
        }
    }

    /// Adds the next argument of the part.
    fn bind<'t, T: Encode<'t, Postgres> + Type<Postgres>>(&mut self, value: T) -> Result<(), StoreError> {
        self.count += 1;
        sqlx::Arguments::add(&mut self.arguments, value)
            .map_err(|error| StoreError::Invalid(format!("argument {} of a commit: {error}", self.count)))
    }
}

/// Points of several chunks, joined, with the places of each chunk as Postgres counts them: from 1, ends included.
pub(super) struct FlatPoints {
    pub(super) begins: Vec<i32>,
    pub(super) ends: Vec<i32>,
    pub(super) steps: Vec<i64>,
    pub(super) values: Vec<f64>,
    pub(super) times: Vec<i64>,
    pub(super) arrivals: Vec<i64>,
}

impl FlatPoints {
    pub(super) fn new<'a>(chunks: impl Iterator<Item = &'a PointChunk>) -> Result<Self, StoreError> {
        let mut flat = Self {
            begins: vec![],
            ends: vec![],
            steps: vec![],
            values: vec![],
            times: vec![],
            arrivals: vec![],
        };
        let place = |count: usize| {
            i32::try_from(count).map_err(|_| StoreError::Invalid(format!("{count} points in one commit")))
        };
        for chunk in chunks {
            flat.begins.push(place(flat.steps.len() + 1)?);
            flat.steps.extend(&chunk.steps);
            flat.values.extend(&chunk.values);
            flat.times.extend(chunk.times.iter().map(|at| at.as_micros()));
            flat.arrivals
                .extend(chunk.arrivals.iter().map(|at| at.as_micros()));
            flat.ends.push(place(flat.steps.len())?);
        }
        Ok(flat)
    }
}

/// Writes `changes`, whose rows have been checked. Returns the new `commit_seq`, or `NotOwner`.
pub(super) async fn commit(
    committers: &Committers,
    owner: &Ownership,
    changes: &Changes,
) -> Result<u64, StoreError> {
    let mut statement = Statement::new(owner)?;
    if let Some(study) = &changes.study {
        statement.study(study)?;
    }
    if !changes.trials.is_empty() {
        statement.trials(&changes.trials)?;
    }
    if !changes.attempts.is_empty() {
        statement.attempts(&changes.attempts)?;
    }
    if !changes.points.is_empty() {
        statement.points(&changes.points)?;
    }
    if !changes.decisions.is_empty() {
        statement.decisions(&changes.decisions)?;
    }
    if !changes.requests.is_empty() {
        statement.requests(&changes.requests)?;
    }
    if !changes.audit.is_empty() {
        statement.audit(&changes.audit)?;
    }
    statement.sql.push_str(" SELECT commit_seq FROM owner");
    let Statement { sql, arguments, .. } = statement;
    let writing = committers.with(async move |connection| {
        sqlx::query_scalar_with(AssertSqlSafe(sql), arguments)
            .fetch_optional(connection)
            .await
    });
    #[cfg(feature = "crash-points")]
    let writing = crate::crash::while_under_way(crate::crash::Point::UnderWay, writing);
    let written: Option<i64> =
        writing
            .await
            .map_err(|error| match (broken_constraint(&error), &changes.study) {
                (Some("study_name_is_unique"), Some(study)) => study_taken(&study.name),
                _ => store_error("commit", error),
            })?;
    written
        .ok_or(StoreError::NotOwner(owner.study))
        .and_then(|seq| unsigned("commit_seq", seq))
}
