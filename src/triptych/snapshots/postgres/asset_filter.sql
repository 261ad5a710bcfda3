-- The conditions of an `AssetFilter` on an asset `a` and its marks `m`. `:1` and so on are the
-- condition's own values; `:colour_names` and `:metadata_values` are in `asset_classes.sql`.

-- asset_media_type --
a.media_type = :1::text

-- asset_media_family --
starts_with(a.media_type, :1::text)

-- asset_text --
(strpos(lower(a.url), lower(:1::text)) > 0 or strpos(lower(a.metadata::text), lower(:1::text)) > 0)

-- asset_colour --
near_colour(a.colours, :1::integer, :2::integer, :3::integer, :4::double precision)

-- asset_colour_name --
:1::text = any(:colour_names)

-- asset_shape --
asset_shape(a.width, a.height) = :1::text

-- asset_size --
asset_size(a.width, a.height) = :1::text

-- asset_first_seen --
starts_with(to_char(a.first_seen at time zone 'UTC', 'YYYY-MM-DD'), :1::text)

-- asset_column_value --
:metadata_values && :2::text[]

-- asset_column_number --
exists (
    select from unnest(:metadata_values) value
    where number_in(value) >= :2::double precision and number_in(value) < :3::double precision
)

-- asset_column_day --
exists (
    select from unnest(:metadata_values) value
    where starts_with(day_in(value), :2::text)
)

-- asset_tag --
:1::text = any(m.tags)

-- asset_cluster --
m.cluster = :1::text

-- asset_duplicates --
m.duplicates = :1::text

-- asset_duplicated --
(m.duplicates is not null) = :1::boolean

-- asset_look --
m.look = :1::text

-- asset_outlier --
m.outlier >= :1::real
