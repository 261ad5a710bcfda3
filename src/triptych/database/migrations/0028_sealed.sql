-- Secrets that are sealed with a key which is not in the database.

-- The whole of a source of which runs and brands have the readable part and this name of the rest.
create table sealed_sources (
    brand     text not null references brands (name) on delete cascade
              deferrable initially deferred,    -- the brand may come after its source
    ref       text not null,                    -- a keyed digest: one source has one name
    sealed    bytea not null,
    sealed_at timestamptz not null default now(),
    primary key (brand, ref)
);

alter table webhooks
    alter column secret drop not null,          -- only rows that are still to be sealed have it
    add column sealed bytea,                    -- the whole URL, and the secret
    add check ((secret is null) <> (sealed is null));
