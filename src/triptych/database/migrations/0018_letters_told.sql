-- A word about dead letters, for who shows how many wait; and what counts them.

create index dead_letters_waiting on dead_letters (id) where redriven_at is null;

create function letters_notify() returns trigger language plpgsql as $$
begin
    perform pg_notify('triptych_queues', 'dead_letters');
    return null;
end
$$;

create trigger letters_notify after insert or update or delete on dead_letters
    for each statement execute function letters_notify();
