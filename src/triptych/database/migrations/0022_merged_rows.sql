-- The metadata of rows that share a URL with an earlier row of their run.

create table merged_rows (
    run_id   uuid not null,
    key      bytea not null,                    -- of the item that they are merged with
    digest   bytea not null,                    -- of the metadata: a row that is read again is one
    number   bigint not null,                   -- in the order of the source
    metadata jsonb not null,
    primary key (run_id, key, digest)
);
alter table assets add column also jsonb;       -- an array of them; null if there are none
