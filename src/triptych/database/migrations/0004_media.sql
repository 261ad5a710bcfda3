-- Dominant colours; and media that are no pictures, which have neither size in pixels nor hash.

alter table staged
    alter column width drop not null,
    alter column height drop not null,
    alter column phash drop not null,
    add column colours jsonb not null default '[]';     -- [["#rrggbb", share], …]

alter table assets
    alter column width drop not null,
    alter column height drop not null,
    alter column phash drop not null,
    add column colours jsonb not null default '[]';
