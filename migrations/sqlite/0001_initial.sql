-- The first schema. Plain tables, made to be read by people and tools; only the coordinator may write them.
--
-- The same tables as in Postgres. Times are whole microseconds since 1970 in UTC: datetime(created_at / 1e6, 'unixepoch').
-- Identities are 16 bytes: hex(id). Columns that are said to hold JSON are TEXT for -> and ->>. Numbers that may be NaN or
-- infinite have type ANY and hold the text 'NaN', 'Infinity' or '-Infinity' then, because SQLite turns NaN into NULL.
-- `study_id` is part of every key: nothing refers to a row of another study. Only study_owner has a foreign key: each write to
-- the other tables is part of a transaction that advances study_owner, so that a study that is gone takes none.

-- One row. A coordinator refuses a database whose oldest_coordinator is newer than the schema it knows.
CREATE TABLE schema_version (
    version INTEGER NOT NULL,             -- the newest migration that changed a table
    oldest_coordinator INTEGER NOT NULL,  -- the schema a coordinator must at least know to write here
    only_row INTEGER NOT NULL DEFAULT 1,
    CONSTRAINT schema_version_has_one_row PRIMARY KEY (only_row),
    CONSTRAINT schema_version_has_only_one_row CHECK (only_row = 1)
) STRICT;
INSERT INTO schema_version (version, oldest_coordinator) VALUES (1, 1);

CREATE TABLE study (
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    spec TEXT NOT NULL,               -- JSON: what its owner declared, with the seed in force
    state TEXT NOT NULL,
    done_reason TEXT,                 -- why it ends or ended
    state_reason TEXT NOT NULL,       -- why it is in this state, for people
    strategy_note TEXT NOT NULL,      -- which strategy is in use and why, for people
    active_microseconds INTEGER NOT NULL,  -- how long it was active, up to updated_at
    gpu_seconds REAL NOT NULL,        -- GPU time of attempts that have ended
    created_at INTEGER NOT NULL,
    done_at INTEGER,
    updated_at INTEGER NOT NULL,
    create_request_id BLOB,           -- the call that created it, and SHA-256 of the call's content
    create_request_content BLOB,
    CONSTRAINT study_id_is_unique PRIMARY KEY (id),
    CONSTRAINT study_name_is_unique UNIQUE (name),
    CONSTRAINT study_create_request_is_unique UNIQUE (create_request_id),
    CONSTRAINT study_state_is_known CHECK (state IN ('ACTIVE', 'PAUSED', 'ENDING', 'DONE', 'ARCHIVED')),
    CONSTRAINT study_done_reason_is_known CHECK (
        done_reason IN ('BUDGET', 'TARGET', 'EXHAUSTED', 'CANCELLED', 'FAILURES')),
    CONSTRAINT study_done_reason_exactly_from_ending_on CHECK (
        (state IN ('ENDING', 'DONE', 'ARCHIVED')) = (done_reason IS NOT NULL)),
    CONSTRAINT study_done_at_exactly_when_done CHECK ((state IN ('DONE', 'ARCHIVED')) = (done_at IS NOT NULL)),
    CONSTRAINT study_request_has_content CHECK (
        (create_request_id IS NULL) = (create_request_content IS NULL) AND length(create_request_content) = 32)
) STRICT;
CREATE INDEX study_newest_first ON study (created_at DESC, id DESC);
CREATE INDEX study_alive ON study (id) WHERE state IN ('ACTIVE', 'PAUSED', 'ENDING');

-- Who may write a study. Each commit advances commit_seq by compare-and-swap on (owner_epoch, commit_seq), so neither another
-- owner nor a late commit of the same owner can slip in. commit_seq is the study's revision.
CREATE TABLE study_owner (
    study_id BLOB NOT NULL,
    owner_epoch INTEGER NOT NULL DEFAULT 0,  -- grows each time a coordinator takes the study
    commit_seq INTEGER NOT NULL DEFAULT 0,   -- number of commits, without gaps
    CONSTRAINT study_owner_is_unique PRIMARY KEY (study_id),
    CONSTRAINT study_owner_has_a_study FOREIGN KEY (study_id) REFERENCES study (id) ON DELETE CASCADE
) STRICT, WITHOUT ROWID;

CREATE TABLE trial (
    study_id BLOB NOT NULL,
    number INTEGER NOT NULL,          -- within the study, counted from 1
    state TEXT NOT NULL,
    reason TEXT,                      -- JSON: why it is stopped or failed
    lease_id BLOB,                    -- the lease of the newest attempt, exactly while somebody may be running it
    lease_holder TEXT,                -- JSON: {"worker": id} or {"client": name}
    attempt INTEGER NOT NULL,         -- the newest attempt; 0 before the first
    program_failures INTEGER NOT NULL,
    infrastructure_failures INTEGER NOT NULL,
    params TEXT NOT NULL,             -- JSON: values of the active parameters, in the order of the search space
    seed INTEGER NOT NULL,            -- an unsigned number: add 2^64 to a negative one
    value ANY,                        -- the objective so far, or finally
    last_step INTEGER,
    metrics TEXT NOT NULL,            -- JSON: last value of each metric; "NaN", "Infinity" and "-Infinity" are texts
    note TEXT NOT NULL,
    provenance TEXT NOT NULL,         -- JSON: why these parameters
    created_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    CONSTRAINT trial_number_is_unique PRIMARY KEY (study_id, number),
    CONSTRAINT trial_number_counts_from_one CHECK (number >= 1),
    CONSTRAINT trial_state_is_known CHECK (state IN ('PENDING', 'LEASED', 'RUNNING', 'STOPPING', 'PAUSED', 'COMPLETED',
        'EARLY_STOPPED', 'TIMED_OUT', 'FAILED', 'CANCELLED')),
    CONSTRAINT trial_lease_exactly_while_a_worker_may_run CHECK (
        (state IN ('LEASED', 'RUNNING', 'STOPPING')) = (lease_id IS NOT NULL)
        AND (lease_id IS NULL) = (lease_holder IS NULL)),
    CONSTRAINT trial_ended_exactly_when_final CHECK (
        (state IN ('COMPLETED', 'EARLY_STOPPED', 'TIMED_OUT', 'FAILED', 'CANCELLED')) = (ended_at IS NOT NULL)),
    CONSTRAINT trial_reason_exactly_when_stopped_or_failed CHECK (
        (state IN ('STOPPING', 'EARLY_STOPPED', 'TIMED_OUT', 'FAILED', 'CANCELLED')) = (reason IS NOT NULL)),
    CONSTRAINT trial_value_is_a_number CHECK (
        typeof(value) IN ('null', 'real') OR value IN ('NaN', 'Infinity', '-Infinity'))
) STRICT, WITHOUT ROWID;

CREATE TABLE attempt (
    study_id BLOB NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,         -- counted from 1
    lease_id BLOB NOT NULL,
    holder TEXT NOT NULL,             -- JSON: {"worker": id} or {"client": name}
    holder_name TEXT NOT NULL,        -- the holder's name at the time
    gpus TEXT NOT NULL,               -- JSON: UUIDs of the GPUs it had
    client_ttl_microseconds INTEGER,  -- time a client may stay silent; none for a worker
    leased_at INTEGER NOT NULL,
    started_at INTEGER,
    ended_at INTEGER,
    outcome TEXT NOT NULL,            -- how it ended, for people; empty while it runs
    failure TEXT,                     -- JSON: why it failed, if it did
    pid INTEGER NOT NULL,             -- 0 if unknown
    exit_code INTEGER,
    peak_memory INTEGER NOT NULL,     -- bytes; 0 if unknown
    log_tail TEXT NOT NULL,           -- last lines of its output, kept when it failed
    CONSTRAINT attempt_is_unique PRIMARY KEY (study_id, trial, attempt)
) STRICT;
-- For reloading a study; one entry goes away when an attempt ends.
CREATE INDEX attempt_open ON attempt (study_id, trial, attempt) WHERE ended_at IS NULL;

-- Curves, a few points to a few thousand points a row. Read them through `point`.
CREATE TABLE point_chunk (
    study_id BLOB NOT NULL,
    trial INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    metric TEXT NOT NULL,
    first_seq INTEGER NOT NULL,       -- sequence numbers count the attempt's points over all metrics
    last_seq INTEGER NOT NULL,
    points TEXT NOT NULL,             -- JSON: [[step, value, microseconds since 1970], ...]
    CONSTRAINT point_chunk_is_unique PRIMARY KEY (study_id, trial, attempt, metric, first_seq),
    CONSTRAINT point_chunk_ends_after_it_begins CHECK (first_seq <= last_seq)
) STRICT;

-- One row for each point reported. `at` is by the clock of the machine that reported it.
CREATE VIEW point AS
SELECT c.study_id, c.trial, c.attempt, c.metric, p.value ->> 0 AS step, p.value ->> 1 AS value, p.value ->> 2 AS at
FROM point_chunk AS c, json_each(c.points) AS p;

-- Judgements of early-stopping rules, with the numbers they compared.
CREATE TABLE decision (
    study_id BLOB NOT NULL,
    trial INTEGER NOT NULL,
    revision INTEGER NOT NULL,        -- commit_seq of the study with this judgement, and the place within that commit
    place INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    rule_index INTEGER NOT NULL,      -- place of the rule in the study's early_stopping list, from 0
    rule TEXT NOT NULL,
    shadow INTEGER NOT NULL,          -- 1 if the rule only records what it would have done
    metric TEXT NOT NULL,
    step INTEGER NOT NULL,
    value ANY NOT NULL,
    reference ANY NOT NULL,           -- what value was compared with
    compared_trials INTEGER NOT NULL,
    explanation TEXT NOT NULL,
    at INTEGER NOT NULL,
    CONSTRAINT decision_is_unique PRIMARY KEY (study_id, trial, revision, place)
) STRICT, WITHOUT ROWID;

-- Answers to calls that may be repeated.
CREATE TABLE request (
    study_id BLOB NOT NULL,
    id BLOB NOT NULL,                 -- chosen by the caller
    content BLOB NOT NULL,            -- SHA-256 of the call
    trials TEXT NOT NULL,             -- JSON: numbers of the trials that the call made
    at INTEGER NOT NULL,
    CONSTRAINT request_is_unique PRIMARY KEY (study_id, id),
    CONSTRAINT request_content_is_sha256 CHECK (length(content) = 32)
) STRICT, WITHOUT ROWID;
CREATE INDEX request_by_time ON request (study_id, at);

-- Who changed what. Outlives the studies it is about.
CREATE TABLE audit (
    id INTEGER NOT NULL,
    at INTEGER NOT NULL,
    actor TEXT NOT NULL,              -- label of the token, or the rule of the coordinator
    action TEXT NOT NULL,
    subject TEXT NOT NULL,            -- such as studies/digits/trials/3
    detail TEXT NOT NULL,
    CONSTRAINT audit_is_unique PRIMARY KEY (id AUTOINCREMENT)
) STRICT;
CREATE INDEX audit_by_subject ON audit (subject, at DESC, id DESC);
CREATE INDEX audit_by_time ON audit (at DESC, id DESC);

CREATE TABLE worker (
    id BLOB NOT NULL,
    name TEXT NOT NULL,
    generation INTEGER NOT NULL,      -- counts the starts of the daemon
    draining INTEGER NOT NULL,        -- 1 if it gets nothing new
    version TEXT NOT NULL,
    address TEXT NOT NULL,            -- it last connected from
    resources TEXT NOT NULL,          -- JSON
    last_seen_at INTEGER NOT NULL,
    CONSTRAINT worker_id_is_unique PRIMARY KEY (id)
) STRICT;

-- Access tokens, never their secrets.
CREATE TABLE token (
    id TEXT NOT NULL,
    kind TEXT NOT NULL,
    label TEXT NOT NULL,              -- who has it
    secret_hash BLOB NOT NULL,        -- SHA-256
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    CONSTRAINT token_id_is_unique PRIMARY KEY (id),
    CONSTRAINT token_kind_is_known CHECK (kind IN ('USER', 'WORKER')),
    CONSTRAINT token_secret_hash_is_sha256 CHECK (length(secret_hash) = 32)
) STRICT;
