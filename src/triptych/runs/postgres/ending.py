"""Ending runs inside a transaction."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from uuid import UUID

import asyncpg

from triptych.database.rows import to_run
from triptych.database.session import Transaction
from triptych.model import ItemState, RunState
from triptych.runs.run_log import log_ended

BY_COMMIT = frozenset({RunState.COMMITTED, RunState.HELD})
"""States that only a commit gives; a run that fails may never have come so far."""


async def end_pending(
    tx: Transaction, run_id: UUID, state: ItemState, reason: str | None
) -> tuple[asyncpg.Record | None, int, int]:
    """End a run's pending items, then lock the run; return it, how many ended and were outstanding.

    None for the run if it is not active: then it had no pending items.
    """
    first = await tx.row("end_pending", run_id, state.value, reason)
    run = await tx.row("lock_run", run_id)
    # A page may have been added before the run was locked; none can be added now.
    second = await tx.row("end_pending", run_id, state.value, reason)
    assert first is not None
    assert second is not None
    active = run if run is not None and run["state"] == "active" else None
    return active, first["ended"] + second["ended"], first["was_out"] + second["was_out"]


async def end_run(
    tx: Transaction,
    run_id: UUID,
    state: RunState,
    reason: str | None,
    details: Mapping[str, Any] | None = None,
) -> None:
    """End a run in its transaction; the staging of a cancelled run is deleted.

    ``details`` are for its timeline.
    """
    row = await tx.row("end_run", run_id, state.value, reason)
    assert row is not None
    await tx.rows("forget_outages", run_id)
    if state is RunState.CANCELLED:
        await tx.rows("let_go_staging", run_id)
    for older in await tx.rows("older_staging", row["brand"], run_id):
        await tx.rows("let_go_staging", older["id"])
    await tx.rows("add_event", run_id, state.value, {"reason": reason, **(details or {})})
    await tx.rows("owe_webhooks", run_id, f"run.{state.value}")
    by_commit = state in BY_COMMIT
    tx.after_commit(lambda: log_ended(to_run(row), commit_s=tx.seconds if by_commit else None))


async def discard_held(tx: Transaction, brand: str, reason: str) -> None:
    """End a brand's held run, if it has one, as cancelled."""
    for held in await tx.rows("held_run", brand):
        await discard_run(tx, held["id"], reason)


async def discard_run(tx: Transaction, run_id: UUID, reason: str) -> None:
    """End a held run as cancelled; it is locked."""
    row = await tx.row("discard_held", run_id, reason)
    assert row is not None
    await tx.rows("let_go_staging", run_id)
    await tx.rows("add_event", run_id, "cancelled", {"reason": reason})
    await tx.rows("owe_webhooks", run_id, "run.cancelled")
    tx.after_commit(partial(log_ended, to_run(row)))
