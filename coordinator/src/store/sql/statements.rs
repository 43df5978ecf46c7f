//! Statements that are the same in both databases, written once.
//!
//! sqlx types its statements by database, so they are a macro that each database's module expands with its own types: `reader`
//! for what may run on any connection, `writer` for what changes something. Both databases read `$1` as the first parameter.

macro_rules! select_studies {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, spec, lineage, state, done_reason, state_reason, strategy_note, active_microseconds, gpu_seconds, ",
            "cost, creator, policy, created_at, done_at, updated_at FROM study ",
            $rest
        )
    };
}

macro_rules! select_trials {
    ($rest:literal) => {
        concat!(
            "SELECT number, state, reason, lease_id, lease_holder, attempt, program_failures, infrastructure_failures, ",
            "params, seed, value, more_values, last_step, metrics, stages, note, tags, provenance, created_at, started_at, ended_at FROM trial ",
            "WHERE study_id = $1 ",
            $rest
        )
    };
}

macro_rules! select_attempts {
    ($rest:literal) => {
        concat!(
            "SELECT trial, attempt, lease_id, holder, holder_name, gpus, price_per_hour, cost, client_ttl_microseconds, leased_at, started_at, ",
            "ended_at, outcome, failure, pid, exit_code, peak_memory, log_tail FROM attempt WHERE study_id = $1 ",
            $rest
        )
    };
}

macro_rules! select_decisions {
    ($rest:literal) => {
        concat!(
            "SELECT trial, attempt, rule_index, rule, shadow, metric, step, value, reference, compared_trials, ",
            "explanation, at FROM decision WHERE study_id = $1 ",
            $rest
        )
    };
}

/// Whether a trial that a request made has not ended. The parameter is the database's function from a JSON array to its elements.
macro_rules! has_unfinished_trials {
    ($elements:literal) => {
        concat!(
            "EXISTS (SELECT 1 FROM ",
            $elements,
            "(request.trials) AS made CROSS JOIN trial WHERE trial.study_id = $1 AND trial.number = CAST(made.value AS bigint) ",
            "AND trial.ended_at IS NULL)"
        )
    };
}

/// The statements, as functions of the module in which it is expanded.
macro_rules! statements {
    (reader: $reader:ty, writer: $writer:ty, elements: $elements:literal) => {
        use std::ops::RangeInclusive;

        use tunesmith_common::{RequestId, StudyId, Timestamp, TrialNumber, WorkerId};

        use super::super::sql::records::{
            AttemptRecord, AuditRecord, DecisionRecord, RequestRecord, StudyRecord, TokenRecord, TrialRecord, WorkerRecord,
            signed, unsigned,
        };
        use super::super::sql::statements::{
            has_unfinished_trials, select_attempts, select_decisions, select_studies, select_trials,
        };
        use super::super::sql::history::from_rows;
        use super::super::sql::types::{Json, Time};
        use super::super::sql::{row, rows};
        use super::super::{
            AttemptRow, AuditRow, DecisionRow, Ownership, PRUNED_AT_A_TIME, PriorTrial, RequestRow, StateCounts, StoreError, StoredTrial,
            StudyRow, TokenRow, TrialRow, WorkerRow, no_study, no_token, request_taken, token_taken,
        };
        use super::error::store_error;

        pub(super) async fn study_find(database: $reader, name: &str) -> Result<Option<StudyRow>, StoreError> {
            let record = sqlx::query_as::<_, StudyRecord>(select_studies!("WHERE name = $1"))
                .bind(name)
                .fetch_optional(database)
                .await
                .map_err(|error| store_error("find a study", error))?;
            row(record)
        }

        pub(super) async fn study_fetch(database: $reader, study: StudyId) -> Result<Option<StudyRow>, StoreError> {
            let record = sqlx::query_as::<_, StudyRecord>(select_studies!("WHERE id = $1"))
                .bind(study.0)
                .fetch_optional(database)
                .await
                .map_err(|error| store_error("read a study", error))?;
            row(record)
        }

        pub(super) async fn study_list(database: $reader, archived: bool, offset: i64, limit: u32) -> Result<Vec<StudyRow>, StoreError> {
            let records = sqlx::query_as::<_, StudyRecord>(select_studies!(
                "WHERE $1 OR state <> 'ARCHIVED' ORDER BY created_at DESC, id DESC LIMIT $3 OFFSET $2"
            ))
            .bind(archived)
            .bind(offset)
            .bind(i64::from(limit))
            .fetch_all(database)
            .await
            .map_err(|error| store_error("list studies", error))?;
            rows(records)
        }

        pub(super) async fn study_list_alive(database: $reader) -> Result<Vec<StudyId>, StoreError> {
            let ids: Vec<uuid::Uuid> =
                sqlx::query_scalar("SELECT id FROM study WHERE state IN ('ACTIVE', 'PAUSED', 'ENDING') ORDER BY id")
                    .fetch_all(database)
                    .await
                    .map_err(|error| store_error("list studies", error))?;
            Ok(ids.into_iter().map(StudyId).collect())
        }

        pub(super) async fn history_list(database: $reader, study: StudyId) -> Result<Vec<PriorTrial>, StoreError> {
            let rows: Vec<Json> = sqlx::query_scalar("SELECT trials FROM history WHERE study_id = $1 ORDER BY position")
                .bind(study.0)
                .fetch_all(database)
                .await
                .map_err(|error| store_error("read what a study learns from", error))?;
            from_rows(rows)
        }

        pub(super) async fn study_take(database: $writer, study: StudyId) -> Result<Ownership, StoreError> {
            let taken: Option<(i64, i64)> = sqlx::query_as(
                "UPDATE study_owner SET owner_epoch = owner_epoch + 1 WHERE study_id = $1 RETURNING owner_epoch, commit_seq",
            )
            .bind(study.0)
            .fetch_optional(database)
            .await
            .map_err(|error| store_error("take a study", error))?;
            let (epoch, commit_seq) = taken.ok_or_else(|| no_study(study))?;
            Ok(Ownership {
                study,
                epoch: unsigned("owner_epoch", epoch)?,
                commit_seq: unsigned("commit_seq", commit_seq)?,
            })
        }

        /// The study that an earlier call with this request made, if there was one.
        pub(super) async fn study_created_by(database: $reader, request: &RequestRow) -> Result<Option<StudyRow>, StoreError> {
            let RequestRow { id: RequestId(id), content, .. } = request;
            let known: Option<Vec<u8>> =
                sqlx::query_scalar("SELECT create_request_content FROM study WHERE create_request_id = $1")
                    .bind(id)
                    .fetch_optional(database)
                    .await
                    .map_err(|error| store_error("find a request", error))?;
            match known {
                None => Ok(None),
                Some(known) if known != content => Err(request_taken(request.id)),
                Some(_) => {
                    let record = sqlx::query_as::<_, StudyRecord>(select_studies!("WHERE create_request_id = $1"))
                        .bind(id)
                        .fetch_optional(database)
                        .await
                        .map_err(|error| store_error("find a study", error))?;
                    row(record)
                }
            }
        }

        /// Adds the trials from `first` to `last` that have not ended, in order.
        pub(super) async fn add_living(
            database: $reader,
            study: StudyId,
            first: i64,
            last: i64,
            trials: &mut Vec<StoredTrial>,
        ) -> Result<(), StoreError> {
            let records = sqlx::query_as::<_, TrialRecord>(select_trials!(
                "AND number >= $2 AND number <= $3 AND ended_at IS NULL ORDER BY number"
            ))
            .bind(study.0)
            .bind(first)
            .bind(last)
            .fetch_all(database)
            .await
            .map_err(|error| store_error("list trials", error))?;
            for record in records {
                trials.push(StoredTrial::Living(Box::new(record.try_into()?)));
            }
            trials.sort_by_key(StoredTrial::number);
            Ok(())
        }

        pub(super) async fn point_exists(database: $reader, study: StudyId, metric: &str) -> Result<bool, StoreError> {
            sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM point_chunk WHERE study_id = $1 AND metric = $2)")
                .bind(study.0)
                .bind(metric)
                .fetch_one(database)
                .await
                .map_err(|error| store_error("find points", error))
        }

        pub(super) async fn trial_fetch(
            database: $reader,
            study: StudyId,
            trial: TrialNumber,
        ) -> Result<Option<TrialRow>, StoreError> {
            let record = sqlx::query_as::<_, TrialRecord>(select_trials!("AND number = $2"))
                .bind(study.0)
                .bind(signed(trial.0))
                .fetch_optional(database)
                .await
                .map_err(|error| store_error("read a trial", error))?;
            row(record)
        }

        pub(super) async fn trial_counts(database: $reader, study: StudyId) -> Result<StateCounts, StoreError> {
            let mut counts = sqlx::query_as::<_, (String, i64)>("SELECT state, count(*) FROM trial WHERE study_id = $1 GROUP BY state")
                .bind(study.0)
                .fetch_all(database)
                .await
                .map_err(|error| store_error("count trials", error))?;
            counts.sort();
            counts.into_iter().map(|(state, count)| Ok((state, unsigned("count", count)?))).collect()
        }

        pub(super) async fn attempt_list_of(
            database: $reader,
            study: StudyId,
            trials: RangeInclusive<TrialNumber>,
        ) -> Result<Vec<AttemptRow>, StoreError> {
            let records = sqlx::query_as::<_, AttemptRecord>(select_attempts!("AND trial BETWEEN $2 AND $3 ORDER BY trial, attempt"))
                .bind(study.0)
                .bind(signed(trials.start().0))
                .bind(signed(trials.end().0))
                .fetch_all(database)
                .await
                .map_err(|error| store_error("list attempts", error))?;
            rows(records)
        }

        pub(super) async fn attempt_list_open(database: $reader, study: StudyId) -> Result<Vec<AttemptRow>, StoreError> {
            let records = sqlx::query_as::<_, AttemptRecord>(select_attempts!("AND ended_at IS NULL ORDER BY trial, attempt"))
                .bind(study.0)
                .fetch_all(database)
                .await
                .map_err(|error| store_error("list attempts", error))?;
            rows(records)
        }

        pub(super) async fn decision_list_of(
            database: $reader,
            study: StudyId,
            trials: RangeInclusive<TrialNumber>,
        ) -> Result<Vec<DecisionRow>, StoreError> {
            let records = sqlx::query_as::<_, DecisionRecord>(select_decisions!("AND trial BETWEEN $2 AND $3 ORDER BY trial, revision, place"))
                .bind(study.0)
                .bind(signed(trials.start().0))
                .bind(signed(trials.end().0))
                .fetch_all(database)
                .await
                .map_err(|error| store_error("list decisions", error))?;
            rows(records)
        }

        pub(super) async fn decision_list_all(database: $reader, study: StudyId) -> Result<Vec<DecisionRow>, StoreError> {
            let records = sqlx::query_as::<_, DecisionRecord>(select_decisions!("ORDER BY trial, revision, place"))
                .bind(study.0)
                .fetch_all(database)
                .await
                .map_err(|error| store_error("list decisions", error))?;
            rows(records)
        }

        pub(super) async fn request_list(database: $reader, study: StudyId, since: Timestamp) -> Result<Vec<RequestRow>, StoreError> {
            let records = sqlx::query_as::<_, RequestRecord>(
                "SELECT id, content, trials, at FROM request WHERE study_id = $1 AND at >= $2 ORDER BY at, id",
            )
            .bind(study.0)
            .bind(Time(since))
            .fetch_all(database)
            .await
            .map_err(|error| store_error("list requests", error))?;
            rows(records)
        }

        pub(super) async fn request_prune(database: $writer, study: StudyId, before: Timestamp) -> Result<u64, StoreError> {
            let sql = concat!(
                "DELETE FROM request WHERE study_id = $1 AND (at, id) IN (SELECT at, id FROM request WHERE study_id = $1 AND at < $2 AND NOT ",
                has_unfinished_trials!($elements),
                " ORDER BY at, id LIMIT $3)"
            );
            let done = sqlx::query(sql)
                .bind(study.0)
                .bind(Time(before))
                .bind(i64::from(PRUNED_AT_A_TIME))
                .execute(database)
                .await
                .map_err(|error| store_error("prune requests", error))?;
            Ok(done.rows_affected())
        }

        /// What lies below `a` are the texts from `a/` to before `a0`, because `0` follows `/`.
        pub(super) async fn audit_list(database: $reader, subject: &str, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
            let records = if subject.is_empty() {
                sqlx::query_as::<_, AuditRecord>(
                    "SELECT at, actor, action, subject, detail FROM audit ORDER BY at DESC, id DESC LIMIT $1",
                )
                .bind(i64::from(limit))
            } else {
                sqlx::query_as::<_, AuditRecord>(
                    "SELECT at, actor, action, subject, detail FROM audit
                     WHERE subject = $2 OR (subject >= $2 || '/' AND subject < $2 || '0')
                     ORDER BY at DESC, id DESC LIMIT $1",
                )
                .bind(i64::from(limit))
                .bind(subject)
            };
            rows(records.fetch_all(database).await.map_err(|error| store_error("list audit rows", error))?)
        }

        pub(super) async fn audit_add(database: $writer, row: &AuditRow) -> Result<(), StoreError> {
            let record = AuditRecord::from(row);
            sqlx::query("INSERT INTO audit (at, actor, action, subject, detail) VALUES ($1, $2, $3, $4, $5)")
                .bind(record.at)
                .bind(record.actor)
                .bind(record.action)
                .bind(record.subject)
                .bind(record.detail)
                .execute(database)
                .await
                .map_err(|error| store_error("add an audit row", error))?;
            Ok(())
        }

        pub(super) async fn worker_save(database: $writer, worker: &WorkerRow) -> Result<(), StoreError> {
            let record = WorkerRecord::try_from(worker)?;
            sqlx::query(
                "INSERT INTO worker (id, name, generation, draining, version, address, resources, last_seen_at)
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                 ON CONFLICT (id) DO UPDATE SET name = excluded.name, generation = excluded.generation,
                     draining = excluded.draining, version = excluded.version, address = excluded.address,
                     resources = excluded.resources, last_seen_at = excluded.last_seen_at",
            )
            .bind(record.id)
            .bind(record.name)
            .bind(record.generation)
            .bind(record.draining)
            .bind(record.version)
            .bind(record.address)
            .bind(record.resources)
            .bind(record.last_seen_at)
            .execute(database)
            .await
            .map_err(|error| store_error("save a worker", error))?;
            Ok(())
        }

        pub(super) async fn worker_list(database: $reader) -> Result<Vec<WorkerRow>, StoreError> {
            let records = sqlx::query_as::<_, WorkerRecord>(
                "SELECT id, name, generation, draining, version, address, resources, last_seen_at FROM worker ORDER BY name, id",
            )
            .fetch_all(database)
            .await
            .map_err(|error| store_error("list workers", error))?;
            rows(records)
        }

        pub(super) async fn worker_delete(database: $writer, worker: WorkerId) -> Result<(), StoreError> {
            sqlx::query("DELETE FROM worker WHERE id = $1")
                .bind(worker.0)
                .execute(database)
                .await
                .map_err(|error| store_error("delete a worker", error))?;
            Ok(())
        }

        pub(super) async fn token_add(database: $writer, token: &TokenRow) -> Result<(), StoreError> {
            let record = TokenRecord::from(token);
            let done = sqlx::query(
                "INSERT INTO token (id, kind, label, secret_hash, created_at, revoked_at) VALUES ($1, $2, $3, $4, $5, $6)
                 ON CONFLICT (id) DO NOTHING",
            )
            .bind(record.id)
            .bind(record.kind)
            .bind(record.label)
            .bind(record.secret_hash)
            .bind(record.created_at)
            .bind(record.revoked_at)
            .execute(database)
            .await
            .map_err(|error| store_error("add a token", error))?;
            if done.rows_affected() == 0 { Err(token_taken(&token.id)) } else { Ok(()) }
        }

        pub(super) async fn token_list(database: $reader) -> Result<Vec<TokenRow>, StoreError> {
            let records = sqlx::query_as::<_, TokenRecord>(
                "SELECT id, kind, label, secret_hash, created_at, revoked_at FROM token ORDER BY created_at DESC, id",
            )
            .fetch_all(database)
            .await
            .map_err(|error| store_error("list tokens", error))?;
            rows(records)
        }

        pub(super) async fn token_revoke(database: $writer, id: &str, at: Timestamp) -> Result<(), StoreError> {
            let done = sqlx::query("UPDATE token SET revoked_at = coalesce(revoked_at, $2) WHERE id = $1")
                .bind(id)
                .bind(Time(at))
                .execute(database)
                .await
                .map_err(|error| store_error("revoke a token", error))?;
            if done.rows_affected() == 0 { Err(no_token(id)) } else { Ok(()) }
        }
    };
}

pub(in crate::store) use {
    has_unfinished_trials, select_attempts, select_decisions, select_studies, select_trials, statements,
};
