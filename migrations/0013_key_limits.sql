-- When a key ends by itself, from where it may be used (from anywhere when there are no ranges), when it was last used,
-- stored at most once in half a minute, and which key takes its place once it was rotated.
alter table api_key
  add column expires_at timestamptz,
  add column address_ranges cidr[] not null default '{}',
  add column last_used_at timestamptz,
  add column successor_id uuid references api_key (id);
