-- oldest compatible: 0029
-- long
-- A brand's history: what operators did, when its runs ended and when its snapshots were removed.

-- index_audit_by_brand --
create index concurrently if not exists audit_by_brand on audit (brand, at desc, id desc)
where brand is not null;

-- index_runs_by_end --
create index concurrently if not exists runs_by_end on runs (brand, ended_at desc, id desc)
where ended_at is not null;

-- index_runs_by_removal --
create index concurrently if not exists runs_by_removal on runs (brand, collected_at desc, id desc)
where collected_at is not null;

-- fill_audit_brands until none --
-- Of actions before `0042`.
update audit set brand = found.brand
from (select id, brand_of_target(target) as brand from audit
      where brand is null and brand_of_target(target) is not null limit 1000) found
where audit.id = found.id;
