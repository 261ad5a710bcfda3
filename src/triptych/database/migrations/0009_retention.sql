-- Letting go of old snapshots, of deleted brands, and of objects that nothing uses any more.

alter table brands add column deleting boolean not null default false;

alter table runs
    add column collected_at timestamptz,    -- its rows are no longer read, and are being removed
    add column emptied_at   timestamptz;    -- they are gone

create index runs_to_empty on runs (collected_at)
    where collected_at is not null and emptied_at is null;

-- When something that one worker does for all was last begun.
create table turns (
    name text primary key,
    at   timestamptz not null
);

-- An object passes through here before it is deleted, and stays for a while as a tombstone.
create table unused_objects (
    object_key   text primary key,
    since        timestamptz not null default clock_timestamp(),
    condemned_at timestamptz,               -- from now on no settle may take it up
    deleted_at   timestamptz                -- one that was put again since may be taken up
);

create index unused_objects_waiting on unused_objects (since) where deleted_at is null;
