"""What operators ask for, on Postgres: schedules, AI again, dead letters again."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from triptych.database.rows import brand_not_found, to_run
from triptych.database.session import Database, Transaction
from triptych.errors import Conflict
from triptych.messages import (
    AI_QUEUE,
    HEADER_ITEM,
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    HEADER_RUN,
    AiBody,
    Headers,
)
from triptych.model import AiState, Run
from triptych.ports.steering import DueBrand

NOT_REDRIVEN = [HEADER_REASON, HEADER_ORIGIN_ID, HEADER_RUN, HEADER_ITEM]
"""Headers that a redriven message goes without: what it belonged to has ended."""


class PostgresSteering:
    """`triptych.ports.Steering` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put_brand(
        self, name: str, *, source: str | None, schedule: str | None, due_at: datetime | None
    ) -> None:
        """See `triptych.ports.Steering.put_brand`."""
        if not await self._database.rows("put_brand", name, source, schedule, due_at):
            raise Conflict(f"Brand {name!r} is being deleted.", remedy="Try again when it is gone.")

    async def due_brands(self, *, limit: int) -> Sequence[DueBrand]:
        """See `triptych.ports.Steering.due_brands`."""
        return [
            DueBrand(row["name"], row["schedule"], row["due_at"])
            for row in await self._database.rows("due_brands", limit)
        ]

    async def advance_schedule(self, name: str, *, seen: datetime, due_at: datetime | None) -> bool:
        """See `triptych.ports.Steering.advance_schedule`."""
        return bool(await self._database.rows("advance_schedule", name, seen, due_at))

    async def request_ai(self, brand: str) -> Run:
        """See `triptych.ports.Steering.request_ai`."""

        async def work(tx: Transaction) -> Run:
            row = await tx.row("lock_current_run", brand)
            if row is None:
                if not await tx.row("current_run_of", brand):
                    raise brand_not_found(brand)
                raise Conflict(
                    f"Brand {brand!r} has no snapshot.", remedy="Wait for its first commit."
                )
            if row["ai_state"] == AiState.RUNNING.value:
                return to_run(row)
            # Owed again even when queued: its message may be the one that was lost.
            body = AiBody(brand=brand).model_dump()
            headers = Headers(run_id=row["id"]).encode()
            await tx.rows("owe", AI_QUEUE, body, headers, brand, row["id"])
            queued = await tx.row("queue_ai", row["id"])
            assert queued is not None
            await tx.rows("add_event", row["id"], "ai_requested", {})
            return to_run(queued)

        return await self._database.transact(work)

    async def redrive_letters(
        self, *, ids: Sequence[int] | None, queue: str | None, limit: int
    ) -> int:
        """See `triptych.ports.Steering.redrive_letters`."""
        rows = await self._database.rows(
            "redrive_letters", None if ids is None else list(ids), queue, limit, NOT_REDRIVEN
        )
        count: int = rows[0]["redriven"]
        return count
