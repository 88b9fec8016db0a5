-- A scanner posts all checks of a relay at once, and so all rows of a page are updated together. Where each finds room
-- for its next version on its own page, no index has to be touched: half of a page is that room, which rows that had
-- to move would take up elsewhere anyway. Pages that exist become so as they are vacuumed and filled again.
alter table evidence_cell set (fillfactor = 50);
