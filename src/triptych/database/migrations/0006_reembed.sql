-- Runs that embed a snapshot anew.

alter table runs
    drop constraint runs_kind_check,
    add constraint runs_kind_check check (kind in ('full', 'add', 'reembed'));
