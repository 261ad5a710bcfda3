"""Notes of damaged objects: made once, and removed when the object has been stored again."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.support.contracts.retention_contract import condemned, emptied, put
from tests.support.contracts.stores_contract import LIMIT, committed, done, new_items, open_run
from triptych.database.session import Database
from triptych.wiring.stores import Stores, postgres_stores


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    opened = postgres_stores(Database(migrated_dsn), run_cap_s=3600)
    yield opened
    await opened.close()


async def test_what_is_noted_is_noted_once(stores: Stores) -> None:
    assert await stores.damage.noted(["a"]) == frozenset()
    await stores.damage.note(["a", "b", "a"])
    await stores.damage.note(["b"])
    assert await stores.damage.noted(["a", "b", "c"]) == {"a", "b"}
    assert await stores.damage.count() == 2
    await stores.damage.forget(["a", "c"])
    assert await stores.damage.noted(["a", "b"]) == {"b"}


async def test_settling_what_was_put_since_removes_the_note(stores: Stores) -> None:
    run = (await open_run(stores)).run
    items = await stores.runs.expect(run.id, new_items(3), cursor=None, limit=LIMIT)
    results = [done(item) for item in items]
    keys = [result.staged.object_key for result in results if result.staged is not None]
    await stores.damage.note(keys)
    kept, before, since = results
    # One that was kept was not put; the second was put before the damage was found.
    batch = [kept, put(before, 3600), put(since)]
    await stores.runs.settle(run.id, batch, limit=LIMIT)
    assert await stores.damage.noted(keys) == set(keys[:2])


async def test_an_object_that_is_deleted_needs_no_note(stores: Stores) -> None:
    await committed(stores, content="old")
    await committed(stores, content="new")
    await stores.retention.collect_snapshots(keep=1, min_age_s=0)
    await emptied(stores)
    unused = await condemned(stores)
    await stores.damage.note([*unused, "another"])
    await stores.retention.objects_deleted(unused)
    assert await stores.damage.noted([*unused, "another"]) == {"another"}
