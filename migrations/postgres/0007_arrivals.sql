-- When points were taken in, by the coordinator's clock: in which order rules saw what was reported. Of points that are there already nobody noted it.
ALTER TABLE point_chunk ADD COLUMN arrivals bigint[];  -- microseconds since 1970, as many as steps
UPDATE schema_version SET version = 7;
