-- Evidence can be erased while its result stays: people's data, or what leaked.

-- Which results had their evidence erased, by whom and why, in its place. Rows stay, as those of `void` do.
create table erasure (
  provider_id uuid not null,
  result_id   uuid not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  reason      text not null,
  primary key (provider_id, result_id)
);

-- The one way in which whoever serves may take evidence away: with the rights of the tables' owner, and never without
-- the row that says so. Names are bound here, so that no search path of a caller's leads elsewhere. Rows are claimed in
-- the order of their keys, so that two of these cannot wait for each other.
-- Returns how many of the results named had evidence.
create function erase_evidence(
  providers uuid[], results uuid[], erased_at timestamptz, erased_by text, erased_for text
) returns bigint language sql security definer set search_path = pg_catalog, pg_temp
begin atomic
  with erased as (
    insert into erasure (provider_id, result_id, recorded_at, recorded_by, reason)
    select e.provider_id, e.id, erased_at, erased_by, erased_for
    from unnest(providers, results) as named (provider_id, id)
      join result_evidence e on e.provider_id = named.provider_id and e.id = named.id
    order by e.provider_id, e.id
    on conflict (provider_id, result_id) do nothing
    returning provider_id, result_id
  ),
  deleted as (
    delete from result_evidence e using erased
    where e.provider_id = erased.provider_id and e.id = erased.result_id
    returning 1
  )
  select count(*) from deleted;
end;
revoke all on function erase_evidence(uuid[], uuid[], timestamptz, text, text) from public;

-- Kept answers hold no evidence from now on: it is read where it is stored, as long as it is. Those of before may, and
-- are forgotten; their requests come to the same when they are sent again.
delete from idempotency_key
where status = 200 or exists (select from unnest(headers) as value where value like '/v1/probe-results/%');
