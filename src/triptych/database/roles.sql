-- What the role of this connection may do.

-- rights_beyond --
-- Those that reach beyond its own schema; predefined roles and RDS' own, as far as they are there.
select current_user::text as role, array_remove(array[
    case when rolsuper then 'is a superuser' end,
    case when rolcreaterole then 'may create roles' end,
    case when rolcreatedb then 'may create databases' end,
    case when rolreplication then 'may replicate' end,
    case when rolbypassrls then 'passes row security' end] || array(
        select 'is a member of ' || rolname from pg_roles granted
        where rolname in ('rds_superuser', 'pg_execute_server_program', 'pg_read_server_files',
                          'pg_write_server_files')
          and not own.rolsuper and pg_has_role(own.oid, granted.oid, 'member')
        order by rolname), null) as rights
from pg_roles own where rolname = current_user
