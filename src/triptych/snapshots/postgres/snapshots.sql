-- Pages of committed snapshots: each a bounded range of an index.

-- known_assets --
select a.key, a.sha256, a.object_key, a.media_type, a.size_bytes, a.width, a.height, a.phash,
       a.colours, a.model, a.embedding, a.etag, a.last_modified, a.url
from brands b join assets a on a.run_id = b.current_run
where b.name = $1 and a.key = any($2)

-- assets_after --
-- In one statement with the check: a snapshot is read whole or not at all.
select * from assets
where run_id = $1 and ($2::bytea is null or key > $2)
  and (select collected_at from runs where id = $1) is null
order by key limit $3

-- is_collected --
select collected_at is not null as collected from runs where id = $1

-- insights --
select kind, result, error, seconds from insights where run_id = $1 order by kind

-- assets_by_key --
select * from assets
where run_id = $1 and key = any($2) and (select collected_at from runs where id = $1) is null

-- marks_by_key --
select * from marks where run_id = $1 and key = any($2)

-- assets_page --
-- The embedding stays where it is: a page of them would be megabytes.
select key, run_id, brand, url, sha256, object_key, media_type, size_bytes, width, height, phash,
       colours, model, metadata, also
from (
    select * from assets where run_id = $1 and key > $2 order by key limit $3
) a
where (select collected_at from runs where id = $1) is null and :matching
order by key limit $4

-- assets_page_marked --
-- The same with marks: as many marks after the same key reach at least as far, since only assets
-- have marks.
select a.key, a.run_id, brand, url, sha256, object_key, media_type, size_bytes, width, height,
       phash, colours, model, metadata, also
from (
    select * from assets where run_id = $1 and key > $2 order by key limit $3
) a
left join (
    select * from marks where run_id = $1 and key > $2 order by key limit $3
) m on m.key = a.key
where (select collected_at from runs where id = $1) is null and :matching
order by a.key limit $4

-- assets_scanned_to --
select key from assets where run_id = $1 and key > $2 order by key offset $3 limit 1

-- asset --
select a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type, a.size_bytes,
       a.width, a.height, a.phash, a.colours, a.model, a.metadata, a.also
from brands b join assets a on a.run_id = b.current_run and a.key = $2
where b.name = $1

-- asset_and_marks --
select a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type, a.size_bytes,
       a.width, a.height, a.phash, a.colours, a.model, a.metadata, a.also,
       m.cluster, m.duplicates, m.tags, m.look, m.x, m.y, m.outlier, m.more
from brands b
join assets a on a.run_id = b.current_run and a.key = $2
left join marks m on m.run_id = a.run_id and m.key = a.key
where b.name = $1

-- asset_of_run --
select key, run_id, brand, url, sha256, object_key, media_type, size_bytes, width, height, phash,
       colours, model, metadata, also
from assets where run_id = $3 and key = $2 and brand = $1
  and (select collected_at from runs where id = $3) is null

-- snapshots_page --
select * from runs
where brand = $1 and state = 'committed' and collected_at is null
  and (created_at, id) < ($2, $3)
order by created_at desc, id desc limit $4

-- difference_page --
-- The first $4 keys of both snapshots together are among the first $4 of each. Both sides begin
-- after the same key, so that a merge does not start at the snapshot's beginning.
with keys as (
    select key from (
        (select key from assets where run_id = $1 and key > $3 order by key limit $4)
        union
        (select key from assets where run_id = $2 and key > $3 order by key limit $4)
    ) either order by key limit $4
)
select key, coalesce(n.url, p.url) as url, p.sha256 as before, n.sha256 as after,
       case when p.run_id is null then 'added' when n.run_id is null then 'removed'
            else 'changed' end as change
from keys
left join (select * from assets where run_id = $1 and key > $3) p using (key)
left join (select * from assets where run_id = $2 and key > $3) n using (key)
where p.sha256 is distinct from n.sha256
  and not exists (select from runs where id in ($1, $2) and collected_at is not null)
  and ($6::text is null or $6 = case when p.run_id is null then 'added'
                                     when n.run_id is null then 'removed' else 'changed' end)
order by key limit $5

-- difference_scanned_to --
select key from (
    (select key from assets where run_id = $1 and key > $3 order by key limit $4)
    union
    (select key from assets where run_id = $2 and key > $3 order by key limit $4)
) either order by key offset $4 - 1 limit 1

-- difference_counts --
-- Both whole snapshots, read once and joined by hash; no embedding is read, only its model.
with pairs as (
    select p.model as was, n.model,
           count(*) filter (where p.sha256 is null) as added,
           count(*) filter (where n.sha256 is null) as removed,
           count(*) filter (where p.sha256 <> n.sha256) as changed,
           count(*) filter (where p.sha256 = n.sha256) as kept
    from (select key, sha256, model from assets where run_id = $1) p
    full join (select key, sha256, model from assets where run_id = $2) n using (key)
    where not exists (select from runs where id in ($1, $2) and collected_at is not null)
    group by p.model, n.model
)
select coalesce(sum(added), 0)::bigint as added, coalesce(sum(removed), 0)::bigint as removed,
       coalesce(sum(changed), 0)::bigint as changed, coalesce(sum(kept), 0)::bigint as kept,
       coalesce(sum(added + changed + kept) filter (
           where model is not null
             and model not in (select was from pairs where was is not null)
       ), 0)::bigint as other_model
from pairs

-- brand_covers --
-- At most $2 pictures of each brand: see `SnapshotStore.covers`. Of a snapshot are looked at the
-- centres of its $2 largest clusters and its first $3 assets, whatever it has.
select b.name as brand, array(
    select key from (
        select distinct on (coalesce(m.duplicates, encode(a.sha256, 'hex'))) a.key, n.place
        from (
            select decode(central.text, 'hex') as key, central.place
            from (
                select centre.value #>> '{}' as text, centre.place
                from insights i, jsonb_array_elements(jsonb_path_query_array(
                    i.result, '$.clusters[0 to $end].representatives[0]',
                    jsonb_build_object('end', $2::integer - 1)
                )) with ordinality centre(value, place)
                where i.run_id = b.current_run and i.kind = 'clusters'
            ) central
            where central.text ~ '^([0-9a-f]{2})+$'
            union all
            select first.key, $2 + row_number() over (order by first.key)
            from (
                select key from assets where run_id = b.current_run order by key limit $3
            ) first
        ) n
        join assets a on a.run_id = b.current_run and a.key = n.key
        left join marks m on m.run_id = a.run_id and m.key = a.key
        where a.media_type like 'image/%'
        order by coalesce(m.duplicates, encode(a.sha256, 'hex')), n.place
    ) different
    order by place limit $2
) as keys
from brands b where b.name = any($1)
