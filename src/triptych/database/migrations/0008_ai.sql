-- What the AI phase says of single assets, and how far it is.

alter table runs add column ai_progress jsonb not null default '{}';

create table marks (
    run_id     uuid not null,
    key        bytea not null,
    cluster    text,
    duplicates text,
    tags       text[],
    look       text,
    x          real,
    y          real,
    outlier    real,
    more       jsonb,                       -- what steps of other people's say
    primary key (run_id, key)
);

create index marks_by_cluster on marks (run_id, cluster) where cluster is not null;
create index marks_by_duplicates on marks (run_id, duplicates) where duplicates is not null;

create table vectors (
    run_id    uuid not null,
    key       bytea not null,
    model     text not null,                -- names the space
    embedding halfvec not null,
    primary key (run_id, model, key)
) with (toast_tuple_target = 8160);
