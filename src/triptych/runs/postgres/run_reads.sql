-- Reads of runs, and requests of operators.

-- runs_by_id --
select * from runs where id = any($1)

-- newest_runs --
select * from runs where $1::text is null or brand = $1 order by created_at desc limit $2

-- items_by_key --
-- due_in_s by the database's clock, so that those of the workers do not matter.
select i.*, r.brand, r.source, r.kind as run_kind,
       greatest(extract(epoch from i.sent_at - clock_timestamp()), 0)::double precision as due_in_s
from items i join runs r on r.id = i.run_id
where i.run_id = $1 and i.key = any($2) and r.state = 'active'

-- timeline --
select * from timeline where run_id = $1 and seq > $2 order by seq limit $3

-- changed_since --
-- After a run ($2) that changed at a time ($1), in that order; always a row with the clock.
select c.now, r.id, r.version, r.changed_at
from (select clock_timestamp() as now) c
left join lateral (
    select id, version, changed_at from runs where (changed_at, id) > ($1, $2)
    order by changed_at, id limit $3
) r on true

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
-- A bounded sample, uniform by position: a run of a million items costs as much as one of $2.
-- What the run itself settled: an item that a redrive took over as done was settled before, and a
-- cancelled one never. `took` is null where nobody measured it: the item ended with the run ($4),
-- never was sent, or was settled (by a copy of its message) before it was due.
with run as (
    select id, created_at as begun, next_position as items,
           greatest(1, ceil(next_position / $2::double precision))::bigint as step,
           greatest(extract(epoch from coalesce(ended_at, clock_timestamp()) - created_at)
               ::double precision / $3, 1) as width
    from runs where id = $1
), sampled as (
    select run.*, item.state, item.settled_at,
           case when item.settled_at >= item.sent_at and item.reason is distinct from $4
                then extract(epoch from item.settled_at - item.sent_at)::double precision
                end as took
    from run, generate_series(0, run.items - 1, run.step) as place
    join items item on item.run_id = $1 and item.position = place
    where item.settled_at >= run.begun and item.state in ('done', 'failed')
)
select begun + make_interval(secs =>
           width * least(floor(extract(epoch from settled_at - begun) / width), $3 - 1)) as at,
       width, step,
       count(*) * step as settled,
       count(*) filter (where state = 'failed') * step as failed,
       count(took) * step as measured,
       percentile_cont(0.5) within group (order by took) as p50,
       percentile_cont(0.95) within group (order by took) as p95
from sampled group by 1, width, step order by 1

-- run_waits --
-- Only near the end ($2): before it, other items are worked on anyway.
select left_of.open, found.* from (
    select id, expected - done - failed as open from runs
    where id = $1 and state = 'active' and sealed and expected > done + failed
      and expected - done - failed <= $2
) left_of, lateral (
    select count(*) as delayed, min(due.sent_at) as due_at,
           (array_agg(due.attempts order by due.sent_at, due.key))[1] as attempts,
           (array_agg(due.waits_for order by due.sent_at, due.key))[1] as waits_for,
           (array_agg(due.detail order by due.sent_at, due.key))[1] as detail
    from items due
    where due.run_id = left_of.id and due.state = 'pending' and due.sent_at > clock_timestamp()
) found

-- run_last_try --
-- Of the $2 items that are due last; those of them that are settled say nothing.
select tried_at, due_at, attempts, waits_for, detail from (
    select i.* from items i join runs r on r.id = i.run_id
    where i.run_id = $1 and i.due_at is not null and r.state = 'active'
    order by i.due_at desc limit $2
) tried
where state = 'pending' order by due_at desc limit 1

-- items_scanned_to --
select position from items where run_id = $1 and position > $2 order by position offset $3 limit 1

-- lock_current_run --
select r.* from brands b join runs r on r.id = b.current_run
where b.name = $1
for no key update of r

-- queue_ai --
update runs set ai_state = 'queued', ai_reason = null where id = $1 returning *
