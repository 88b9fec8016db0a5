-- One result a transaction, the whole work of it: looks for a repetition, inserts, folds, records the change. What
-- PostgreSQL alone can do of what the service promises; run by pgbench with prepared statements.
\set n random(1, 1000000000)
\set identity random(1, 9223372036854775807)
with target as (
  select provider.id as provider_id, (select id from source limit 1) as source_id,
    (lpad(to_hex((extract(epoch from clock_timestamp()) * 1000)::bigint), 12, '0') || '7000'
      || lpad(to_hex(:identity::bigint), 16, '0'))::uuid as id
  from provider where slug = 'relay-' || :n::int % 1000
),
claimed as (
  insert into result_identity (provider_id, identity, result_id, digest)
  select provider_id, sha256(int8send(:identity::bigint)), id, sha256(int8send(:n::bigint)) from target
  on conflict (provider_id, identity) do nothing
  returning provider_id, result_id
),
stored as (
  insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
    confidence, external_id)
  select target.provider_id, id, source_id, 'encryption.legacy-tls-protocol', 'pass',
    'api.relay-' || :n::int % 1000 || '.example', '', now(), now(), now(), 1, :identity::bigint::text
  from target join claimed on claimed.result_id = target.id
)
insert into evidence_cell as cell (provider_id, methodology, check_id, target, model, source_id, newest, fail_weight,
  pass_weight, fail_half_life_days, pass_half_life_days, revision)
select target.provider_id, 'rm-1', 'encryption.legacy-tls-protocol', 'api.relay-' || :n::int % 1000 || '.example', '',
  source_id, now(), 0, 1, 30, 30, 1
from target join claimed on claimed.result_id = target.id
on conflict (provider_id, methodology, check_id, target, model, source_id) do update set
  newest = greatest(cell.newest, excluded.newest),
  fail_weight = decayed(cell.fail_weight, greatest(excluded.newest - cell.newest, interval '0'), 30)
    + decayed(excluded.fail_weight, greatest(cell.newest - excluded.newest, interval '0'), 30),
  pass_weight = decayed(cell.pass_weight, greatest(excluded.newest - cell.newest, interval '0'), 30)
    + decayed(excluded.pass_weight, greatest(cell.newest - excluded.newest, interval '0'), 30),
  revision = cell.revision + 1;
