-- Results are kept for as long as the operator says. Months that are older are dropped whole, and what they contributed
-- to scores is carried on.

-- What results that were dropped contributed to a cell: a pair like that of evidence_cell, which merges with what is
-- folded from the results that are left. Folded under every methodology that was stored when the results were dropped.
create table carried_cell (
  provider_id uuid not null,
  methodology text collate "C" not null,
  check_id    text collate "C" not null,
  target      text collate "C" not null,
  model       text collate "C" not null,
  source_id   uuid not null,
  -- 'infinity' for results that count. Those that were voided after the horizon are apart, by when they were: a score
  -- as known between the horizon and then counts them.
  voided_at   timestamptz not null,
  newest      timestamptz not null,
  fail_weight double precision not null check (fail_weight >= 0),
  pass_weight double precision not null check (pass_weight >= 0),
  primary key (provider_id, methodology, check_id, target, model, source_id, voided_at)
);
-- Few, and of no use once the horizon has passed them.
create index carried_cell_voided on carried_cell (voided_at) where voided_at < 'infinity';

create table retention (
  only_row boolean primary key default true check (only_row),
  -- Results received before are dropped; null as long as none is.
  horizon  timestamptz
);
insert into retention default values;

alter table change add column horizon boolean not null default false;

-- The horizon when the methodology was added: results received before do not count under it. Null: all do.
alter table methodology add column evidence_from timestamptz;

-- Identities older than results are kept for are found by the ids of their results, which grow with the rows.
create index result_identity_result on result_identity using brin (result_id)
  with (pages_per_range = 32, autosummarize = on);

-- The monthly partitions of `result` and `result_evidence` with the times of receipt that they hold: a UUIDv7 begins
-- with 48 bits of milliseconds.
create view result_partition as
select name, parent,
  to_timestamp(('x' || translate(left(bounds[1], 13), '-', ''))::bit(48)::bigint / 1000.0) as first,
  to_timestamp(('x' || translate(left(bounds[2], 13), '-', ''))::bit(48)::bigint / 1000.0) as until
from (
  select c.relname::text as name, p.relname::text as parent,
    regexp_match(pg_get_expr(c.relpartbound, c.oid), 'FROM \(''(.+)''\) TO \(''(.+)''\)') as bounds
  from pg_inherits i join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
  where i.inhparent in ('result'::regclass, 'result_evidence'::regclass)
) as partition;

-- How tables are vacuumed:
-- results are only ever added, so each pass freezes what is there and need not come back before the month is dropped;
create function set_result_partition_storage(partition text) returns void language plpgsql as $$
begin
  execute format('alter table %I set (autovacuum_vacuum_insert_scale_factor = 0.05, autovacuum_freeze_min_age = 0)',
    partition);
end
$$;
-- the same of identities, which stay longer;
alter table result_identity set (autovacuum_vacuum_insert_scale_factor = 0.05);
-- cells are updated in place all the time, on a page that keeps a fifth free for it: the sooner dead rows go, the
-- longer updates stay there;
alter table evidence_cell set (autovacuum_vacuum_scale_factor = 0.02);
-- an answer is stored by an update of its key, and the key goes after a day.
alter table idempotency_key set (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

do $$
declare name text;
begin
  for name in select p.name from result_partition p loop perform set_result_partition_storage(name); end loop;
end
$$;

-- As before, and none before the horizon: what is dropped stays so.
create or replace function make_result_partitions(first timestamptz, last timestamptz)
returns integer language plpgsql as $$
declare
  month timestamp := date_trunc('month', greatest(first, (select horizon from retention)) at time zone 'UTC');
  made  integer := 0;
  name  text;
  base  text;
  lower_id uuid;
  upper_id uuid;
begin
  -- Several instances may ask at once.
  perform pg_advisory_xact_lock(hashtext('make_result_partitions'));
  while month <= last at time zone 'UTC' loop
    lower_id := (lpad(to_hex((extract(epoch from month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    upper_id := (lpad(to_hex((extract(epoch from month + interval '1 month') * 1000)::bigint), 12, '0')
                 || repeat('0', 20))::uuid;
    foreach base in array array['result', 'result_evidence'] loop
      name := base || to_char(month, '_YYYY_MM');
      if to_regclass(name) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', name, base, lower_id, upper_id);
        perform set_result_partition_storage(name);
        made := made + 1;
      end if;
    end loop;
    month := month + interval '1 month';
  end loop;
  return made;
end
$$;
