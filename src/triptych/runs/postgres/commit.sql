-- The commit: one transaction that makes a run its brand's snapshot.

-- recount --
-- The rows are the truth. A new statement after the run's lock: READ COMMITTED sees everything.
select count(*) as expected,
       count(*) filter (where state = 'done') as done,
       count(*) filter (where state = 'failed') as failed,
       count(*) filter (where state = 'failed' and reason = 'skipped') as skipped,
       count(*) filter (where state = 'pending') as pending
from items where run_id = $1

-- repair_counters --
update runs set expected = $2, done = $3, failed = $4 where id = $1 returning *

-- removals --
-- How many assets of the snapshot before ($2) the run has again, and the first that it has not.
with remaining as materialized (
    select p.key from assets p join items i on i.run_id = $1 and i.key = p.key and i.state = 'done'
    where p.run_id = $2
)
select (select count(*) from assets where run_id = $2) as before,
       (select count(*) from remaining) as remaining,
       array(select p.url from assets p
             where p.run_id = $2 and not exists (select from remaining r where r.key = p.key)
             order by p.key limit $3) as removed

-- count_removals --
update runs set removed = $2 where id = $1

-- current_run --
-- And how many rows its snapshot has, with those of the one to be restored ($2): how long the commit
-- may take depends on them.
select current_run,
       (select coalesce(sum(coalesce(r.added, 0) + coalesce(r.kept, 0) + coalesce(r.changed, 0)), 0)
        from runs r where r.id in (b.current_run, $2))::bigint as rows
from brands b where name = $1 for no key update of b

-- plan_large_joins --
-- Until autovacuum has run, the planner estimates a few hundred rows and looks up each in an
-- index: twice the time of a hash join, which suits small runs too.
select set_config('enable_nestloop', 'off', true), set_config('enable_mergejoin', 'off', true),
       set_config('work_mem', $1, true)

-- plan_as_usual --
select set_config(name, reset_val, true) from pg_settings
where name in ('enable_nestloop', 'enable_mergejoin', 'work_mem')

-- has_first_seen --
-- Until the release after migration 0036, a commit also meets the schema without it.
select exists (
    select from pg_attribute
    where attrelid = 'assets'::regclass and attname = 'first_seen' and not attisdropped
) as there

-- publish_assets --
-- And compare with the previous snapshot ($3), by URL: the same bytes are kept, other bytes
-- changed. The rows just written are not read again: they are a gigabyte for a million assets.
with further as (
    select key, jsonb_agg(metadata order by number) as also
    from (
        select key, number, metadata,
               row_number() over (partition by key order by number) as nth
        from merged_rows where run_id = $1
    ) numbered
    where nth <= $4 group by key
), published as (
    insert into assets (run_id, key, brand, url, sha256, object_key, media_type, size_bytes,
                        width, height, phash, colours, model, embedding, etag, last_modified,
                        metadata, also:into_first_seen)
    select s.run_id, s.key, $2, i.url, s.sha256, s.object_key, s.media_type, s.size_bytes,
           s.width, s.height, s.phash, s.colours, s.model, s.embedding, s.etag, s.last_modified,
           i.metadata, m.also:first_seen
    from staged s join items i on i.run_id = s.run_id and i.key = s.key
    left join further m on m.key = s.key
    left join assets p on p.run_id = $3 and p.key = s.key
    where s.run_id = $1
    returning key, sha256
)
select count(*) filter (where p.key is null) as added,
       count(*) filter (where p.sha256 = n.sha256) as kept,
       count(*) filter (where p.sha256 <> n.sha256) as changed
from published n left join assets p on p.run_id = $3 and p.key = n.key

-- hold_snapshot --
-- A snapshot that is to be restored, until the end of the transaction: not to be collected before.
select id from runs where id = $1 and collected_at is null for share

-- restore_assets --
-- The same from an older snapshot ($2) in place of what was acquired.
with restored as (
    insert into assets (run_id, key, brand, url, sha256, object_key, media_type, size_bytes,
                        width, height, phash, colours, model, embedding, etag, last_modified,
                        metadata, also:into_first_seen)
    select $1, o.key, o.brand, o.url, o.sha256, o.object_key, o.media_type, o.size_bytes, o.width,
           o.height, o.phash, o.colours, o.model, o.embedding, o.etag, o.last_modified,
           o.metadata, o.also:first_seen
    from assets o where o.run_id = $2
    returning key, sha256
)
select count(*) filter (where p.key is null) as added,
       count(*) filter (where p.sha256 = n.sha256) as kept,
       count(*) filter (where p.sha256 <> n.sha256) as changed
from restored n left join assets p on p.run_id = $3 and p.key = n.key

-- carry_assets --
-- Runs that add, and those that embed again, keep the assets that they did not acquire.
with carried as (
    insert into assets (run_id, key, brand, url, sha256, object_key, media_type, size_bytes,
                        width, height, phash, colours, model, embedding, etag, last_modified,
                        metadata, also:into_first_seen)
    select $1, p.key, p.brand, p.url, p.sha256, p.object_key, p.media_type, p.size_bytes, p.width,
           p.height, p.phash, p.colours, p.model, p.embedding, p.etag, p.last_modified,
           p.metadata, p.also:first_seen
    from assets p
    where p.run_id = $2
      and not exists (select 1 from assets n where n.run_id = $1 and n.key = p.key)
    returning 1
)
select count(*) as carried from carried

-- snapshot_size --
select count(*) as size from assets where run_id = $1

-- swap_snapshot --
update brands set current_run = $2 where name = $1

-- record_commit --
update runs
set added = $2, kept = $3, changed = $4, removed = $5, ai_state = 'queued'
where id = $1
returning *
