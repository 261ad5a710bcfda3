-- What readers ask. Nothing here locks.

-- brands --
-- All, or those named ($1) and those of some runs ($2). One statement, so one moment. The version
-- looks at two runs: the newest may have been opened by a transaction older than the last change
-- of the one before.
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
order by b.name

-- runs_by_id --
select * from runs where id = any($1)

-- newest_runs --
select * from runs where $1::text is null or brand = $1 order by created_at desc limit $2

-- items_by_key --
select i.*, r.brand, r.source, r.kind as run_kind from items i join runs r on r.id = i.run_id
where i.run_id = $1 and i.key = any($2) and r.state = 'active'

-- known_assets --
select a.key, a.sha256, a.object_key, a.media_type, a.size_bytes, a.width, a.height, a.phash,
       a.colours, a.model, a.embedding, a.etag, a.last_modified
from brands b join assets a on a.run_id = b.current_run
where b.name = $1 and a.key = any($2)

-- failures --
with ranked as (
    select reason, url, detail, count(*) over (partition by reason) as n,
           row_number() over (partition by reason order by position) as rank
    from items where run_id = $1 and state = 'failed'
)
select reason, n, url, detail from ranked where rank <= $2 order by n desc, reason, rank

-- assets_after --
-- In one statement with the check: a snapshot is read whole or not at all.
select * from assets
where run_id = $1 and ($2::bytea is null or key > $2)
  and (select collected_at from runs where id = $1) is null
order by key limit $3

-- is_collected --
select collected_at is not null as collected from runs where id = $1

-- insights --
select kind, result, error, seconds from insights where run_id = $1 order by kind

-- assets_by_key --
select * from assets
where run_id = $1 and key = any($2) and (select collected_at from runs where id = $1) is null

-- marks_by_key --
select * from marks where run_id = $1 and key = any($2)

-- timeline --
select * from timeline where run_id = $1 and seq > $2 order by seq limit $3

-- dead_letters --
select * from dead_letters order by id desc limit $1

-- changed_since --
-- Behind a run ($2) that changed at a moment ($1), in that order; a row of the clock in any case.
select c.now, r.id, r.version, r.changed_at
from (select clock_timestamp() as now) c
left join lateral (
    select id, version, changed_at from runs where (changed_at, id) > ($1, $2)
    order by changed_at, id limit $3
) r on true
