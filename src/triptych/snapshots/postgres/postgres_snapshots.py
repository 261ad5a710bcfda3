"""Committed snapshots on Postgres: pages are bounded ranges of an index, whatever the filter."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID

from typing_extensions import override

from triptych.database.paging import NEWEST, age_of, sliced
from triptych.database.rows import to_asset, to_insight, to_marks, to_run, to_staged
from triptych.database.session import Database
from triptych.database.statements import statements
from triptych.errors import RunNotFound
from triptych.model import Age, Asset, Insight, Metadata, Run, Slice, Staged
from triptych.runs.restore_rules import snapshot_collected
from triptych.snapshots.postgres.asset_filter import condition
from triptych.snapshots.snapshot_store import (
    ASSETS_SCAN,
    COVERS_MAX,
    COVERS_SCAN,
    AssetFilter,
    Difference,
    DifferenceCounts,
    SnapshotStore,
    no_such_asset,
)

DIFFERENCE_SCAN = 5_000


class PostgresSnapshotStore(SnapshotStore):
    """`SnapshotStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def known_assets(self, brand: str, keys: Sequence[bytes]) -> dict[bytes, Staged]:
        rows = await self._database.rows("known_assets", brand, list(keys))
        return {row["key"]: to_staged(row) for row in rows}

    @override
    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        rows = await self._database.rows("assets_after", run_id, after, limit)
        if not rows:
            await check_kept(self._database, run_id)
        return [to_asset(row) for row in rows]

    @override
    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Asset]:
        rows = await self._database.rows("assets_by_key", run_id, list(keys))
        return {row["key"]: to_asset(row) for row in rows}

    @override
    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        # Pages, not a cursor: a snapshot never changes, so no transaction has to stay open.
        after: bytes | None = None
        while page := await self.assets(run_id, after=after, limit=batch):
            yield page
            after = page[-1].key

    @override
    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        where = condition(matching, after=4)
        sql = statements()["assets_page_marked" if where.of_marks else "assets_page"]
        rows = await self._database.fetch(
            where.within(sql), run_id, after, ASSETS_SCAN, limit + 1, *where.values
        )
        if not rows:
            await check_kept(self._database, run_id)
        page = [to_asset(row) for row in rows[:limit]]
        if len(rows) > limit:
            return Slice(page, page[-1].key)
        if matching == AssetFilter():
            return Slice(page, None)
        end = await self._database.rows("assets_scanned_to", run_id, after, ASSETS_SCAN - 1)
        return Slice(page, end[0]["key"] if end else None)

    @override
    async def asset(self, brand: str, key: bytes, *, run_id: UUID | None = None) -> Asset:
        if run_id is None:
            rows = await self._database.rows("asset", brand, key)
        else:
            rows = await self._database.rows("asset_of_run", brand, key, run_id)
            if not rows:
                await check_kept(self._database, run_id)
        if not rows:
            raise no_such_asset(brand)
        return to_asset(rows[0])

    @override
    async def asset_and_marks(
        self, brand: str, key: bytes, *, run_id: UUID | None = None
    ) -> tuple[Asset, Metadata]:
        if run_id is not None:
            found = await self.asset(brand, key, run_id=run_id)
            return found, (await self.marks(run_id, [key])).get(key, {})
        # One statement: this is one of the two most frequent reads.
        rows = await self._database.rows("asset_and_marks", brand, key)
        if not rows:
            raise no_such_asset(brand)
        return to_asset(rows[0]), to_marks(rows[0])

    @override
    async def covers(self, brands: Sequence[str]) -> dict[str, Sequence[bytes]]:
        rows = await self._database.rows("brand_covers", list(brands), COVERS_MAX, COVERS_SCAN)
        return {row["brand"]: row["keys"] for row in rows}

    @override
    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        since = before or NEWEST
        rows = await self._database.rows("snapshots_page", brand, since.at, since.id, limit + 1)
        return sliced(rows, limit, to_run, age_of)

    @override
    async def difference_slice(
        self, brand: str, old: UUID, new: UUID, *, change: str | None, after: bytes, limit: int
    ) -> Slice[Difference, bytes]:
        rows = await self._database.rows(
            "difference_page", old, new, after, DIFFERENCE_SCAN, limit + 1, change
        )
        if not rows:
            for run_id in (old, new):
                await check_kept(self._database, run_id)
        page = [
            Difference.of(brand, row["key"], row["url"], row["before"], row["after"])
            for row in rows[:limit]
        ]
        if len(rows) > limit:
            return Slice(page, page[-1].key)
        end = await self._database.rows("difference_scanned_to", old, new, after, DIFFERENCE_SCAN)
        return Slice(page, end[0]["key"] if end else None)

    @override
    async def difference_counts(self, old: UUID, new: UUID) -> DifferenceCounts:
        (row,) = await self._database.rows("difference_counts", old, new)
        counts = DifferenceCounts(*row.values())
        if not any(row.values()):
            for run_id in (old, new):
                await check_kept(self._database, run_id)
        return counts

    @override
    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        rows = await self._database.rows("insights", run_id)
        return [to_insight(row) for row in rows]

    @override
    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        rows = await self._database.rows("marks_by_key", run_id, list(keys))
        return {row["key"]: to_marks(row) for row in rows}


async def check_kept(database: Database, run_id: UUID) -> None:
    """Raise `RunNotFound` or `SnapshotCollected` unless a run's rows can be read."""
    rows = await database.rows("is_collected", run_id)
    if not rows:
        raise RunNotFound(f"There is no run {run_id}.")
    if rows[0]["collected"]:
        raise snapshot_collected(run_id)
