-- The first schema. Plain tables, made to be read by people and tools; only the coordinator may write them.
--
-- Times are UTC. `study_id` is part of every key: nothing refers to a row of another study. Only study_owner has a foreign key:
-- each write to the other tables is part of a statement that advances study_owner, so that a study that is gone takes none, and
-- checking the parent of every row would cost more than writing it.
-- `json` and not `jsonb`: it keeps the order of parameters, and 1e16 as a float; `->` and `->>` work on both.

-- One row. A coordinator refuses a database whose oldest_coordinator is newer than the schema it knows.
CREATE TABLE schema_version (
    version integer NOT NULL,             -- the newest migration that changed a table
    oldest_coordinator integer NOT NULL,  -- the schema a coordinator must at least know to write here
    only_row boolean NOT NULL DEFAULT true,
    CONSTRAINT schema_version_has_one_row PRIMARY KEY (only_row),
    CONSTRAINT schema_version_has_only_one_row CHECK (only_row)
);
INSERT INTO schema_version (version, oldest_coordinator) VALUES (1, 1);

CREATE TABLE study (
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    spec json NOT NULL,               -- what its owner declared, with the seed in force
    state text NOT NULL,
    done_reason text,                 -- why it ends or ended
    state_reason text NOT NULL,       -- why it is in this state, for people
    strategy_note text NOT NULL,      -- which strategy is in use and why, for people
    active_microseconds bigint NOT NULL,  -- how long it was active, up to updated_at
    gpu_seconds double precision NOT NULL,  -- GPU time of attempts that have ended
    created_at timestamptz NOT NULL,
    done_at timestamptz,
    updated_at timestamptz NOT NULL,
    create_request_id uuid,           -- the call that created it, and SHA-256 of the call's content
    create_request_content bytea,
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
        (create_request_id IS NULL) = (create_request_content IS NULL) AND octet_length(create_request_content) = 32)
);
CREATE INDEX study_newest_first ON study (created_at DESC, id DESC);
CREATE INDEX study_alive ON study (id) WHERE state IN ('ACTIVE', 'PAUSED', 'ENDING');

-- Who may write a study. Each commit advances commit_seq by compare-and-swap on (owner_epoch, commit_seq), so neither another
-- owner nor a late commit of the same owner can slip in. commit_seq is the study's revision.
CREATE TABLE study_owner (
    study_id uuid NOT NULL,
    owner_epoch bigint NOT NULL DEFAULT 0,  -- grows each time a coordinator takes the study
    commit_seq bigint NOT NULL DEFAULT 0,   -- number of commits, without gaps
    CONSTRAINT study_owner_is_unique PRIMARY KEY (study_id),
    CONSTRAINT study_owner_has_a_study FOREIGN KEY (study_id) REFERENCES study (id) ON DELETE CASCADE
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Studies that are gone, whose rows are still being removed.
CREATE TABLE study_removal (
    study_id uuid NOT NULL,
    CONSTRAINT study_removal_is_unique PRIMARY KEY (study_id)
);

CREATE TABLE trial (
    study_id uuid NOT NULL,
    number bigint NOT NULL,           -- within the study, counted from 1
    state text NOT NULL,
    reason json,                      -- why it is stopped or failed
    lease_id uuid,                    -- the lease of the newest attempt, exactly while somebody may be running it
    lease_holder json,                -- {"worker": id} or {"client": name}
    attempt bigint NOT NULL,          -- the newest attempt; 0 before the first
    program_failures bigint NOT NULL,
    infrastructure_failures bigint NOT NULL,
    params json NOT NULL,             -- values of the active parameters, in the order of the search space
    seed bigint NOT NULL,             -- an unsigned number: add 2^64 to a negative one
    value double precision,           -- the objective so far, or finally; may be NaN or infinite
    last_step bigint,
    metrics json NOT NULL,            -- last value of each metric; "NaN", "Infinity" and "-Infinity" are texts
    note text NOT NULL,
    provenance json NOT NULL,         -- why these parameters
    created_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
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
        (state IN ('STOPPING', 'EARLY_STOPPED', 'TIMED_OUT', 'FAILED', 'CANCELLED')) = (reason IS NOT NULL))
-- Rows change a few times, never in an indexed column: room on the page keeps such changes off the index.
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05);

CREATE TABLE attempt (
    study_id uuid NOT NULL,
    trial bigint NOT NULL,
    attempt bigint NOT NULL,          -- counted from 1
    lease_id uuid NOT NULL,
    holder json NOT NULL,             -- {"worker": id} or {"client": name}
    holder_name text NOT NULL,        -- the holder's name at the time
    gpus json NOT NULL,               -- UUIDs of the GPUs it had
    client_ttl_microseconds bigint,   -- time a client may stay silent; none for a worker
    leased_at timestamptz NOT NULL,
    started_at timestamptz,
    ended_at timestamptz,
    outcome text NOT NULL,            -- how it ended, for people; empty while it runs
    failure json,                     -- why it failed, if it did
    pid bigint NOT NULL,              -- 0 if unknown
    exit_code bigint,
    peak_memory bigint NOT NULL,      -- bytes; 0 if unknown
    log_tail text NOT NULL,           -- last lines of its output, kept when it failed
    CONSTRAINT attempt_is_unique PRIMARY KEY (study_id, trial, attempt)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0,
    autovacuum_analyze_scale_factor = 0.05);
-- For reloading a study; one entry goes away when an attempt ends.
CREATE INDEX attempt_open ON attempt (study_id, trial, attempt) WHERE ended_at IS NULL;

-- Curves, a few points to a few thousand points a row: ten times smaller than a row a point. Read them through `point`.
CREATE TABLE point_chunk (
    study_id uuid NOT NULL,
    trial bigint NOT NULL,
    attempt bigint NOT NULL,
    metric text COLLATE "C" NOT NULL,
    first_seq bigint NOT NULL,        -- sequence numbers count the attempt's points over all metrics
    last_seq bigint NOT NULL,
    steps bigint[] NOT NULL,
    vals double precision[] NOT NULL,  -- may be NaN or infinite
    times bigint[] NOT NULL,          -- microseconds since 1970, by the clock of the machine that reported them
    CONSTRAINT point_chunk_is_unique PRIMARY KEY (study_id, trial, attempt, metric, first_seq),
    CONSTRAINT point_chunk_ends_after_it_begins CHECK (first_seq <= last_seq),
    CONSTRAINT point_chunk_has_as_many_of_each CHECK (
        cardinality(steps) > 0 AND cardinality(vals) = cardinality(steps) AND cardinality(times) = cardinality(steps))
) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_insert_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- One row for each point reported.
CREATE VIEW point AS
SELECT c.study_id, c.trial, c.attempt, c.metric, p.step, p.value,
    timestamptz 'epoch' + p.at * interval '1 microsecond' AS at
FROM point_chunk AS c CROSS JOIN LATERAL unnest(c.steps, c.vals, c.times) AS p (step, value, at);

-- Judgements of early-stopping rules, with the numbers they compared.
CREATE TABLE decision (
    study_id uuid NOT NULL,
    trial bigint NOT NULL,
    revision bigint NOT NULL,         -- commit_seq of the study with this judgement, and the place within that commit
    place bigint NOT NULL,
    attempt bigint NOT NULL,
    rule_index bigint NOT NULL,       -- place of the rule in the study's early_stopping list, from 0
    rule text NOT NULL,
    shadow boolean NOT NULL,          -- whether the rule only records what it would have done
    metric text COLLATE "C" NOT NULL,
    step bigint NOT NULL,
    value double precision NOT NULL,
    reference double precision NOT NULL,  -- what value was compared with
    compared_trials bigint NOT NULL,
    explanation text NOT NULL,
    at timestamptz NOT NULL,
    CONSTRAINT decision_is_unique PRIMARY KEY (study_id, trial, revision, place)
);

-- Answers to calls that may be repeated.
CREATE TABLE request (
    study_id uuid NOT NULL,
    id uuid NOT NULL,                 -- chosen by the caller
    content bytea NOT NULL,           -- SHA-256 of the call
    trials json NOT NULL,             -- numbers of the trials that the call made
    at timestamptz NOT NULL,
    CONSTRAINT request_is_unique PRIMARY KEY (study_id, id),
    CONSTRAINT request_content_is_sha256 CHECK (octet_length(content) = 32)
);
CREATE INDEX request_by_time ON request (study_id, at);

-- Who changed what. Outlives the studies it is about.
CREATE TABLE audit (
    id bigint GENERATED ALWAYS AS IDENTITY,
    at timestamptz NOT NULL,
    actor text NOT NULL,              -- label of the token, or the rule of the coordinator
    action text NOT NULL,
    subject text COLLATE "C" NOT NULL,  -- such as studies/digits/trials/3
    detail text NOT NULL,
    CONSTRAINT audit_is_unique PRIMARY KEY (id)
);
CREATE INDEX audit_by_subject ON audit (subject, at DESC, id DESC);
CREATE INDEX audit_by_time ON audit (at DESC, id DESC);

CREATE TABLE worker (
    id uuid NOT NULL,
    name text COLLATE "C" NOT NULL,
    generation bigint NOT NULL,       -- counts the starts of the daemon
    draining boolean NOT NULL,        -- gets nothing new
    version text NOT NULL,
    address text NOT NULL,            -- it last connected from
    resources json NOT NULL,
    last_seen_at timestamptz NOT NULL,
    CONSTRAINT worker_id_is_unique PRIMARY KEY (id)
);

-- Access tokens, never their secrets.
CREATE TABLE token (
    id text COLLATE "C" NOT NULL,
    kind text NOT NULL,
    label text NOT NULL,              -- who has it
    secret_hash bytea NOT NULL,       -- SHA-256
    created_at timestamptz NOT NULL,
    revoked_at timestamptz,
    CONSTRAINT token_id_is_unique PRIMARY KEY (id),
    CONSTRAINT token_kind_is_known CHECK (kind IN ('USER', 'WORKER')),
    CONSTRAINT token_secret_hash_is_sha256 CHECK (octet_length(secret_hash) = 32)
);
