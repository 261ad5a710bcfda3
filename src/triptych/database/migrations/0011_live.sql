-- What live status needs: when a brand itself changed, and a word about brands, and about runs
-- that are deleted.

alter table brands add column changed_at timestamptz not null default clock_timestamp();

create function brand_changed() returns trigger language plpgsql as $$
begin
    new.changed_at := clock_timestamp();
    return new;
end
$$;

create trigger brand_changed before update on brands
    for each row execute function brand_changed();

create function brand_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_brands', case when tg_op = 'DELETE' then old.name else new.name end);
    return null;
end
$$;

create trigger brand_notify after insert or update or delete on brands
    for each row execute function brand_notify();

create function run_gone() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_runs', old.id::text);
    return null;
end
$$;

create trigger run_gone after delete on runs
    for each row execute function run_gone();
