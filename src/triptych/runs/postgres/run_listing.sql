-- Listings of runs, the newest first. Each is a walk along one index that ends with the page.

-- runs_listed --
-- A walk for each state ($4), so that a rare one is not looked for among all others.
select listed.* from unnest($4::text[]) as wanted(state), lateral (
    select * from runs
    where runs.state = wanted.state and (created_at, id) < ($1, $2) and created_at >= $6
      and ($5::text[] is null or kind = any($5)) and (not $7 or stalled or runs.state <> 'active')
    order by created_at desc, id desc limit $3
) listed
order by listed.created_at desc, listed.id desc limit $3

-- runs_listed_of_brand --
select * from runs
where brand = $8 and state = any($4) and (created_at, id) < ($1, $2) and created_at >= $6
  and ($5::text[] is null or kind = any($5)) and (not $7 or stalled or state <> 'active')
order by created_at desc, id desc limit $3
