-- What a backup reads of the database, at one moment, and what a restore changes in it.

-- hold_collector --
-- Shared by backups, for as long as their session lasts: see `may_delete_objects`.
select pg_advisory_lock_shared($1)

-- backup_moment --
select pg_export_snapshot() as snapshot, clock_timestamp() as taken_at,
       pg_database_size(current_database()) as database_bytes,
       (select coalesce(sum(pg_table_size(oid)), 0)::bigint from pg_class
        where relkind in ('r', 'm', 'p')) as table_bytes,
       (select count(*) from runs where state = 'active') as runs_active

-- backup_rows --
select (select count(*) from brands) as brands, (select count(*) from runs) as runs,
       (select count(*) from items) as items, (select count(*) from assets) as assets,
       (select count(*) from staged) as staged, (select count(*) from insights) as insights,
       (select count(*) from api_keys) as api_keys, (select count(*) from webhooks) as webhooks

-- applied_migrations --
select name from schema_migrations order by name

-- has_compatible_migrations --
select to_regclass('compatible_migrations') is not null as there

-- applied_compatible_migrations --
-- Those after 0029 (ADR 35), which earlier folders do not have.
select name from compatible_migrations where applied_at is not null order by name

-- backup_objects --
-- All that rows name, but uploads: of assets and of staged items, and the files of exports. One size a key: what
-- has another is damaged, and found when it is read.
select object_key, max(size_bytes) as size_bytes, min(sha256) as sha256
from (
    select object_key collate "C" as object_key, size_bytes, encode(sha256, 'hex') as sha256
    from assets
    union all
    select object_key collate "C", size_bytes, encode(sha256, 'hex') from staged
    union all
    select format('exports/%s/%s', t.id, f ->> 'name') collate "C",
           -- Exports of earlier releases have no hash.
           (f ->> 'size_bytes')::bigint, coalesce(f ->> 'sha256', '')
    from tasks t, jsonb_array_elements(t.result -> 'files') f
    where t.kind = 'export' and t.state = 'done' and jsonb_typeof(t.result -> 'files') = 'array'
) named
group by object_key
order by object_key

-- has_uploads --
-- An earlier schema has none.
select to_regclass('uploads') is not null as there

-- backup_uploads --
-- Their keys come after those of all others.
select object_key, size_bytes, encode(sha256, 'hex') as sha256 from uploads
order by object_key collate "C"

-- move_deadlines --
-- A run that was under way has as much time left as at the moment of the backup, $1 seconds ago.
-- Nothing has moved meanwhile, which is no reason to call it stalled or to send everything again.
update runs
set deadline_at = deadline_at + make_interval(secs => $1),
    progressed_at = clock_timestamp(), expected_at = clock_timestamp()
where state = 'active'
returning id

-- move_held --
-- The days within which somebody has to decide on a held run.
update runs set ended_at = ended_at + make_interval(secs => $1) where state = 'held'
returning id

-- uncondemn_objects --
-- No worker is deleting them, and only the objects that rows name were restored. A settle of one that
-- is condemned would wait for a turn of the collector, for an hour perhaps.
update unused_objects set since = clock_timestamp(), condemned_at = null
where deleted_at is null and condemned_at is not null
