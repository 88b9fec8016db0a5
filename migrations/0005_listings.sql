-- What lists and voids ask for. Each index costs every insertion something, so results get no tree: summaries of block
-- ranges are written once a range is full. Rows lie in the order of their receipt, which makes ids and times of receipt
-- narrow in each range; a run or a source that posted for a while is in few ranges, which a Bloom filter tells.
drop index result_id;
create index result_found on result using brin (id, received_at, run_id text_bloom_ops, source_id uuid_bloom_ops)
  with (pages_per_range = 32, autosummarize = on);

-- A provider's decisions in the order of their ids, from any one on.
drop index waiver_provider;
create index waiver_provider on waiver (provider_id, id);
drop index incident_provider;
create index incident_provider on incident (provider_id, id);
