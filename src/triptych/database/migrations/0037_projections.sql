-- oldest compatible: 0029
-- What a database for immediate reads has of each brand: see `reads/postgres/projections.sql`.

create table projections (
    target           uuid not null,         -- that database, by the id that it gave itself
    brand            text not null,         -- may be gone, while something is left of it there
    shown_version    bigint not null default 0,
    wanted_run       uuid,                  -- the newest edition
    wanted_committed bigint,
    wanted_ai        bigint,
    assets           bigint not null default 0,
    since            timestamptz not null default clock_timestamp(),
    shown_run        uuid,                  -- the edition that is read
    shown_committed  bigint,
    shown_ai         bigint,
    shown_at         timestamptz,
    written_to       bytea not null default '',
    written          bigint not null default 0,
    gone             boolean not null default false,
    older            boolean not null default false,  -- earlier editions are still there
    holder           uuid,
    leased_until     timestamptz,
    noted_at         timestamptz not null default clock_timestamp(),
    behind           boolean not null generated always as (
                         gone or wanted_run is distinct from shown_run
                         or wanted_ai is distinct from shown_ai) stored,
    primary key (target, brand)
);

create index projections_behind on projections (target, since) where behind or older;
