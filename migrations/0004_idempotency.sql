-- What a write that carried an Idempotency-Key was answered with, so that its repetition gets the same.
-- Rows live for a day; the times are the database's, the one clock that all instances share.
create table idempotency_key (
  api_key_id     uuid not null,
  -- HMAC-SHA-256 of path and key: both can be longer than an index takes, and a key may say more than it should.
  identity       bytea not null check (octet_length(identity) = 32),
  -- HMAC-SHA-256 of method, query and body.
  request_digest bytea not null check (octet_length(request_digest) = 32),
  -- Tells one claim of the row from a later one, after the first was given up as dead.
  claim          uuid not null,
  claimed_at     timestamptz not null,
  -- While the request runs its instance moves this on; one that is past belongs to an instance that died.
  lease_until    timestamptz not null,
  -- The answer, as soon as there is one: headers as name, value, name, value.
  status         smallint,
  headers        text[],
  body           bytea,
  primary key (api_key_id, identity),
  check ((status is null) = (headers is null) and (status is null) = (body is null))
);
create index idempotency_key_claimed_at on idempotency_key (claimed_at);
