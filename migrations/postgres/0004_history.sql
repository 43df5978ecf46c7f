-- Studies that begin with what other studies have found. `history` is a copy made when the study was created, since those others may go on or be
-- deleted.
ALTER TABLE study ADD COLUMN lineage json NOT NULL DEFAULT '{}';  -- the parent, and the studies whose trials are in `history`
CREATE TABLE history (
    study_id uuid NOT NULL,
    position bigint NOT NULL,  -- from 0
    trials json NOT NULL,      -- an array, in the order in which strategies see them
    CONSTRAINT history_is_unique PRIMARY KEY (study_id, position)
);
UPDATE schema_version SET version = 4;
