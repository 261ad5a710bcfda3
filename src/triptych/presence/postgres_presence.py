"""The list of workers, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import UUID

import asyncpg
import msgspec
from typing_extensions import override

from triptych.database.rows import Reader, reader
from triptych.database.session import Database
from triptych.errors import SchemaBehind
from triptych.fetch.host_limit import HostTraffic
from triptych.presence.presence_store import (
    SILENT_S,
    HeldMessage,
    PresenceStore,
    SeenWorker,
    WorkerState,
)


def _held(row: asyncpg.Record) -> list[HeldMessage]:
    return msgspec.convert(row.get("held") or [], list[HeldMessage])


def _hosts(row: asyncpg.Record) -> list[HostTraffic]:
    return msgspec.convert(row.get("hosts") or [], list[HostTraffic])


# The schema of the release before does not have the details.
to_worker: Reader[SeenWorker] = reader(
    SeenWorker,
    alive=lambda row: row["silent_s"] < SILENT_S,
    memory_bytes=lambda row: row.get("memory_bytes"),
    per_second=lambda row: row.get("per_second") or {},
    held=_held,
    hosts=_hosts,
)


class PostgresPresenceStore(PresenceStore):
    """`PresenceStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        known = (
            worker.id,
            worker.host,
            worker.pid,
            worker.version,
            list(worker.phases),
            dict(worker.doing),
            worker.stopping,
            worker.started_at,
        )
        try:
            await self._database.rows("beat_with_details", *known, *_details(worker))
        except SchemaBehind:
            await self._database.rows("beat", *known)
        await self._database.rows("drop_silent_workers", forget_s)

    @override
    async def leave(self, worker_id: UUID) -> None:
        await self._database.rows("leave", worker_id)

    @override
    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        return [to_worker(row) for row in await self._database.rows("workers", limit)]


def _details(worker: WorkerState) -> tuple[Any, ...]:
    """Return what the schema of the release before has no columns for."""
    return (
        worker.memory_bytes,
        dict(worker.per_second),
        msgspec.to_builtins(list(worker.held)),
        msgspec.to_builtins(list(worker.hosts)),
    )
