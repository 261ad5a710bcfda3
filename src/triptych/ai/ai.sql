-- The AI phase: claimed, then published, once a commit.

-- begin_ai --
update runs r
set ai_state = 'running', ai_reason = null, ai_progress = '{}'
from brands b
where b.name = $1 and r.id = coalesce($2, b.current_run) and b.current_run = r.id
  and r.brand = b.name and r.state = 'committed'
  and ($2::uuid is null or r.ai_state in ('queued', 'running', 'failed'))
returning r.*

-- supersede_ai --
update runs r
set ai_state = 'superseded'
from brands b
where r.id = $1 and b.name = r.brand and b.current_run is distinct from r.id
  and r.state = 'committed' and r.ai_state in ('queued', 'running')
returning r.id

-- drop_insights --
delete from insights where run_id = $1

-- insert_insight --
insert into insights (run_id, kind, result, error, seconds) values ($1, $2, $3, $4, $5)

-- end_ai --
-- Only of what is still the brand's snapshot, and only once a claim.
update runs r
set ai_state = $2, ai_reason = $3, ai_progress = '{}'
from brands b
where r.id = $1 and b.name = r.brand and b.current_run = r.id and r.ai_state = 'running'
returning r.*

-- fail_ai --
update runs set ai_state = 'failed', ai_reason = $2
where id = $1 and state = 'committed' and ai_state in ('queued', 'running')
returning id

-- note_ai --
update runs set ai_progress = $2 where id = $1 and ai_state = 'running'

-- drop_marks --
delete from marks where run_id = $1

-- drop_vectors --
delete from vectors where run_id = $1

-- earlier_ai --
select e.id from runs r join runs e on e.brand = r.brand
where r.id = $1 and e.id <> r.id and e.state = 'committed' and e.ai_state = 'done' and e.collected_at is null
  and e.ended_at < r.ended_at
order by e.ended_at desc limit 1

-- marks --
select * from marks where run_id = $1 and ($2::bytea is null or key > $2) order by key limit $3

-- brand_cells --
-- The other brands ($3 is left out) that a step ($1) described by vectors in a space ($2).
select b.name, b.current_run as run_id, i.result -> 'cells' as cells
from brands b join insights i on i.run_id = b.current_run and i.kind = $1
where i.error is null and b.name <> $3 and ($4::text is null or b.name > $4)
  and jsonb_typeof(i.result -> 'cells') = 'array'
  and exists (select from vectors v where v.run_id = b.current_run and v.model = $2)
order by b.name limit $5

-- vectors_of --
select run_id, key, embedding from vectors where run_id = any($1) and model = $2
order by run_id, key
