-- Sources that the server's own user named: they may be anywhere that the worker can read.

create table trusted_sources (
    brand    text not null,
    digest   bytea not null,                    -- SHA-256 of the source
    given_at timestamptz not null default clock_timestamp(),
    primary key (brand, digest)
);

-- A source of which nothing could be read is not kept: the run that brought it, and the one before.
alter table brands
    add column source_run uuid,
    add column source_before text;
