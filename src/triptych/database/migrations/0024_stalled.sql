-- Runs of which nothing moves.

alter table runs add column stalled boolean not null default false;
create index runs_stalled on runs (created_at desc, id desc) where stalled;

-- When an item's last attempt was counted, and until when it was then put off. Settling writes
-- neither, so it stays HOT. sent_at is not enough: sending an item again moves it, too.
alter table items add column tried_at timestamptz, add column due_at timestamptz;
create index items_by_due on items (run_id, due_at) where due_at is not null;

-- Progress, a pause and the end take the note away. A trigger, so that no statement can forget.
create or replace function run_changed() returns trigger language plpgsql as $$
begin
    new.version := old.version + 1;
    new.changed_at := clock_timestamp();
    if new.paused or new.state <> 'active' or new.progressed_at is distinct from old.progressed_at
    then
        new.stalled := false;
    end if;
    return new;
end
$$;
