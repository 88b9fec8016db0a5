-- The audit log: an entry for each thing that was changed, in the transaction that changed it. Entries are numbered
-- without gaps and chained, each hash over the one before, so that nothing in the middle can be changed unseen.

-- Where the chain ends. Its lock is the order of the entries.
create table audit_head (
  only_row boolean primary key default true check (only_row),
  count    bigint not null check (count >= 0),
  hash     bytea not null check (octet_length(hash) = 32),
  -- Of the newest entry; null as long as there is none.
  at       timestamptz
);
insert into audit_head (count, hash) values (0, decode(repeat('00', 32), 'hex'));

create table audit_entry (
  sequence      bigint primary key check (sequence > 0),
  -- Never before that of the entry before.
  recorded_at   timestamptz not null,
  -- Null for the command, which a user of the operating system ran.
  actor_key     uuid,
  -- The key's as it was then, or the user's.
  actor_name    text not null,
  -- Null for the command, as the next.
  peer          text,
  request_id    uuid,
  action        text collate "C" not null,
  object_kind   text collate "C" not null,
  -- Null for results that were selected together.
  object_id     text collate "C",
  -- The object in canonical JSON; null where there was or is none.
  before        text,
  after         text,
  previous_hash bytea not null check (octet_length(previous_hash) = 32),
  hash          bytea not null check (octet_length(hash) = 32),
  -- What is hashed is the time to the millisecond.
  check (extract(epoch from recorded_at) * 1000 % 1 = 0)
);
create index audit_entry_recorded_at on audit_entry (recorded_at, sequence);
create index audit_entry_actor_key on audit_entry (actor_key, sequence);
create index audit_entry_action on audit_entry (action, sequence);
create index audit_entry_object_kind on audit_entry (object_kind, sequence);
create index audit_entry_object_id on audit_entry (object_id, sequence);

-- Nobody changes the log by mistake, its owner included, not even one who replays changes as a replica does. Whoever
-- takes the triggers away first is found by `relayrisk audit verify`.
create function refuse_audit_change() returns trigger language plpgsql as $$
begin
  raise exception 'the audit log is append-only: % of % is refused', tg_op, tg_table_name
    using errcode = 'insufficient_privilege';
end
$$;
create trigger append_only before update or delete or truncate on audit_entry
  for each statement execute function refuse_audit_change();
create trigger only_grows before delete or truncate on audit_head
  for each statement execute function refuse_audit_change();
create trigger never_goes_back before update on audit_head
  for each row when (new.count <= old.count) execute function refuse_audit_change();
alter table audit_entry enable always trigger append_only;
alter table audit_head enable always trigger only_grows;
alter table audit_head enable always trigger never_goes_back;
