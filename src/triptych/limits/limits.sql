-- What operators have paused or limited.

-- phase_limits --
select phase, paused, concurrency, changed_at, changed_by,
       case when paused then paused_at end as paused_at,
       case when paused then paused_by end as paused_by
from phase_limits

-- host_limits --
select host, paused, concurrency, per_second, changed_at, changed_by,
       case when paused then paused_at end as paused_at,
       case when paused then paused_by end as paused_by
from host_limits order by host collate "C"

-- put_phase_limit --
update phase_limits p
set paused = $2, concurrency = $3, changed_at = now(), changed_by = $4,
    paused_at = case when $2 and not p.paused then now() else p.paused_at end,
    paused_by = case when $2 and not p.paused then $4 else p.paused_by end,
    resumed_at = case when p.paused and not $2 then now() else p.resumed_at end
where phase = $1
returning phase, paused, concurrency, changed_at, changed_by,
          case when paused then paused_at end as paused_at,
          case when paused then paused_by end as paused_by

-- lock_host_limits --
-- One change at a time, so that two together do not exceed the number of hosts.
select pg_advisory_xact_lock(hashtextextended('triptych host limits', 0))

-- count_other_host_limits --
select count(*) as others from host_limits where host <> $1

-- put_host_limit --
insert into host_limits as h
    (host, paused, concurrency, per_second, changed_at, changed_by, paused_at, paused_by)
values ($1, $2, $3, $4, now(), $5, case when $2 then now() end, case when $2 then $5 end)
on conflict (host) do update
set paused = excluded.paused, concurrency = excluded.concurrency, per_second = excluded.per_second,
    changed_at = now(), changed_by = excluded.changed_by,
    paused_at = case when h.paused then h.paused_at else excluded.paused_at end,
    paused_by = case when h.paused then h.paused_by else excluded.paused_by end
returning host, paused, concurrency, per_second, changed_at, changed_by,
          case when paused then paused_at end as paused_at,
          case when paused then paused_by end as paused_by

-- drop_host_limit --
delete from host_limits where host = $1 returning host

-- held_up_phases --
select phase from phase_limits
where paused or resumed_at > clock_timestamp() - make_interval(secs => $1)
