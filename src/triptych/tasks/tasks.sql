-- Tasks: operations accepted, each done once for its idempotency key.

-- forget_idempotency --
update tasks set idempotency_key = null, fingerprint = null
where actor = $1 and idempotency_key = $2
  and created_at < clock_timestamp() - make_interval(secs => $3)

-- claim_task --
insert into tasks (id, kind, actor, brand, idempotency_key, fingerprint)
values ($1, $2, $3, $4, $5, $6)
on conflict (actor, idempotency_key) where idempotency_key is not null do nothing
returning *

-- task_by_idempotency --
select * from tasks where actor = $1 and idempotency_key = $2

-- take_over_task --
-- The first claimant died, or hangs: its work is done again under the same ids.
update tasks set claimed_at = clock_timestamp()
where id = $1 and state = 'claimed'
  and claimed_at < clock_timestamp() - make_interval(secs => $2)
returning *

-- accept_task --
update tasks
set state = $2, brand = coalesce($3, brand), run_id = $4, result = $5,
    ended_at = case when $2 in ('done', 'failed') then clock_timestamp() end
where id = $1 and state = 'claimed'
returning *

-- read_accepted --
select * from tasks where id = $1

-- drop_claim --
delete from tasks where id = $1 and state = 'claimed'

-- task --
-- The run as well, for a task that is over when its run is.
select t.id as task_id, t.kind as task_kind, t.state as task_state, t.brand as task_brand,
       t.run_id as task_run, t.created_at as task_created_at, t.ended_at as task_ended_at,
       t.result, r.*
from tasks t left join runs r on r.id = t.run_id
where t.id = $1 and t.state <> 'claimed'

-- tasks_page --
select t.id as task_id, t.kind as task_kind, t.state as task_state, t.brand as task_brand,
       t.run_id as task_run, t.created_at as task_created_at, t.ended_at as task_ended_at,
       t.result, r.*
from tasks t left join runs r on r.id = t.run_id
where (t.created_at, t.id) < ($1, $2) and t.state <> 'claimed'
order by t.created_at desc, t.id desc limit $3

-- begin_task --
update tasks set state = 'running' where id = $1 and state in ('accepted', 'running') returning *

-- note_task --
update tasks set result = $2 where id = $1 and state = 'running'

-- end_task --
update tasks set state = $2, result = $3, ended_at = clock_timestamp()
where id = $1 and state in ('accepted', 'running')

-- old_tasks --
select * from tasks where created_at < clock_timestamp() - make_interval(secs => $1)
order by created_at limit $2

-- drop_tasks --
delete from tasks where id = any($1)

-- add_audit --
insert into audit (actor, action, target, detail) values ($1, $2, $3, $4)

-- audited_sources --
-- What operations were asked for with, where that may have a secret in plain text.
select distinct detail #>> '{request,source}' as source from audit
where detail #>> '{request,source}' ~ '[@?#=;&]|\s'

-- hide_audited_source --
update audit set detail = jsonb_set(detail, '{request,source}', to_jsonb($2::text))
where detail #>> '{request,source}' = $1
returning id

-- audit_page --
select * from audit where id < $1 order by id desc limit $2
