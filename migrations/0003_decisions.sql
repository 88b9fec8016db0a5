-- What people decided about evidence: appended facts with who, when, why and the time they were recorded. A score
-- counts what is in force at its instant.

-- A result that no longer counts. It stays where it is; whoever counts results leaves out those that are here.
create table void (
  provider_id uuid not null,
  result_id   uuid not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  reason      text not null,
  primary key (provider_id, result_id)
);

create table waiver (
  id          uuid primary key,
  provider_id uuid not null,
  check_id    text collate "C" not null,
  reason      text not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  expires_at  timestamptz not null,
  revoked_at  timestamptz,
  revoked_by  text
);
create index waiver_provider on waiver (provider_id);

create table incident (
  id          uuid primary key,
  provider_id uuid not null,
  concern     text collate "C" not null,
  summary     text not null,
  recorded_at timestamptz not null,
  recorded_by text not null,
  closed_at   timestamptz,
  closed_by   text
);
create index incident_provider on incident (provider_id);
