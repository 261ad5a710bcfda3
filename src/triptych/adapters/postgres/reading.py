"""What readers ask of Postgres. Nothing here locks."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import groupby
from uuid import UUID

from triptych.adapters.postgres.feed import PostgresFeed
from triptych.database.rows import (
    brand_not_found,
    to_asset,
    to_brand,
    to_event,
    to_insight,
    to_item,
    to_marks,
    to_run,
    to_staged,
)
from triptych.database.session import Database
from triptych.errors import RunNotFound, SnapshotCollected
from triptych.runtime.cancellation import ending_with
from triptych.model import (
    Asset,
    Brand,
    Insight,
    Item,
    Metadata,
    Run,
    RunKind,
    Staged,
    TimelineEvent,
)
from triptych.ports import DeadLetter, FailureGroup

CHANGES_CATCH_UP_S = 5.0
"""How often whoever follows a single run asks for a sign of life."""


async def check_kept(database: Database, run_id: UUID) -> None:
    """Raise `RunNotFound` or `SnapshotCollected` unless a run's rows are there to be read."""
    rows = await database.rows("is_collected", run_id)
    if not rows:
        raise RunNotFound(f"There is no run {run_id}.")
    if rows[0]["collected"]:
        raise SnapshotCollected(
            f"The snapshot of run {run_id} is no longer kept.",
            remedy="Read the brand's current one.",
        )


class PostgresReading:
    """`triptych.ports.Reading` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def brands(self) -> Sequence[Brand]:
        """See `triptych.ports.Reading.brands`."""
        return [to_brand(row) for row in await self._database.rows("brands", None, None)]

    async def brand(self, name: str) -> Brand:
        """See `triptych.ports.Reading.brand`."""
        found = await self.brands_of([name], [])
        if not found:
            raise brand_not_found(name)
        return found[0]

    async def brands_of(self, names: Sequence[str], run_ids: Sequence[UUID]) -> Sequence[Brand]:
        """See `triptych.ports.Reading.brands_of`."""
        return [
            to_brand(row) for row in await self._database.rows("brands", list(names), list(run_ids))
        ]

    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        """See `triptych.ports.Reading.runs_of`."""
        return [to_run(row) for row in await self._database.rows("runs_by_id", list(run_ids))]

    async def run(self, run_id: UUID) -> Run:
        """See `triptych.ports.Reading.run`."""
        rows = await self._database.rows("read_run", run_id)
        if not rows:
            raise RunNotFound(f"There is no run {run_id}.")
        return to_run(rows[0])

    async def runs(self, brand: str | None, *, limit: int) -> Sequence[Run]:
        """See `triptych.ports.Reading.runs`."""
        return [to_run(row) for row in await self._database.rows("newest_runs", brand, limit)]

    async def items(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        """See `triptych.ports.Reading.items`."""
        rows = await self._database.rows("items_by_key", run_id, list(keys))
        return [
            to_item(row, row["brand"], RunKind(row["run_kind"]), source=row["source"])
            for row in rows
        ]

    async def known_assets(self, brand: str, keys: Sequence[bytes]) -> dict[bytes, Staged]:
        """See `triptych.ports.Reading.known_assets`."""
        rows = await self._database.rows("known_assets", brand, list(keys))
        return {row["key"]: to_staged(row) for row in rows}

    async def failures(self, run_id: UUID, *, examples: int) -> Sequence[FailureGroup]:
        """See `triptych.ports.Reading.failures`."""
        rows = await self._database.rows("failures", run_id, examples)
        return [
            FailureGroup(reason, count, [(row["url"], row["detail"] or "") for row in group])
            for (reason, count), group in groupby(rows, key=lambda row: (row["reason"], row["n"]))
        ]

    async def assets(self, run_id: UUID, *, after: bytes | None, limit: int) -> Sequence[Asset]:
        """See `triptych.ports.Reading.assets`."""
        rows = await self._database.rows("assets_after", run_id, after, limit)
        if not rows:
            await check_kept(self._database, run_id)
        return [to_asset(row) for row in rows]

    async def assets_of(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Asset]:
        """See `triptych.ports.Reading.assets_of`."""
        rows = await self._database.rows("assets_by_key", run_id, list(keys))
        return {row["key"]: to_asset(row) for row in rows}

    async def stream_assets(self, run_id: UUID, *, batch: int) -> AsyncIterator[Sequence[Asset]]:
        """See `triptych.ports.Reading.stream_assets`.

        Pages, not a cursor: a snapshot never changes, so no transaction has to stay open.
        """
        after: bytes | None = None
        while page := await self.assets(run_id, after=after, limit=batch):
            yield page
            after = page[-1].key

    async def insights(self, run_id: UUID) -> Sequence[Insight]:
        """See `triptych.ports.Reading.insights`."""
        rows = await self._database.rows("insights", run_id)
        return [to_insight(row) for row in rows]

    async def marks(self, run_id: UUID, keys: Sequence[bytes]) -> dict[bytes, Metadata]:
        """See `triptych.ports.Reading.marks`."""
        rows = await self._database.rows("marks_by_key", run_id, list(keys))
        return {row["key"]: to_marks(row) for row in rows}

    async def marked(
        self, run_id: UUID, *, after: bytes | None, limit: int
    ) -> dict[bytes, Metadata]:
        """See `triptych.ports.Reading.marked`."""
        rows = await self._database.rows("marks", run_id, after, limit)
        return {row["key"]: to_marks(row) for row in rows}

    async def timeline(self, run_id: UUID, *, after: int, limit: int) -> Sequence[TimelineEvent]:
        """See `triptych.ports.Reading.timeline`."""
        rows = await self._database.rows("timeline", run_id, after, limit)
        return [to_event(row) for row in rows]

    async def dead_letters(self, *, limit: int) -> Sequence[tuple[datetime, DeadLetter]]:
        """See `triptych.ports.Reading.dead_letters`."""
        return [
            (
                row["at"],
                DeadLetter(
                    row["queue"],
                    row["message_id"],
                    row["body"],
                    row["headers"],
                    row["reason"],
                    row["run_id"],
                ),
            )
            for row in await self._database.rows("dead_letters", limit)
        ]

    @asynccontextmanager
    async def feed(self, *, catch_up_s: float) -> AsyncIterator[PostgresFeed]:
        """See `triptych.ports.Reading.feed`."""
        feed = PostgresFeed(self._database, catch_up_s=catch_up_s)
        await feed.connect()
        task = asyncio.create_task(feed.keep_up())
        try:
            async with ending_with(task):
                yield feed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            feed.disconnect()

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[UUID]]:
        """See `triptych.ports.Reading.changes`."""
        async with self.feed(catch_up_s=CHANGES_CATCH_UP_S) as feed:
            yield _ids(feed)


async def _ids(feed: PostgresFeed) -> AsyncIterator[UUID]:
    while True:
        for run_id in (await feed.news()).runs:
            yield run_id
