-- Short labels that people give to trials. Trials that are there already have none.
ALTER TABLE trial ADD COLUMN tags json NOT NULL DEFAULT '[]';  -- a list of texts
UPDATE schema_version SET version = 9;
