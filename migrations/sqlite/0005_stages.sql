-- Trials that are trained in stages: the rungs they have reached, and the newest checkpoint that they can go on from.
ALTER TABLE trial ADD COLUMN stages TEXT;  -- JSON; none for trials that are trained in one go and have no checkpoint
UPDATE schema_version SET version = 5;
