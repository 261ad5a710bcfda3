-- Brands, their sources and schedules.

-- brands --
-- All, or those named ($1) and those of some runs ($2). One statement, so one moment. The version
-- is taken from two runs: the newest may have been opened by a transaction older than the last
-- change of the one before.
select b.name as brand_name, b.source as brand_source, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets,
       (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
           as brand_version,
       l.*
from brands b
left join runs c on c.id = b.current_run
left join lateral (
    select * from runs where brand = b.name order by created_at desc limit 1
) l on true
left join lateral (
    select max(changed_at) as changed_at from (
        select changed_at from runs where brand = b.name order by created_at desc limit 2
    ) newest
) n on true
where ($1::text[] is null and $2::uuid[] is null)
   or b.name = any($1) or b.name = any(array(select brand from runs where id = any($2)))
order by b.name collate "C"

-- brands_page --
-- The newest run of each brand as well. At most $4 brands are looked at.
select b.name as brand_name, b.source as brand_source, b.schedule, b.due_at, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets,
       (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
           as brand_version,
       l.*
from (
    select * from brands
    where name collate "C" > $1 and ($6::text[] is null or name = any($6))
    order by name collate "C" limit $4
) b
left join runs c on c.id = b.current_run
left join lateral (
    select * from runs where brand = b.name order by created_at desc, id desc limit 1
) l on true
left join lateral (
    select max(changed_at) as changed_at from (
        select changed_at from runs where brand = b.name order by created_at desc, id desc limit 2
    ) newest
) n on true
where ($2::text is null or strpos(lower(b.name), lower($2)) > 0)
  and ($3::text is null or l.state = $3)
order by b.name collate "C" limit $5

-- brands_scanned_to --
select name from brands where name collate "C" > $1 and ($3::text[] is null or name = any($3))
order by name collate "C" offset $2 limit 1

-- brand_page --
select b.name as brand_name, b.source as brand_source, b.schedule, b.due_at, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets,
       (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
           as brand_version,
       l.*
from brands b
left join runs c on c.id = b.current_run
left join lateral (
    select * from runs where brand = b.name order by created_at desc, id desc limit 1
) l on true
left join lateral (
    select max(changed_at) as changed_at from (
        select changed_at from runs where brand = b.name order by created_at desc, id desc limit 2
    ) newest
) n on true
where b.name = $1

-- current_run_of --
select current_run from brands where name = $1

-- put_brand --
insert into brands (name, source, schedule, due_at) values ($1, $2, $3, $4)
on conflict (name) do update
set source = excluded.source, source_run = null, source_before = null,
    schedule = excluded.schedule,
    due_at = case when brands.schedule is not distinct from excluded.schedule
             then brands.due_at else excluded.due_at end
where not brands.deleting
returning name

-- keep_urls --
insert into url_lists (brand, source, rows) values ($1, $2, $3)
on conflict (brand, source) do update set kept_at = clock_timestamp()

-- kept_urls --
select rows from url_lists where brand = $1 and source = $2

-- drop_unused_urls --
-- A run that is listed in full has its items; one that is not may still be gathered, or redriven.
delete from url_lists l
where brand = $1 and kept_at < clock_timestamp() - make_interval(secs => $2)
  and not exists (select from brands where name = $1 and l.source in (source, source_before))
  and not exists (select from runs r where r.brand = $1 and r.source = l.source and not r.sealed)

-- trust_source --
insert into trusted_sources (brand, digest) values ($1, $2)
on conflict (brand, digest) do update set given_at = clock_timestamp()

-- is_trusted_source --
select from trusted_sources where brand = $1 and digest = $2

-- drop_oldest_trust --
delete from trusted_sources where brand = $1 and digest not in (
    select digest from trusted_sources where brand = $1 order by given_at desc limit $2)

-- due_brands --
select name, schedule, due_at from brands
where due_at <= clock_timestamp() and not deleting order by due_at limit $1

-- advance_schedule --
-- Only from the time that was seen: the second caller changes nothing.
update brands set due_at = $3 where name = $1 and due_at = $2
returning name

-- begin_deletion --
update brands set deleting = true, current_run = null, source = null where name = $1
returning name
