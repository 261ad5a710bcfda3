-- The catalogue: brands, runs, items, staging, assets, insights, timeline, outbox, dead letters.
--
-- items and staged have no foreign key to runs: their rows are only ever written under the run's
-- row lock, and a check per row would double the cost of a page.

create extension if not exists vector;

create table brands (
    name        text primary key,
    source      text,
    current_run uuid,                       -- the snapshot that readers see
    created_at  timestamptz not null default now()
);

create table runs (
    id                 uuid primary key,
    brand              text not null references brands (name),
    kind               text not null check (kind in ('full', 'add')),
    state              text not null default 'active'
                       check (state in ('active', 'committed', 'failed', 'cancelled')),
    source             text,
    redrives           uuid,                -- the ended run whose failed items are tried again
    tolerated_failures double precision not null,
    max_attempts       integer not null,
    deadline_s         double precision not null,
    sealed             boolean not null default false,
    paused             boolean not null default false,
    expected           bigint not null default 0,
    done               bigint not null default 0,
    failed             bigint not null default 0,
    out                bigint not null default 0,   -- dispatched and unsettled
    next_position      bigint not null default 0,   -- of the next expected item
    next_dispatch      bigint not null default 0,   -- positions below were dispatched
    gather_cursor      text,
    version            bigint not null default 1,
    seq                bigint not null default 0,   -- of the newest timeline event
    created_at         timestamptz not null default now(),
    changed_at         timestamptz not null default now(),
    expected_at        timestamptz not null default now(),  -- when the newest item came
    dispatched_at      timestamptz,                         -- when the first item went out
    progressed_at      timestamptz not null default now(),
    deadline_at        timestamptz not null,
    ended_at           timestamptz,
    reason             text,
    reasons            jsonb not null default '{}',
    added              bigint,
    kept               bigint,
    changed            bigint,
    removed            bigint,
    ai_state           text not null default 'none'
                       check (ai_state in ('none', 'queued', 'running', 'done', 'failed',
                                           'superseded')),
    ai_reason          text,
    check (done + failed <= expected),
    check (out >= 0)
) with (fillfactor = 50);                   -- the counters change with every flush

create unique index runs_one_active_a_brand on runs (brand) where state = 'active';
create index runs_by_brand on runs (brand, created_at desc);
create index runs_active on runs (id) where state = 'active';
create index runs_by_change on runs (changed_at);

create table items (
    run_id     uuid not null,
    key        bytea not null,
    position   bigint not null,             -- order of dispatch within the run
    url        text not null,
    metadata   jsonb not null,
    state      text not null check (state in ('pending', 'done', 'failed', 'cancelled')),
    sent_at    timestamptz,
    sends      smallint not null default 0,
    attempts   smallint not null default 0,
    message_id text,                        -- of a stranger's message
    reason     text,
    detail     text,
    settled_at timestamptz,
    primary key (run_id, key)
) with (fillfactor = 70);                   -- no index holds a column that settling changes: HOT

create unique index items_by_position on items (run_id, position);
create index items_by_message on items (message_id) where message_id is not null;

create table staged (
    run_id        uuid not null,
    key           bytea not null,
    sha256        bytea not null,
    object_key    text not null,
    media_type    text not null,
    size_bytes    bigint not null,
    width         integer not null,
    height        integer not null,
    phash         bigint not null,
    model         text,
    embedding     halfvec,
    etag          text,
    last_modified text,
    primary key (run_id, key)
) with (toast_tuple_target = 8160);         -- a 1280-d embedding stays in its row

create table assets (
    run_id        uuid not null,
    key           bytea not null,
    brand         text not null,
    url           text not null,
    sha256        bytea not null,
    object_key    text not null,
    media_type    text not null,
    size_bytes    bigint not null,
    width         integer not null,
    height        integer not null,
    phash         bigint not null,
    model         text,
    embedding     halfvec,
    etag          text,
    last_modified text,
    metadata      jsonb not null,
    primary key (run_id, key)
) with (toast_tuple_target = 8160);         -- no index on embedding: it would slow the commit 70-fold

create table insights (
    run_id     uuid not null references runs (id),
    kind       text not null,
    result     jsonb,
    error      text,
    seconds    double precision not null,
    created_at timestamptz not null default now(),
    primary key (run_id, kind),
    check ((result is null) <> (error is null))
);

create table timeline (
    run_id uuid not null,
    seq    bigint not null,
    at     timestamptz not null default clock_timestamp(),
    kind   text not null,
    data   jsonb not null,
    primary key (run_id, seq)
);

create table outbox (
    id         bigint generated always as identity primary key,
    queue      text not null,
    body       jsonb not null,
    headers    jsonb not null,
    brand      text not null,
    run_id     uuid not null,
    created_at timestamptz not null default now()
);

create table dead_letters (
    id         bigint generated always as identity primary key,
    at         timestamptz not null default now(),
    queue      text not null,
    message_id text not null,
    body       jsonb not null,
    headers    jsonb not null,
    reason     text not null,
    run_id     uuid,
    unique (queue, message_id)
);

-- Whoever changes a run raises its version and tells the listeners, under the row's lock and in
-- the same transaction. A trigger, so that no statement can forget.
create function run_changed() returns trigger language plpgsql as $$
begin
    new.version := old.version + 1;
    new.changed_at := clock_timestamp();
    return new;
end
$$;

create trigger run_changed before update on runs
    for each row execute function run_changed();

create function run_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_runs', new.id::text);
    return null;
end
$$;

create trigger run_notify after insert or update on runs
    for each row execute function run_notify();

-- The run's row lock orders the events, so that commit order is seq order.
create function add_event(run uuid, event text, details jsonb) returns void language sql as $$
    with bumped as (
        update runs set seq = seq + 1 where id = run returning seq
    )
    insert into timeline (run_id, seq, kind, data)
    select run, bumped.seq, event, details from bumped
$$;
