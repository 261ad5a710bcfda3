-- Objects that were found to be damaged: the next run of a brand that has one fetches it again.
-- Few, if any; an object that is stored again leaves the table, and so does one that is deleted.

create table damaged_objects (
    object_key text primary key,
    found_at   timestamptz not null default clock_timestamp()
);
