-- Messages that could not be processed.

-- bury --
-- A body may be null: in JSON that is a value.
insert into dead_letters (queue, message_id, body, headers, reason, run_id)
values ($1, $2, coalesce($3, 'null'::jsonb), $4, $5, $6)
on conflict (queue, message_id) do nothing

-- dead_letters --
select * from dead_letters order by id desc limit $1

-- dead_letters_page --
select * from dead_letters where id < $1 order by id desc limit $2

-- dead_letters_kept --
select (select count(*) from (select from dead_letters where redriven_at is null limit $1) as first)
           as waiting,
       (select max(id) from dead_letters) as newest

-- redrive_letters --
-- Marked and put into the outbox in one statement, so that each is sent again only once.
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

-- discard_letters --
delete from dead_letters where id = any($1) returning id
