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
