"""Pages of editions from MongoDB: bounded ranges of an index, as on Postgres."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from pymongo import ASCENDING
from typing_extensions import override

from triptych.model import KEY_BYTES, MARKS, Age, Asset, Insight, Metadata, Run, Slice
from triptych.reads.mongo.brand_documents import (
    INSIGHTS,
    Visible,
    decode_insights,
    read_covers,
    read_run,
)
from triptych.reads.mongo.connection import MongoConnection, query_ms
from triptych.reads.mongo.documents import (
    KEYS,
    LISTED_WITHOUT,
    OTHER_MARKS,
    Document,
    read_asset,
    read_marks,
)
from triptych.reads.mongo.mongo_filter import Stage, filter_stages
from triptych.reads.mongo.visible_editions import VisibleEditions
from triptych.reads.read_stores import NotProjected, SnapshotReads
from triptych.snapshots.snapshot_store import ASSETS_SCAN, AssetFilter, no_such_asset

_LISTED = dict.fromkeys((*LISTED_WITHOUT, "near", "found"), 0)
_MARKS = dict.fromkeys(
    ("edition", "key", *MARKS, OTHER_MARKS, "exact", "exact_parts", "changed"), 1
)


class MongoSnapshotReads(SnapshotReads):
    """`SnapshotReads` on MongoDB."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self._editions = VisibleEditions(connection)

    @override
    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        async with self._connection.reading():
            visible = await self._editions.of_run(run_id)
            if matching == AssetFilter():
                documents = await self._first(visible, after, limit + 1)
                end = None
            else:
                documents, end = await self._matching(visible, matching, after, limit + 1)
            page = documents[:limit]
            exact = await self._editions.exact(page)
            await self._editions.still([visible])
        assets = [read_asset(*each) for each in zip(page, exact, strict=True)]
        if len(documents) > limit:
            return Slice(assets, assets[-1].key)
        return Slice(assets, None if end is None else bytes.fromhex(end))

    async def _first(self, visible: Visible, after: bytes, count: int) -> list[Document]:
        """Return the first documents after a key.

        Keys are evenly spread, so it is known where so many end, but for chance: a server that
        sorts before it counts then sorts a few. If chance has it, the rest of them is asked for.
        """
        found: list[Document] = []
        for bound in _bounds(visible, after, count):
            cursor = self._connection.collection("assets").find(
                _between(visible, after, bound), _LISTED, max_time_ms=query_ms()
            )
            found = await cursor.sort("key", ASCENDING).limit(count).to_list()
            if len(found) == count:
                break
        return found

    async def _matching(
        self, visible: Visible, matching: AssetFilter, after: bytes, count: int
    ) -> tuple[list[Document], str | None]:
        """Return the first that match among `ASSETS_SCAN` documents after a key.

        If they are fewer than ``count``, also the key of the last that was looked at, if there may
        be more after it.
        """
        lowers = "ascii" if matching.text is None else await self._editions.lowers()
        stages = filter_stages(matching, lowers)
        found: list[Document] = []
        for bound in _bounds(visible, after, ASSETS_SCAN):
            pipeline: list[Stage] = [
                {"$match": _between(visible, after, bound)},
                {"$sort": {"key": ASCENDING}},
                {"$limit": ASSETS_SCAN},
                *stages,
                {"$limit": count},
                {"$project": _LISTED},
            ]
            assets = self._connection.collection("assets")
            found = await (await assets.aggregate(pipeline, maxTimeMS=query_ms())).to_list()
            if len(found) == count:
                break
            end = await self._key_at(_between(visible, after, bound), ASSETS_SCAN - 1)
            if end is not None:
                return found, end
        return found, None

    async def _key_at(self, which: Document, place: int) -> str | None:
        cursor = self._connection.collection("assets").find(
            which, {"key": 1, "_id": 0}, max_time_ms=query_ms()
        )
        found = await cursor.sort("key", ASCENDING).skip(place).limit(1).to_list()
        return found[0]["key"] if found else None

    @override
    async def asset_and_marks(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[Asset, Metadata]:
        async with self._connection.reading():
            visible = await self._editions.of_brand(brand)
            if run_id is not None and run_id != visible.edition.run:
                raise NotProjected
            document = await self._connection.collection("assets").find_one(
                {"edition": visible.edition.name, "key": key.hex()}, max_time_ms=query_ms()
            )
            if document is None:
                await self._editions.still([visible])
                raise no_such_asset(brand)
            (exact,) = await self._editions.exact([document])
        return read_asset(document, exact), read_marks(document, exact)

    @override
    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        async with self._connection.reading():
            visible = await self._editions.of_run(run_id)
            which = {"edition": visible.edition.name, "key": {"$in": [key.hex() for key in keys]}}
            assets = self._connection.collection("assets")
            documents: list[Mapping[str, Any]] = [
                each async for each in assets.find(which, _MARKS, max_time_ms=query_ms())
            ]
            exact = await self._editions.exact(documents)
            await self._editions.still([visible])
        found = {
            bytes.fromhex(document["key"]): read_marks(document, own)
            for document, own in zip(documents, exact, strict=True)
        }
        return {key: marks for key, marks in found.items() if marks}

    @override
    async def covers(self, brands: Sequence[str]) -> dict[str, Sequence[bytes]]:
        async with self._connection.reading():
            documents = self._connection.collection("brands").find(
                {"_id": {"$in": list(brands)}}, {"visible.covers": 1}, max_time_ms=query_ms()
            )
            return {each["_id"]: read_covers(each) async for each in documents}

    @override
    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        async with self._connection.reading():
            document = await self._connection.collection("brands").find_one(
                {"_id": brand}, {"snapshots": 1, "more": 1, "visible.run": 1}
            )
        if document is None or "visible" not in document:
            raise NotProjected
        runs = [read_run(text) for text in document["snapshots"]]
        if before is not None:
            runs = [run for run in runs if (run.created_at, run.id) < (before.at, before.id)]
        if len(runs) > limit:
            last = runs[limit - 1]
            return Slice(runs[:limit], Age(last.created_at, last.id))
        if document["more"]:
            raise NotProjected
        return Slice(runs, None)

    @override
    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        async with self._connection.reading():
            visible = await self._editions.of_run(run_id)
            body = await self._editions.part(visible, INSIGHTS, visible.insights)
        return decode_insights(body)


def _between(visible: Visible, after: bytes, bound: str | None) -> Document:
    keys = {"$gt": after.hex()}
    if bound is not None:
        keys["$lte"] = bound
    return {"edition": visible.edition.name, "key": keys}


def _bounds(visible: Visible, after: bytes, count: int) -> Sequence[str | None]:
    """Return the key that ``count`` assets after a key hardly ever reach, then None: no bound."""
    most = count + 6 * math.sqrt(count) + 10
    if most >= visible.assets:
        return [None]
    start = int.from_bytes(after[:KEY_BYTES].ljust(KEY_BYTES, b"\x00"), "big")
    end = start + int(KEYS * (most / visible.assets))
    return [None] if end >= KEYS else [end.to_bytes(KEY_BYTES, "big").hex(), None]
