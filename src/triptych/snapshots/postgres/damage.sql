-- Objects that are known to be damaged, and all rows that name objects.

-- note_damage --
-- Found again, it is as old as the newest time: an object that was put meanwhile was damaged since.
insert into damaged_objects (object_key) select unnest($1::text[])
on conflict (object_key) do update set found_at = excluded.found_at

-- noted_damage --
select object_key from damaged_objects where object_key = any($1)

-- forget_damage --
delete from damaged_objects where object_key = any($1)

-- count_damage --
select count(*) as count from damaged_objects

-- stored_rows_table --
create temporary table stored_rows (
    object_key text collate "C" not null, brand text collate "C" not null,
    url text collate "C" not null, size_bytes bigint not null, media_type text not null
)

-- stored_rows_fill --
insert into stored_rows
select object_key, brand, url, size_bytes, min(media_type) from (
    select a.object_key, r.brand, a.url, a.size_bytes, a.media_type
    from assets a join runs r on r.id = a.run_id
    where $1::text[] is null or r.brand = any($1)
    union all
    select s.object_key, r.brand, i.url, s.size_bytes, s.media_type
    from staged s join runs r on r.id = s.run_id join items i on i.run_id = s.run_id and i.key = s.key
    where $1::text[] is null or r.brand = any($1)
) named
group by object_key, brand, url, size_bytes

-- stored_rows_index --
create index on stored_rows (object_key, brand, url, size_bytes)

-- stored_rows_page --
select s.*, b.source
from (
    select * from stored_rows
    where (object_key, brand, url, size_bytes) > ($1, $2, $3, $4) and object_key < $5
    order by object_key, brand, url, size_bytes limit $6
) s left join brands b on b.name = s.brand
order by s.object_key, s.brand, s.url, s.size_bytes

-- objects_waiting --
select object_key from unused_objects where object_key = any($1) and deleted_at is null

-- objects_named --
select object_key from assets where object_key = any($1)
union select object_key from staged where object_key = any($1)
