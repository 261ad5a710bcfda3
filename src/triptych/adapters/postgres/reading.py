"""What readers ask of Postgres. Nothing here locks."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from itertools import groupby
from uuid import UUID

import asyncpg

from triptych.adapters.postgres.rows import (
    to_asset,
    to_event,
    to_insight,
    to_item,
    to_marks,
    to_run,
    to_staged,
)
from triptych.adapters.postgres.session import Database
from triptych.errors import BrandNotFound, DatabaseUnavailable, RunNotFound, SnapshotCollected
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

CHANNEL = "triptych_runs"
CATCH_UP_MARGIN = timedelta(seconds=10)
"""Transactions commit later than the time they stamped; those are looked at twice."""
CATCH_UP_MAX_RUNS = 10_000
RECONNECT_MAX_S = 5.0
LISTEN_CHECK_S = 5.0
"""A quiet connection is asked for a sign of life this often."""


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
        return await self._brands(None)

    async def brand(self, name: str) -> Brand:
        """See `triptych.ports.Reading.brand`."""
        found = await self._brands(name)
        if not found:
            raise BrandNotFound(
                f"There is no brand {name!r}.", remedy="`triptych status` lists the brands."
            )
        return found[0]

    async def _brands(self, name: str | None) -> list[Brand]:
        rows = await self._database.rows("brands", name)
        ids = [row["latest"] for row in rows if row["latest"] is not None]
        runs = {run.id: run for run in map(to_run, await self._database.rows("runs_by_id", ids))}
        return [
            Brand(
                row["name"],
                row["source"],
                row["current_run"],
                row["assets"],
                runs.get(row["latest"]),
            )
            for row in rows
        ]

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
        return [to_item(row, row["brand"], RunKind(row["run_kind"])) for row in rows]

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
    async def changes(self) -> AsyncIterator[AsyncIterator[UUID]]:
        """See `triptych.ports.Reading.changes`."""
        feed = _Feed(self._database)
        await feed.connect()
        task = asyncio.create_task(feed.keep_connected())
        try:
            yield feed.ids()
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await feed.disconnect()


class _Feed:
    """Ids of changed runs, each at most once in waiting: its memory is bounded by their number."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._connection: asyncpg.Connection | None = None
        self._waiting: dict[UUID, None] = {}
        self._news = asyncio.Event()
        self._since: datetime | None = None

    async def ids(self) -> AsyncIterator[UUID]:
        while True:
            await self._news.wait()
            while self._waiting:
                yield self._waiting.popitem()[0]
            self._news.clear()

    async def connect(self) -> None:
        connection = await self._database.connect()
        await connection.add_listener(CHANNEL, self._heard)
        self._connection = connection
        if self._since is not None:
            for row in await self._database.rows("changed_since", self._since, CATCH_UP_MAX_RUNS):
                self._tell(row["id"])
        await self._stamp()

    async def disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    async def keep_connected(self) -> None:
        """Ask for a sign of life now and then; after a lost connection, connect and catch up."""
        failures = 0
        while True:
            lost = await self._lost_within(LISTEN_CHECK_S)
            if not lost:
                failures = 0
                continue
            await self.disconnect()
            try:
                await self.connect()
            except DatabaseUnavailable:
                failures += 1
                await asyncio.sleep(
                    random.uniform(0, min(RECONNECT_MAX_S, 0.1 * 2**failures))  # noqa: S311
                )

    async def _lost_within(self, seconds: float) -> bool:
        connection = self._connection
        if connection is None or connection.is_closed():
            return True
        gone = asyncio.get_running_loop().create_future()

        def tell(_: object) -> None:
            if not gone.done():
                gone.set_result(None)

        connection.add_termination_listener(tell)
        try:
            await asyncio.wait_for(gone, seconds)
        except TimeoutError:
            return not await self._alive()
        else:
            return True
        finally:
            connection.remove_termination_listener(tell)

    async def _alive(self) -> bool:
        try:
            await self._stamp()
        except DatabaseUnavailable:
            return False
        return True

    async def _stamp(self) -> None:
        rows = await self._database.rows("clock")
        self._since = rows[0][0] - CATCH_UP_MARGIN

    def _heard(self, _connection: object, _pid: int, _channel: str, payload: object) -> None:
        self._tell(UUID(str(payload)))

    def _tell(self, run_id: UUID) -> None:
        self._waiting[run_id] = None
        self._news.set()
