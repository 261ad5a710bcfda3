-- URLs that came with the request to start a run.

create table url_lists (
    brand   text not null,
    source  text not null,                      -- urls: and a digest of the rows
    rows    bytea not null,                     -- JSON as it was given, which jsonb may not take
    kept_at timestamptz not null default clock_timestamp(),
    primary key (brand, source)
);
