-- A batch of results may change a thousand providers. Their ids are for the most part random: to compress them takes
-- longer than all else that recording a change does, and saves little.
alter table change alter column providers set storage external;
