//! Points: reading them, and joining their chunks.

use futures::{Stream, TryStreamExt as _};
use sqlx::postgres::PgRow;
use sqlx::{FromRow, PgPool, Row as _};
use tunesmith_common::measurement::MetricName;
use tunesmith_common::{Attempt, StudyId, Timestamp, TrialNumber};
use uuid::Uuid;

use super::super::compact::{CHUNKS_PER_ROUND, Round, join_chunks};
use super::super::sql::records::{metric, signed, unsigned};
use super::super::sql::{corrupt, rows};
use super::super::whole_trials::{self, Page};
use super::super::{ChunkPlace, Ownership, PointChunk, PointRuns, StoreError};
use super::commit::FlatPoints;
use super::error::store_error;

#[derive(Debug, FromRow)]
struct ChunkRecord {
    trial: i64,
    attempt: i64,
    metric: String,
    first_seq: i64,
    last_seq: i64,
    steps: Vec<i64>,
    vals: Vec<f64>,
    times: Vec<i64>,
    /// None if it was written before that was noted.
    arrivals: Option<Vec<i64>>,
}

impl TryFrom<ChunkRecord> for PointChunk {
    type Error = StoreError;

    fn try_from(record: ChunkRecord) -> Result<Self, StoreError> {
        let ChunkRecord {
            trial,
            attempt,
            metric: name,
            first_seq,
            last_seq,
            steps,
            vals,
            times,
            arrivals,
        } = record;
        let arrivals = arrivals.unwrap_or_else(|| times.clone());
        if [vals.len(), times.len(), arrivals.len()] != [steps.len(); 3] {
            return Err(corrupt(format_args!(
                "{name} of trial {trial} from {first_seq}: columns differ in length"
            )));
        }
        Ok(Self {
            trial: TrialNumber(unsigned("trial", trial)?),
            attempt: Attempt(unsigned("attempt", attempt)?),
            metric: metric(&name)?,
            first_seq: unsigned("first_seq", first_seq)?,
            last_seq: unsigned("last_seq", last_seq)?,
            steps,
            values: vals,
            times: times.into_iter().map(Timestamp::from_micros).collect(),
            arrivals: arrivals.into_iter().map(Timestamp::from_micros).collect(),
        })
    }
}

macro_rules! chunks {
    ($rest:literal) => {
        concat!(
            "SELECT trial, attempt, metric, first_seq, last_seq, steps, vals, times, arrivals FROM point_chunk WHERE study_id = $1 ",
            $rest
        )
    };
}

pub(super) async fn list(
    pool: &PgPool,
    study: StudyId,
    trial: TrialNumber,
) -> Result<Vec<PointChunk>, StoreError> {
    let records: Vec<ChunkRecord> = sqlx::query_as(chunks!(
        "AND trial = $2 ORDER BY trial, attempt, metric, first_seq"
    ))
    .bind(study.0)
    .bind(signed(trial.0))
    .fetch_all(pool)
    .await
    .map_err(|error| store_error("list points", error))?;
    rows(records)
}

pub(super) async fn page(
    pool: &PgPool,
    study: StudyId,
    metrics: &[MetricName],
    after: TrialNumber,
    limit: u32,
) -> Result<PointRuns, StoreError> {
    let rows = sqlx::query(
        "SELECT trial, attempt, metric, steps, vals FROM point_chunk
         WHERE study_id = $1 AND metric = ANY($2) AND trial > $3 ORDER BY trial, attempt, metric, first_seq LIMIT $4",
    )
    .bind(study.0)
    .bind(names(metrics))
    .bind(signed(after.0))
    .bind(whole_trials::rows_to_ask_for(limit))
    .fetch(pool);
    match whole_trials::cut(read_runs(rows, metrics).await?, limit) {
        Page::Whole(runs) => Ok(runs),
        Page::PartOf(trial) => runs(pool, study, metrics, &[trial]).await,
    }
}

pub(super) async fn runs(
    pool: &PgPool,
    study: StudyId,
    metrics: &[MetricName],
    trials: &[TrialNumber],
) -> Result<PointRuns, StoreError> {
    let numbers: Vec<i64> = trials.iter().map(|trial| signed(trial.0)).collect();
    let rows = sqlx::query(
        "SELECT trial, attempt, metric, steps, vals FROM point_chunk
         WHERE study_id = $1 AND metric = ANY($2) AND trial = ANY($3) ORDER BY trial, attempt, metric, first_seq",
    )
    .bind(study.0)
    .bind(names(metrics))
    .bind(numbers)
    .fetch(pool);
    read_runs(rows, metrics).await
}

fn names(metrics: &[MetricName]) -> Vec<&str> {
    metrics.iter().map(MetricName::as_str).collect()
}

/// Reads rows of trial, attempt, metric, steps and values where they lie.
async fn read_runs(
    mut rows: impl Stream<Item = Result<PgRow, sqlx::Error>> + Unpin,
    metrics: &[MetricName],
) -> Result<PointRuns, StoreError> {
    let failed = |error| store_error("list points", error);
    let mut runs = PointRuns::default();
    while let Some(row) = rows.try_next().await.map_err(failed)? {
        let (trial, attempt): (i64, i64) = (row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?);
        let metric: &str = row.try_get(2).map_err(failed)?;
        let (steps, values): (Vec<i64>, Vec<f64>) =
            (row.try_get(3).map_err(failed)?, row.try_get(4).map_err(failed)?);
        if steps.len() != values.len() {
            return Err(corrupt(format_args!(
                "{metric} of trial {trial}: columns differ in length"
            )));
        }
        if let Some(metric) = metrics.iter().position(|wanted| wanted.as_str() == metric) {
            runs.open_run().extend(steps.into_iter().zip(values));
            let trial = TrialNumber(unsigned("trial", trial)?);
            runs.close_run(trial, Attempt(unsigned("attempt", attempt)?), metric);
        }
    }
    Ok(runs)
}

/// Number of the last point of each attempt. The last chunk of each metric is found through the key, metric by metric: an attempt that
/// reports for days has many chunks.
macro_rules! last_points {
    ($attempts:literal) => {
        concat!(
            "SELECT a.trial, a.attempt, newest.last_seq
             FROM attempt AS a CROSS JOIN LATERAL (
                 WITH RECURSIVE name AS (
                     (SELECT c.metric FROM point_chunk AS c
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
                             ORDER BY c.first_seq DESC LIMIT 1)) AS last_seq
                 FROM name WHERE name.metric IS NOT NULL) AS newest
             WHERE a.study_id = $1 AND ",
            $attempts,
            " AND newest.last_seq IS NOT NULL ORDER BY a.trial, a.attempt"
        )
    };
}

/// Points are numbered from 1 without gaps: the last number is how many there are.
pub(super) async fn count(
    pool: &PgPool,
    study: StudyId,
    trial: TrialNumber,
) -> Result<Vec<(Attempt, u64)>, StoreError> {
    let records: Vec<(i64, i64, i64)> = sqlx::query_as(last_points!("a.trial = $2"))
        .bind(study.0)
        .bind(signed(trial.0))
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("count points", error))?;
    let read = |(_, attempt, seq)| Ok((Attempt(unsigned("attempt", attempt)?), unsigned("last_seq", seq)?));
    records.into_iter().map(read).collect()
}

pub(super) async fn committed(
    pool: &PgPool,
    study: StudyId,
) -> Result<Vec<(TrialNumber, Attempt, u64)>, StoreError> {
    let records: Vec<(i64, i64, i64)> = sqlx::query_as(last_points!("a.ended_at IS NULL"))
        .bind(study.0)
        .fetch_all(pool)
        .await
        .map_err(|error| store_error("list committed points", error))?;
    let read = |(trial, attempt, seq)| {
        Ok((
            TrialNumber(unsigned("trial", trial)?),
            Attempt(unsigned("attempt", attempt)?),
            unsigned("last_seq", seq)?,
        ))
    };
    records.into_iter().map(read).collect()
}

/// Rows that stay grow and the others go, in one statement, if the study still has this owner; under a lock that lets commits pass but not
/// the study's deletion. A row that is not as it was read stays as it is, and so do those that were to become a part of it.
///
/// Rows are found through the key whatever the planner believes: by a subquery for each chunk, which `OFFSET 0` keeps from becoming a join
/// over all rows of the attempt.
pub(super) async fn compact(
    pool: &PgPool,
    owner: &Ownership,
    trial: TrialNumber,
    attempt: Attempt,
    from: Option<&ChunkPlace>,
) -> Result<Option<ChunkPlace>, StoreError> {
    let records: Vec<ChunkRecord> = sqlx::query_as(chunks!(
        "AND trial = $2 AND attempt = $3 AND (metric, first_seq) >= ($4, $5) ORDER BY metric, first_seq LIMIT $6"
    ))
    .bind(owner.study.0)
    .bind(signed(trial.0))
    .bind(i64::from(attempt.0))
    .bind(from.map_or("", |from| from.metric.as_str()))
    .bind(from.map_or(0, |from| signed(from.first_seq)))
    .bind(i64::from(CHUNKS_PER_ROUND))
    .fetch_all(pool)
    .await
    .map_err(|error| store_error("compact points", error))?;
    let Round { joined, next } = join_chunks(rows(records)?);
    let flat = FlatPoints::new(joined.iter().map(|group| &group.chunk))?;
    let owned: Option<Uuid> = sqlx::query_scalar(
        "WITH owner AS (
             SELECT study_id FROM study_owner WHERE study_id = $1 AND owner_epoch = $2 FOR KEY SHARE),
         kept AS (
             UPDATE point_chunk AS c SET last_seq = found.last_seq, steps = ($12::bigint[])[found.a:found.b],
                 vals = ($13::float8[])[found.a:found.b], times = ($14::bigint[])[found.a:found.b],
                 arrivals = ($15::bigint[])[found.a:found.b]
             FROM (
                 SELECT new.*, old.place
                 FROM owner
                 CROSS JOIN unnest($5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::bigint[], $10::int[], $11::int[])
                     AS new (metric, first_seq, was_last, last_seq, absorbed_up_to, a, b)
                 CROSS JOIN LATERAL (
                     SELECT p.ctid AS place FROM point_chunk AS p
                     WHERE p.study_id = $1 AND p.trial = $3 AND p.attempt = $4 AND p.metric = new.metric
                         AND p.first_seq = new.first_seq AND p.last_seq = new.was_last
                     OFFSET 0) AS old) AS found
             WHERE c.ctid = found.place
             RETURNING c.metric, c.first_seq, found.absorbed_up_to),
         gone AS (
             DELETE FROM point_chunk WHERE ctid = ANY(ARRAY(
                 SELECT old.place FROM kept CROSS JOIN LATERAL (
                     SELECT p.ctid AS place FROM point_chunk AS p
                     WHERE p.study_id = $1 AND p.trial = $3 AND p.attempt = $4 AND p.metric = kept.metric
                         AND p.first_seq > kept.first_seq AND p.first_seq <= kept.absorbed_up_to
                     OFFSET 0) AS old)))
         SELECT study_id FROM owner",
    )
    .bind(owner.study.0)
    .bind(signed(owner.epoch))
    .bind(signed(trial.0))
    .bind(i64::from(attempt.0))
    .bind(joined.iter().map(|group| group.chunk.metric.as_str()).collect::<Vec<_>>())
    .bind(joined.iter().map(|group| signed(group.chunk.first_seq)).collect::<Vec<_>>())
    .bind(joined.iter().map(|group| signed(group.was_last)).collect::<Vec<_>>())
    .bind(joined.iter().map(|group| signed(group.chunk.last_seq)).collect::<Vec<_>>())
    .bind(joined.iter().map(|group| group.absorbed_up_to.map(signed)).collect::<Vec<_>>())
    .bind(flat.begins)
    .bind(flat.ends)
    .bind(flat.steps)
    .bind(flat.values)
    .bind(flat.times)
    .bind(flat.arrivals)
    .fetch_optional(pool)
    .await
    .map_err(|error| store_error("compact points", error))?;
    owned.map(|_| next).ok_or(StoreError::NotOwner(owner.study))
}
