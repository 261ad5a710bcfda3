-- The transactions of the Active Brand Registry, statement by statement.
-- Lock order everywhere: items by key, then the run.

-- upsert_brand --
-- A brand keeps its source until a run ($3) brings another.
insert into brands (name, source, source_run)
values ($1, $2, case when $2::text is not null then $3::uuid end)
on conflict (name) do update set source = excluded.source, source_run = excluded.source_run,
    source_before = brands.source
where excluded.source is not null and brands.source is distinct from excluded.source

-- give_source_back --
-- The run that brought it has read nothing of it. Before the run is locked, as when one is opened.
update brands b set source = b.source_before, source_before = null, source_run = null
from runs r
where r.id = $1 and b.source_run = r.id and r.state = 'active' and r.rows_read = 0
  and not b.deleting

-- insert_run --
-- At most one active run per brand: the partial unique index decides races. A restore ($12) reads
-- no source.
insert into runs (id, brand, kind, source, tolerated_failures, max_attempts, deadline_s,
                  deadline_at, redrives, traceparent, max_removed, restores)
select $1, $2, $3, case when $12::uuid is null then coalesce($4, b.source) end, $5, $6, $7,
       clock_timestamp() + make_interval(secs => $8), $9, $10, $11, $12
from brands b where b.name = $2 and not b.deleting
on conflict do nothing
returning *

-- brand_is_deleting --
select deleting from brands where name = $1

-- active_run --
select * from runs where brand = $1 and state = 'active'

-- lock_active_run --
select * from runs where brand = $1 and state = 'active' for no key update

-- read_run --
select * from runs where id = $1

-- lock_run --
select * from runs where id = $1 for no key update

-- lock_free_run --
-- None if another transaction holds the row.
select * from runs where id = $1 for no key update skip locked

-- add_event --
select add_event($1, $2, $3)

-- owe --
insert into outbox (queue, body, headers, brand, run_id) values ($1, $2, $3, $4, $5)

-- insert_items --
-- Safe to repeat: an existing key is not changed.
with incoming as (
    select row_number() over () - 1 as n, *
    from unnest($3::bytea[], $4::text[], $5::jsonb[], $6::text[], $7::text[])
         as t(key, url, metadata, refused, detail)
), inserted as (
    insert into items (run_id, key, position, url, metadata, state, reason, detail, settled_at)
    select $1, key, $2 + n, url, metadata,
           case when refused is null then 'pending' else 'failed' end,
           refused, detail, case when refused is not null then clock_timestamp() end
    from incoming
    on conflict do nothing
    returning state
)
select count(*) as expected, count(*) filter (where state = 'failed') as failed from inserted

-- merge_rows --
-- What rows say of an item that an earlier row brought. Items are not changed: settling locks
-- them before the run.
-- A URL that differs, as of rows that are known by another column, is kept among the metadata.
with merged as (
    select t.key, t.n, case when i.url = t.url then t.metadata
                            else t.metadata || jsonb_build_object('url', t.url) end as metadata
    from unnest($3::bytea[], $4::text[], $5::jsonb[]) with ordinality as t(key, url, metadata, n)
    join items i on i.run_id = $1 and i.key = t.key
    where i.metadata <> t.metadata or i.url <> t.url
)
insert into merged_rows (run_id, key, digest, number, metadata)
select $1, key, sha256(convert_to(metadata::text, 'UTF8')), $2 + n, metadata from merged
on conflict do nothing

-- count_expected --
update runs
set expected = expected + $2, failed = failed + $3, next_position = next_position + $4,
    gather_cursor = $5, expected_at = clock_timestamp(), progressed_at = clock_timestamp(),
    rows_read = case when $8 then rows_adopted else rows_read end + $6,
    rows_refused = case when $8 then 0 else rows_refused end + $7
where id = $1
returning *

-- forget_refused_rows --
delete from refused_rows where run_id = $1

-- keep_refused_rows --
insert into refused_rows (run_id, number, place, problem)
select $1, $2 + row_number() over () - 1, place, problem
from unnest($3::text[], $4::text[]) as t(place, problem)
on conflict do nothing

-- refused_rows --
select place, problem from refused_rows where run_id = $1 order by number

-- claim_positions --
-- The next items in order of dispatch. The run's lock is held, so no other
-- transaction is here. A watermark replaces a search for unsent items, whose cost would grow.
with next as (
    select key, position from items
    where run_id = $1 and position >= $2
    order by position limit $3
), free as (
    -- A transaction that holds one of these is ending it. Waiting for it under the run's lock,
    -- which it needs next, would be a deadlock; if it dies, claim_resend finds what was skipped.
    select i.key from items i join next on next.key = i.key
    where i.run_id = $1 and i.state = 'pending' and i.sent_at is null
    for no key update of i skip locked
), claimed as (
    update items i
    set sent_at = clock_timestamp(), sends = 1
    from free
    where i.run_id = $1 and i.key = free.key
    returning i.*
)
select next.position as at, claimed.*
from next left join claimed on claimed.key = next.key
order by next.position

-- count_dispatched --
update runs
set next_dispatch = $2, out = out + $3,
    dispatched_at = coalesce(dispatched_at, clock_timestamp()),
    deadline_at = case when dispatched_at is null and $3 > 0
                  then least(deadline_at, clock_timestamp() + make_interval(secs => deadline_s))
                  else deadline_at end
where id = $1
returning *

-- settle_items --
with incoming as (
    select * from unnest($2::bytea[], $3::text[], $4::text[], $5::text[], $6::bytea[], $7::text[],
                         $8::text[], $9::bigint[], $10::integer[], $11::integer[], $12::bigint[],
                         $13::text[], $14::text[], $15::halfvec[], $16::text[], $17::text[],
                         $18::double precision[])
         as t(key, state, reason, detail, sha256, object_key, media_type, size_bytes, width,
              height, phash, model, colours, embedding, etag, last_modified, age_s)
), refused as (
    -- Its object was stored before it was deleted, or may be deleted any moment: store it again.
    select n.key from incoming n join unused_objects u on u.object_key = n.object_key
    where n.age_s is not null and u.condemned_at is not null
      and (u.deleted_at is null
           or u.deleted_at > clock_timestamp() - make_interval(secs => n.age_s + $19))
), locked as materialized (
    select key from items
    where run_id = $1 and key = any($2) and state = 'pending'
      and key not in (select key from refused)
    order by key
    for no key update
), settled as (
    update items i
    set state = n.state, reason = n.reason, detail = n.detail, settled_at = clock_timestamp()
    from incoming n, locked l
    where i.run_id = $1 and i.key = n.key and l.key = n.key
    returning i.key, i.state, i.reason, i.sent_at is not null as was_out
), staging as (
    insert into staged (run_id, key, sha256, object_key, media_type, size_bytes, width, height,
                        phash, model, colours, embedding, etag, last_modified)
    select $1, n.key, n.sha256, n.object_key, n.media_type, n.size_bytes, n.width, n.height,
           n.phash, n.model, n.colours::jsonb, n.embedding, n.etag, n.last_modified
    from incoming n join settled s on s.key = n.key
    where s.state = 'done'
), healed as (
    -- A put compares: what was put after the damage was found is whole.
    delete from damaged_objects d using incoming n
    where d.object_key = n.object_key and n.age_s is not null
      and d.found_at < clock_timestamp() - make_interval(secs => n.age_s)
)
select key, state, reason, was_out, false as refused from settled
union all
select key, null, null, null, true from refused

-- count_settled --
-- Last in its transaction: the row lock orders racing flushes, so exactly one sees the end.
update runs
set done = done + $2, failed = failed + $3, out = out - $4, progressed_at = clock_timestamp()
where id = $1 and state = 'active'
returning *

-- seal_run --
update runs
set sealed = true, gather_cursor = null, progressed_at = clock_timestamp()
where id = $1 and state = 'active' and not sealed
returning *

-- count_attempt --
-- Only while the attempts are those that the try saw ($3): copies of one message that are tried at
-- the same time are one attempt. sent_at lies in the future until the retry is due, so that no
-- copy is tried and no sweep sends it before.
update items i
set attempts = i.attempts + 1, sent_at = clock_timestamp() + make_interval(secs => $4),
    tried_at = clock_timestamp(), due_at = clock_timestamp() + make_interval(secs => $4),
    waits_for = null, detail = $5
from runs r
where i.run_id = $1 and i.key = $2 and i.state = 'pending' and i.attempts = $3 and r.id = i.run_id
returning i.attempts >= r.max_attempts as last

-- put_off --
-- Never to an earlier time than the item has: a copy may have counted an attempt meanwhile.
with locked as materialized (
    select key from items where run_id = $1 and key = any($2) and state = 'pending'
    order by key
    for no key update
)
update items i
set sent_at = greatest(i.sent_at, clock_timestamp() + make_interval(secs => n.delay_s)),
    due_at = greatest(i.due_at, clock_timestamp() + make_interval(secs => n.delay_s)),
    waits_for = coalesce(n.waits_for, i.waits_for)
from unnest($2::bytea[], $3::double precision[], $4::text[]) as n(key, delay_s, waits_for), locked l
where i.run_id = $1 and i.key = n.key and l.key = n.key

-- pause_run --
update runs set paused = $2, progressed_at = clock_timestamp()
where id = $1 and state = 'active'
returning *

-- end_pending --
with locked as materialized (
    select key from items where run_id = $1 and state = 'pending' order by key for no key update
), ended as (
    update items i
    set state = $2, reason = $3, settled_at = clock_timestamp()
    from locked
    where i.run_id = $1 and i.key = locked.key
    returning i.sent_at is not null as was_out
)
select count(*) as ended, count(*) filter (where was_out) as was_out from ended

-- end_run --
update runs
set state = $2, reason = $3, ended_at = clock_timestamp(), out = 0, paused = false,
    progressed_at = clock_timestamp(),
    reasons = case when failed = 0 then '{}' else coalesce((
        select jsonb_object_agg(reason, n) from (
            select reason, count(*) as n from items
            where run_id = $1 and state = 'failed' group by reason) as counted), '{}') end
where id = $1 and state = 'active'
returning *

-- held_run --
select * from runs where brand = $1 and state = 'held' for no key update

-- overdue_held --
select id from runs
where state = 'held' and ended_at < clock_timestamp() - make_interval(secs => $1)
order by ended_at limit $2

-- reopen_held --
-- For its commit, in the same transaction.
update runs set state = 'active', reason = null, ended_at = null where id = $1 returning *

-- discard_held --
update runs
set state = 'cancelled', reason = $2, removed = null, ended_at = clock_timestamp(),
    progressed_at = clock_timestamp()
where id = $1
returning *

-- drop_staging --
delete from staged where run_id = $1

-- let_go_staging --
-- Of a run that will not commit: no asset of it will point to what it stored.
with gone as (
    delete from staged where run_id = $1 returning object_key
)
insert into unused_objects (object_key)
select distinct object_key from gone order by object_key
on conflict (object_key) do update
set since = excluded.since, condemned_at = null, deleted_at = null

-- older_staging --
-- A brand keeps at most the staging of its newest failed run, for a redrive. The index is read run
-- by run; otherwise the end of a small brand's run would read what larger brands have staged.
select r.id
from runs r, lateral (select from staged where run_id = r.id order by key limit 1) as found
where r.brand = $1 and r.id <> $2 and r.state <> 'active'

-- item_by_message --
select i.*, r.brand, r.state as run_state
from items i join runs r on r.id = i.run_id
where i.message_id = $1 and r.brand = $2
order by r.created_at desc limit 1

-- adopt_item --
with incoming as (
    insert into items (run_id, key, position, url, metadata, state, sent_at, sends, message_id,
                       reason, detail, settled_at)
    values ($1, $2, $3, $4, $5, case when $7::text is null then 'pending' else 'failed' end,
            clock_timestamp(), 1, $6, $7, $8, case when $7 is not null then clock_timestamp() end)
    on conflict do nothing
    returning *
)
select * from incoming

-- count_adopted --
update runs
set expected = expected + 1, next_position = next_position + 1, failed = failed + $2,
    rows_read = rows_read + 1, rows_adopted = rows_adopted + 1, out = out + 1 - $2, expected_at = clock_timestamp(), progressed_at = clock_timestamp(),
    deadline_at = case when dispatched_at is null
                  then least(deadline_at, clock_timestamp() + make_interval(secs => deadline_s))
                  else deadline_at end,
    dispatched_at = coalesce(dispatched_at, clock_timestamp())
where id = $1

-- read_item --
select i.*, r.brand from items i join runs r on r.id = i.run_id
where i.run_id = $1 and i.key = $2

-- due_runs --
-- Rows that are being worked on are locked, and skipped.
select id, brand,
       sealed and done + failed >= expected
           and progressed_at < clock_timestamp() - make_interval(secs => $4) as commit,
       kind = 'add' and not sealed
           and expected_at < clock_timestamp() - make_interval(secs => $1) as seal,
       not paused and (out > 0 or next_dispatch < next_position)
           and progressed_at < clock_timestamp() - make_interval(secs => $2) as resend,
       deadline_at < clock_timestamp() as expire
from runs
where state = 'active'
  and (progressed_at < clock_timestamp() - make_interval(secs => least($1, $2, $4))
       or deadline_at < clock_timestamp())
order by progressed_at
limit $3
for no key update skip locked

-- claim_resend --
-- An item that was sent n times is due $2 * 2^(n-1) seconds after the last time; one that the
-- watermark passed without sending it is due at once, and is sent only now.
with overdue as (
    select i.key, i.sent_at is null as fresh from items i join runs r on r.id = i.run_id
    where i.run_id = $1 and i.state = 'pending'
      and case when i.sent_at is null then i.position < r.next_dispatch
               else i.sent_at + make_interval(secs => $2 * power(2, least(i.sends, 16) - 1))
                    < clock_timestamp() end
    order by i.key limit $3
    for no key update of i
)
update items i
set sent_at = clock_timestamp(), sends = least(i.sends + 1, 16)
from overdue
where i.run_id = $1 and i.key = overdue.key
returning i.*, overdue.fresh

-- mark_stalled --
-- The one definition of a stalled run. sent_at says nothing here: sending an item again moves it.
-- Only the rows of items that were tried or put off lately are read, by their index. A run that
-- moves meanwhile is locked, and skipped, or has another version than the one that was judged.
-- What waits for a phase that is paused ($3 gather, $4 acquire) does not stand still by itself.
with quiet as (
    select id, version, stalled, out, not ($3 and not sealed) and not ($4 and out > 0) as free,
           progressed_at < clock_timestamp() - make_interval(secs => $1) as still
    from runs
    where state = 'active' and not paused
      and (stalled or progressed_at < clock_timestamp() - make_interval(secs => $1))
    order by progressed_at limit $2
), judged as (
    select quiet.id, quiet.version, quiet.stalled as before,
           quiet.still and quiet.free and not lately.tried and (quiet.out = 0 or lately.waiting < quiet.out)
               as stalled
    from quiet, lateral (
        select count(*) as waiting,
               coalesce(bool_or(tried_at > clock_timestamp() - make_interval(secs => $1)), false)
                   as tried
        from items
        where run_id = quiet.id and state = 'pending'
          and due_at > clock_timestamp() - make_interval(secs => $1)
    ) lately
), free as (
    select r.id, j.stalled from runs r join judged j on j.id = r.id
    where j.stalled <> j.before and r.version = j.version
    for no key update of r skip locked
)
update runs r set stalled = free.stalled from free where r.id = free.id
returning r.id, r.stalled, r.progressed_at

-- count_runs --
-- Each from an index of such runs alone.
select (select count(*) from runs where stalled) as stalled,
       (select count(*) from runs where state = 'held') as held

-- count_resent --
update runs set out = out + $2 where id = $1 and state = 'active' and not paused returning *

-- owed --
select * from outbox
where ($1::uuid is null or run_id = $1)
  and created_at <= clock_timestamp() - make_interval(secs => $2)
order by id limit $3

-- mark_sent --
delete from outbox where id = any($1)

-- redrive_items --
-- Done items stay done, with their staging; failed items are pending again.
with moved as (
    insert into items (run_id, key, position, url, metadata, state, settled_at)
    select $2, i.key, row_number() over (order by i.position) - 1, i.url, i.metadata,
           case when s.key is null then 'pending' else 'done' end,
           case when s.key is not null then i.settled_at end
    from items i left join staged s on s.run_id = i.run_id and s.key = i.key
    where i.run_id = $1 and (s.key is not null or i.state <> 'done')
      and coalesce(i.reason, '') <> all($3::text[])
      and ($4::text[] is null or i.reason = any($4))
    returning state
)
select count(*) as expected, count(*) filter (where state = 'done') as done from moved

-- redrive_staging --
update staged set run_id = $2
where run_id = $1 and key in (select key from items where run_id = $2 and state = 'done')

-- redrive_merged --
update merged_rows set run_id = $2
where run_id = $1 and key in (select key from items where run_id = $2)

-- count_redriven --
update runs
set expected = $2, done = $3, next_position = $2, sealed = $4, gather_cursor = $5, rows_read = $2
where id = $1
returning *
