-- Answers are kept in the order of their time: new ones are appended, where ids, which are random, would touch a page each. That an id is
-- used once is watched over in memory, where all answers are that still count.
ALTER TABLE request DROP CONSTRAINT request_is_unique;
DROP INDEX request_by_time;
ALTER TABLE request ADD CONSTRAINT request_is_unique PRIMARY KEY (study_id, at, id);
UPDATE schema_version SET version = 3, oldest_coordinator = 3;
