"""Outages of hosts on Postgres."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from typing_extensions import override

from triptych.database.session import Database, Transaction
from triptych.runs.outage_store import (
    GAP_SHARE,
    HOSTS_WAITED_FOR_MAX,
    SHOWN_AFTER_S,
    STALE_S,
    Outage,
    OutageStore,
)


class PostgresOutageStore(OutageStore):
    """`OutageStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def note(
        self, run_id: UUID, hosts: Sequence[str], *, patience_s: float
    ) -> Mapping[str, Outage]:
        gap_s = patience_s * GAP_SHARE
        limits = (patience_s, gap_s, HOSTS_WAITED_FOR_MAX, STALE_S)

        async def work(tx: Transaction) -> list[tuple[str, float, bool]]:
            rows = await tx.rows("note_outages", run_id, list(hosts), *limits)
            return [(row["host"], row["waited_s"], row["shown"]) for row in rows]

        noted = await self._database.transact(work)
        shown_after_s = min(SHOWN_AFTER_S, patience_s)
        if long := [host for host, waited, shown in noted if waited >= shown_after_s and not shown]:
            await self._show(run_id, long)
        return {host: Outage(waited, waited >= patience_s) for host, waited, _ in noted}

    async def _show(self, run_id: UUID, hosts: Sequence[str]) -> None:
        # Its own transaction, which locks the run first, as one that ends the run does.
        async def work(tx: Transaction) -> None:
            run = await tx.row("lock_run", run_id)
            if run is None or run["state"] != "active":
                return
            for row in await tx.rows("show_outages", run_id, list(hosts)):
                await tx.rows("add_event", run_id, "host_down", {"host": row["host"]})

        await self._database.transact(work)

    @override
    async def end(self, run_id: UUID, hosts: Sequence[str]) -> None:
        # Most items that had waited find that another one has ended the outage: no lock for them.
        if not (await self._database.rows("any_outages", run_id, list(hosts)))[0]["any"]:
            return

        async def work(tx: Transaction) -> None:
            run = await tx.row("lock_run", run_id)
            for row in await tx.rows("end_outages", run_id, list(hosts)):
                if row["shown"] and run is not None and run["state"] == "active":
                    await tx.rows("add_event", run_id, "host_back", {"host": row["host"]})

        await self._database.transact(work)
