-- The pictures that a run has acquired, before its commit.

-- newest_pictures --
-- Items settle about in the order in which they are dispatched: the last $4 of it are looked at, by
-- an index that there is anyway. A run of external items dispatches none. `staged` is wide, so it is
-- joined with few rows only; $3 times two, since there may be some that are no pictures.
select i.key, i.url, i.settled_at as acquired_at, s.media_type, s.width, s.height, s.sha256
from (
    select key, url, settled_at, position from (
        select i.key, i.url, i.settled_at, i.position, i.state from items i
        where i.run_id = $1 and i.position < (
            select coalesce(nullif(next_dispatch, 0), next_position) from runs where id = $1
        )
        order by i.position desc limit $4
    ) dispatched
    where state = 'done' and ($2::timestamptz is null or settled_at > $2)
    order by settled_at desc, position desc limit 2 * $3
) i
join staged s on s.run_id = $1 and s.key = i.key
where s.media_type like 'image/%'
order by i.settled_at desc, i.position desc limit $3

-- acquired_content --
select sha256 from staged where run_id = $1 and key = $2
union all
select sha256 from assets where run_id = $1 and key = $2
limit 1
