-- Webhooks. The transaction of an event also inserts its deliveries.

-- owe_webhooks --
insert into deliveries (webhook_id, event, body)
select w.id, $2::text, jsonb_build_object(
    'type', $2::text,
    'timestamp', clock_timestamp(),
    'data', jsonb_build_object(
        'run', r.id, 'brand', r.brand, 'kind', r.kind, 'restores', r.restores,
        'state', r.state, 'reason', r.reason,
        'expected', r.expected, 'done', r.done, 'failed', r.failed, 'reasons', r.reasons,
        'added', r.added, 'kept', r.kept, 'changed', r.changed, 'removed', r.removed,
        'ai_state', r.ai_state, 'ai_reason', r.ai_reason))
from runs r join webhooks w on w.brand is null or w.brand = r.brand
where r.id = $1 and w.disabled_at is null and $2::text = any(w.events)

-- put_webhook --
insert into webhooks (id, url, sealed, brand, events) values ($1, $2, $3, $4, $5)
returning *

-- count_webhooks --
select count(*) as count from webhooks

-- webhooks --
select * from webhooks order by created_at, id

-- webhooks_to_seal --
-- Those that are not sealed, or with another key than the one of this id.
select id as webhook_id, url, secret, sealed from webhooks
where sealed is null or substring(sealed from 2 for 4) <> $1 order by id

-- seal_webhook --
update webhooks set url = $2, sealed = $3, secret = null where id = $1

-- plain_webhooks --
select count(*) as count from webhooks where sealed is null

-- keys_of_webhooks --
select distinct substring(sealed from 2 for 4) as id from webhooks where sealed is not null

-- delete_webhook --
delete from webhooks where id = $1 returning id

-- disable_webhook --
update webhooks set disabled_at = clock_timestamp(), reason = $2 where id = $1

-- claim_deliveries --
-- Leased: if the worker dies, the next one gets the delivery.
with due as (
    select d.id from deliveries d join webhooks w on w.id = d.webhook_id
    where d.delivered_at is null and d.failed_at is null and d.due_at <= clock_timestamp()
      and w.disabled_at is null
    order by d.due_at limit $1
    for no key update of d skip locked
)
update deliveries d
set due_at = clock_timestamp() + make_interval(secs => $2), attempts = d.attempts + 1
from due, webhooks w
where d.id = due.id and w.id = d.webhook_id
returning d.id, d.webhook_id, d.event, d.body, d.attempts, w.url, w.secret, w.sealed

-- delivery_done --
update deliveries set delivered_at = clock_timestamp(), reason = null where id = $1

-- delivery_put_off --
update deliveries set due_at = clock_timestamp() + make_interval(secs => $2), reason = $3
where id = $1 and delivered_at is null

-- delivery_failed --
update deliveries set failed_at = clock_timestamp(), reason = $2
where id = $1 and delivered_at is null

-- deliveries --
select * from deliveries where webhook_id = $1 order by created_at desc limit $2
