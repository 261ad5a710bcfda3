-- oldest compatible: 0029
-- What assets are counted by; `snapshots/postgres/asset_classes.sql` has what is no function, because
-- a call of one would cost more than its work.

alter table assets add column first_seen timestamptz;
-- When its brand's snapshot first had its URL; null for those of before this migration.

create function asset_shape(width integer, height integer) returns text
language sql immutable parallel safe as $$
    select case when width is null or height is null then null
                when width::bigint >= 2 * height::bigint then 'panorama'
                when height::bigint >= 2 * width::bigint then 'tall'
                when 10 * width::bigint > 11 * height::bigint then 'landscape'
                when 10 * height::bigint > 11 * width::bigint then 'portrait'
                else 'square' end
$$;

create function asset_size(width integer, height integer) returns text
language sql immutable parallel safe as $$
    select case when width is null or height is null then null
                when greatest(width, height) < 256 then 'icon'
                when greatest(width, height) < 640 then 'small'
                when greatest(width, height) < 1280 then 'medium'
                when greatest(width, height) < 2560 then 'large'
                else 'huge' end
$$;

-- A text as a number, where it is written as one.
create function number_in(value text) returns double precision
language sql immutable parallel safe as $$
    select case when value ~ '^[+-]?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})([eE][+-]?[0-9]{1,2})?$'
                then value::double precision end
$$;

-- The day that a text begins with, where it is written as in ISO 8601.
create function day_in(value text) returns text
language sql immutable parallel safe as $$
    select case when value ~ '^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])([T ].*)?$'
                then left(value, 10) end
$$;
