-- Ed25519 keys that sources sign with. One that was revoked stays: it is refused, and what it signed before is still
-- checked with it.
create table signing_key (
  id uuid primary key,
  source_id uuid not null references source (id),
  name text not null,
  public_key bytea not null check (octet_length(public_key) = 32),
  created_at timestamptz not null,
  revoked_at timestamptz,
  unique (source_id, public_key)
);
create index signing_key_source on signing_key (source_id, id);
