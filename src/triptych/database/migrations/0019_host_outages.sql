-- Hosts that do not answer, and which items wait for them.

alter table items add column waits_for text;    -- the host that it waits, or waited, for

create table host_outages (
    run_id   uuid not null,
    host     text not null,                     -- scheme, name and port; of a proxy after "proxy "
    since    timestamptz not null default clock_timestamp(),
    seen_at  timestamptz not null default clock_timestamp(),    -- its last failure
    waited_s double precision not null default 0,               -- by this run, of its patience
    shown    boolean not null default false,                    -- in the run's timeline
    primary key (run_id, host)
);
