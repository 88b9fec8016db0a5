-- What scores were said to be, so that gateways keep copies of them and are told when they move. Written by one
-- instance at a time; every instance serves what stands here, so all give the same answers.

-- Versions of both tables below. Its lock makes them appear in the order of commits, and a writer that has not seen
-- the newest version stores nothing.
create table score_head (
  only_row boolean primary key default true check (only_row),
  version  bigint not null
);
insert into score_head (version) values (0);

-- The score of each provider as it was last published. It is published again when it has moved by enough, so that the
-- decay of every minute does not send every score around again. A retired provider's row stays, without a body: its
-- version says when it was removed.
create table published_score (
  provider_id      uuid primary key,
  version          bigint not null unique,
  -- Of the registry's entry.
  provider_version bigint not null,
  methodology_hash text collate "C" not null,
  -- The newest of the results and decisions counted.
  newest           timestamptz not null,
  -- An item of the list of changes, as it is sent.
  body             text
);

-- When a provider's verdict or grade changed, or its score moved by 1 or more, whatever moved it. Versions are those of
-- the publications that showed it.
create table score_event (
  provider_id              uuid not null,
  methodology              text collate "C" not null,
  version                  bigint not null,
  methodology_hash         text collate "C" not null,
  at                       timestamptz not null,
  recorded_at              timestamptz not null,
  cause                    text collate "C" not null
                           check (cause in ('evidence', 'decision', 'time', 'methodology')),
  -- All null for the first standing of a provider.
  before_score             double precision,
  before_provisional_score double precision,
  before_grade             text collate "C",
  before_verdict           text collate "C",
  after_score              double precision,
  after_provisional_score  double precision not null,
  after_grade              text collate "C",
  after_verdict            text collate "C" not null,
  primary key (provider_id, methodology, version)
);
-- For streams, which go on behind a version, and to tell which versions are older than what is replayed.
create index score_event_version on score_event (version);
create index score_event_recorded_at on score_event (recorded_at, version);
