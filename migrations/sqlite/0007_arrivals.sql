-- When points were taken in, by the coordinator's clock: in which order rules saw what was reported. It stands behind each point in
-- `point_chunk.points`, as microseconds since it was reported: [[step, value, microseconds since 1970, microseconds until it arrived], ...]. Of points
-- that are there already nobody noted it.
UPDATE schema_version SET version = 7;
