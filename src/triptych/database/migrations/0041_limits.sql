-- oldest compatible: 0029
-- What operators have paused or limited, by phase and by host; and what workers tell of themselves.

create table phase_limits (
    phase       text primary key check (phase in ('gather', 'acquire', 'ai')),
    paused      boolean not null default false,
    concurrency integer check (concurrency > 0),    -- messages at a time in each worker
    changed_at  timestamptz,
    changed_by  text,
    paused_at   timestamptz,                        -- of the pause that lasts, or lasted last
    paused_by   text,
    resumed_at  timestamptz                         -- when the last pause ended
);

insert into phase_limits (phase) values ('gather'), ('acquire'), ('ai');

create table host_limits (
    host        text primary key,
    paused      boolean not null default false,
    concurrency integer check (concurrency > 0),    -- requests at a time from each worker
    per_second  double precision check (per_second > 0),
    changed_at  timestamptz not null default clock_timestamp(),
    changed_by  text not null,
    paused_at   timestamptz,
    paused_by   text
);

create function limits_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_limits', '');
    return null;
end
$$;

create trigger phase_limits_notify after insert or update or delete on phase_limits
    for each statement execute function limits_notify();
create trigger host_limits_notify after insert or update or delete on host_limits
    for each statement execute function limits_notify();

alter table workers
    add column memory_bytes bigint,
    add column per_second jsonb not null default '{}',
    add column held jsonb not null default '[]',
    add column hosts jsonb not null default '[]';
