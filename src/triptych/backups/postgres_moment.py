"""One moment of a database: its rows stay readable as they were then, and their objects stay.

The order is what keeps the guarantee that every row of a backup has its object:

1. The collector is held. It deletes objects in turns, each of which asks first (the statement
   ``may_delete_objects``). What a turn that has begun deletes is condemned: no row names it, and no
   row can name it until it was stored again.
2. The snapshot of the database is taken. Objects are stored before their rows are written, so each
   object that a row of the snapshot names is there.
3. Rows are dumped and objects are copied. Whatever is committed, deleted or collected meanwhile
   changes neither the snapshot nor the objects that it names.

Both end with the session: a backup that is killed holds nothing back.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from triptych.backups.backup_errors import BackupUnusable
from triptych.backups.object_list import ListedObject
from triptych.database.session import COMMIT_TIMEOUT_S, Database, translated
from triptych.database.statements import statements
from triptych.errors import DatabaseUnavailable
from triptych.snapshots.object_hold import HOLD_KEY

ALIVE_EVERY_S = 30.0
"""Seconds between two statements of the session at most; see `IDLE_S`."""
IDLE_S = 600.0
"""Seconds after which Postgres ends the session of a process that is frozen."""
ROWS_AT_ONCE = 5_000
TABLE = re.compile(r"[a-z_]{1,60}")
_CONNECTION = "triptych-backup"


@dataclass(frozen=True, slots=True)
class Taken:
    """What is known of a moment."""

    snapshot: str
    """The name under which ``pg_dump`` reads the same rows."""
    at: datetime
    database_bytes: int
    """Size of the database on its disk, with its indexes."""
    table_bytes: int
    """Without them: about the most that a dump has."""
    runs_active: int
    rows: Mapping[str, int]
    schema: Sequence[str]


class PostgresMoment:
    """A session that holds the collector, and until `release` the rows of one moment."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._turn = asyncio.Lock()
        self._transaction: asyncpg.transaction.Transaction | None = None

    async def take(self) -> Taken:
        """Hold the collector, then take the moment.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with translated():
            for setting in ("idle_session_timeout", "idle_in_transaction_session_timeout"):
                await self._connection.execute(f"set {setting} = '{IDLE_S:g}s'")
            await self._rows("hold_collector", HOLD_KEY)
            self._transaction = self._connection.transaction(
                isolation="repeatable_read", readonly=True
            )
            await self._transaction.start()
            (moment,) = await self._rows("backup_moment")
            (counts,) = await self._rows("backup_rows")
            applied = await self._rows("applied_migrations")
            (later,) = await self._rows("has_compatible_migrations")
            if later["there"]:
                applied += await self._rows("applied_compatible_migrations")
        return Taken(
            snapshot=moment["snapshot"],
            at=moment["taken_at"],
            database_bytes=moment["database_bytes"],
            table_bytes=moment["table_bytes"],
            runs_active=moment["runs_active"],
            rows=dict(counts),
            schema=sorted({row["name"] for row in applied}),
        )

    async def objects(self) -> AsyncIterator[Sequence[ListedObject]]:
        """Yield all objects that rows of the moment name, in the order of their keys.

        Raises:
            DatabaseUnavailable: the database does not answer.
        """
        with translated():
            (uploads,) = await self._rows("has_uploads")
            for name in ("backup_objects", *(["backup_uploads"] if uploads["there"] else [])):
                async for rows in self._pages(name):
                    yield [
                        ListedObject(row["object_key"], row["size_bytes"], row["sha256"])
                        for row in rows
                    ]

    async def _pages(self, name: str) -> AsyncIterator[Sequence[asyncpg.Record]]:
        async with self._turn:
            cursor = await self._connection.cursor(statements()[name], timeout=COMMIT_TIMEOUT_S)
        while True:
            async with self._turn:
                rows = await cursor.fetch(ROWS_AT_ONCE, timeout=COMMIT_TIMEOUT_S)
            if not rows:
                return
            yield rows

    async def release(self) -> None:
        """Let the rows of the moment go; the collector is still held.

        Raises:
            DatabaseUnavailable: the session is lost.
        """
        transaction, self._transaction = self._transaction, None
        if transaction is not None:
            with translated():
                async with self._turn:
                    await transaction.rollback()

    async def held(self) -> bool:
        """Return whether the collector has been held all the time."""
        try:
            with translated():
                async with self._turn:
                    await self._connection.execute("select 1")
        except DatabaseUnavailable:
            return False
        return True

    async def stay(self) -> None:
        """Keep the session from being idle, until it is lost."""
        while True:
            await asyncio.sleep(ALIVE_EVERY_S)
            if not await self.held():
                return

    async def _rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        async with self._turn:
            found: list[asyncpg.Record] = await self._connection.fetch(
                statements()[name], *args, timeout=COMMIT_TIMEOUT_S
            )
            return found


@asynccontextmanager
async def open_moment(database: Database) -> AsyncIterator[PostgresMoment]:
    """Yield a session for one moment, not taken yet; the collector is let go with it.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    connection = await database.connect(_CONNECTION)
    moment = PostgresMoment(connection)
    staying = asyncio.create_task(moment.stay())
    try:
        yield moment
    finally:
        staying.cancel()
        await asyncio.gather(staying, return_exceptions=True)
        # What it held goes with it, however it is closed.
        with suppress(OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            await connection.close(timeout=IDLE_S)


async def count_rows(database: Database, tables: Iterable[str]) -> Mapping[str, int]:
    """Return how many rows tables have, of a schema that may be older than this release.

    Raises:
        BackupUnusable: one of them does not exist.
        DatabaseUnavailable: the database does not answer.
    """
    counts = {}
    for table in tables:
        try:
            if not TABLE.fullmatch(table):
                raise asyncpg.UndefinedTableError(f"{table!r} is not the name of a table")
            (row,) = await database.fetch(f"select count(*) as n from {table}")  # noqa: S608
        except asyncpg.UndefinedTableError as error:
            raise BackupUnusable(f"The dump lacks a table ({error}).") from error
        counts[table] = row["n"]
    return counts


async def resume_runs(database: Database, since_s: float) -> tuple[int, int]:
    """Let runs go on from the moment of their backup, that long ago.

    They have as much time left as they had then, and may store again what was to be deleted.

    Returns:
        How many runs are under way, and how many wait for somebody's decision.

    Raises:
        DatabaseUnavailable: the database does not answer.
    """
    await database.rows("uncondemn_objects")
    return (
        len(await database.rows("move_deadlines", since_s)),
        len(await database.rows("move_held", since_s)),
    )
