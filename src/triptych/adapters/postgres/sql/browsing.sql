-- Pages of what readers ask. Each reads a bounded range of an index, whatever is filtered out.

-- brands_page --
-- The newest run of each brand as well. At most $4 brands are looked at.
select b.name as brand_name, b.source as brand_source, b.schedule, b.due_at, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets,
       (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
           as brand_version,
       l.*
from (
    select * from brands where name > $1 order by name limit $4
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
order by b.name limit $5

-- brands_scanned_to --
select name from brands where name > $1 order by name offset $2 limit 1

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

-- assets_page --
-- The embedding stays where it is: a page of them would be megabytes.
select key, run_id, brand, url, sha256, object_key, media_type, size_bytes, width, height, phash,
       colours, model, metadata
from (
    select * from assets where run_id = $1 and key > $2 order by key limit $3
) scanned
where ($5::text is null or media_type = $5)
  and ($6::text is null or starts_with(media_type, $6))
  and ($7::text is null or strpos(lower(url), lower($7)) > 0
       or strpos(lower(metadata::text), lower($7)) > 0)
  and ($8::integer is null or near_colour(colours, $8, $9, $10, $11))
  and (select collected_at from runs where id = $1) is null
order by key limit $4

-- assets_page_marked --
-- The same where marks have to be looked at, too: as many of them, behind the same key, reach at
-- least as far, for only assets have any.
select scanned.key, scanned.run_id, brand, url, sha256, object_key, media_type, size_bytes, width,
       height, phash, colours, model, metadata
from (
    select * from assets where run_id = $1 and key > $2 order by key limit $3
) scanned
left join (
    select * from marks where run_id = $1 and key > $2 order by key limit $3
) m on m.key = scanned.key
where ($5::text is null or media_type = $5)
  and ($6::text is null or starts_with(media_type, $6))
  and ($7::text is null or strpos(lower(url), lower($7)) > 0
       or strpos(lower(metadata::text), lower($7)) > 0)
  and ($8::integer is null or near_colour(colours, $8, $9, $10, $11))
  and ($12::text is null or $12 = any(m.tags))
  and ($13::text is null or m.cluster = $13)
  and ($14::text is null or m.duplicates = $14)
  and ($15::boolean is null or (m.duplicates is not null) = $15)
  and ($16::text is null or m.look = $16)
  and ($17::real is null or m.outlier >= $17)
  and (select collected_at from runs where id = $1) is null
order by scanned.key limit $4

-- assets_scanned_to --
select key from assets where run_id = $1 and key > $2 order by key offset $3 limit 1

-- asset --
select a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type, a.size_bytes,
       a.width, a.height, a.phash, a.colours, a.model, a.metadata
from brands b join assets a on a.run_id = b.current_run and a.key = $2
where b.name = $1

-- asset_of_run --
select key, run_id, brand, url, sha256, object_key, media_type, size_bytes, width, height, phash,
       colours, model, metadata
from assets where run_id = $3 and key = $2 and brand = $1
  and (select collected_at from runs where id = $3) is null

-- snapshots_page --
select * from runs
where brand = $1 and state = 'committed' and collected_at is null
  and (created_at, id) < ($2, $3)
order by created_at desc, id desc limit $4

-- difference_page --
-- The first $4 keys of both snapshots together are among the first $4 of each. Both sides begin
-- behind the same key, so that a merge of them does not begin with the snapshot.
with keys as (
    select key from (
        (select key from assets where run_id = $1 and key > $3 order by key limit $4)
        union
        (select key from assets where run_id = $2 and key > $3 order by key limit $4)
    ) either order by key limit $4
)
select key, coalesce(n.url, p.url) as url, p.sha256 as before, n.sha256 as after,
       case when p.run_id is null then 'added' when n.run_id is null then 'removed'
            else 'changed' end as change
from keys
left join (select * from assets where run_id = $1 and key > $3) p using (key)
left join (select * from assets where run_id = $2 and key > $3) n using (key)
where p.sha256 is distinct from n.sha256
  and not exists (select from runs where id in ($1, $2) and collected_at is not null)
  and ($6::text is null or $6 = case when p.run_id is null then 'added'
                                     when n.run_id is null then 'removed' else 'changed' end)
order by key limit $5

-- difference_scanned_to --
select key from (
    (select key from assets where run_id = $1 and key > $3 order by key limit $4)
    union
    (select key from assets where run_id = $2 and key > $3 order by key limit $4)
) either order by key offset $4 - 1 limit 1

-- runs_page --
select * from runs where (created_at, id) < ($1, $2) order by created_at desc, id desc limit $3

-- runs_page_in_state --
select * from runs where state = $4 and (created_at, id) < ($1, $2)
order by created_at desc, id desc limit $3

-- runs_page_of_brand --
select * from runs where brand = $4 and ($5::text is null or state = $5)
  and (created_at, id) < ($1, $2)
order by created_at desc, id desc limit $3

-- failure_counts --
select reason, count(*) as n from items
where run_id = $1 and state = 'failed' group by reason order by n desc, reason

-- failed_items --
select position, url, detail, attempts, settled_at from (
    select * from items where run_id = $1 and position > $2 order by position limit $3
) scanned
where state = 'failed' and reason = $5
order by position limit $4

-- run_pace --
-- A bounded sample, even by position: a run of a million items costs what one of $2 does.
with run as (
    select id, created_at as begun, next_position as items,
           greatest(1, ceil(next_position / $2::double precision))::bigint as step,
           greatest(extract(epoch from coalesce(ended_at, clock_timestamp()) - created_at)
               ::double precision / $3, 1) as width
    from runs where id = $1
), sampled as (
    select run.*, item.state, item.settled_at,
           extract(epoch from item.settled_at - item.sent_at)::double precision as took
    from run, generate_series(0, run.items - 1, run.step) as place
    join items item on item.run_id = $1 and item.position = place
    where item.settled_at is not null
)
select begun + make_interval(secs =>
           width * least(floor(extract(epoch from settled_at - begun) / width), $3 - 1)) as at,
       width, step,
       count(*) * step as settled,
       count(*) filter (where state = 'failed') * step as failed,
       percentile_cont(0.5) within group (order by took) as p50,
       percentile_cont(0.95) within group (order by took) as p95
from sampled group by 1, width, step order by 1

-- items_scanned_to --
select position from items where run_id = $1 and position > $2 order by position offset $3 limit 1

-- dead_letters_page --
select * from dead_letters where id < $1 order by id desc limit $2

-- dead_letters_kept --
select (select count(*) from (select from dead_letters where redriven_at is null limit $1) as first)
           as waiting,
       (select max(id) from dead_letters) as newest
