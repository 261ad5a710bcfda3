-- oldest compatible: 0029
-- long
-- Lists of brands are in order of bytes, as MongoDB's are, whatever the database's collation.

-- index_brands_by_name --
create index concurrently if not exists brands_by_name on brands (name collate "C")
