-- The registry: who is rated, who is trusted to rate, and who may call.
-- Small tables, read by every instance into memory; on Citus they become reference tables.

create table provider (
  id               uuid primary key,
  slug             text collate "C" not null unique,
  name             text not null,
  status           text collate "C" not null
                   check (status in ('pending', 'active', 'suspended', 'retired')),
  endpoints        jsonb not null,
  legal_entity     jsonb,
  declared_regions text[] not null,
  claimed_models   text[] not null,
  software         text,
  contact          text,
  public_badge     boolean not null,
  tags             text[] not null,
  notes            text,
  version          bigint not null,
  created_at       timestamptz not null,
  updated_at       timestamptz not null
);

-- A host belongs to one provider at most, whatever the provider's status: a retired one keeps its hosts.
create table provider_host (
  host        text collate "C" primary key,
  provider_id uuid not null references provider (id),
  position    smallint not null,
  unique (provider_id, position)
);

create table source (
  id         uuid primary key,
  slug       text collate "C" not null unique,
  name       text not null,
  status     text collate "C" not null check (status in ('active', 'suspended')),
  version    bigint not null,
  created_at timestamptz not null,
  updated_at timestamptz not null
);

-- Trust as it was set, never overwritten: a score "as known at" an earlier time needs the trust of that time.
create table source_trust (
  source_id   uuid not null references source (id),
  recorded_at timestamptz not null,
  trust       double precision not null check (trust > 0 and trust <= 1),
  recorded_by text not null,
  primary key (source_id, recorded_at)
);

-- The secret is 256 random bits, so a plain SHA-256 of it is not worth attacking; the secret itself is never stored.
create table api_key (
  id          uuid primary key,
  name        text not null,
  scopes      text[] not null,
  source_id   uuid references source (id),
  secret_hash bytea not null check (octet_length(secret_hash) = 32),
  created_at  timestamptz not null,
  revoked_at  timestamptz
);

-- One row a committed change of anything that instances hold in memory. The version comes from the single row of
-- change_head, taken by the last statement of a transaction: its lock makes versions appear in the order of commits,
-- so a reader that asks for "newer than n" misses none (a sequence would hand out numbers that commit out of order).
create table change_head (
  only_row boolean primary key default true check (only_row),
  version  bigint not null
);
insert into change_head (version) values (0);

create table change (
  version     bigint primary key,
  recorded_at timestamptz not null,
  -- The process that made the change; it holds it already.
  instance    uuid not null,
  -- Providers whose row, hosts or evidence changed.
  providers   uuid[] not null,
  -- Whether sources or keys changed.
  access      boolean not null
);

-- Secrets of this installation that no table of evidence may hold next to what they protect.
create table installation (
  only_row   boolean primary key default true check (only_row),
  id         uuid not null,
  -- Keys the digest by which a repeated result is compared, so that the digest of a short or guessable content does
  -- not give that content away.
  digest_key bytea not null check (octet_length(digest_key) = 32)
);
insert into installation (id, digest_key)
select gen_random_uuid(),
       sha256(convert_to(gen_random_uuid()::text || gen_random_uuid()::text || gen_random_uuid()::text, 'UTF8'));

-- AI models that relays sell, so that what one claims to offer can be compared with what is known of it.
create table model (
  id           text collate "C" primary key,
  vendor       text not null,
  name         text not null,
  origin       text collate "C" not null check (origin in ('overseas', 'domestic')),
  tier         text collate "C" not null check (tier in ('flagship', 'small')),
  coding_index double precision
);
insert into model (id, vendor, name, origin, tier) values
  ('gpt-5.5', 'OpenAI', 'GPT-5.5', 'overseas', 'flagship'),
  ('gpt-5.4-mini', 'OpenAI', 'GPT-5.4 mini', 'overseas', 'small'),
  ('claude-opus-4.8', 'Anthropic', 'Claude Opus 4.8', 'overseas', 'flagship'),
  ('claude-opus-4.7', 'Anthropic', 'Claude Opus 4.7', 'overseas', 'flagship'),
  ('gemini-3.1-pro', 'Google', 'Gemini 3.1 Pro', 'overseas', 'flagship'),
  ('qwen3.7-max', 'Alibaba', 'Qwen3.7 Max', 'domestic', 'flagship'),
  ('deepseek-v4-pro', 'DeepSeek', 'DeepSeek V4 Pro', 'domestic', 'flagship');

-- What authorities and others published about relays; never changed.
create table advisory (
  id           uuid primary key,
  issuer       text not null,
  title        text not null,
  published_at timestamptz not null,
  concerns     text[] not null,
  summary      text not null,
  url          text
);
-- The day is not part of what is known of the notice; the first of its year stands for it.
insert into advisory (id, issuer, title, published_at, concerns, summary, url) values
  ('019b76da-a800-7000-8000-000000000001', 'State ministry', 'Security risks of overseas AI relay services',
   '2026-01-01T00:00:00Z', '{controls,encryption,backdoor,crossborder,substitution}',
   'The notice warns that overseas AI relay services may leak data through weak access controls, keep what users send '
   'unencrypted, and carry backdoors. It also warns that they may send data across borders without authorisation and '
   'answer with other models than those that are paid for.', null);
