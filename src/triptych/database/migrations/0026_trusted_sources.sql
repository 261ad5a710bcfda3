-- Sources that the server's own user named: they may be anywhere that the worker can read.

create table trusted_sources (
    brand    text not null,
    digest   bytea not null,                    -- SHA-256 of the source
    given_at timestamptz not null default clock_timestamp(),
    primary key (brand, digest)
);
