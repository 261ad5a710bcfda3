"""Connections to Postgres: a pool, transactions that are retried, failures as Triptych's errors."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TypeVar

import asyncpg
import numpy as np
import numpy.typing as npt
import orjson
import structlog
from pgvector import HalfVector
from typing_extensions import override

from triptych.database.rds import connection_arguments
from triptych.database.statements import statements
from triptych.errors import DatabaseFull, DatabaseUnavailable, RowLocked, SchemaBehind
from triptych.runtime.disk_space import free_space
from triptych.runtime.json_values import read_json
from triptych.runtime.retry import backoff

POOL_MIN = 1
POOL_MAX = 10
CONNECT_TIMEOUT_S = 10.0
COMMAND_TIMEOUT_S = 60.0
COMMIT_TIMEOUT_S = 900.0
"""A commit of a million assets takes a minute or two here; slower disks exist."""
ACQUIRE_TIMEOUT_S = 30.0
LOCK_TIMEOUT_S = 5.0
"""Postgres' ``lock_timeout``: transactions hold a row for milliseconds, so one that holds it longer
commits a large run, or its process is frozen. A connection is not kept waiting for that."""
IDLE_TRANSACTION_S = 15.0
"""Postgres' ``idle_in_transaction_session_timeout``: a process that was frozen or lost in a
transaction keeps its locks for at most this long. Statements are sent one after the other, so a
living process is never idle for that long. Nothing is committed by then: the work is repeated."""
TRANSACTION_TRIES = 8
"""Deadlocks and serialisation failures are rare and temporary; eight in a row are a defect."""
RETRY_BASE_S = 0.02

_SESSION = {
    "application_name": "triptych",
    "lock_timeout": f"{LOCK_TIMEOUT_S:g}s",
    "idle_in_transaction_session_timeout": f"{IDLE_TRANSACTION_S:g}s",
}

log = structlog.get_logger(__name__)

T = TypeVar("T")
Hook = Callable[[str], None]

_AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.InsufficientResourcesError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    # The driver's state after a connection was cut in the middle of an exchange.
    asyncpg.InternalClientError,
)
_DRIVER = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError)
"""Every error of asyncpg."""
_AGAIN = (asyncpg.DeadlockDetectedError, asyncpg.SerializationError)


class TableChanged(DatabaseUnavailable):
    """A table was changed by a migration while it was used."""

    @classmethod
    @override
    def problem(cls) -> str:
        """Return its parent's: clients need not know the difference."""
        return DatabaseUnavailable.problem()


class Transaction:
    """One open transaction; runs statements by name."""

    def __init__(self, connection: asyncpg.Connection, hook: Hook | None) -> None:
        self._connection = connection
        self._hook = hook
        self._begun = time.perf_counter()
        self._after: list[Callable[[], object]] = []

    @property
    def seconds(self) -> float:
        """Return for how long it has been open."""
        return time.perf_counter() - self._begun

    def after_commit(self, call: Callable[[], object]) -> None:
        """Call ``call`` once, when the transaction is known to be committed.

        Never if it is rolled back, and not if the connection is lost during the commit: its outcome
        is unknown then. In the order in which they were given.
        """
        self._after.append(call)

    def committed(self) -> None:
        """Make the calls that were asked for."""
        for call in self._after:
            call()

    async def rows(
        self, name: str, *args: object, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> list[asyncpg.Record]:
        """Run the statement and return all its rows."""
        if self._hook is not None:
            self._hook(name)
        return await self.rows_of(statements()[name], *args, timeout_s=timeout_s)

    async def rows_of(
        self,
        sql: str,
        *args: object,
        name: str | None = None,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> list[asyncpg.Record]:
        """Run a statement derived from a named one and return all its rows.

        ``name`` is what the hook is called with, if it is.
        """
        if self._hook is not None and name is not None:
            self._hook(name)
        found: list[asyncpg.Record] = await self._connection.fetch(sql, *args, timeout=timeout_s)
        return found

    async def row(
        self, name: str, *args: object, timeout_s: float = COMMAND_TIMEOUT_S
    ) -> asyncpg.Record | None:
        """Run the statement and return its first row, if any."""
        found = await self.rows(name, *args, timeout_s=timeout_s)
        return found[0] if found else None

    async def copy(
        self,
        table: str,
        columns: Sequence[str],
        rows: Iterable[tuple[object, ...]],
        *,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> None:
        """Add rows to a table by COPY, streamed."""
        if self._hook is not None:
            self._hook(f"copy_{table}")
        await self._connection.copy_records_to_table(
            table, columns=columns, records=rows, timeout=timeout_s
        )


class Database:
    """A pool on one Postgres. Safe to share between tasks of one event loop.

    ``hook`` is called with each statement's name before it runs, with ``commit`` before each
    COMMIT and ``committed`` after its answer: an error that it raises simulates a crash. ``folder``
    is the server's, if it is on this machine: the error of a full disk says how much is free there.
    """

    def __init__(
        self,
        dsn: str,
        *,
        pool_max: int = POOL_MAX,
        hook: Hook | None = None,
        folder: Path | None = None,
    ) -> None:
        self._dsn = dsn
        self._folder = folder
        self._arguments = connection_arguments(dsn)
        self._pool_max = pool_max
        self._hook = hook
        self._pool: asyncpg.Pool | None = None
        self._opening = asyncio.Lock()
        self._own_pools: list[Database] = []

    async def transact(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Run ``work`` in one READ COMMITTED transaction; again after a deadlock or a migration.

        ``work`` must therefore be safe to repeat until it has returned.

        Raises:
            DatabaseUnavailable: the database does not answer, or stopped answering: then the
                transaction may or may not have been committed.
        """
        for attempt in range(1, TRANSACTION_TRIES + 1):
            try:
                return await self._once(work)
            except (*_AGAIN, TableChanged):
                if attempt == TRANSACTION_TRIES:
                    raise
            await asyncio.sleep(backoff(attempt, base_s=RETRY_BASE_S))
        raise AssertionError

    async def _once(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        async with self.connection() as connection:
            transaction = connection.transaction()
            await transaction.start()
            try:
                opened = Transaction(connection, self._hook)
                result = await work(opened)
                if self._hook is not None:
                    self._hook("commit")
            except BaseException:
                await _roll_back(connection, transaction)
                raise
            await transaction.commit()
            if self._hook is not None:
                self._hook("committed")
        opened.committed()
        return result

    async def rows(self, name: str, *args: object) -> list[asyncpg.Record]:
        """Run one named statement by itself and return its rows."""
        return await self.fetch(statements()[name], *args)

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Run one statement by itself and return its rows."""
        async with self.connection() as connection:
            found: list[asyncpg.Record] = await connection.fetch(sql, *args)
            return found

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection of the pool.

        Raises:
            DatabaseUnavailable: there is none, or it broke while lent; `DatabaseFull` if it has no
                room on its disk.
            RowLocked: a statement waited for a lock for `LOCK_TIMEOUT_S`.
        """
        with translated(self._folder):
            pool = self._pool or await self._open()
            # If one is idle there is no wait: the driver's deadline would cost a task and a timer.
            patience_s = None if pool.get_idle_size() else ACQUIRE_TIMEOUT_S
            async with pool.acquire(timeout=patience_s) as connection:
                try:
                    yield connection
                except asyncpg.InternalClientError:
                    connection.terminate()  # It cannot be used again.
                    raise

    async def _open(self) -> asyncpg.Pool:
        async with self._opening:
            if self._pool is None:
                self._pool = await asyncpg.create_pool(
                    **self._arguments,
                    min_size=POOL_MIN,
                    max_size=self._pool_max,
                    timeout=CONNECT_TIMEOUT_S,
                    command_timeout=COMMAND_TIMEOUT_S,
                    init=_prepare,
                    reset=_reset,
                    server_settings=_SESSION,
                )
            return self._pool

    async def connect(self, name: str = "triptych-listen") -> asyncpg.Connection:
        """Open a separate connection, outside the pool, for LISTEN or a temporary table.

        ``name`` is its ``application_name``.

        Raises:
            DatabaseUnavailable: it cannot be opened.
        """
        with translated():
            return await asyncpg.connect(
                **self._arguments,
                timeout=CONNECT_TIMEOUT_S,
                server_settings={"application_name": name},
            )

    async def renew(self) -> None:
        """Replace each connection of the pool at its next use.

        A process that was frozen does not notice that the server has closed them.
        """
        for pool in self._own_pools:
            await pool.renew()
        if self._pool is not None:
            await self._pool.expire_connections()

    def own_pool(self, pool_max: int) -> Database:
        """Return the same database with a pool of its own, for work that others must not wait for.

        It has the same hook, and is renewed and closed with this one.
        """
        pool = Database(self._dsn, pool_max=pool_max, hook=self._hook, folder=self._folder)
        self._own_pools.append(pool)
        return pool

    async def close(self) -> None:
        """Close the pool; connections still lent get a moment, then are closed."""
        for own in self._own_pools:
            await own.close()
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CONNECT_TIMEOUT_S)
        except (TimeoutError, *_AWAY):
            pool.terminate()


async def _roll_back(
    connection: asyncpg.Connection, transaction: asyncpg.transaction.Transaction
) -> None:
    """Roll back; if that fails, close the connection, which has the same effect on the server."""
    if connection.is_closed():
        return
    try:
        await transaction.rollback()
    except (OSError, TimeoutError, *_DRIVER) as error:
        log.info("rollback_lost", error=str(error))
        connection.terminate()


@contextmanager
def translated(folder: Path | None = None) -> Iterator[None]:
    """Turn asyncpg's and socket errors of an outage into `DatabaseUnavailable`.

    An expired `LOCK_TIMEOUT_S` becomes `RowLocked`; a missing table or column `SchemaBehind`; a
    statement whose table was changed since it was prepared `TableChanged`; a full disk
    `DatabaseFull`, which tells how much is free in ``folder`` if that is given.
    """
    try:
        yield
    except asyncpg.LockNotAvailableError as error:
        raise RowLocked from error
    except (asyncpg.UndefinedTableError, asyncpg.UndefinedColumnError) as error:
        raise SchemaBehind(
            f"The database lacks what this needs ({error}).",
            remedy="Run `triptych migrate`; if it has nothing to apply, this is a defect.",
        ) from error
    except asyncpg.InvalidCachedStatementError as error:
        # The driver has forgotten the statement, and will prepare it again.
        raise TableChanged(remedy="Try again.") from error
    except asyncpg.DiskFullError as error:
        place = f" in {folder} is full: {free_space(folder)}" if folder is not None else " is full"
        raise DatabaseFull(
            f"The disk of the database{place} ({error}).",
            remedy="Free some space on it, or move the database to a larger one; work waits and "
            "resumes by itself.",
        ) from error
    except _AWAY as error:
        raise _unavailable(error) from error
    except asyncpg.InterfaceError as error:
        if "clos" not in str(error) and "released" not in str(error):
            raise
        raise _unavailable(error) from error


def _unavailable(error: Exception) -> DatabaseUnavailable:
    detail = str(error) or type(error).__name__
    return DatabaseUnavailable(
        f"The database does not answer ({detail}).",
        remedy="Check TRIPTYCH_DATABASE_URL and that the server runs; work resumes by itself.",
    )


async def _prepare(connection: asyncpg.Connection) -> None:
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )
    known = await connection.fetchval("select to_regtype('halfvec') is not null")
    if known:
        await connection.set_type_codec(
            "halfvec", schema="public", encoder=_to_halfvec, decoder=_from_halfvec, format="binary"
        )


async def _reset(connection: asyncpg.Connection) -> None:
    """Leave a connection as it was lent, without asking the server each time.

    Statements change settings for their transaction only, so only a connection that was interrupted
    in a transaction has to be reset. The driver's own reset costs every query a second one.
    """
    if connection.is_in_transaction():
        await connection.reset()


JSONB_VERSION = b"\x01"
"""First byte of jsonb's binary format."""


_NUL_ESCAPE = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")


def _to_jsonb(value: object) -> bytes:
    encoded = orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS)
    if b"\\u0000" in encoded:
        # jsonb has no NUL character.
        encoded = _NUL_ESCAPE.sub(rb"\1\\ufffd", encoded)
    return JSONB_VERSION + encoded


def _from_jsonb(binary: bytes) -> object:
    """Return the value; an `UnreadableJson` if it cannot be read.

    An exception here would fail every row of the statement.
    """
    return read_json(memoryview(binary)[1:])


def _to_halfvec(vector: HalfVector) -> bytes:
    return bytes(vector.to_binary())


def _from_halfvec(binary: bytes) -> npt.NDArray[np.float32]:
    return np.asarray(HalfVector.from_binary(binary).to_numpy(), dtype=np.float32)


def no_nul(values: Sequence[str | None], limit: int) -> list[str | None]:
    """Return texts that Postgres can store: without NUL, at most ``limit`` characters."""
    return [None if v is None else v.replace("\x00", "\ufffd")[:limit] for v in values]
