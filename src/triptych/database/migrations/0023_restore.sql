-- Runs that publish an older snapshot again.

alter table runs
    drop constraint runs_kind_check,
    add constraint runs_kind_check check (kind in ('full', 'add', 'reembed', 'restore')),
    add column restores uuid;               -- the run whose snapshot it is
