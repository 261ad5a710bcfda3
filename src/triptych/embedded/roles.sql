-- The roles of an embedded cluster, and who owns what. Safe to repeat; one transaction.
-- ADMIN is the superuser that initdb made, whatever it was called; ROLE is the application's.

do $roles$
declare
    superuser constant name := (select rolname from pg_authid where oid = 10);
    app constant name := '{ROLE}';
    admin constant name := '{ADMIN}';
    what text;
    names text;
begin
    if superuser <> admin then
        -- A session cannot rename its own role.
        create role triptych_renaming superuser;
        set session authorization triptych_renaming;
        execute format('alter role %I rename to %I', superuser, admin);
        execute format('set session authorization %I', admin);
        drop role triptych_renaming;
    end if;
    execute format('alter role %I nologin', admin);
    if to_regrole(quote_ident(app)) is null then
        execute format('create role %I', app);
    end if;
    execute format('alter role %I login nosuperuser nocreatedb nocreaterole noreplication '
                   'nobypassrls', app);
    -- Forces nothing to disk that would not be written anyway.
    execute format('grant pg_checkpoint to %I', app);
    execute format('alter database %I owner to %I', current_database(), app);
    -- Not a trusted extension: only a superuser can create it.
    create extension if not exists vector schema public;

    for what, names in
        with extension_members as (
            select classid, objid from pg_depend where deptype = 'e'
        ), own_schemas as (
            select oid, nspname, nspowner from pg_namespace
            where nspname !~ '^pg_' and nspname <> 'information_schema'
        )
        select 'schema', format('%I', nspname) from own_schemas
        where nspowner = 10
          and ('pg_namespace'::regclass, oid) not in (select classid, objid from extension_members)
        union all
        -- ALTER TABLE takes views, sequences and materialised views, too. Indexes, row types and
        -- sequences of a column follow their table.
        select 'table', c.oid::regclass::text from pg_class c
        where c.relowner = 10 and c.relkind in ('r', 'p', 'v', 'm', 'S', 'f')
          and c.relnamespace in (select oid from own_schemas)
          and ('pg_class'::regclass, c.oid) not in (select classid, objid from extension_members)
          and not exists (select from pg_depend d
                          where d.classid = 'pg_class'::regclass and d.objid = c.oid
                            and c.relkind = 'S' and d.deptype in ('a', 'i'))
        union all
        select 'routine', p.oid::regprocedure::text from pg_proc p
        where p.proowner = 10 and p.pronamespace in (select oid from own_schemas)
          and ('pg_proc'::regclass, p.oid) not in (select classid, objid from extension_members)
        union all
        -- Arrays and multiranges follow their type.
        select 'type', t.oid::regtype::text from pg_type t left join pg_class c on c.oid = t.typrelid
        where t.typowner = 10 and t.typnamespace in (select oid from own_schemas)
          and (c.relkind is null or c.relkind = 'c') and t.typtype <> 'm'
          and ('pg_type'::regclass, t.oid) not in (select classid, objid from extension_members)
          and not exists (select from pg_type element where element.typarray = t.oid)
    loop
        execute format('alter %s %s owner to %I', what, names, app);
    end loop;
end
$roles$
