"""Features on a database that was not migrated yet: none are kept, and none are computed."""

from __future__ import annotations

import pytest

from triptych.database.session import Database
from triptych.errors import SearchUnavailable
from triptych.features.picture_text import TEXT
from triptych.features.postgres_features import PostgresFeatureStore
from triptych.snapshots.postgres.postgres_search import PostgresSearchStore
from triptych.snapshots.search_store import Words

pytestmark = pytest.mark.integration

CONTENT = bytes(32)


async def test_before_the_migration_nothing_is_missing_and_words_are_not_searched(
    migrated_dsn: str,
) -> None:
    database = Database(migrated_dsn)
    store = PostgresFeatureStore(database)
    assert await store.missing(TEXT, [CONTENT]) == [CONTENT]
    async with database.connection() as connection:
        await connection.execute("drop table features")
    assert await store.missing(TEXT, [CONTENT]) == []
    assert await store.read(TEXT, [CONTENT]) == {}
    search = PostgresSearchStore(database)
    with pytest.raises(SearchUnavailable, match="features") as refused:
        await search.with_words(None, Words([["shoe"]], None, None, limit=5, deadline_s=5))
    assert "triptych migrate" in (refused.value.remedy or "")
    await database.close()
