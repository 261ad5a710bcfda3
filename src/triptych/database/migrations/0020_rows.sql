-- The rows of a run's source: each is an item, is merged with another of the same identity, or is
-- refused.

alter table runs
    add column rows_read    bigint not null default 0,
    add column rows_refused bigint not null default 0,
    add column rows_adopted bigint not null default 0;  -- of rows_read: URLs that messages brought
update runs set rows_read = expected;

create table refused_rows (
    run_id  uuid not null,
    number  integer not null,                   -- from 0, in the order of the source
    place   text not null,                      -- where the source has it, for people
    problem text not null,
    primary key (run_id, number)
);
