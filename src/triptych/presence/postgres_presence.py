"""The list of workers, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from typing_extensions import override

from triptych.database.rows import Reader, reader
from triptych.database.session import Database
from triptych.presence.presence_store import (
    SILENT_S,
    PresenceStore,
    SeenWorker,
    WorkerState,
)

to_worker: Reader[SeenWorker] = reader(SeenWorker, alive=lambda row: row["silent_s"] < SILENT_S)


class PostgresPresenceStore(PresenceStore):
    """`PresenceStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        await self._database.rows(
            "beat",
            worker.id,
            worker.host,
            worker.pid,
            worker.version,
            list(worker.phases),
            dict(worker.doing),
            worker.stopping,
            worker.started_at,
        )
        await self._database.rows("drop_silent_workers", forget_s)

    @override
    async def leave(self, worker_id: UUID) -> None:
        await self._database.rows("leave", worker_id)

    @override
    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        return [to_worker(row) for row in await self._database.rows("workers", limit)]
