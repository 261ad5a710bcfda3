-- Classes of an asset that are more than one expression. They stand in statements where these say
-- `:colour_names` and `:metadata_values`: as functions they would take twenty times as long.

-- colour_names --
-- Of `a.colours`: the names of those that cover at least a tenth of the picture, each once. By
-- spread and lightness where there is no clear hue, else by the hue, in degrees as in HSL (CSS Color
-- Module Level 4). Whole numbers only, so that every store says the same.
array(
    select distinct case
        when high - low <= 24 or (high - low) * 8 <= high then
            case when high >= 232 then 'white' when high <= 40 then 'black' else 'grey' end
        when high <= 40 then 'black'
        when hue < 15 or hue >= 345 then case when low >= 140 then 'pink' else 'red' end
        when hue < 45 then case when high <= 165 then 'brown' else 'orange' end
        when hue < 70 then 'yellow'
        when hue < 165 then 'green'
        when hue < 200 then 'teal'
        when hue < 260 then 'blue'
        when hue < 300 then 'purple'
        else 'pink' end
    from (
        select high, low, case
            when high = low then 0
            when high = red then (360 + 60 * (green - blue) / (high - low)) % 360
            when high = green then 120 + 60 * (blue - red) / (high - low)
            else 240 + 60 * (red - green) / (high - low) end as hue
        from (
            select red, green, blue, greatest(red, green, blue) as high,
                   least(red, green, blue) as low
            from (
                select get_byte(rgb, 0) as red, get_byte(rgb, 1) as green, get_byte(rgb, 2) as blue
                from (
                    select decode(substr(entry ->> 0, 2), 'hex') as rgb
                    from jsonb_array_elements(a.colours) entry
                    where (entry -> 1)::double precision >= 0.1
                    offset 0
                ) bytes
                offset 0
            ) parts
            offset 0
        ) extremes
        offset 0
    ) hues
)

-- metadata_values --
-- Of `:entry`, a metadata column: texts, numbers and truth values of at most 200 characters, each
-- once; of a list, its entries.
array(
    select distinct value #>> '{}'
    from jsonb_path_query(:entry, 'lax $[*]') value
    where jsonb_typeof(value) in ('string', 'number', 'boolean')
      and btrim(value #>> '{}') <> '' and length(value #>> '{}') <= 200
)
