-- Workers: who is alive, and what he is doing.

-- beat --
insert into workers (id, host, pid, version, phases, doing, stopping, started_at, seen_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp())
on conflict (id) do update
set doing = excluded.doing, stopping = excluded.stopping, seen_at = excluded.seen_at

-- beat_with_details --
insert into workers (id, host, pid, version, phases, doing, stopping, started_at, seen_at,
                     memory_bytes, per_second, held, hosts)
values ($1, $2, $3, $4, $5, $6, $7, $8, clock_timestamp(), $9, $10, $11, $12)
on conflict (id) do update
set doing = excluded.doing, stopping = excluded.stopping, seen_at = excluded.seen_at,
    memory_bytes = excluded.memory_bytes, per_second = excluded.per_second,
    held = excluded.held, hosts = excluded.hosts

-- leave --
delete from workers where id = $1

-- drop_silent_workers --
delete from workers where seen_at < clock_timestamp() - make_interval(secs => $1)

-- workers --
select *, extract(epoch from clock_timestamp() - seen_at)::double precision as silent_s
from workers order by started_at, id limit $1
