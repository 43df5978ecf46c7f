-- What attempts used of their machines over time. Of attempts that are there already nobody noted it.
ALTER TABLE attempt ADD COLUMN usage json;  -- {group, last, entries: [[seconds, thousandths of a core, bytes, GPU percent, GPU bytes], ...]}; once it has ended
UPDATE schema_version SET version = 8;
