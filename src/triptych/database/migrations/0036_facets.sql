-- What assets are counted by. Each classification has its definition here; `docs/glossary.md` has
-- the words.

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

-- The everyday name of a colour: by lightness and saturation where it has no hue, else by hue.
-- HSL as in CSS Color Module Level 4; whole numbers only, so that every database says the same.
create function colour_name(red integer, green integer, blue integer) returns text
language sql immutable parallel safe as $$
    select case
        when high - low <= 24 or (high - low) * 8 <= high then
            case when high >= 232 then 'white' when high <= 40 then 'black' else 'grey' end
        when high <= 40 then 'black'
        else case
            when hue < 15 or hue >= 345 then
                case when low >= 140 then 'pink' else 'red' end
            when hue < 45 then case when high <= 165 then 'brown' else 'orange' end
            when hue < 70 then 'yellow'
            when hue < 165 then 'green'
            when hue < 200 then 'teal'
            when hue < 260 then 'blue'
            when hue < 300 then 'purple'
            else 'pink' end
        end
    from (select greatest(red, green, blue) as high, least(red, green, blue) as low) extremes,
    lateral (
        select case
            when high = low then 0
            when high = red then (360 + 60 * (green - blue) / (high - low)) % 360
            when high = green then 120 + 60 * (blue - red) / (high - low)
            else 240 + 60 * (red - green) / (high - low) end as hue
    ) circle
$$;

-- The names of the colours that cover at least a tenth of a picture, each once.
create function colour_names(colours jsonb) returns text[]
language sql immutable parallel safe as $$
    select array(
        select distinct colour_name(('x' || substr(entry ->> 0, 2, 2))::bit(8)::integer,
                                    ('x' || substr(entry ->> 0, 4, 2))::bit(8)::integer,
                                    ('x' || substr(entry ->> 0, 6, 2))::bit(8)::integer) as name
        from jsonb_array_elements(coalesce(colours, '[]'::jsonb)) entry
        where (entry ->> 1)::double precision >= 0.1
        order by name
    )
$$;

-- The countable values of a metadata column: texts, numbers and truth values of at most 200
-- characters, each once; of a list, its entries.
create function metadata_values(entry jsonb) returns text[]
language sql immutable parallel safe as $$
    select array(
        select distinct value #>> '{}' as text
        from jsonb_path_query(entry, 'lax $[*]') value
        where jsonb_typeof(value) in ('string', 'number', 'boolean')
          and btrim(value #>> '{}') <> '' and length(value #>> '{}') <= 200
        order by text
    )
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
