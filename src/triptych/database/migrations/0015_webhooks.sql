-- Who is told when a run ends, and what he is still to be told.

create table webhooks (
    id          uuid primary key,
    url         text not null,
    secret      bytea not null,             -- signs what is sent, so it is kept as it is
    brand       text,                       -- null: of every brand
    events      text[] not null,
    created_at  timestamptz not null default now(),
    disabled_at timestamptz,
    reason      text                        -- why it was disabled
);

create table deliveries (
    id           uuid primary key default gen_random_uuid(),
    webhook_id   uuid not null references webhooks (id) on delete cascade,
    event        text not null,
    body         jsonb not null,
    attempts     integer not null default 0,
    created_at   timestamptz not null default clock_timestamp(),
    due_at       timestamptz not null default clock_timestamp(),
    delivered_at timestamptz,
    failed_at    timestamptz,
    reason       text                       -- of the last attempt that failed
);

create index deliveries_due on deliveries (due_at)
    where delivered_at is null and failed_at is null;
create index deliveries_by_webhook on deliveries (webhook_id, created_at desc);
