-- Runs that would remove much of a brand's snapshot are held for an operator.

alter table runs drop constraint runs_state_check;
alter table runs add constraint runs_state_check
    check (state in ('active', 'held', 'committed', 'failed', 'cancelled'));
alter table runs add column max_removed double precision not null default 0.5;
create index runs_held on runs (brand) where state = 'held';
