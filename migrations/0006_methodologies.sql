-- Methodologies as data: scores are given under the active one, and any other can be tried beside it on the same
-- evidence.

create table methodology (
  id              text collate "C" primary key,
  document        text not null,  -- never changes; its bytes are what the hash is over
  hash            text collate "C" not null,
  status          text collate "C" not null check (status in ('draft', 'shadow', 'active', 'retired')),
  -- The value of change_head.methodologies with which results began to be folded into cells of it; null while they are
  -- not. Until every result stored before is folded too, its cells are not complete and answer nothing.
  folding_version bigint,
  is_complete     boolean not null default false,
  recorded_at     timestamptz not null,
  recorded_by     text not null,
  changed_at      timestamptz not null,
  changed_by      text not null,
  check ((status in ('shadow', 'active')) = (folding_version is not null)),
  check (is_complete or status <> 'active'),
  check (not is_complete or folding_version is not null)
);
create unique index methodology_active on methodology (status) where status = 'active';

-- Grows with every change of a methodology. Whoever folds results compares it, under the lock that orders commits, with
-- the value that the list of methodologies was read with: no result is folded under some and not the others.
alter table change_head add column methodologies bigint not null default 0;
alter table change add column methodologies boolean not null default false;
