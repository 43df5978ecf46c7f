-- What trainings cost, and the policies of the coordinator's configuration that studies fall under. Of attempts that are there already nobody
-- noted a price, and of studies nobody noted who made them.
ALTER TABLE attempt ADD COLUMN price_per_hour REAL NOT NULL DEFAULT 0;  -- by the prices and the worker's labels when it was handed out
ALTER TABLE attempt ADD COLUMN cost REAL NOT NULL DEFAULT 0;  -- what it has cost, once it has ended
ALTER TABLE study ADD COLUMN cost REAL NOT NULL DEFAULT 0;  -- cost of attempts that have ended
ALTER TABLE study ADD COLUMN creator TEXT NOT NULL DEFAULT '';  -- label of the token that made it
ALTER TABLE study ADD COLUMN policy TEXT;  -- JSON: the policy that it fell under when it was made or its budget edited, and what that set
UPDATE schema_version SET version = 6;
