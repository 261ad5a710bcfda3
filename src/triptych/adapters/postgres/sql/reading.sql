-- What readers ask. Nothing here locks.

-- brands --
select b.name, b.source, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets, l.id as latest
from brands b
left join runs c on c.id = b.current_run
left join lateral (
    select id from runs where brand = b.name order by created_at desc limit 1
) l on true
where $1::text is null or b.name = $1
order by b.name

-- runs_by_id --
select * from runs where id = any($1)

-- newest_runs --
select * from runs where $1::text is null or brand = $1 order by created_at desc limit $2

-- items_by_key --
select i.*, r.brand, r.kind as run_kind from items i join runs r on r.id = i.run_id
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
select id from runs where changed_at > $1 order by changed_at limit $2

-- clock --
select clock_timestamp()
