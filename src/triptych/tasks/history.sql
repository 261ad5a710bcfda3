-- What happened to a brand.

-- brand_history --
-- Four walks, each along an index of its own; a page has at most $5 of each, and of all.
-- An entry's place is its time, then its rank, then its key, in the order of bytes.
select entries.*, $1::text as brand from (
    (select created_at as at, 0 as rank, id::text collate "C" as key, 'opened' as kind,
            id as run_id, null::bigint as audit_id, null::text as actor, null::text as action,
            null::text as target, null::jsonb as detail
     from runs
     where brand = $1 and created_at <= $2
       and (created_at, 0, id::text collate "C") < ($2, $3, $4)
     order by runs.created_at desc, runs.id desc limit $5)
    union all
    (select ended_at, 2, id::text collate "C",
            case when state = 'committed' and kind = 'restore' then 'restored' else state end,
            id, null, null, null, null, null
     from runs
     where brand = $1 and ended_at is not null and ended_at <= $2 and state <> 'active'
       and (ended_at, 2, id::text collate "C") < ($2, $3, $4)
     order by runs.ended_at desc, runs.id desc limit $5)
    union all
    (select collected_at, 3, id::text collate "C", 'removed',
            id, null, null, null, null, null
     from runs
     where brand = $1 and collected_at is not null and collected_at <= $2
       and state = 'committed' and (collected_at, 3, id::text collate "C") < ($2, $3, $4)
     order by runs.collected_at desc, runs.id desc limit $5)
    union all
    (select at, 1, lpad(id::text, 19, '0') collate "C", 'action',
            null, id, actor, action, target, detail
     from audit
     where $6 and brand = $1 and at <= $2
       and (at, 1, lpad(id::text, 19, '0') collate "C") < ($2, $3, $4)
     order by audit.at desc, audit.id desc limit $5)
) entries
order by at desc, rank desc, key desc limit $5
