-- Sources of which a part is sealed: `READABLE?sealed=REF`.

-- known_refs --
select ref from sealed_sources where brand = $1 and ref = any($2)

-- keep_sealed --
insert into sealed_sources (brand, ref, sealed) values ($1, $2, $3)
on conflict (brand, ref) do nothing

-- drop_unused_sealed --
delete from sealed_sources s
where brand = $1
  and not exists (
      select from brands
      where name = $1 and s.ref in (right(source, 32), right(source_before, 32))
  )
  and not exists (select from runs r where r.brand = $1 and right(r.source, 32) = s.ref)

-- sealed_source --
select sealed from sealed_sources where brand = $1 and ref = $2

-- written_sources --
-- Those that may have something to seal, sealed or not.
select brand, source from runs where source ~ '[@?#=;&]|\s'
union
select name, source from brands where source ~ '[@?#=;&]|\s'
union
select name, source_before from brands where source_before ~ '[@?#=;&]|\s'

-- sources_of_other_keys --
select brand, ref, sealed from sealed_sources where substring(sealed from 2 for 4) <> $1
order by brand, ref

-- replace_source --
with of_runs as (
    update runs set source = $3 where brand = $1 and source = $2
)
update brands set
    source = case when source = $2 then $3 else source end,
    source_before = case when source_before = $2 then $3 else source_before end
where name = $1 and $2 in (source, source_before)

-- replace_ref --
with of_runs as (
    update runs set source = left(source, -32) || $3 where brand = $1 and right(source, 32) = $2
), of_brands as (
    update brands set
        source = case when right(source, 32) = $2 then left(source, -32) || $3 else source end,
        source_before = case
            when right(source_before, 32) = $2 then left(source_before, -32) || $3
            else source_before
        end
    where name = $1 and $2 in (right(source, 32), right(source_before, 32))
)
delete from sealed_sources where brand = $1 and ref = $2

-- keys_of_sources --
select distinct substring(sealed from 2 for 4) as id from sealed_sources
