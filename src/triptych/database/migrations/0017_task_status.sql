-- A word about tasks, for who waits for the end of one.

create function task_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_tasks', new.id::text);
    return null;
end
$$;

create trigger task_notify after update of state, result on tasks
    for each row when (new.state <> 'claimed') execute function task_notify();
