-- API keys that end by themselves, and keys for a few brands.

alter table api_keys
    add column expires_at timestamptz,  -- null: never
    add column brands text[]            -- null: all brands
        check (cardinality(brands) between 1 and 100);
