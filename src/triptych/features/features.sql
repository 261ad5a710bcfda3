-- Features: what was computed from content, once for all brands and runs.

-- missing_features --
select content.sha256
from unnest($3::bytea[]) with ordinality as content(sha256, place)
where not exists (
    select from features f where f.sha256 = content.sha256 and f.kind = $1 and f.version = $2)
order by content.place

-- put_features --
-- In the order of the key, so that two workers with the same contents do not wait for each other.
insert into features (sha256, kind, version, result, error)
select found.sha256, $1, $2, found.result, found.error
from unnest($3::bytea[], $4::jsonb[], $5::text[]) as found(sha256, result, error)
order by found.sha256
on conflict do nothing

-- features_of --
select sha256, result, error from features
where sha256 = any($3) and kind = $1 and version = $2
