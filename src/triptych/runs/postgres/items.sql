-- The items of a run as people look at them. Every statement reads a bounded number of rows.
-- :standing, :host and :why are written once, below, and put in by `postgres_items`.

-- item_standing --
case when i.state = 'pending' then
         case when i.sent_at > clock_timestamp() then 'delayed'
              when i.sent_at is null and i.position >= r.next_dispatch then 'pending'
              else 'sent' end
     when i.state = 'failed' and i.reason = 'skipped' then 'skipped'
     else i.state end

-- item_why --
case when i.state = 'pending' and i.waits_for is not null then 'host_down' else i.reason end

-- item_host --
coalesce(lower(substring(i.url from $5::text)), '')

-- items_shown --
-- What is read of items `i` of a run `r`.
i.key, i.position, i.url, i.attempts, i.detail, i.waits_for, i.tried_at, i.settled_at,
i.sent_at, r.max_attempts, :standing as standing, :why as why

-- items_pass --
($3::text is null or :standing = $3)
and ($4::text is null or strpos(lower(i.url), $4) > 0 and :host = $4)
and ($6::text is null or :why = $6)
and ($7::text is null or strpos(lower(i.url), $7) > 0)

-- items_page --
-- $8 rows behind position $2 are looked at, and the first $9 that pass are returned.
select :shown from (
    select * from items where run_id = $1 and position > $2 order by position limit $8
) i, runs r
where r.id = $1 and :pass and ($10::bytea is null or i.key <> $10)
order by i.position limit $9

-- items_delayed --
-- By the index of items that have a time: there are no more of them than were sent. Materialized, or
-- the order of the page makes Postgres read the whole run; and by the statement's time, since no
-- index can be searched by a clock that goes on.
with due as materialized (
    select * from items where run_id = $1 and due_at > statement_timestamp() and position > $2
)
select :shown from due i, runs r
where r.id = $1 and :pass and ($9::bytea is null or i.key <> $9)
order by i.position limit $8

-- items_named --
select :shown from items i, runs r
where r.id = $1 and i.run_id = $1 and i.key = $2 and :pass

-- items_some --
select :shown from items i, runs r
where r.id = $1 and i.run_id = $1 and i.key = any($2)
order by i.position

-- items_unsent_from --
select next_dispatch as position from runs where id = $1

-- items_counted --
-- What was skipped while the run is active is in its timeline; an ended run has counted it.
select r.*,
       (select count(*) from items i
        where i.run_id = r.id and i.state = 'pending' and i.due_at > statement_timestamp()
          and i.sent_at > clock_timestamp()) as delayed,
       case when r.state = 'active' then
           (select coalesce(sum((t.data ->> 'skipped')::bigint), 0)::bigint from timeline t
            where t.run_id = r.id and t.kind = 'failures' and t.data ? 'skipped')
       else coalesce((r.reasons ->> 'skipped')::bigint, 0) end as skipped
from runs r where r.id = $1

-- items_by_host --
-- An even sample of at most $2 items, by position; those that are delayed are all counted. $3 is
-- what of a URL is the host, and $4 how many hosts are returned.
with run as (
    select id, state, greatest(1, ceil(next_position / $2::double precision))::bigint as step,
           next_position
    from runs where id = $1
), sampled as (
    select coalesce(lower(substring(i.url from $3::text)), '') as host, count(*) * run.step as items,
           count(*) filter (where i.state = 'pending') * run.step as left_of,
           count(*) filter (where i.state = 'failed') * run.step as failed
    from run, generate_series(0, run.next_position - 1, run.step) as place
    join items i on i.run_id = $1 and i.position = place
    group by 1, run.step
), late as (
    select coalesce(lower(substring(i.url from $3::text)), '') as host, count(*) as delayed
    from items i
    where i.run_id = $1 and i.state = 'pending' and i.due_at > statement_timestamp()
      and i.sent_at > clock_timestamp()
    group by 1
)
select coalesce(s.host, l.host) as host, (select step from run) as step,
       greatest(coalesce(s.items, 0), coalesce(l.delayed, 0)) as items,
       greatest(coalesce(s.left_of, 0), coalesce(l.delayed, 0)) as left_of,
       coalesce(s.failed, 0) as failed, coalesce(l.delayed, 0) as delayed,
       count(*) over () as hosts
from sampled s full join late l on l.host = s.host
order by 4 desc, 3 desc, 1 limit $4

-- try_items_now --
-- Never of an item that is due: a worker may have it.
with locked as materialized (
    select key from items
    where run_id = $1 and key = any($2) and state = 'pending' and sent_at > clock_timestamp()
    order by key
    for no key update
)
update items i
set sent_at = clock_timestamp(), due_at = clock_timestamp(), sends = least(i.sends + 1, 16)
from locked
where i.run_id = $1 and i.key = locked.key
returning i.*
