-- How many requests and probe results a minute each instance takes from a key; null for as many as it likes.
alter table api_key
  add column requests_per_minute bigint check (requests_per_minute > 0),
  add column results_per_minute bigint check (results_per_minute > 0);
