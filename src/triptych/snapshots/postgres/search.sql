-- Search by vector, and the entries that are searched across brands. `:matching` is the condition
-- of the filter, whose values come after the statement's own.

-- search_limits --
-- For one transaction. Plans are made for the filters that are set; an index scan by distance
-- continues until enough entries pass them, in order.
select set_config('statement_timeout', $1, true),
       set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('hnsw.iterative_scan', 'strict_order', true),
       set_config('hnsw.ef_search', $2, true),
       set_config('hnsw.max_scan_tuples', $3, true),
       -- The planner estimates one row after the joins, and would rather sort everything.
       set_config('enable_sort', $4, true),
       set_config('enable_hashjoin', $4, true),
       set_config('enable_mergejoin', $4, true)

-- nearest_in_snapshot --
-- Exact. The distance is measured before anything else of a row is read. Rows of another model
-- are never compared: the condition comes before the distance.
select found.similarity, found.duplicates, a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type,
       a.size_bytes, a.width, a.height, a.phash, a.colours, a.model, a.metadata
from (
    select a.key, m.duplicates, -(a.embedding <#> $3) as similarity
    from assets a left join marks m on m.run_id = a.run_id and m.key = a.key
    where a.run_id = $1 and a.model = $2 and a.embedding is not null
      and ($4::bytea is null or a.key <> $4)
      and :matching
    order by a.embedding <#> $3, a.key limit $5
) found
join assets a on a.run_id = $1 and a.key = found.key
where (select collected_at from runs where id = $1) is null
order by found.similarity desc, a.key

-- nearest_anywhere --
-- `:space` and `:dimension` are whole numbers from this code: an index is of one dimension, and
-- found by its condition. `:exactly` is empty, or keeps the index from providing the order. An
-- entry counts only as long as the brand's snapshot has the same content.
select -(s.embedding::halfvec(:dimension) <#> $1::halfvec(:dimension)) as similarity,
       m.duplicates,
       a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type,
       a.size_bytes, a.width, a.height, a.phash, a.colours, a.model, a.metadata
from searchable s
join brands b on b.name = s.brand
join assets a on a.run_id = b.current_run and a.key = s.key
left join marks m on m.run_id = a.run_id and m.key = a.key
where s.space = :space and a.sha256 = s.sha256 and a.model = $2
  and ($3::text is null or s.brand <> $3 or s.key <> $4::bytea)
  and :matching
order by (s.embedding::halfvec(:dimension) <#> $1::halfvec(:dimension)):exactly limit $5

-- with_words --
-- There is no index of words: each asset is looked at once, cheaply ($4, the needles), and only
-- those with a needle have their metadata taken apart, whose names do not count. $3 says of which
-- word each needle is, $7 and $8 of which features the text in the pictures is.
with looked as materialized (
    select a.run_id, a.key, m.tags, m.duplicates, texts.own, texts.seen, a.metadata
    from brands b
    join assets a on a.run_id = b.current_run
    left join marks m on m.run_id = a.run_id and m.key = a.key
    left join features f on f.sha256 = a.sha256 and f.kind = $7 and f.version = $8
    cross join lateral (
        select lower(concat_ws(' ', a.brand, array_to_string(m.tags, ' '),
            substring(split_part(split_part(a.url, '#', 1), '?', 1) from '[^/]*$'))) as own,
            lower(a.metadata::text) as about,
            lower(jsonb_path_query_array(f.result, '$.lines[*].text')::text) as seen
    ) texts
    where ($1::uuid is null or a.run_id = $1)
      and :matching
      and exists (select from unnest($4::text[]) needle
                  where strpos(texts.own, needle) > 0 or strpos(texts.about, needle) > 0
                     or strpos(texts.seen, needle) > 0)
), counted as (
    select looked.*, (
        select count(distinct word) from unnest($3::integer[], $4::text[]) as n(word, needle)
        where strpos(own, needle) > 0 or strpos(told.about, needle) > 0
           or strpos(seen, needle) > 0
    ) as words
    from looked cross join lateral (
        select lower(string_agg(value #>> '{}', ' ')) as about
        from jsonb_path_query(metadata, '$.**') value
        where jsonb_typeof(value) in ('string', 'number')
    ) told
)
select found.words, found.tags, found.duplicates,
       (select string_agg(line ->> 'text', E'\n') from features f,
               jsonb_array_elements(f.result -> 'lines') line
        where f.sha256 = a.sha256 and f.kind = $7 and f.version = $8) as seen,
       case when a.model = $2 then -(a.embedding <#> $6::halfvec) end as similarity,
       a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type,
       a.size_bytes, a.width, a.height, a.phash, a.colours, a.model, a.metadata
from counted found join assets a on a.run_id = found.run_id and a.key = found.key
where found.words > 0
order by found.words desc, similarity desc nulls last, a.brand, a.key limit $5

-- embedding_of --
select a.model, a.embedding
from brands b join assets a on a.run_id = b.current_run and a.key = $2
where b.name = $1

-- embedding_of_run --
select model, embedding from assets
where run_id = $3 and key = $2 and brand = $1
  and (select collected_at from runs where id = $3) is null

-- models_of --
-- Run only if nothing was found: it reads the snapshot.
select model, count(*) as assets from assets
where run_id = $1 and embedding is not null and model is not null
group by model order by assets desc, model

-- space_of --
select id, dimension from spaces where model = $1

-- all_spaces --
select model from spaces order by model

-- unindexed_brands --
select count(*) as brands
from brands b left join search_progress p on p.brand = b.name and p.run_id = b.current_run
where b.current_run is not null and p.done is not true

-- index_lag --
-- Brands and their progress are small rows; runs are read of the brands that are behind.
select count(*) as brands,
       coalesce(extract(epoch from clock_timestamp() - min(r.ended_at)), 0)::float8 as seconds
from brands b
left join search_progress p on p.brand = b.name and p.run_id = b.current_run and p.done
left join runs r on r.id = b.current_run
where b.current_run is not null and p.brand is null

-- one_indexer --
-- One at a time; the lock ends with the transaction, also with one that dies.
select pg_try_advisory_xact_lock($1) as mine

-- next_to_index --
-- The brands that were served the longest ago: a large one holds up no small one. A brand without a
-- snapshot has its entries removed. All brands are read for it, so that one look serves many.
select brand, run_id, after from (
    select b.name as brand, b.current_run as run_id, p.at,
           case when p.run_id = b.current_run then p.after else '' end as after
    from brands b left join search_progress p on p.brand = b.name
    where b.current_run is not null and (p.run_id is distinct from b.current_run or not p.done)
    union all
    select p.brand, null, p.at, ''::bytea
    from search_progress p left join brands b on b.name = p.brand
    where b.current_run is null
) behind
order by at nulls first, brand limit $1

-- models_to_index --
select distinct model, vector_dims(embedding) as dimension
from (select model, embedding from assets where run_id = $1 and key > $2 order by key limit $3) page
where model is not null and embedding is not null
order by model, dimension

-- add_space --
insert into spaces (model, dimension) values ($1, $2) returning id

-- page_to_index --
-- Its last key and how many assets it has.
-- Not by max(), which knows bytea only since Postgres 18.
select (array_agg(key order by key desc))[1] as last, count(*) as assets
from (select key from assets where run_id = $1 and key > $2 order by key limit $3) page

-- index_page --
-- Unchanged entries are skipped: inserting a vector costs a hundred times as much as seeing that
-- it is there.
insert into searchable (brand, key, space, sha256, embedding)
select $1, a.key, s.id, a.sha256, a.embedding
from (select * from assets where run_id = $2 and key > $3 order by key limit $4) a
join spaces s on s.model = a.model and s.dimension = vector_dims(a.embedding)
where not exists (
    select from searchable e
    where e.brand = $1 and e.key = a.key and e.space = s.id and e.sha256 = a.sha256
)
order by a.key
on conflict (brand, key) do update
set space = excluded.space, sha256 = excluded.sha256, embedding = excluded.embedding

-- unindex_page --
-- Of the same range of keys, or of all keys after it.
delete from searchable e
where e.brand = $1 and e.key > $3 and ($4::bytea is null or e.key <= $4)
  and not exists (
    select from assets a join spaces s on s.model = a.model
    where a.run_id = $2 and a.key = e.key and a.sha256 = e.sha256 and s.id = e.space
)

-- unindex_brand --
with gone as (
    delete from searchable where ctid = any(array(
        select ctid from searchable where brand = $1 limit $2))
    returning 1
)
select count(*) as removed from gone

-- note_indexed --
insert into search_progress (brand, run_id, after, done, at)
values ($1, $2, coalesce($3, ''::bytea), $3 is null, clock_timestamp())
on conflict (brand) do update
set run_id = excluded.run_id, after = excluded.after, done = excluded.done, at = excluded.at

-- forget_indexed --
delete from search_progress where brand = $1

-- index_space --
create index if not exists searchable_in_:space on searchable
using hnsw ((embedding::halfvec(:dimension)) halfvec_ip_ops) where space = :space

-- mapped_at --
select max(created_at) as at from insights where run_id = $1

-- points --
-- One row with all points, which is sent unchanged.
with placed as (
    select key, x, y, cluster from marks
    where run_id = $1 and x is not null and y is not null order by key limit $2
), numbered as (
    select key, x, y, case when cluster is null then -1
        else dense_rank() over (order by cluster collate "C" nulls last)::integer - 1 end as cluster
    from placed
)
select string_agg(key, ''::bytea order by key) as keys,
       string_agg(float4send(x), ''::bytea order by key) as x,
       string_agg(float4send(y), ''::bytea order by key) as y,
       string_agg(int4send(cluster), ''::bytea order by key) as clusters,
       array(select distinct cluster collate "C" from placed where cluster is not null
             order by 1) as names
from numbered

-- sample --
select key, sha256, model, phash, embedding
from (select * from assets where run_id = $1 order by key limit $3) scanned
where embedding is not null and model is not null order by key limit $2

-- centres --
-- The mean of what `sample` reads, as single-precision numbers; only the means leave the database.
select run.id as run_id, means.*
from unnest($1::uuid[]) as run(id), lateral (
    select model, count(*) as embeddings, avg(embedding::vector)::real[] as centre
    from (
        select model, embedding
        from (select * from assets where run_id = run.id order by key limit $3) scanned
        where embedding is not null and model is not null order by key limit $2
    ) sampled
    group by model, vector_dims(embedding)
) means

-- snapshots_besides --
select name, current_run, count(*) over () as total
from brands where current_run is not null and name <> $1
order by name limit $2

-- shared --
with one as (
    select distinct on (sha256) sha256, key from assets where run_id = $1 order by sha256, key
), other as (
    select distinct on (sha256) sha256, key from assets where run_id = $2 order by sha256, key
)
select count(*) over () as shared, one.key as one, other.key as other
from one join other using (sha256) order by one.key limit $3
