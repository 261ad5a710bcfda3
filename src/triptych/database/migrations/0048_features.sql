-- oldest compatible: 0029
-- What is computed from one picture's bytes, once for all brands and runs.

create table features (
    sha256      bytea not null,     -- first, because the collector deletes by content
    kind        text not null,
    version     integer not null,
    result      jsonb,
    error       text,               -- why there is no result; it is not tried again
    computed_at timestamptz not null default clock_timestamp(),
    primary key (sha256, kind, version),
    check ((result is null) <> (error is null))
);
