-- Studies that begin with what other studies have found. `history` is a copy made when the study was created, since those others may go on or be
-- deleted.
ALTER TABLE study ADD COLUMN lineage TEXT NOT NULL DEFAULT '{}';  -- JSON: the parent, and the studies whose trials are in `history`
CREATE TABLE history (
    study_id BLOB NOT NULL,
    position INTEGER NOT NULL,        -- from 0
    trials TEXT NOT NULL,             -- JSON: an array, in the order in which strategies see them
    CONSTRAINT history_is_unique PRIMARY KEY (study_id, position)
) STRICT, WITHOUT ROWID;
UPDATE schema_version SET version = 4;
