"""Limits on Postgres; changes by LISTEN and NOTIFY."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing

import asyncpg
import structlog
from typing_extensions import override

from triptych.database.rows import Reader, reader
from triptych.database.session import Database, Transaction, translated
from triptych.database.statements import statements
from triptych.errors import DatabaseUnavailable, SchemaBehind
from triptych.fetch.host_limit import HostLimit
from triptych.limits.limit_store import (
    HOSTS_LIMITED_MAX,
    NO_LIMITS,
    Limits,
    LimitStore,
    PhaseLimit,
    not_limited,
    too_many_hosts,
)
from triptych.messages import Phase
from triptych.runtime.retry import backoff

CHANNEL = "triptych_limits"
CHECK_S = 30.0
"""How often the connection is checked, by reading on it: one that was cut may not say so."""
READ_TIMEOUT_S = 10.0
RECONNECT_BASE_S = 0.2
RECONNECT_MAX_S = 5.0

to_phase_limit: Reader[PhaseLimit] = reader(PhaseLimit)
to_host_limit: Reader[HostLimit] = reader(HostLimit)

log = structlog.get_logger(__name__)


class PostgresLimitStore(LimitStore):
    """`LimitStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def limits(self) -> Limits:
        async with self._database.connection() as connection:
            return await _read(connection)

    @override
    async def put_phase(
        self, phase: Phase, *, paused: bool, concurrency: int | None, by: str
    ) -> PhaseLimit:
        rows = await self._database.rows("put_phase_limit", phase.value, paused, concurrency, by)
        return to_phase_limit(rows[0])

    @override
    async def put_host(
        self, host: str, *, paused: bool, concurrency: int | None, per_second: float | None, by: str
    ) -> HostLimit:
        async def work(tx: Transaction) -> HostLimit:
            await tx.rows("lock_host_limits")
            others = (await tx.rows("count_other_host_limits", host))[0]["others"]
            if others >= HOSTS_LIMITED_MAX:
                raise too_many_hosts()
            rows = await tx.rows("put_host_limit", host, paused, concurrency, per_second, by)
            return to_host_limit(rows[0])

        return await self._database.transact(work)

    @override
    async def drop_host(self, host: str) -> None:
        if not await self._database.rows("drop_host_limit", host):
            raise not_limited(host)

    @override
    async def held_up(self, *, within_s: float) -> frozenset[Phase]:
        try:
            rows = await self._database.rows("held_up_phases", within_s)
        except SchemaBehind:
            return frozenset()  # Nothing can be paused before the migration.
        return frozenset(Phase(row["phase"]) for row in rows)

    @override
    async def changes(self) -> AsyncGenerator[Limits, None]:
        failures = 0
        last: Limits | None = None
        while True:
            try:
                async with aclosing(self._heard()) as heard:
                    async for limits in heard:
                        failures = 0
                        if limits != last:
                            last = limits
                            yield limits
            except (DatabaseUnavailable, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                failures += 1
                if failures == 1:
                    log.warning("limits_not_heard", error=str(error))
            await asyncio.sleep(backoff(failures, base_s=RECONNECT_BASE_S, cap_s=RECONNECT_MAX_S))

    async def _heard(self) -> AsyncGenerator[Limits, None]:
        """Yield what is read on one connection, first and after each notification, until it ends.

        Raises:
            DatabaseUnavailable: the connection is lost, or there is none.
        """
        connection = await self._database.connect()
        changed = asyncio.Event()
        try:
            connection.add_termination_listener(lambda _: changed.set())
            with translated():
                async with asyncio.timeout(READ_TIMEOUT_S):
                    await connection.add_listener(CHANNEL, lambda *_: changed.set())
            while True:
                changed.clear()
                if connection.is_closed():
                    raise DatabaseUnavailable
                with translated():
                    limits = await _read(connection)
                yield limits
                try:
                    async with asyncio.timeout(CHECK_S):
                        await changed.wait()
                except TimeoutError:
                    continue
        finally:
            connection.terminate()


async def _read(connection: asyncpg.Connection) -> Limits:
    """Return all limits; none if the tables are those of the release before."""
    try:
        phases = await connection.fetch(statements()["phase_limits"], timeout=READ_TIMEOUT_S)
        hosts = await connection.fetch(statements()["host_limits"], timeout=READ_TIMEOUT_S)
    except asyncpg.UndefinedTableError:
        log.info("limits_not_migrated")
        return Limits()
    found = {limit.phase: limit for limit in map(to_phase_limit, phases)}
    named = {limit.host: limit for limit in map(to_host_limit, hosts)}
    return Limits({**NO_LIMITS, **found}, named)
