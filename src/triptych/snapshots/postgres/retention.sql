-- Deletion. It is first declared, in a transaction of its own; the rows follow in batches, and the
-- objects long after the rows.

-- collect_snapshots --
-- All but the newest few of each brand, old enough that no reader still uses them. One that is
-- being restored is kept until that run has ended.
with ranked as (
    select r.id, r.ended_at, row_number() over (partition by r.brand order by r.ended_at desc) as n
    from runs r
    where r.state = 'committed' and r.collected_at is null
), collected as (
    update runs r
    set collected_at = clock_timestamp()
    from ranked
    where r.id = ranked.id and ranked.n > $1
      and ranked.ended_at < clock_timestamp() - make_interval(secs => $2)
      and not exists (select from brands b where b.current_run = r.id)
      and not exists (select from runs a where a.restores = r.id and a.state = 'active')
    returning r.id, r.brand
), changed as (
    -- The list of their snapshots is another one: what is shown of them is read again.
    update brands set name = name where name in (select brand from collected)
)
select id from collected

-- collect_attempts --
-- Runs that ended without a snapshot, when they are too old for a redrive.
update runs
set collected_at = clock_timestamp()
where state in ('failed', 'cancelled') and collected_at is null
  and ended_at < clock_timestamp() - make_interval(secs => $1)
returning id

-- runs_to_empty --
select id from runs where collected_at is not null and emptied_at is null
order by collected_at limit $1

-- empty_assets --
with gone as (
    delete from assets where ctid = any(array(
        select ctid from assets where run_id = $1 limit $2))
    returning object_key
), unused as (
    insert into unused_objects (object_key)
    select distinct object_key from gone order by object_key
    on conflict (object_key) do update
    set since = excluded.since, condemned_at = null, deleted_at = null
)
select count(*) as removed from gone

-- empty_staged --
with gone as (
    delete from staged where ctid = any(array(
        select ctid from staged where run_id = $1 limit $2))
    returning object_key
), unused as (
    insert into unused_objects (object_key)
    select distinct object_key from gone order by object_key
    on conflict (object_key) do update
    set since = excluded.since, condemned_at = null, deleted_at = null
)
select count(*) as removed from gone

-- empty_items --
with gone as (
    delete from items where ctid = any(array(
        select ctid from items where run_id = $1 limit $2))
    returning 1
)
select count(*) as removed from gone

-- empty_marks --
with gone as (
    delete from marks where ctid = any(array(
        select ctid from marks where run_id = $1 limit $2))
    returning 1
)
select count(*) as removed from gone

-- empty_vectors --
with gone as (
    delete from vectors where ctid = any(array(
        select ctid from vectors where run_id = $1 limit $2))
    returning 1
)
select count(*) as removed from gone

-- empty_insights --
with gone as (
    delete from insights where run_id = $1 and $2::integer > 0 returning 1
)
select count(*) as removed from gone

-- run_emptied --
-- The end of a run forgets its outages; one may have been noted at that moment.
with forgotten as (
    delete from host_outages where run_id = $1
), refused as (
    delete from refused_rows where run_id = $1
), merged as (
    delete from merged_rows where run_id = $1
)
update runs set emptied_at = clock_timestamp() where id = $1

-- drop_timelines --
with gone as (
    delete from timeline where ctid = any(array(
        select t.ctid from timeline t join runs r on r.id = t.run_id
        where r.state <> 'active' and r.ended_at < clock_timestamp() - make_interval(secs => $1)
        limit $2))
    returning 1
)
select count(*) as removed from gone

-- spare_by_assets --
-- Objects that assets point to: one pass over all assets, because an index by object would cost
-- every commit more than this costs now and then.
delete from unused_objects u using assets a
where u.deleted_at is null and a.object_key = u.object_key

-- spare_by_staged --
delete from unused_objects u using staged s
where u.deleted_at is null and s.object_key = u.object_key

-- any_unused --
-- And how many rows a pass over all assets reads, as far as the planner knows.
select exists (select from unused_objects where deleted_at is null) as any,
       (select coalesce(sum(greatest(reltuples, 0)), 0)::bigint from pg_class
        where oid in ('assets'::regclass, 'staged'::regclass)) as rows

-- take_turn --
-- One of all workers gets the turn, once in so many seconds.
insert into turns (name, at) values ($1, clock_timestamp())
on conflict (name) do update set at = excluded.at
where turns.at < clock_timestamp() - make_interval(secs => $2)
returning name

-- condemn_objects --
update unused_objects
set condemned_at = clock_timestamp()
where object_key in (
    select object_key from unused_objects
    where condemned_at is null and deleted_at is null
      and since < clock_timestamp() - make_interval(secs => $1)
    order by since limit $2 for no key update skip locked)
returning object_key

-- may_delete_objects --
-- False while a backup copies objects. The lock is let go at the end of this transaction, before the
-- objects are deleted: what is condemned by now is named by no row, and no row can name it.
select pg_try_advisory_xact_lock($1) as free

-- condemned_objects --
-- A settle that checked before they were condemned has ended by now, and its rows have been seen
-- by the passes since.
select object_key from unused_objects
where deleted_at is null and condemned_at < clock_timestamp() - make_interval(secs => $1)
order by condemned_at limit $2

-- objects_deleted --
-- What was computed from the content goes with it. Content that an older release has stored at
-- another key, too, loses its features early: they are computed again.
with forgotten as (
    delete from damaged_objects where object_key = any($1)
), uncomputed as (
    delete from features
    where sha256 = any(array(
        select decode(substring(object_key from '/([0-9a-f]{64})$'), 'hex')
        from unnest($1::text[]) as object_key))
)
update unused_objects set deleted_at = clock_timestamp()
where object_key = any($1) and condemned_at is not null

-- drop_tombstones --
delete from unused_objects where deleted_at < clock_timestamp() - make_interval(secs => $1)

-- collect_brand --
update runs set collected_at = clock_timestamp()
where brand = $1 and state <> 'active' and collected_at is null

-- brand_remains --
select count(*) filter (where state = 'active') as active,
       count(*) filter (where emptied_at is null) as unemptied,
       coalesce(array_agg(id) filter (where state = 'active'), '{}') as active_ids
from runs where brand = $1

-- brand_runs_to_empty --
select id from runs where brand = $1 and collected_at is not null and emptied_at is null
order by collected_at limit $2

-- delete_brand_timeline --
delete from timeline where run_id in (select id from runs where brand = $1)

-- delete_brand_outbox --
delete from outbox where brand = $1

-- delete_brand_letters --
delete from dead_letters where run_id in (select id from runs where brand = $1)

-- delete_brand_runs --
delete from runs where brand = $1

-- delete_brand_urls --
delete from url_lists where brand = $1

-- delete_brand_trust --
delete from trusted_sources where brand = $1

-- delete_brand --
delete from brands where name = $1 and deleting

-- drop_deliveries --
delete from deliveries
where coalesce(delivered_at, failed_at) < clock_timestamp() - make_interval(secs => $1)
