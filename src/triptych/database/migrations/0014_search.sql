-- What is searched across all brands. Kept beside the snapshots, behind their commits: an index on
-- the assets themselves would slow every commit 70-fold.

-- An embedding model. Each has an index of its own on its part of `searchable`, made when its
-- first embedding comes: an index is of one dimension, and two models are never compared.
create table spaces (
    id        integer generated always as identity primary key,
    model     text not null unique,
    dimension integer not null
);

create table searchable (
    brand     text not null,
    key       bytea not null,
    space     integer not null,
    sha256    bytea not null,               -- of what was embedded: an entry may be out of date
    embedding halfvec not null,
    primary key (brand, key)
) with (toast_tuple_target = 8160);

-- How far each brand's snapshot has been gone through.
create table search_progress (
    brand  text primary key,
    run_id uuid not null,
    after  bytea not null,                  -- the last key
    done   boolean not null,
    at     timestamptz not null default clock_timestamp()
);
