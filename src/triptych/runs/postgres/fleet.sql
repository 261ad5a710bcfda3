-- What dispatch windows are computed from.

-- fleet --
select (select count(*) from workers
        where 'acquire' = any (phases) and not stopping
          and seen_at > clock_timestamp() - make_interval(secs => $1)) as workers,
       (select count(*) from runs
        where state = 'active' and not paused and next_dispatch < next_position) as runs
