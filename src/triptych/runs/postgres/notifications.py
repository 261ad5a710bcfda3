"""What changed, by LISTEN, and by reading `changed_at` for what notifications missed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import structlog
from typing_extensions import override

from triptych.database.session import Database, translated
from triptych.database.statements import statements
from triptych.errors import DatabaseUnavailable
from triptych.runs.change_feed import ChangeFeed, News
from triptych.runtime.cancellation import cancel_on_failure
from triptych.runtime.retry import backoff

RUNS, BRANDS = "triptych_runs", "triptych_brands"
TASKS, QUEUES = "triptych_tasks", "triptych_queues"
LIMITS = "triptych_limits"
"""The channels."""
CATCH_UP_MARGIN = timedelta(seconds=10)
"""Transactions commit later than their timestamp, so the last seconds are read twice."""
CATCH_UP_PAGE = 1_000
CATCH_UP_PAGES_MAX = 100
"""More than a hundred thousand runs changed: then a reader should read everything."""
CATCH_UP_TIMEOUT_S = 10.0
RECONNECT_MAX_S = 5.0
RECONNECT_BASE_S = 0.2
NO_RUN = UUID(int=0)
FUTURE = datetime.max.replace(tzinfo=UTC)
"""Nothing has changed since."""

log = structlog.get_logger()


class PostgresFeed:
    """`Feed` on one connection of its own.

    Every ``catch_up_s`` it reads, on that same connection, which runs have changed: this checks the
    connection and finds what notifications missed. After a lost connection it reads from a little
    before the last answer, and reports that anything may have changed. Its memory is the number of
    runs and brands that changed since they were last taken.
    """

    def __init__(self, database: Database, *, catch_up_s: float) -> None:
        self._database = database
        self._catch_up_s = catch_up_s
        self._connection: asyncpg.Connection | None = None
        self._lost = asyncio.Event()
        self._something = asyncio.Event()
        self._news = News()
        self._since: datetime | None = None
        self._told: dict[UUID, int] = {}
        """Versions that the last read found: the margin returns them again."""

    async def news(self) -> News:
        """See `triptych.runs.change_feed.Feed.news`."""
        await self._something.wait()
        self._something.clear()
        taken, self._news = self._news, News()
        return taken

    async def connect(self) -> None:
        """Listen, and catch up with what was missed.

        Raises:
            DatabaseUnavailable: it cannot be reached.
        """
        connection = await self._database.connect()
        try:
            with translated():
                connection.add_termination_listener(lambda _: self._lost.set())
                for channel, heard in (
                    (RUNS, self._heard_run),
                    (BRANDS, self._heard_brand),
                    (TASKS, self._heard_task),
                    (QUEUES, self._heard_queue),
                    (LIMITS, self._heard_limits),
                ):
                    # Not wait_for: before Python 3.12 it may swallow that this task is cancelled.
                    async with asyncio.timeout(CATCH_UP_TIMEOUT_S):
                        await connection.add_listener(channel, self._listener(heard))
            self._connection = connection
            self._lost.clear()
            missed = self._since is not None
            await self._catch_up()
            if missed:
                self._news.everything = True
                self._something.set()
        except BaseException:
            self._connection = None
            connection.terminate()
            raise

    def disconnect(self) -> None:
        """Close the connection. Safe to repeat."""
        connection, self._connection = self._connection, None
        if connection is not None and not connection.is_closed():
            connection.terminate()

    async def keep_up(self) -> None:
        """Catch up now and then; after a lost connection, connect again. Until cancelled."""
        failures = 0
        while True:
            try:
                if self._connection is None:
                    await self.connect()
                await self._lost_within(self._catch_up_s)
                await self._catch_up()
                failures = 0
            except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                self.disconnect()
                failures += 1
                if failures == 1:
                    log.warning("the connection for notifications is lost", error=str(error))
                pause = backoff(failures, base_s=RECONNECT_BASE_S, cap_s=RECONNECT_MAX_S)
                await asyncio.sleep(pause)

    async def _lost_within(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return
        raise DatabaseUnavailable

    async def _catch_up(self) -> None:
        """Report the runs that changed since the last read; the first read only sets the clock."""
        connection = self._connection
        if connection is None or connection.is_closed():
            raise DatabaseUnavailable
        place: tuple[datetime, UUID] = (self._since or FUTURE, NO_RUN)
        found: dict[UUID, int] = {}
        began: datetime | None = None
        for _ in range(CATCH_UP_PAGES_MAX):
            with translated():
                rows = await connection.fetch(
                    statements()["changed_since"],
                    *place,
                    CATCH_UP_PAGE,
                    timeout=CATCH_UP_TIMEOUT_S,
                )
            began = began or rows[0]["now"]
            found.update({row["id"]: row["version"] for row in rows if row["id"] is not None})
            if len(rows) < CATCH_UP_PAGE:
                break
            place = (rows[-1]["changed_at"], rows[-1]["id"])
        else:
            self._news.everything = True
            self._something.set()
        assert began is not None
        self._since = began - CATCH_UP_MARGIN
        for run_id, version in found.items():
            if self._told.get(run_id) != version:
                self._news.runs.setdefault(run_id, version)
                self._something.set()
        self._told = found

    def _heard_run(self, payload: str) -> None:
        self._news.runs[UUID(payload)] = None

    def _heard_brand(self, payload: str) -> None:
        self._news.brands.add(payload)

    def _heard_task(self, payload: str) -> None:
        self._news.tasks.add(UUID(payload))

    def _heard_queue(self, _payload: str) -> None:
        self._news.queues = True

    def _heard_limits(self, _payload: str) -> None:
        self._news.limits = True

    def _hear(self, heard: Callable[[str], None], payload: object) -> None:
        try:
            heard(str(payload))
        except ValueError:
            # Anyone who can connect can notify: a payload that is not an id is ignored.
            log.warning("a notification that is not an id", payload=str(payload)[:100])
        else:
            self._something.set()

    def _listener(self, heard: Callable[[str], None]) -> Callable[..., None]:
        def listener(_connection: object, _pid: int, _channel: str, payload: object) -> None:
            self._hear(heard, payload)

        return listener


CHANGES_CATCH_UP_S = 5.0
"""How often a follower of a single run checks its connection."""


class PostgresChangeFeed(ChangeFeed):
    """`ChangeFeed` by LISTEN and NOTIFY."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    @asynccontextmanager
    async def feed(self, *, catch_up_s: float) -> AsyncIterator[PostgresFeed]:
        feed = PostgresFeed(self._database, catch_up_s=catch_up_s)
        await feed.connect()
        task = asyncio.create_task(feed.keep_up())
        try:
            async with cancel_on_failure(task):
                yield feed
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            feed.disconnect()

    @override
    @asynccontextmanager
    async def changes(self) -> AsyncIterator[AsyncIterator[UUID]]:
        async with self.feed(catch_up_s=CHANGES_CATCH_UP_S) as feed:
            yield _ids(feed)


async def _ids(feed: PostgresFeed) -> AsyncIterator[UUID]:
    while True:
        for run_id in (await feed.news()).runs:
            yield run_id
