-- Evidence: what scanners saw, and what scores are computed from. Every table is keyed by provider first, so that it
-- can be distributed by provider.

-- One row a probe result, never updated. Ids are UUIDv7, so a range of ids is a range of receipt times: partitions are
-- months, a lookup by id prunes, and old months are dropped whole.
create table result (
  provider_id     uuid not null,
  id              uuid not null,
  source_id       uuid not null,
  check_id        text collate "C" not null,
  outcome         text collate "C" not null
                  check (outcome in ('pass', 'fail', 'inconclusive', 'not_applicable', 'error')),
  target          text collate "C" not null,
  model           text collate "C" not null,  -- '' when none was named, so that it can be part of a key
  observed_at     timestamptz not null,       -- as sent
  counted_at      timestamptz not null,       -- the earlier of observed_at and received_at: when it starts to count
  received_at     timestamptz not null,
  confidence      double precision not null check (confidence > 0 and confidence <= 1),
  external_id     text collate "C",
  run_id          text collate "C",
  vantage_country text collate "C",
  vantage_asn     bigint,
  scanner_name    text,
  scanner_version text,
  note            text,
  primary key (provider_id, id)
) partition by range (id);

-- Ids grow with time, so a block-range index finds one at next to no cost on insertion.
create index result_id on result using brin (id) with (pages_per_range = 32, autosummarize = on);

-- Bodies apart, so that reading outcomes does not read them; bytes, so that they can be encrypted.
create table result_evidence (
  provider_id uuid not null,
  id          uuid not null,
  body        bytea not null,
  primary key (provider_id, id)
) partition by range (id);

-- What makes a repeated result a repetition. Not partitioned by time: a unique key over time partitions would need the
-- time in it, and a repetition comes later than the original.
create table result_identity (
  provider_id uuid not null,
  identity    bytea not null,
  result_id   uuid not null,
  digest      bytea not null,
  primary key (provider_id, identity)
);

-- The folded evidence of one source on one check and target (docs of rm-1, section 2), O(1) whatever the history.
-- Half-lives stand in the row because the fold happens in an ON CONFLICT clause, which sees the two rows and nothing
-- else; they are null for a check of kind `state`, whose newest result stands alone.
create table evidence_cell (
  provider_id         uuid not null,
  methodology         text collate "C" not null,
  check_id            text collate "C" not null,
  target              text collate "C" not null,
  model               text collate "C" not null,
  source_id           uuid not null,
  newest              timestamptz not null,
  fail_weight         double precision not null check (fail_weight >= 0),
  pass_weight         double precision not null check (pass_weight >= 0),
  fail_half_life_days double precision check (fail_half_life_days > 0),
  pass_half_life_days double precision check (pass_half_life_days > 0),
  -- Grows with every change of the row, so that memory never goes back to an older state.
  revision            bigint not null,
  primary key (provider_id, methodology, check_id, target, model, source_id)
) with (fillfactor = 80);  -- updates stay on their page

-- A weight after `age`: halved once every half-life. PostgreSQL raises an error where IEEE arithmetic gives 0, hence
-- the two bounds, far below anything a score can show.
create function decayed(weight double precision, age interval, half_life_days double precision)
returns double precision language sql immutable parallel safe as $$
  select case
    when weight < 1e-100 or extract(epoch from age)::double precision > 500 * 86400 * half_life_days then 0
    else weight * power(2::double precision, -extract(epoch from age)::double precision / (86400 * half_life_days))
  end
$$;

-- Makes the monthly partitions of `result` and `result_evidence` from the month of `first` through the month of
-- `last`; those that exist are left alone. Run by whoever owns the tables.
create function make_result_partitions(first timestamptz, last timestamptz)
returns integer language plpgsql as $$
declare
  month timestamp := date_trunc('month', first at time zone 'UTC');
  made  integer := 0;
  name  text;
  base  text;
  lower_id uuid;
  upper_id uuid;
begin
  -- Several instances may ask at once.
  perform pg_advisory_xact_lock(hashtext('make_result_partitions'));
  while month <= last at time zone 'UTC' loop
    -- A UUIDv7 begins with 48 bits of milliseconds.
    lower_id := (lpad(to_hex((extract(epoch from month) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid;
    upper_id := (lpad(to_hex((extract(epoch from month + interval '1 month') * 1000)::bigint), 12, '0')
                 || repeat('0', 20))::uuid;
    foreach base in array array['result', 'result_evidence'] loop
      name := base || to_char(month, '_YYYY_MM');
      if to_regclass(name) is null then
        execute format('create table %I partition of %I for values from (%L) to (%L)', name, base, lower_id, upper_id);
        made := made + 1;
      end if;
    end loop;
    month := month + interval '1 month';
  end loop;
  return made;
end
$$;
