-- What a source signed of a result, where it signed the result itself: by which of its keys, the signature, and the text
-- that is signed, which has a hash in the place of the evidence. All three or none.
alter table result
  add column signing_key_id uuid,
  add column signature bytea,
  add column signed text;
