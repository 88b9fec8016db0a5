-- Objections to a result. An open one is a mark on it and on the score; one that is upheld voids the result.
create table dispute (
  provider_id uuid not null,
  id          uuid not null,
  result_id   uuid not null,
  -- The result's own, which never change, so that scores know without it whether it is one that counts.
  source_id   uuid not null,
  check_id    text collate "C" not null,
  counted_at  timestamptz,  -- null when its outcome moves no score
  reason      text not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  status      text collate "C" not null default 'open' check (status in ('open', 'upheld', 'rejected')),
  decided_at  timestamptz,
  decided_by  text,
  note        text,
  primary key (provider_id, id),
  check ((status = 'open') = (decided_at is null and decided_by is null and note is null))
);
create unique index dispute_open on dispute (provider_id, result_id) where status = 'open';
create index dispute_result on dispute (provider_id, result_id, id);
-- Lists over all providers.
create index dispute_id on dispute (id);
create index dispute_status on dispute (status, id);

-- Why a decision was taken back.
alter table waiver add column revoked_note text;
alter table incident add column closed_note text;
