-- Answers are kept in the order of their time: new ones are appended, where ids, which are random, would touch a page each. That an id is
-- used once is watched over in memory, where all answers are that still count.
ALTER TABLE request RENAME TO request_by_id;
DROP INDEX request_by_time;
CREATE TABLE request (
    study_id BLOB NOT NULL,
    at INTEGER NOT NULL,
    id BLOB NOT NULL,                 -- chosen by the caller
    content BLOB NOT NULL,            -- SHA-256 of the call
    trials TEXT NOT NULL,             -- JSON: numbers of the trials that the call made
    CONSTRAINT request_is_unique PRIMARY KEY (study_id, at, id),
    CONSTRAINT request_content_is_sha256 CHECK (length(content) = 32)
) STRICT, WITHOUT ROWID;
INSERT INTO request (study_id, at, id, content, trials) SELECT study_id, at, id, content, trials FROM request_by_id;
DROP TABLE request_by_id;
UPDATE schema_version SET version = 3, oldest_coordinator = 3;
