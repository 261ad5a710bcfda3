"""What committed transactions owe to queues, and the dead letters kept."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from triptych.database.session import Database
from triptych.messages import Message
from triptych.ports import DeadLetter, Outgoing


class Outbox:
    """The part of `triptych.ports.Registry` that remembers messages."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def owed(self, *, run_id: UUID | None, older_s: float, limit: int) -> Sequence[Outgoing]:
        """See `triptych.ports.Registry.owed`."""
        rows = await self._database.rows("owed", run_id, older_s, limit)
        return [
            Outgoing(row["id"], row["queue"], Message(row["body"], row["headers"], row["brand"]))
            for row in rows
        ]

    async def mark_sent(self, ids: Sequence[int]) -> None:
        """See `triptych.ports.Registry.mark_sent`."""
        await self._database.rows("mark_sent", list(ids))

    async def bury(self, letter: DeadLetter) -> None:
        """See `triptych.ports.Registry.bury`."""
        await self._database.rows(
            "bury",
            letter.queue,
            letter.message_id,
            letter.body,
            letter.headers,
            letter.reason,
            letter.run_id,
        )
