"""Which workers are there, on Postgres."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from triptych.database.session import Database
from triptych.ports import SeenWorker, WorkerState


class PostgresPresence:
    """`triptych.ports.Presence` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def beat(self, worker: WorkerState, *, forget_s: float) -> None:
        """See `triptych.ports.Presence.beat`."""
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

    async def leave(self, worker_id: UUID) -> None:
        """See `triptych.ports.Presence.leave`."""
        await self._database.rows("leave", worker_id)

    async def workers(self, *, limit: int) -> Sequence[SeenWorker]:
        """See `triptych.ports.Presence.workers`."""
        return [
            SeenWorker(
                WorkerState(
                    row["id"],
                    row["host"],
                    row["pid"],
                    row["version"],
                    row["phases"],
                    row["doing"],
                    row["stopping"],
                    row["started_at"],
                ),
                row["silent_s"],
            )
            for row in await self._database.rows("workers", limit)
        ]
