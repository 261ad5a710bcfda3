-- Uploads: files that somebody brought, to be read as lists.

-- count_uploads --
select count(*) from uploads

-- put_upload --
insert into uploads (id, object_key, name, size_bytes, sha256, uploaded_by)
values ($1, $2, $3, $4, $5, $6)
on conflict (id) do nothing
returning *

-- upload --
select u.*, array(
    select b.name from brands b
    where not b.deleting and b.source ^@ 'upload:'
      and split_part(substr(b.source, 8), '#', 1) = u.id::text
    order by b.name limit $2) as brands
from uploads u where u.id = $1

-- uploads_page --
-- One pass over the brands, however many uploads there are.
with used as (
    select split_part(substr(source, 8), '#', 1) as upload,
           (array_agg(name order by name))[:$5] as brands
    from brands where not deleting and source ^@ 'upload:' group by 1
)
select u.*, coalesce(used.brands, '{}') as brands
from uploads u left join used on used.upload = u.id::text
where (u.created_at, u.id) < ($1, $2) and ($3::text is null or u.uploaded_by = $3)
order by u.created_at desc, u.id desc limit $4

-- use_upload --
update uploads set used_at = clock_timestamp() where id = $1 returning *

-- lock_upload --
select object_key from uploads where id = $1 for update

-- upload_users --
-- The brand whose source it is; else one whose active run reads it.
select name, false as active from brands
where not deleting and source ^@ 'upload:'
  and split_part(substr(source, 8), '#', 1) = $1::uuid::text
union all
select brand, true from runs
where state = 'active' and source ^@ 'upload:'
  and split_part(substr(source, 8), '#', 1) = $1::uuid::text
order by active, name limit 1

-- drop_upload --
delete from uploads where id = $1

-- remove_unused_uploads --
delete from uploads where id in (
    select u.id from uploads u
    where u.used_at < clock_timestamp() - make_interval(secs => $1)
      and not exists (
          select from brands b
          where not b.deleting and b.source ^@ 'upload:'
            and split_part(substr(b.source, 8), '#', 1) = u.id::text)
      and not exists (
          select from runs r
          where r.state = 'active' and r.source ^@ 'upload:'
            and split_part(substr(r.source, 8), '#', 1) = u.id::text)
    order by u.used_at limit $2 for update skip locked)
returning object_key

-- named_uploads --
select object_key from uploads where object_key = any($1)
