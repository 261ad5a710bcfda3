-- What is to be projected, how far it is, and who does it.

-- projection_lowers --
-- Which letters this database knows the lower case of.
select lower('É') = 'é' as unicode

-- last_target --
select target from projections order by noted_at desc limit 1

-- forget_targets --
-- Databases that nobody has written to for long: another one has taken their place.
delete from projections where target <> $1 and noted_at < clock_timestamp() - interval '7 days'

-- want_editions --
-- Only rows that differ are written. A brand that is gone stays until nothing is left of it there.
with now_is as (
    select b.name, c.id as run,
           (extract(epoch from c.ended_at) * 1000000)::bigint as committed,
           case when c.id is not null
                then coalesce((extract(epoch from i.at) * 1000000)::bigint, 0) end as ai,
           coalesce(c.added, 0) + coalesce(c.kept, 0) + coalesce(c.changed, 0) as assets,
           greatest(c.ended_at, i.at) as since
    from brands b
    left join runs c on c.id = b.current_run
    left join lateral (select max(created_at) as at from insights where run_id = c.id) i on true
), differing as (
    select coalesce(n.name, p.brand) as brand, n.run, n.committed, n.ai, n.assets,
           coalesce(n.since, clock_timestamp()) as since, n.name is null as gone
    from now_is n
    full join (select * from projections where target = $1) p on p.brand = n.name
    where n.run is distinct from p.wanted_run or n.ai is distinct from p.wanted_ai
       or (n.name is null) is distinct from coalesce(p.gone, false)
)
insert into projections (target, brand, wanted_run, wanted_committed, wanted_ai, assets, since, gone)
select $1, brand, run, committed, ai, coalesce(assets, 0), since, gone from differing
order by brand
on conflict (target, brand) do update
set wanted_run = excluded.wanted_run, wanted_committed = excluded.wanted_committed,
    wanted_ai = excluded.wanted_ai, assets = excluded.assets, gone = excluded.gone,
    since = case when projections.behind then projections.since else excluded.since end,
    written_to = '', written = 0, noted_at = clock_timestamp()

-- claim_projection --
-- One of the longest behind, at random: workers that ask at one moment would all get the first.
with free as (
    select brand from projections
    where target = $1 and (behind or (older and shown_at < clock_timestamp() - make_interval(secs => $4)))
      and (leased_until is null or leased_until < clock_timestamp())
    order by not behind, since limit 16
), one as (
    select p.brand from projections p join free on free.brand = p.brand
    where p.target = $1
    order by random() limit 1
    for update of p skip locked
)
update projections p
set holder = $2, leased_until = clock_timestamp() + make_interval(secs => $3),
    noted_at = clock_timestamp()
from one
where p.target = $1 and p.brand = one.brand
  and (p.leased_until is null or p.leased_until < clock_timestamp())
returning p.*

-- edition_page --
select a.key, a.run_id, a.brand, a.url, a.sha256, a.object_key, a.media_type, a.size_bytes,
       a.width, a.height, a.phash, a.colours, a.model, a.metadata, a.also,
       to_char(a.first_seen at time zone 'UTC', 'YYYY-MM-DD') as first_seen,
       array[lower(a.url), lower(a.metadata::text)] as searched,
       m.cluster, m.duplicates, m.tags, m.look, m.x, m.y, m.outlier, m.more
from (
    select * from assets where run_id = $1 and key > $2 order by key limit $3
) a
left join marks m on m.run_id = a.run_id and m.key = a.key
order by a.key

-- is_newest_edition --
-- Editions only follow each other: if it is the newest now, it was when something was read before.
select exists (
    select from brands where name = $1 and current_run = $2
      and coalesce((
          select (extract(epoch from max(created_at)) * 1000000)::bigint from insights
          where run_id = $2
      ), 0) = $3
) as newest

-- advance_projection --
update projections
set written_to = $6, written = $7, noted_at = clock_timestamp(),
    leased_until = clock_timestamp() + make_interval(secs => $8)
where target = $1 and brand = $2 and holder = $3 and leased_until > clock_timestamp()
  and wanted_run = $4 and wanted_ai = $5
returning brand

-- projection_shown --
update projections
set shown_run = $4, shown_committed = $5, shown_ai = $6, shown_at = clock_timestamp(),
    older = true, holder = null, leased_until = null
where target = $1 and brand = $2 and holder = $3

-- release_projection --
update projections set holder = null, leased_until = null
where target = $1 and brand = $2 and holder = $3

-- older_dropped --
update projections set older = false, holder = null, leased_until = null
where target = $1 and brand = $2 and holder = $3 and not behind

-- brand_forgotten --
-- Its document is written again, without a snapshot, if the brand is still there.
update projections
set shown_run = null, shown_committed = null, shown_ai = null, shown_at = null, shown_version = 0,
    written_to = '', written = 0, older = false, holder = null, leased_until = null
where target = $1 and brand = $2 and holder = $3

-- drop_gone_projection --
delete from projections where target = $1 and brand = $2 and gone and wanted_run is null

-- changed_brands --
-- Those that have changed since $2, or all, whose document is older than they are.
with candidates as (
    select name from brands where $2::timestamptz is null or changed_at > $2
    union
    select brand from runs where changed_at > $2
)
select name, version from (
    select c.name, (
        select (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
        from brands b
        left join lateral (
            select max(changed_at) as changed_at from (
                select changed_at from runs where brand = b.name
                order by created_at desc, id desc limit 2
            ) newest
        ) n on true
        where b.name = c.name
    ) as version
    from candidates c
) each
where version > coalesce((
    select shown_version from projections where target = $1 and brand = each.name
), 0)
order by name limit $3

-- clock --
select clock_timestamp() as now

-- brand_rows --
-- As `brand_page`, of those named $1.
select b.name as brand_name, b.source as brand_source, b.schedule, b.due_at, b.current_run,
       coalesce(c.added + c.kept + c.changed, 0) as assets, lower(b.name) as searched,
       (extract(epoch from greatest(b.changed_at, n.changed_at)) * 1000000)::bigint
           as brand_version,
       l.*
from brands b
left join runs c on c.id = b.current_run
left join lateral (
    select * from runs where brand = b.name order by created_at desc, id desc limit 1
) l on true
left join lateral (
    select max(changed_at) as changed_at from (
        select changed_at from runs where brand = b.name order by created_at desc, id desc limit 2
    ) newest
) n on true
where b.name = any($1)
order by b.name collate "C"

-- brand_snapshots --
select s.*
from unnest($1::text[]) named(brand), lateral (
    select * from runs
    where brand = named.brand and state = 'committed' and collected_at is null
    order by created_at desc, id desc limit $2
) s
order by s.created_at desc, s.id desc

-- note_brands --
insert into projections (target, brand, shown_version)
select $1, brand, version from unnest($2::text[], $3::bigint[]) as t(brand, version) order by brand
on conflict (target, brand) do update
set shown_version = greatest(projections.shown_version, excluded.shown_version),
    noted_at = clock_timestamp()

-- projections_behind --
-- By what is committed, not by what was noted of it: a worker may be away. What is shown of a run
-- that is gone is hidden, too: its brand was deleted, and made again. How a brand is shown counts
-- only if it has not been for $2 seconds: it changes all the time, and is followed within one.
with stale as (
    select name, max(changed_at) as at
    from (
        select name, changed_at from brands
        union all
        select brand, changed_at from runs
    ) changes
    where changed_at > coalesce((select at from turns where name = 'projector'), '-infinity')
      and changed_at < clock_timestamp() - make_interval(secs => $2)
    group by name
), lagging as (
    select coalesce(n.name, p.brand) as brand,
           n.run is null or (p.shown_run is not null
               and not exists (select from runs where id = p.shown_run)) as hidden,
           case when n.run is null then clock_timestamp()
                when p.shown_run is null then coalesce(p.since, n.ended_at)
                when n.run is distinct from p.shown_run then n.ended_at else n.ai_at end as since
    from (
        select b.name, c.id as run, c.ended_at, i.at as ai_at,
               case when c.id is not null
                    then coalesce((extract(epoch from i.at) * 1000000)::bigint, 0) end as ai
        from brands b
        left join runs c on c.id = b.current_run
        left join lateral (select max(created_at) as at from insights where run_id = c.id) i on true
    ) n
    full join (select * from projections where target = $1) p on p.brand = n.name
    where n.run is distinct from p.shown_run or n.ai is distinct from p.shown_ai
    union all
    select s.name, false, s.at
    from stale s left join projections p on p.target = $1 and p.brand = s.name
    where (extract(epoch from s.at) * 1000000)::bigint > coalesce(p.shown_version, 0)
)
select brand, bool_or(hidden) as hidden,
       max(greatest(0, extract(epoch from clock_timestamp() - since)))::double precision as seconds
from lagging group by brand

-- projection_states --
select coalesce(n.name, p.brand) as brand, p.shown_run, n.run as wanted_run, p.shown_at,
       coalesce(p.written, 0) as written, coalesce(n.assets, 0) as assets,
       case when n.run is distinct from p.shown_run or n.ai is distinct from p.shown_ai then
           greatest(0, extract(epoch from clock_timestamp() - case
               when n.run is null then clock_timestamp()
               when p.shown_run is null then coalesce(p.since, n.ended_at)
               when n.run is distinct from p.shown_run then n.ended_at else n.ai_at end))
       else 0 end::double precision as behind_s
from (
    select b.name, c.id as run, c.ended_at, i.at as ai_at,
           coalesce(c.added, 0) + coalesce(c.kept, 0) + coalesce(c.changed, 0) as assets,
           case when c.id is not null
                then coalesce((extract(epoch from i.at) * 1000000)::bigint, 0) end as ai
    from brands b
    left join runs c on c.id = b.current_run
    left join lateral (select max(created_at) as at from insights where run_id = c.id) i on true
) n
full join (select * from projections where target = $1) p on p.brand = n.name
where coalesce(n.name, p.brand) collate "C" > $2
order by coalesce(n.name, p.brand) collate "C" limit $3

-- rebuild_projections --
-- What is read stays; what is wanted is written again, as if none of it were there.
update projections
set shown_run = null, shown_committed = null, shown_ai = null, shown_version = 0,
    written_to = '', written = 0, since = clock_timestamp(), holder = null, leased_until = null
where target = $1 and ($2::text is null or brand = $2)
returning brand

-- shown_editions --
select brand, shown_run, shown_committed, shown_ai from projections
where target = $1 and shown_run is not null

-- unknown_brands --
-- Of the names $2, those that neither the catalogue has nor anything was recorded of.
select name from unnest($2::text[]) as shown(name)
where not exists (select from brands b where b.name = shown.name)
  and not exists (select from projections p where p.target = $1 and p.brand = shown.name)

-- mistaken_projections --
-- Brands that the target shows otherwise than was recorded: they are written again.
update projections
set shown_run = null, shown_committed = null, shown_ai = null, shown_version = 0,
    written_to = '', written = 0, since = clock_timestamp(), holder = null, leased_until = null
where target = $1 and brand = any($2)
