"""The stores of immediate reads on MongoDB: brands, their runs, and their maps."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import numpy as np
from pymongo import ASCENDING
from typing_extensions import override

from triptych.model import Run, RunState, Slice
from triptych.reads.mongo.brand_documents import MAP, read_run, read_shown
from triptych.reads.mongo.connection import MongoConnection, query_ms
from triptych.reads.mongo.documents import Document
from triptych.reads.mongo.mongo_facets import MongoFacetStore
from triptych.reads.mongo.mongo_filter import Stage, computed, contains, lowered
from triptych.reads.mongo.mongo_snapshots import MongoSnapshotReads
from triptych.reads.mongo.visible_editions import VisibleEditions
from triptych.reads.read_stores import BrandReads, MapReads, NotProjected, ReadStores, RunReads
from triptych.runs.brand_store import BRANDS_SCAN
from triptych.runs.run_shown import BrandShown
from triptych.snapshots.brand_map import POINTS_MAX, decode_map
from triptych.snapshots.search_store import Points


def mongo_read_stores(connection: MongoConnection) -> ReadStores:
    """Return the stores that read what was projected to a database."""
    return ReadStores(
        MongoBrandReads(connection),
        MongoRunReads(connection),
        MongoSnapshotReads(connection),
        MongoFacetStore(connection),
        MongoMapReads(connection),
    )


class MongoBrandReads(BrandReads):
    """`BrandReads` on MongoDB."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self._editions = VisibleEditions(connection)

    @override
    async def brands_slice(
        self,
        *,
        after: str,
        name: str | None,
        state: RunState | None,
        limit: int,
        among: frozenset[str] | None = None,
    ) -> Slice[BrandShown, str]:
        which: Document = {"$gt": after}
        if among is not None:
            which["$in"] = sorted(among)
        async with self._connection.reading():
            lowers = await self._editions.lowers()
            pipeline: list[Stage] = [
                {"$match": {"_id": which}},
                {"$sort": {"_id": ASCENDING}},
                {"$limit": BRANDS_SCAN},
            ]
            if state is not None:
                pipeline.append({"$match": {"state": state.value}})
            if name is not None:
                pipeline += computed("found", contains("$searched", lowered(name, lowers)))
            pipeline += [{"$limit": limit + 1}, {"$project": {"shown": 1}}]
            brands = self._connection.collection("brands")
            found = await (await brands.aggregate(pipeline, maxTimeMS=query_ms())).to_list()
            page = [read_shown(document) for document in found[:limit]]
            if len(found) > limit:
                return Slice(page, page[-1].name)
            if name is None and state is None:
                if not page and not after and among is None:
                    raise NotProjected  # More likely none was written yet than that there is none.
                return Slice(page, None)
            cursor = brands.find({"_id": which}, {"_id": 1}, max_time_ms=query_ms())
            end = await cursor.sort("_id", ASCENDING).skip(BRANDS_SCAN - 1).limit(1).to_list()
        return Slice(page, end[0]["_id"] if end else None)

    @override
    async def scheduled(self, name: str) -> BrandShown:
        async with self._connection.reading():
            document = await self._connection.collection("brands").find_one(
                {"_id": name}, {"shown": 1, "visible.run": 1}, max_time_ms=query_ms()
            )
        if document is None or "visible" not in document:
            raise NotProjected
        return read_shown(document)

    @override
    async def snapshot_of(self, brand: str) -> UUID | None:
        async with self._connection.reading():
            return (await self._editions.of_brand(brand)).edition.run


class MongoRunReads(RunReads):
    """`RunReads` on MongoDB, of the runs whose snapshots are read."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection

    @override
    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        wanted = {str(run_id) for run_id in run_ids}
        if not wanted:
            return []
        found = []
        async with self._connection.reading():
            documents = self._connection.collection("brands").find(
                {"visible.run": {"$in": sorted(wanted)}},
                {"visible.run": 1, "snapshots": 1},
                max_time_ms=query_ms(),
            )
            async for document in documents:
                shown = document["visible"]["run"]
                runs = (read_run(text) for text in document["snapshots"] if shown in text)
                found += [run for run in runs if str(run.id) == shown][:1]
        if len(found) < len(wanted):
            raise NotProjected
        return found


class MongoMapReads(MapReads):
    """`MapReads` on MongoDB."""

    def __init__(self, connection: MongoConnection) -> None:
        self._connection = connection
        self._editions = VisibleEditions(connection)

    @override
    async def mapped_at(self, run_id: UUID) -> datetime | None:
        async with self._connection.reading():
            return (await self._editions.of_run(run_id)).ai_at

    @override
    async def points(self, run_id: UUID, *, limit: int) -> Points:
        async with self._connection.reading():
            visible = await self._editions.of_run(run_id)
            if visible.map is None:
                raise NotProjected
            body = await self._editions.part(visible, MAP, visible.map)
        points = decode_map(body).points
        if len(points.keys) == POINTS_MAX and limit > POINTS_MAX:
            raise NotProjected
        return points if len(points.keys) <= limit else _first(points, limit)


def _first(points: Points, limit: int) -> Points:
    """Return the first points, with the names of their own clusters only."""
    clusters = points.clusters[:limit]
    used = np.unique(clusters[clusters >= 0])
    places = np.full(len(points.names) + 1, -1, np.int32)  # The last is for -1.
    places[used] = np.arange(len(used), dtype=np.int32)
    return Points(
        points.keys[:limit],
        points.x[:limit],
        points.y[:limit],
        places[clusters],
        [points.names[place] for place in used],
    )
