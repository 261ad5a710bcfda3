"""A gate inside the commit: while it is closed, a commit waits there, its transaction open."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from tests.support.chaos.trial_database import AWAY, TrialDatabase

GATE = 771_204
"""Key of the advisory lock that is the gate."""
LOOK_S = 0.02

INSTALL = f"""
create function chaos_gate() returns trigger language plpgsql as $$
begin
    perform pg_advisory_xact_lock_shared({GATE});
    return new;
end
$$;
create trigger chaos_gate before update of current_run on brands
    for each row execute function chaos_gate();
"""
WAITING = (
    "select pid from pg_locks where locktype = 'advisory' and objid = $1 and not granted limit 1"
)


class NoCommit(Exception):
    """None came to the gate in time."""


class CommitGate:
    """Installed in the trial's database alone."""

    def __init__(self, database: TrialDatabase) -> None:
        self._database = database

    async def install(self) -> None:
        async with self._database.connection() as connection:
            await connection.execute(INSTALL)

    @asynccontextmanager
    async def closed(self, patience_s: float) -> AsyncIterator[int]:
        """Wait until a commit stands at the gate; yield its backend's pid; open the gate.

        Raises:
            NoCommit: none came.
        """
        async with self._database.connection() as connection:
            await connection.execute("select pg_advisory_lock($1)", GATE)
            yield await self._caught(connection, patience_s)

    async def _caught(self, connection: asyncpg.Connection, patience_s: float) -> int:
        try:
            async with asyncio.timeout(patience_s):
                while True:
                    pid = await connection.fetchval(WAITING, GATE)
                    if pid is not None:
                        found: int = pid
                        return found
                    await asyncio.sleep(LOOK_S)
        except TimeoutError as error:
            raise NoCommit from error

    async def is_open(self, pid: int) -> bool:
        """Return whether a backend is between two statements of a transaction."""
        try:
            rows = await self._database.once(
                "select state from pg_stat_activity where pid = $1", pid
            )
        except AWAY:
            return False
        return bool(rows) and rows[0]["state"] == "idle in transaction"
