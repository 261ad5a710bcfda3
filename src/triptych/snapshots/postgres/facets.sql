-- Assets counted by their properties. `:facets` are arrays of texts, one a facet, called f0, f1 …

-- facet_runs --
select current_run as run_id from brands
where current_run is not null and ($1::text[] is null or name = any($1)) order by name

-- facet_sizes --
-- As the answers about snapshots count their assets.
select coalesce(sum(least(size, $2)), 0)::bigint as looked_at, coalesce(sum(size), 0)::bigint as assets
from (
    select coalesce(added, 0) + coalesce(kept, 0) + coalesce(changed, 0) as size
    from runs where id = any($1)
) sizes

-- facet_columns --
select name, count(*) as assets
from (
    select metadata from unnest($1::uuid[]) run(id)
    cross join lateral (select metadata from assets where run_id = run.id order by key limit $2) a
    limit $2
) sample cross join lateral jsonb_object_keys(metadata) name
group by name order by assets desc, name collate "C" limit $3

-- facet_matched --
with matched as materialized (
    select :facets
    from unnest($1::uuid[]) run(id)
    cross join lateral (
        select * from assets
        where run_id = run.id and (select collected_at from runs where id = run.id) is null
        order by key limit $2
    ) a
    left join marks m on m.run_id = a.run_id and m.key = a.key
    where :matching
)

-- facet_total --
select -1 as facet, null::text as value, count(*) as assets, null::bigint as distinct_values,
       null::bigint as without, null::bigint as total, null::bigint as numbers,
       null::bigint as days, null::double precision as low, null::double precision as high,
       null::bigint as months, null::bigint as different_days
from matched

-- facet_tally --
(
    select :number as facet, null::text as value, 0 as assets, count(*) as distinct_values,
           (select count(*) from matched where coalesce(cardinality(f:number), 0) = 0) as without,
           coalesce(sum(n), 0)::bigint as total,
           coalesce(sum(n) filter (where number_in(value) is not null), 0)::bigint as numbers,
           coalesce(sum(n) filter (where day_in(value) is not null), 0)::bigint as days,
           min(number_in(value)) as low, max(number_in(value)) as high,
           count(distinct left(day_in(value), 7)) as months,
           count(distinct day_in(value)) as different_days
    from (select value, count(*) as n from matched, unnest(f:number) value group by value) counted
)

-- facet_values --
-- The most frequent first; `distinct_values` is how many are left from here on.
(
    select :number, value, n, count(*) over (), null, null, null, null, null, null, null, null
    from (select value, count(*) as n from matched, unnest(f:number) value group by value) counted
    where $3::bigint is null or n < $3 or (n = $3 and value collate "C" > $4::text)
    order by n desc, value collate "C" limit $5
)

-- facet_numbers --
select floor(number_in(value) / $3::double precision)::bigint as bucket, count(*) as assets,
       count(*) over () as buckets
from matched, unnest(f0) value where number_in(value) is not null
group by bucket order by bucket limit $4

-- facet_days --
select left(day_in(value), $3::integer) as bucket, count(*) as assets, count(*) over () as buckets
from matched, unnest(f0) value where day_in(value) is not null
group by bucket order by bucket desc limit $4

-- facet_media_type --
array[a.media_type]

-- facet_tag --
m.tags

-- facet_cluster --
array_remove(array[m.cluster], null)

-- facet_look --
array_remove(array[m.look], null)

-- facet_colour --
:colour_names

-- facet_size --
array_remove(array[asset_size(a.width, a.height)], null)

-- facet_shape --
array_remove(array[asset_shape(a.width, a.height)], null)

-- facet_duplicated --
array[(m.duplicates is not null)::text]

-- facet_first_seen --
array_remove(array[to_char(a.first_seen at time zone 'UTC', 'YYYY-MM-DD')], null)

-- facet_column --
:metadata_values
