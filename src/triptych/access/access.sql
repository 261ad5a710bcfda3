-- API keys and what API servers share.

-- insert_key --
insert into api_keys (name, scope, digest, expires_at, brands) values ($1, $2, $3, $4, $5)
on conflict do nothing
returning *

-- live_keys --
select * from api_keys where revoked_at is null order by name limit $1

-- keys --
select * from api_keys order by name

-- revoke_key --
update api_keys set revoked_at = clock_timestamp() where name = $1 and revoked_at is null
returning *

-- secret --
select value from secrets where name = $1
