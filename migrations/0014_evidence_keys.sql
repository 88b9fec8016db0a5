-- Evidence is encrypted by the service. A body begins with a version: '{' for one that was stored before, in the clear.

-- A key for what was received on a day, wrapped by the installation's master key, which is not in the database. Without
-- its key nothing of that day can be read; keys go with the partitions of their days.
create table evidence_key (
  -- Days since 1970-01-01, UTC; that of the body's id. -1: what the fingerprints of redacted secrets are made with.
  day           bigint primary key,
  master_key_id bytea not null check (octet_length(master_key_id) = 8),
  wrapped       bytea not null
);
