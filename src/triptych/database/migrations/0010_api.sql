-- What the API keeps beside the catalogue: tasks, keys, audit, workers, schedules.

alter table brands
    add column schedule text,               -- cron, UTC
    add column due_at   timestamptz;        -- when the schedule opens the next run

create index brands_by_due on brands (due_at) where due_at is not null;

-- One accepted operation. Its id is given before it is done, and what it makes gets ids that are
-- derived from it, so that doing it again after a crash makes nothing twice.
create table tasks (
    id              uuid primary key,
    kind            text not null,
    state           text not null default 'claimed'
                    check (state in ('claimed', 'accepted', 'running', 'done', 'failed')),
    actor           text not null,
    brand           text,
    run_id          uuid,
    result          jsonb not null default '{}',
    idempotency_key text,
    fingerprint     bytea,                  -- of the request that the key came with
    created_at      timestamptz not null default now(),
    claimed_at      timestamptz not null default now(),
    ended_at        timestamptz
);

create unique index tasks_by_idempotency on tasks (actor, idempotency_key)
    where idempotency_key is not null;
create index tasks_by_age on tasks (created_at desc, id desc);

create table api_keys (
    name       text primary key,
    scope      text not null check (scope in ('reader', 'operator')),
    digest     bytea not null unique,       -- SHA-256 of 256 random bits
    created_at timestamptz not null default now(),
    revoked_at timestamptz
);

create table audit (
    id     bigint generated always as identity primary key,
    at     timestamptz not null default clock_timestamp(),
    actor  text not null,
    action text not null,
    target text not null,
    detail jsonb not null default '{}'
);

create table workers (
    id         uuid primary key,
    host       text not null,
    pid        integer not null,
    version    text not null,
    phases     text[] not null,
    doing      jsonb not null,              -- messages held, by queue
    stopping   boolean not null,
    started_at timestamptz not null,
    seen_at    timestamptz not null default now()
) with (fillfactor = 50);

-- What all API servers must know and nobody else.
create table secrets (
    name  text primary key,
    value bytea not null
);

insert into secrets (name, value)
values ('cursor', decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''),
                         'hex'));

alter table outbox alter column run_id drop not null;   -- a redriven stranger's message has none
alter table dead_letters add column redriven_at timestamptz;

create index runs_by_age on runs (created_at desc, id desc);
create index runs_by_state on runs (state, created_at desc, id desc);
drop index runs_by_brand;
create index runs_by_brand on runs (brand, created_at desc, id desc);

-- Whether a colour of an asset lies near one: the "redmean" distance, 0 for the same and about
-- 765 between black and white. Cheap, and closer to the eye than plain RGB.
create function near_colour(colours jsonb, red integer, green integer, blue integer,
                            within double precision) returns boolean
language sql immutable parallel safe as $$
    select exists (
        select from jsonb_array_elements(colours) as entry,
             lateral (select ('x' || substr(entry ->> 0, 2, 2))::bit(8)::integer as r,
                             ('x' || substr(entry ->> 0, 4, 2))::bit(8)::integer as g,
                             ('x' || substr(entry ->> 0, 6, 2))::bit(8)::integer as b) c
        where sqrt((2 + (c.r + red) / 512.0) * (c.r - red) ^ 2 + 4 * (c.g - green) ^ 2
                   + (2 + (510 - c.r - red) / 512.0) * (c.b - blue) ^ 2) <= within
    )
$$;
