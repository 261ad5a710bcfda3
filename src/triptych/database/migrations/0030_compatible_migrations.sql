-- oldest compatible: 0029
-- Migrations after 0029, each with the oldest code that it serves. Code of level 29 does not look
-- here, so it takes this schema for its own.

create table compatible_migrations (
    name            text primary key,
    oldest          integer not null,           -- schema level of the oldest code that it serves
    statements_done text[] not null default '{}',   -- of a long migration, the names of its statements
    applied_at      timestamptz                 -- null: a long migration, under way or interrupted
);
