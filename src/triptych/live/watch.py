"""Follow one run: its current state first, then every newer one, until the final one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from uuid import UUID

from triptych.model import Run
from triptych.runs.change_feed import ChangeFeed
from triptych.runs.run_shown import is_over
from triptych.runs.run_store import RunStore


async def watch(runs: RunStore, changes: ChangeFeed, run_id: UUID) -> AsyncIterator[Run]:
    """Yield a run whenever its version has grown; end with its final state.

    Level-triggered: each state is read from the database, so a lost or duplicate notification does
    no harm. Nothing is read between two notifications.

    Raises:
        RunNotFound: there is no such run.
    """
    async with changes.changes() as changed:
        run = await runs.run(run_id)
        yield run
        while not is_over(run):
            if await anext(changed) != run_id:
                continue
            newest = await runs.run(run_id)
            if newest.version > run.version:
                run = newest
                yield run
