"""What every adapter must do for pictures: those that a run acquires, those that show a brand."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from uuid import uuid4

import numpy as np

from tests.support.contracts.stores_contract import (
    LIMIT,
    CommonStores,
    committed,
    done,
    failed,
    new_items,
    open_run,
)
from triptych.ai.ai_store import Marks
from triptych.model import Insight, Item, ItemResult, Run
from triptych.snapshots.snapshot_store import COVERS_MAX, COVERS_SCAN


def typed(item: Item, media_type: str, content: str = "same") -> ItemResult:
    result = done(item, content)
    assert result.staged is not None
    return replace(result, staged=replace(result.staged, media_type=media_type))


def copied(item: Item) -> ItemResult:
    """Return the same bytes for whatever item."""
    result = done(item)
    assert result.staged is not None
    digest = hashlib.sha256(b"copy").digest()
    return replace(
        result,
        staged=replace(result.staged, sha256=digest, object_key=f"sha256/{digest.hex()}"),
    )


async def commit_results(stores: CommonStores, results: Mapping[int, str]) -> Run:
    """Commit as many items; those in ``results`` have that type, or are ``copy``."""
    run_id = (await open_run(stores)).run.id
    items = await stores.runs.expect(run_id, new_items(len(results)), cursor=None, limit=LIMIT)
    await stores.runs.seal(run_id)
    given = [
        copied(item) if results[place] == "copy" else typed(item, results[place])
        for place, item in enumerate(sorted(items, key=lambda item: item.key))
    ]
    await stores.runs.settle(run_id, given, limit=LIMIT)
    return await stores.runs.commit(run_id)


async def describe(
    stores: CommonStores, run: Run, centres: Sequence[bytes], duplicates: Mapping[bytes, str]
) -> None:
    """Publish what the AI phase says of a snapshot's clusters and duplicates."""
    clusters = [
        {"id": f"c{n}", "size": 3, "representatives": [key.hex()]} for n, key in enumerate(centres)
    ]
    keys = np.frombuffer(b"".join(duplicates), np.uint8).reshape(-1, 16)
    marks = Marks(keys, {"duplicates": list(duplicates.values())})
    assert await stores.ai.begin_ai(run.brand, run.id)
    insights = [Insight("clusters", {"clusters": clusters}, seconds=0.1)]
    assert await stores.ai.finish_ai(run.id, insights, marks=marks)


class PicturesContract:
    """Both are found by a bounded amount of work, in a known order."""

    async def test_the_newest_pictures_of_a_run_come_first_until_it_commits(
        self, stores: CommonStores
    ) -> None:
        run_id = (await open_run(stores)).run.id
        items = await stores.runs.expect(run_id, new_items(6), cursor=None, limit=LIMIT)
        assert list(await stores.pictures.newest(run_id, after=None, limit=9)) == []
        await stores.runs.settle(run_id, [done(items[0]), done(items[1])], limit=LIMIT)
        first = await stores.pictures.newest(run_id, after=None, limit=9)
        later = [done(items[2]), failed(items[3]), typed(items[4], "video/mp4")]
        await stores.runs.settle(run_id, later, limit=LIMIT)
        found = await stores.pictures.newest(run_id, after=None, limit=9)
        assert {one.key for one in first} == {items[0].key, items[1].key}
        assert [one.key for one in found] == [items[2].key, *(one.key for one in first)]
        assert found[0].sha256 == await stores.pictures.content(run_id, items[2].key)
        assert (found[0].url, found[0].width, found[0].height) == (items[2].url, 4, 3)
        newer = await stores.pictures.newest(run_id, after=first[0].acquired_at, limit=9)
        assert [one.key for one in newer] == [items[2].key]
        assert len(await stores.pictures.newest(run_id, after=None, limit=1)) == 1
        for absent in (items[3].key, items[5].key, b"k" * 16):
            assert await stores.pictures.content(run_id, absent) is None
        await stores.runs.seal(run_id)
        await stores.runs.settle(run_id, [done(items[5])], limit=LIMIT)
        await stores.runs.commit(run_id)
        assert list(await stores.pictures.newest(run_id, after=None, limit=9)) == []
        assert await stores.pictures.content(run_id, items[2].key) == found[0].sha256
        assert list(await stores.pictures.newest(uuid4(), after=None, limit=9)) == []
        assert await stores.pictures.content(uuid4(), items[2].key) is None

    async def test_covers_are_the_first_pictures_none_of_them_twice(
        self, stores: CommonStores
    ) -> None:
        kinds = ["copy", "text/html", "copy", *["image/png"] * 4]
        run = await commit_results(stores, dict(enumerate(kinds)))
        assets = await stores.snapshots.assets(run.id, after=None, limit=9)
        keys = [asset.key for asset in assets]
        covers = (await stores.snapshots.covers(["nike", "gone"]))["nike"]
        assert list(covers) == [keys[0], *keys[3:6]]
        assert len(covers) == COVERS_MAX
        await open_run(stores, "adidas")
        found = await stores.snapshots.covers(["adidas", "gone"])
        assert {name: list(keys) for name, keys in found.items()} == {"adidas": []}
        assert await stores.snapshots.covers([]) == {}

    async def test_covers_are_typical_once_the_ai_phase_has_looked(
        self, stores: CommonStores
    ) -> None:
        run = await committed(stores, COVERS_SCAN + 6)
        assets = await stores.snapshots.assets(run.id, after=None, limit=LIMIT)
        keys = [asset.key for asset in assets]
        centres = [keys[-1], keys[-2], b"k" * 16]
        await describe(stores, run, centres, {keys[-1]: "a", keys[-2]: "a", keys[0]: "b"})
        covers = (await stores.snapshots.covers(["nike"]))["nike"]
        assert list(covers) == [keys[-1], *keys[:3]], "one of each group of duplicates"
