-- oldest compatible: 0029
-- Lists that somebody brought, as files. The object of each is its own, `uploads/…`: see ADR 43.

create table uploads (
    id          uuid primary key,
    object_key  text not null unique,
    name        text not null,              -- the file's, for people
    size_bytes  bigint not null check (size_bytes > 0),
    sha256      bytea not null check (length(sha256) = 32),
    uploaded_by text not null,              -- an identity's name
    created_at  timestamptz not null default clock_timestamp(),
    used_at     timestamptz not null default clock_timestamp()  -- when it was last read as a source
);

create index uploads_by_age on uploads (created_at desc, id desc);
create index uploads_by_use on uploads (used_at);
