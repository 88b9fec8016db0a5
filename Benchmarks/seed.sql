-- Fills an empty, migrated database with made-up data of a size: seed.providers, seed.results and seed.months are
-- settings of the session. The first provider has every fourth result and 5,000 of everything else; the results are
-- spread evenly over the months up to now, in the order of their receipt, as a service would have stored them.

create temporary table seed on commit drop as
select current_setting('seed.providers')::int as providers, current_setting('seed.results')::int as results,
  date_trunc('milliseconds', now() - current_setting('seed.months')::int * interval '30 days') as since,
  current_setting('seed.months')::int * interval '30 days' as span;

-- A UUIDv7 of the instant; `number` tells those of one millisecond apart.
create function pg_temp.identifier(instant timestamptz, number int) returns uuid language sql immutable as $$
  select (lpad(to_hex((extract(epoch from instant) * 1000)::bigint), 12, '0')
    || '7' || lpad(to_hex(number % 4096), 3, '0') || '8' || lpad(to_hex(number), 15, '0'))::uuid
$$;

select make_result_partitions(since, now() + interval '3 months') from seed;

insert into provider (id, slug, name, status, endpoints, declared_regions, claimed_models, public_badge, tags, version,
  created_at, updated_at)
select pg_temp.identifier(since, n), 'relay-' || n, 'Relay ' || md5(n::text),
  case n % 20 when 0 then 'retired' when 1 then 'pending' else 'active' end, '[]', '{SG}', '{gpt-5.5}', false,
  array['t' || n % 1000], 1, since, since
from seed, generate_series(1, providers) n;

insert into provider_host (host, provider_id, position)
select 'api.relay-' || n || '.example', pg_temp.identifier(since, n), 1 from seed, generate_series(1, providers) n;

insert into source (id, slug, name, status, version, created_at, updated_at)
select pg_temp.identifier(since, n), 'lab-' || n, 'Lab ' || n, 'active', 1, since, since
from seed, generate_series(1, 1000) n;
insert into source_trust (source_id, recorded_at, trust, recorded_by)
select id, created_at, 0.8, 'seed' from source;

insert into api_key (id, name, scopes, source_id, secret_hash, created_at)
select pg_temp.identifier(since, n), 'key ' || n, '{results:write}', pg_temp.identifier(since, 1 + n % 1000),
  sha256(n::text::bytea), since
from seed, generate_series(1, 5000) n;

-- Most results come from ten sources; `lab-1000` posted for a day, and each run is a hundred results in a row.
create temporary table sent on commit drop as
select n, since + span * n / results as received_at,
  pg_temp.identifier(since + span * n / results, n) as id,
  pg_temp.identifier(since, case when n % 4 = 0 then 1 else 1 + (n * 7919::bigint % providers)::int end) as provider_id,
  case when n % 4 = 0 then 1 else 1 + (n * 7919::bigint % providers)::int end as provider,
  pg_temp.identifier(since, case when n between results / 2 and results / 2 + 200 then 1000 else 1 + n / 8 % 10 end)
    as source_id,
  (array['encryption.legacy-tls-protocol', 'controls.setup-wizard-open', 'encryption.known-tls-vulnerability',
    'controls.default-admin-credentials'])[1 + n / 4 % 4] as check_id,
  case when n % 50 = 0 then 'fail' when n % 51 = 0 then 'inconclusive' else 'pass' end as outcome
from seed, generate_series(1, results) n;

insert into result (provider_id, id, source_id, check_id, outcome, target, model, observed_at, counted_at, received_at,
  confidence, run_id)
select provider_id, id, source_id, check_id, outcome, 'api.relay-' || provider || '.example:443', '',
  received_at - interval '1 minute', received_at - interval '1 minute', received_at, 1, 'run-' || n / 100
from sent order by n;

insert into result_identity (provider_id, identity, result_id, digest)
select provider_id, sha256(n::text::bytea), id, sha256(n::text::bytea) from sent order by n;

insert into result_evidence (provider_id, id, body)
select provider_id, id, '{"version":"TLSv1.0"}' from sent where outcome = 'fail' order by n;

insert into evidence_cell (provider_id, methodology, check_id, target, model, source_id, newest, fail_weight,
  pass_weight, revision)
select distinct on (provider_id, check_id, source_id) provider_id, 'rm-1', check_id,
  'api.relay-' || provider || '.example:443', '', source_id, received_at - interval '1 minute',
  (outcome = 'fail')::int, (outcome = 'pass')::int, 1
from sent where outcome in ('pass', 'fail') order by provider_id, check_id, source_id, received_at desc;

insert into void (provider_id, result_id, recorded_at, recorded_by, reason)
select provider_id, id, now(), 'seed', 'made up' from sent where n % 1000 = 0;

insert into waiver (id, provider_id, check_id, reason, recorded_at, recorded_by, expires_at)
select pg_temp.identifier(since, n), pg_temp.identifier(since, 1 + n % 2 * (n % providers)),
  'encryption.legacy-tls-protocol', 'made up', since, 'seed', since + interval '1 day'
from seed, generate_series(1, 10000) n;
insert into incident (id, provider_id, concern, summary, recorded_at, recorded_by, closed_at, closed_by)
select pg_temp.identifier(since, n), pg_temp.identifier(since, 1 + n % 2 * (n % providers)), 'encryption', 'made up',
  since, 'seed', since + interval '1 day', 'seed'
from seed, generate_series(1, 10000) n;

insert into advisory (id, issuer, title, published_at, concerns, summary)
select pg_temp.identifier(since, n), 'Issuer', 'Advisory ' || n, since, '{encryption}', 'Made up.'
from seed, generate_series(1, 5000) n;
insert into model (id, vendor, name, origin, tier)
select 'model-' || n, 'Vendor', 'Model ' || n, 'overseas', 'small' from generate_series(1, 5000) n;

analyze;
-- As autovacuum would have done meanwhile.
select brin_summarize_new_values(inhrelid) from pg_inherits
where inhparent = 'result_found'::regclass;
