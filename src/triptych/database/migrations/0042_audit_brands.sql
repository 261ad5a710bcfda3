-- oldest compatible: 0029
-- Which brand an operator's action is about, so that a brand's history has it.

alter table audit add column brand text;
-- Null: it is about no brand, or about a run that is deleted.

create function brand_of_target(target text) returns text language plpgsql stable as $$
begin
    if target like 'brand:%' then
        return substr(target, 7);
    elsif target ~ '^(run|snapshot):[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then
        return (select r.brand from runs r where r.id = split_part(target, ':', 2)::uuid);
    end if;
    return null;
end
$$;

create function audit_brand() returns trigger language plpgsql as $$
begin
    new.brand := brand_of_target(new.target);
    return new;
end
$$;

-- A trigger, so that actions that older servers note have it, too.
create trigger audit_brand before insert on audit
    for each row execute function audit_brand();
