"""A trial's own way into the database: statements that wait for it, whatever happens to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import asyncpg

from triptych.embedded.errors import EmbeddedError

CONNECT_S = 5.0
STATEMENT_S = 30.0
AGAIN_S = 0.2
PATIENCE_S = 60.0
"""Seconds that a statement waits for a database that is away, or is being restarted."""
AWAY = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.PostgresIOError,
    asyncpg.InternalServerError,
)
"""What a statement ends with when the database is cut off, killed or full."""


class TrialDatabase:
    """Opens a connection for each statement, at the address that is right at that moment."""

    def __init__(self, address: Callable[[], str]) -> None:
        self._address = address

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[asyncpg.Connection]:
        """Lend a connection as soon as there is one. What cuts it is raised: one of `AWAY`.

        Raises:
            TimeoutError: there was none within `PATIENCE_S`.
        """
        connection: asyncpg.Connection | None = None
        async with asyncio.timeout(PATIENCE_S):
            while connection is None:
                try:
                    connection = await asyncpg.connect(
                        self._address(), timeout=CONNECT_S, command_timeout=STATEMENT_S
                    )
                except (*AWAY, EmbeddedError):
                    await asyncio.sleep(AGAIN_S)
        try:
            yield connection
        finally:
            connection.terminate()

    async def once(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Run a statement once, as soon as there is a connection. Raises as `connection`."""
        async with self.connection() as connection:
            found: list[asyncpg.Record] = await connection.fetch(sql, *args)
            return found

    async def fetch(self, sql: str, *args: object) -> list[asyncpg.Record]:
        """Run a statement that may be repeated, until it has succeeded.

        Raises:
            TimeoutError: it has not within `PATIENCE_S`.
        """
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    return await self.once(sql, *args)
                except AWAY:
                    await asyncio.sleep(AGAIN_S)
