"""Pages on Postgres. Each is a bounded range of an index; what a filter drops costs no more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import asyncpg

from triptych.adapters.postgres.reading import check_kept
from triptych.database.rows import brand_not_found, to_asset, to_brand, to_run
from triptych.database.session import Database
from triptych.errors import AssetNotFound
from triptych.model import Asset, Run, RunState
from triptych.ports import (
    Age,
    AssetFilter,
    DeadLetter,
    Difference,
    FailedItem,
    KeptLetter,
    Letters,
    Pace,
    PaceBucket,
    Scheduled,
    Slice,
)

BRANDS_SCAN = 2_000
ASSETS_SCAN = 10_000
DIFFERENCE_SCAN = 5_000
ITEMS_SCAN = 20_000
"""Rows that one page looks at, at most: then the page ends and the next one goes on there."""

PACE_SAMPLE = 5_000
"""Items of a run that its pace is told by, at most."""
PACE_BUCKETS = 120

NEWEST = Age(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))
LAST_ID = 2**63 - 1

T = TypeVar("T")


class PostgresBrowsing:
    """`triptych.ports.Browsing` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def brands_slice(
        self, *, after: str, name: str | None, state: RunState | None, limit: int
    ) -> Slice[Scheduled, str]:
        """See `triptych.ports.Browsing.brands_slice`."""
        wanted = state.value if state else None
        rows = await self._database.rows("brands_page", after, name, wanted, BRANDS_SCAN, limit + 1)
        page = [to_scheduled(row) for row in rows[:limit]]
        if len(rows) > limit:
            return Slice(page, page[-1].brand.name)
        if name is None and wanted is None:
            return Slice(page, None)
        end = await self._database.rows("brands_scanned_to", after, BRANDS_SCAN - 1)
        return Slice(page, end[0]["name"] if end else None)

    async def scheduled(self, name: str) -> Scheduled:
        """See `triptych.ports.Browsing.scheduled`."""
        rows = await self._database.rows("brand_page", name)
        if not rows:
            raise brand_not_found(name)
        return to_scheduled(rows[0])

    async def snapshot_of(self, brand: str) -> UUID | None:
        """See `triptych.ports.Browsing.snapshot_of`."""
        rows = await self._database.rows("current_run_of", brand)
        if not rows:
            raise brand_not_found(brand)
        run_id: UUID | None = rows[0]["current_run"]
        return run_id

    async def assets_slice(
        self, run_id: UUID, matching: AssetFilter, *, after: bytes, limit: int
    ) -> Slice[Asset, bytes]:
        """See `triptych.ports.Browsing.assets_slice`."""
        conditions, marks = own_conditions(matching), mark_conditions(matching)
        name = "assets_page"
        if any(condition is not None for condition in marks):
            name, conditions = "assets_page_marked", [*conditions, *marks]
        rows = await self._database.rows(name, run_id, after, ASSETS_SCAN, limit + 1, *conditions)
        if not rows:
            await check_kept(self._database, run_id)
        page = [to_asset(row) for row in rows[:limit]]
        if len(rows) > limit:
            return Slice(page, page[-1].key)
        if matching == AssetFilter():
            return Slice(page, None)
        end = await self._database.rows("assets_scanned_to", run_id, after, ASSETS_SCAN - 1)
        return Slice(page, end[0]["key"] if end else None)

    async def asset(self, brand: str, key: bytes, *, run_id: UUID | None = None) -> Asset:
        """See `triptych.ports.Browsing.asset`."""
        if run_id is None:
            rows = await self._database.rows("asset", brand, key)
        else:
            rows = await self._database.rows("asset_of_run", brand, key, run_id)
            if not rows:
                await check_kept(self._database, run_id)
        if not rows:
            raise no_such_asset(brand)
        return to_asset(rows[0])

    async def snapshots_slice(
        self, brand: str, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """See `triptych.ports.Browsing.snapshots_slice`."""
        since = before or NEWEST
        rows = await self._database.rows("snapshots_page", brand, since.at, since.id, limit + 1)
        return sliced(rows, limit, to_run, _age)

    async def difference_slice(
        self, old: UUID, new: UUID, *, change: str | None, after: bytes, limit: int
    ) -> Slice[Difference, bytes]:
        """See `triptych.ports.Browsing.difference_slice`."""
        rows = await self._database.rows(
            "difference_page", old, new, after, DIFFERENCE_SCAN, limit + 1, change
        )
        if not rows:
            for run_id in (old, new):
                await check_kept(self._database, run_id)
        page = [
            Difference(row["key"], row["url"], row["change"], row["before"], row["after"])
            for row in rows[:limit]
        ]
        if len(rows) > limit:
            return Slice(page, page[-1].key)
        end = await self._database.rows("difference_scanned_to", old, new, after, DIFFERENCE_SCAN)
        return Slice(page, end[0]["key"] if end else None)

    async def runs_slice(
        self, *, brand: str | None, state: RunState | None, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        """See `triptych.ports.Browsing.runs_slice`."""
        since = before or NEWEST
        args: list[object] = [since.at, since.id, limit + 1]
        if brand is not None:
            rows = await self._database.rows(
                "runs_page_of_brand", *args, brand, state.value if state else None
            )
        elif state is not None:
            rows = await self._database.rows("runs_page_in_state", *args, state.value)
        else:
            rows = await self._database.rows("runs_page", *args)
        return sliced(rows, limit, to_run, _age)

    async def failure_counts(self, run_id: UUID) -> Sequence[tuple[str, int]]:
        """See `triptych.ports.Browsing.failure_counts`."""
        rows = await self._database.rows("failure_counts", run_id)
        return [(row["reason"], row["n"]) for row in rows]

    async def failed_items(
        self, run_id: UUID, reason: str, *, after: int, limit: int
    ) -> Slice[FailedItem, int]:
        """See `triptych.ports.Browsing.failed_items`."""
        rows = await self._database.rows(
            "failed_items", run_id, after, ITEMS_SCAN, limit + 1, reason
        )
        page = [
            FailedItem(row["url"], row["detail"] or "", row["attempts"], row["settled_at"])
            for row in rows[:limit]
        ]
        if len(rows) > limit:
            return Slice(page, rows[limit - 1]["position"])
        end = await self._database.rows("items_scanned_to", run_id, after, ITEMS_SCAN - 1)
        return Slice(page, end[0]["position"] if end else None)

    async def pace(self, run_id: UUID) -> Pace:
        """See `triptych.ports.Browsing.pace`."""
        rows = await self._database.rows("run_pace", run_id, PACE_SAMPLE, PACE_BUCKETS)
        return Pace(
            width_s=rows[0]["width"] if rows else 0.0,
            each=rows[0]["step"] if rows else 1,
            buckets=[
                PaceBucket(row["at"], row["settled"], row["failed"], row["p50"], row["p95"])
                for row in rows
            ],
        )

    async def letters_slice(self, *, before: int | None, limit: int) -> Slice[KeptLetter, int]:
        """See `triptych.ports.Browsing.letters_slice`."""
        since = LAST_ID if before is None else before
        rows = await self._database.rows("dead_letters_page", since, limit + 1)
        return sliced(rows, limit, _to_letter, lambda row: int(row["id"]))

    async def letters_kept(self, *, limit: int) -> Letters:
        """See `triptych.ports.Browsing.letters_kept`."""
        (row,) = await self._database.rows("dead_letters_kept", limit)
        return Letters(row["waiting"], row["newest"])


P = TypeVar("P")


def sliced(
    rows: Sequence[asyncpg.Record],
    limit: int,
    read: Callable[[asyncpg.Record], T],
    position: Callable[[asyncpg.Record], P],
) -> Slice[T, P]:
    """Return up to ``limit`` rows; one more than that tells that the listing goes on."""
    return Slice(
        [read(row) for row in rows[:limit]],
        position(rows[limit - 1]) if len(rows) > limit else None,
    )


def to_scheduled(row: asyncpg.Record) -> Scheduled:
    """Read a row of ``brands`` that its newest run's row is joined to."""
    return Scheduled(to_brand(row), row["schedule"], row["due_at"])


def _age(row: asyncpg.Record) -> Age:
    return Age(row["created_at"], row["id"])


def _to_letter(row: asyncpg.Record) -> KeptLetter:
    letter = DeadLetter(
        row["queue"],
        row["message_id"],
        row["body"],
        row["headers"],
        row["reason"],
        row["run_id"],
    )
    return KeptLetter(row["id"], row["at"], letter, row["redriven_at"])


def own_conditions(matching: AssetFilter) -> list[object]:
    """Return what a filter asks of assets themselves, as the statements of pages take it."""
    kind = matching.media_type
    family = kind.removesuffix("*") if kind and kind.endswith("/*") else None
    near = matching.colour
    rgb = (
        [near.rgb >> 16, near.rgb >> 8 & 0xFF, near.rgb & 0xFF, near.within]
        if near
        else [None, None, None, None]
    )
    return [None if family else kind, family, matching.text, *rgb]


def mark_conditions(matching: AssetFilter) -> list[object]:
    """Return what a filter asks of assets' marks, as the statements take it behind the others."""
    return [
        matching.tag,
        matching.cluster,
        matching.duplicates,
        matching.duplicated,
        matching.look,
        matching.outlier,
    ]


def no_such_asset(brand: str) -> AssetNotFound:
    """Return the error of an asset that is not in its brand's snapshot."""
    return AssetNotFound(
        f"The snapshot of brand {brand!r} has no such asset.",
        remedy="List the brand's assets; one that a re-run dropped is in older snapshots.",
    )
