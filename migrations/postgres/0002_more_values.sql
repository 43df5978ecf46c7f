-- Values of a trial beside the first objective's: of the second and further objectives, then of the metrics that have bounds.
-- Of trials that are there already, and in studies of one objective without bounds, there are none.
ALTER TABLE trial ADD COLUMN more_values json NOT NULL DEFAULT '[]';  -- null: no value; "NaN", "Infinity" and "-Infinity" are texts
UPDATE schema_version SET version = 2;
