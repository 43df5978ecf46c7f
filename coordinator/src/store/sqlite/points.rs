//! Points: reading them, and joining their chunks.

use sqlx::sqlite::SqliteRow;
use sqlx::{FromRow, Row as _, SqliteConnection, SqlitePool};
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, TrialNumber};

use super::super::compact::{CHUNKS_PER_ROUND, Joined, Round, join_chunks};
use super::super::sql::json::{points_from_json, points_to_json, steps_and_values_from_json, to_json};
use super::super::sql::records::{metric, signed, unsigned};
use super::super::sql::{corrupt, rows};
use super::super::whole_trials::{self, Page};
use super::super::{ChunkPlace, Ownership, PointChunk, PointRuns, StoreError};
use super::error::store_error;
use super::{FIELD, number};

#[derive(Debug, FromRow)]
struct ChunkRecord {
    trial: i64,
    attempt: i64,
    metric: String,
    first_seq: i64,
    last_seq: i64,
    points: String,
}

impl TryFrom<ChunkRecord> for PointChunk {
    type Error = StoreError;

    fn try_from(record: ChunkRecord) -> Result<Self, StoreError> {
        let (steps, values, times, arrivals) = points_from_json(&record.points)?;
        Ok(Self {
            trial: TrialNumber(unsigned("trial", record.trial)?),
            attempt: Attempt(unsigned("attempt", record.attempt)?),
            metric: metric(&record.metric)?,
            first_seq: unsigned("first_seq", record.first_seq)?,
            last_seq: unsigned("last_seq", record.last_seq)?,
            steps,
            values,
            times,
            arrivals,
        })
    }
}

macro_rules! chunks {
    ($rest:literal) => {
        concat!("SELECT trial, attempt, metric, first_seq, last_seq, points FROM point_chunk WHERE study_id = $1 ", $rest)
    };
}

pub(super) async fn list(
    readers: &SqlitePool,
    study: StudyId,
    trial: TrialNumber,
) -> Result<Vec<PointChunk>, StoreError> {
    let records: Vec<ChunkRecord> = sqlx::query_as(chunks!(
        "AND trial = $2 ORDER BY trial, attempt, metric, first_seq"
    ))
    .bind(study.0)
    .bind(signed(trial.0))
    .fetch_all(readers)
    .await
    .map_err(|error| store_error("list points", error))?;
    rows(records)
}

/// Between chunks that are read as one text: like [`FIELD`] a character that is in no name and in no JSON. `char(30)` in SQL.
const CHUNK: char = '\u{1e}';

/// Reads many chunks as one text: a row for each would cost several times what reading the points does.
macro_rules! joined_chunks {
    ($rest:literal) => {
        concat!(
            "SELECT group_concat(trial || char(31) || attempt || char(31) || metric || char(31) || points, char(30)) FROM (
                 SELECT trial, attempt, metric, points FROM point_chunk
                 WHERE study_id = $1 AND metric IN (SELECT value FROM json_each($2)) AND ",
            $rest,
            ")"
        )
    };
}

pub(super) async fn page(
    readers: &SqlitePool,
    study: StudyId,
    metrics: &[MetricName],
    after: TrialNumber,
    limit: u32,
) -> Result<PointRuns, StoreError> {
    let joined = sqlx::query(joined_chunks!(
        "trial > $3 ORDER BY trial, attempt, metric, first_seq LIMIT $4"
    ))
    .bind(study.0)
    .bind(to_json(metrics)?)
    .bind(signed(after.0))
    .bind(whole_trials::rows_to_ask_for(limit))
    .fetch_one(readers)
    .await
    .map_err(|error| store_error("list points", error))?;
    match whole_trials::cut(read_runs(&joined, metrics)?, limit) {
        Page::Whole(runs) => Ok(runs),
        Page::PartOf(trial) => runs(readers, study, metrics, &[trial]).await,
    }
}

pub(super) async fn runs(
    readers: &SqlitePool,
    study: StudyId,
    metrics: &[MetricName],
    trials: &[TrialNumber],
) -> Result<PointRuns, StoreError> {
    // The limit, which is none, keeps SQLite from dropping the order.
    let joined = sqlx::query(joined_chunks!(
        "trial IN (SELECT value FROM json_each($3)) ORDER BY trial, attempt, metric, first_seq LIMIT -1"
    ))
    .bind(study.0)
    .bind(to_json(metrics)?)
    .bind(to_json(trials)?)
    .fetch_one(readers)
    .await
    .map_err(|error| store_error("list points", error))?;
    read_runs(&joined, metrics)
}

fn read_runs(joined: &SqliteRow, metrics: &[MetricName]) -> Result<PointRuns, StoreError> {
    let joined: Option<&str> = joined
        .try_get(0)
        .map_err(|error| store_error("list points", error))?;
    let mut runs = PointRuns::default();
    for chunk in joined.into_iter().flat_map(|joined| joined.split(CHUNK)) {
        let broken = || corrupt(format_args!("a chunk of points: {chunk:?}"));
        let mut fields = chunk.splitn(4, FIELD);
        let mut field = || fields.next().ok_or_else(broken);
        let (trial, attempt, metric, points) = (field()?, field()?, field()?, field()?);
        if let Some(metric) = metrics.iter().position(|wanted| wanted.as_str() == metric) {
            steps_and_values_from_json(points, runs.open_run())?;
            let trial = TrialNumber(unsigned("trial", number("trial", trial)?)?);
            if runs.last_trial().is_some_and(|last| last > trial) {
                return Err(broken());
            }
            let attempt = Attempt(unsigned("attempt", number("attempt", attempt)?)?);
            runs.close_run(trial, attempt, metric);
        }
    }
    Ok(runs)
}

/// Number of the last point of each attempt. The last chunk of each metric is found through the key, metric by metric: an attempt that
/// reports for days has many chunks.
macro_rules! last_points {
    ($attempts:literal) => {
        concat!(
            "SELECT a.trial, a.attempt, (
                 WITH RECURSIVE name (metric) AS (
                     SELECT (SELECT c.metric FROM point_chunk AS c
                             WHERE c.study_id = a.study_id AND c.trial = a.trial AND c.attempt = a.attempt
                             ORDER BY c.metric LIMIT 1)
                     UNION ALL
                     SELECT (SELECT c.metric FROM point_chunk AS c
                             WHERE c.study_id = a.study_id AND c.trial = a.trial AND c.attempt = a.attempt
                                 AND c.metric > name.metric
                             ORDER BY c.metric LIMIT 1)
                     FROM name WHERE name.metric IS NOT NULL)
                 SELECT max((SELECT c.last_seq FROM point_chunk AS c
                             WHERE c.study_id = a.study_id AND c.trial = a.trial AND c.attempt = a.attempt
                                 AND c.metric = name.metric
                             ORDER BY c.first_seq DESC LIMIT 1))
                 FROM name)
             FROM attempt AS a WHERE a.study_id = $1 AND ",
            $attempts,
            " ORDER BY a.trial, a.attempt"
        )
    };
}

/// Points are numbered from 1 without gaps: the last number is how many there are.
pub(super) async fn count(
    readers: &SqlitePool,
    study: StudyId,
    trial: TrialNumber,
) -> Result<Vec<(Attempt, u64)>, StoreError> {
    let records: Vec<(i64, i64, Option<i64>)> = sqlx::query_as(last_points!("a.trial = $2"))
        .bind(study.0)
        .bind(signed(trial.0))
        .fetch_all(readers)
        .await
        .map_err(|error| store_error("count points", error))?;
    let reported = records
        .into_iter()
        .filter_map(|(_, attempt, seq)| seq.map(|seq| (attempt, seq)));
    let read = |(attempt, seq)| Ok((Attempt(unsigned("attempt", attempt)?), unsigned("last_seq", seq)?));
    reported.map(read).collect()
}

pub(super) async fn committed(
    readers: &SqlitePool,
    study: StudyId,
) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
    let records: Vec<(i64, i64, Option<i64>)> = sqlx::query_as(last_points!("a.ended_at IS NULL"))
        .bind(study.0)
        .fetch_all(readers)
        .await
        .map_err(|error| store_error("list committed points", error))?;
    let reported = records
        .into_iter()
        .filter_map(|(trial, attempt, seq)| seq.map(|seq| (trial, attempt, seq)));
    let read = |(trial, attempt, seq)| {
        Ok((
            TrialNumber(unsigned("trial", trial)?),
            Attempt(unsigned("attempt", attempt)?),
            unsigned("last_seq", seq)?,
        ))
    };
    reported.map(read).collect()
}

/// What a round of joining would do. Read and worked out before the one connection that writes is taken.
pub(super) async fn to_join(
    readers: &SqlitePool,
    study: StudyId,
    trial: TrialNumber,
    attempt: Attempt,
    from: Option<&ChunkPlace>,
) -> Result<Round, StoreError> {
    let records: Vec<ChunkRecord> = sqlx::query_as(chunks!(
        "AND trial = $2 AND attempt = $3 AND (metric, first_seq) >= ($4, $5) ORDER BY metric, first_seq LIMIT $6"
    ))
    .bind(study.0)
    .bind(signed(trial.0))
    .bind(i64::from(attempt.0))
    .bind(from.map_or("", |from| from.metric.as_str()))
    .bind(from.map_or(0, |from| signed(from.first_seq)))
    .bind(i64::from(CHUNKS_PER_ROUND))
    .fetch_all(readers)
    .await
    .map_err(|error| store_error("compact points", error))?;
    Ok(join_chunks(rows(records)?))
}

/// Within the transaction of `connection`. A row that is not as it was read stays as it is, and so do those that were to become a part of it.
pub(super) async fn join(
    connection: &mut SqliteConnection,
    owner: &Ownership,
    trial: TrialNumber,
    attempt: Attempt,
    joined: &[Joined],
) -> Result<(), StoreError> {
    let failed = |error| store_error("compact points", error);
    let owned: bool = sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM study_owner WHERE study_id = $1 AND owner_epoch = $2)",
    )
    .bind(owner.study.0)
    .bind(signed(owner.epoch))
    .fetch_one(&mut *connection)
    .await
    .map_err(failed)?;
    if !owned {
        return Err(StoreError::NotOwner(owner.study));
    }
    for group in joined {
        let kept = sqlx::query(
            "UPDATE point_chunk SET last_seq = $7, points = $8 WHERE study_id = $1 AND trial = $2 AND attempt = $3
                AND metric = $4 AND first_seq = $5 AND last_seq = $6",
        )
        .bind(owner.study.0)
        .bind(signed(trial.0))
        .bind(i64::from(attempt.0))
        .bind(group.chunk.metric.as_str())
        .bind(signed(group.chunk.first_seq))
        .bind(signed(group.was_last))
        .bind(signed(group.chunk.last_seq))
        .bind(points_to_json(&group.chunk)?)
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
        if kept.rows_affected() == 0 {
            continue;
        }
        sqlx::query(
            "DELETE FROM point_chunk WHERE study_id = $1 AND trial = $2 AND attempt = $3 AND metric = $4
                AND first_seq > $5 AND first_seq <= $6",
        )
        .bind(owner.study.0)
        .bind(signed(trial.0))
        .bind(i64::from(attempt.0))
        .bind(group.chunk.metric.as_str())
        .bind(signed(group.chunk.first_seq))
        .bind(group.absorbed_up_to.map(signed))
        .execute(&mut *connection)
        .await
        .map_err(failed)?;
    }
    Ok(())
}
