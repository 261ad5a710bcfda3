-- What operators ask for: schedules, AI again, dead letters again.

-- put_brand --
insert into brands (name, source, schedule, due_at) values ($1, $2, $3, $4)
on conflict (name) do update
set source = excluded.source, schedule = excluded.schedule,
    due_at = case when brands.schedule is not distinct from excluded.schedule
             then brands.due_at else excluded.due_at end
where not brands.deleting
returning name

-- due_brands --
select name, schedule, due_at from brands
where due_at <= clock_timestamp() and not deleting order by due_at limit $1

-- advance_schedule --
-- Only from the time that was seen: whoever comes second changes nothing.
update brands set due_at = $3 where name = $1 and due_at = $2
returning name

-- lock_current_run --
select r.* from brands b join runs r on r.id = b.current_run
where b.name = $1
for no key update of r

-- queue_ai --
update runs set ai_state = 'queued', ai_reason = null where id = $1 returning *

-- redrive_letters --
-- Marked and owed at once, so that each is sent again once, whoever asks and however often.
-- One of an active run waits: its item ends with that run, and is redriven with it.
with chosen as (
    select d.id from dead_letters d left join runs r on r.id = d.run_id
    where d.redriven_at is null and ($1::bigint[] is null or d.id = any($1))
      and ($2::text is null or d.queue = $2)
      and jsonb_typeof(d.body) = 'object' and r.state is distinct from 'active'
    order by d.id limit $3
    for no key update of d skip locked
), marked as (
    update dead_letters d set redriven_at = clock_timestamp()
    from chosen where d.id = chosen.id
    returning d.*
), owed as (
    insert into outbox (queue, body, headers, brand)
    select queue, body, headers - $4::text[], coalesce(body ->> 'brand', '') from marked
    returning id
)
select count(*) as redriven from owed
