"""Runs that do not go on by themselves: the note in their rows, and how many there are."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from uuid import UUID

from triptych.database.session import Database, Transaction
from triptych.messages import Phase
from triptych.runs.run_store import RunCounts


async def mark_stalled(
    database: Database, after_s: float, limit: int, held_up: Collection[Phase]
) -> Sequence[UUID]:
    """Note which runs are stalled: see `RunStore.mark_stalled`."""

    async def work(tx: Transaction) -> Sequence[UUID]:
        changed = await tx.rows(
            "mark_stalled", after_s, limit, Phase.GATHER in held_up, Phase.ACQUIRE in held_up
        )
        for row in changed:
            if row["stalled"]:
                since = row["progressed_at"].isoformat()
                await tx.rows("add_event", row["id"], "stalled", {"since": since})
        return [row["id"] for row in changed]

    return await database.transact(work)


async def count_runs(database: Database) -> RunCounts:
    """Count the runs that do not go on by themselves: see `RunStore.counts`."""
    found = (await database.rows("count_runs"))[0]
    return RunCounts(found["stalled"], found["held"])
