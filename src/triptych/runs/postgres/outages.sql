-- Hosts that do not answer a run. No statement here locks an item; the run is locked first.

-- note_outages --
-- Since the host failed last ($2 hosts) the run has waited for it, but of a long time only $4
-- seconds count: nothing is known of what the host did meanwhile. So a host that was down twice is
-- not given up at once, and one that is looked at rarely is given up after a few looks. An outage
-- that was given up ($3 seconds waited) and not looked at for $6 seconds starts over. A run waits
-- for at most $5 hosts at a time; the others are not returned.
with incoming as (
    select distinct host from unnest($2::text[]) as host
), fresh as (
    select i.host, row_number() over (order by i.host) as number from incoming i
    where not exists (select from host_outages o where o.run_id = $1 and o.host = i.host)
), waiting as (
    select count(*) as hosts from host_outages where run_id = $1 and waited_s < $3
), wanted as (
    select i.host from waiting w, incoming i left join fresh f on f.host = i.host
    where f.host is null or w.hosts + f.number <= $5
)
insert into host_outages as o (run_id, host)
select r.id, w.host from wanted w, runs r where r.id = $1 and r.state = 'active'
order by w.host
on conflict (run_id, host) do update
set since = case when o.waited_s >= $3 and extract(epoch from clock_timestamp() - o.seen_at) > $6 then clock_timestamp()
                 else o.since end,
    waited_s = case when o.waited_s >= $3 and extract(epoch from clock_timestamp() - o.seen_at) > $6 then 0
                    else o.waited_s + least(extract(epoch from clock_timestamp() - o.seen_at), $4) end,
    seen_at = clock_timestamp()
returning o.host, o.waited_s, o.shown

-- show_outages --
update host_outages set shown = true
where run_id = $1 and host = any($2) and not shown
returning host, since

-- any_outages --
select exists (select from host_outages where run_id = $1 and host = any($2)) as any

-- end_outages --
delete from host_outages where run_id = $1 and host = any($2)
returning host, since, shown

-- forget_outages --
delete from host_outages where run_id = $1
