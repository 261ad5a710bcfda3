"""Sealing, pausing and ending runs without a commit, and finding those that want attention."""

from __future__ import annotations

from uuid import UUID

import asyncpg

from triptych.database.session import Database, Transaction
from triptych.adapters.postgres.settling import read_run
from triptych.errors import RunEnded
from triptych.model import ItemState, Reason, Run, RunState
from triptych.ports import Due

COMMIT_GRACE_S = 2.0
"""The sweeper leaves a complete run this long to the worker that completed it."""


class Ending:
    """The part of `triptych.ports.Registry` that steers and ends runs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def seal(self, run_id: UUID) -> Run:
        """See `triptych.ports.Registry.seal`."""

        async def work(tx: Transaction) -> Run:
            row = await tx.row("seal_run", run_id)
            if row is not None:
                await tx.rows("add_event", run_id, "sealed", {"expected": row["expected"]})
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    async def pause(self, run_id: UUID, *, paused: bool) -> Run:
        """See `triptych.ports.Registry.pause`."""

        async def work(tx: Transaction) -> Run:
            row = await tx.row("pause_run", run_id, paused)
            if row is None:
                run = await read_run(tx, run_id)
                raise RunEnded(f"Run {run_id} is {run.state.value}.")
            await tx.rows("add_event", run_id, "paused" if paused else "resumed", {})
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    async def expire(self, run_id: UUID) -> Run:
        """See `triptych.ports.Registry.expire`."""

        async def work(tx: Transaction) -> Run:
            timed_out = Reason.TIMED_OUT.value
            run, ended, out = await _end_pending(tx, run_id, ItemState.FAILED, timed_out)
            if run is None:
                return await read_run(tx, run_id)
            if ended:
                await tx.rows("count_settled", run_id, 0, ended, out)
            await tx.rows("add_event", run_id, "expired", {"timed_out": ended})
            if not run["sealed"]:
                reason = "deadline: gathering had not listed every URL"
                await end_run(tx, run_id, RunState.FAILED, reason)
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    async def fail(self, run_id: UUID, reason: str) -> Run:
        """See `triptych.ports.Registry.fail`."""
        return await self._stop(run_id, RunState.FAILED, reason)

    async def cancel(self, run_id: UUID) -> Run:
        """See `triptych.ports.Registry.cancel`."""
        return await self._stop(run_id, RunState.CANCELLED, "cancelled")

    async def _stop(self, run_id: UUID, state: RunState, reason: str) -> Run:
        async def work(tx: Transaction) -> Run:
            run, _, _ = await _end_pending(tx, run_id, ItemState.CANCELLED, None)
            if run is None:
                return await read_run(tx, run_id)
            await end_run(tx, run_id, state, reason)
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    async def due(self, *, idle_s: float, stalled_s: float, limit: int) -> Due:
        """See `triptych.ports.Registry.due`."""

        async def work(tx: Transaction) -> list[asyncpg.Record]:
            return await tx.rows("due_runs", idle_s, stalled_s, limit, COMMIT_GRACE_S)

        rows = await self._database.transact(work)
        wants = {
            want: [row["id"] for row in rows if row[want]]
            for want in ("commit", "seal", "resend", "expire")
        }
        return Due(**wants)


async def _end_pending(
    tx: Transaction, run_id: UUID, state: ItemState, reason: str | None
) -> tuple[asyncpg.Record | None, int, int]:
    """End a run's pending items, then lock the run; return it with what ended and was out.

    None for the run if it is not active: then nothing of it was pending.
    """
    first = await tx.row("end_pending", run_id, state.value, reason)
    run = await tx.row("lock_run", run_id)
    # A page may have come in before the run was locked; none can now.
    second = await tx.row("end_pending", run_id, state.value, reason)
    assert first is not None
    assert second is not None
    active = run if run is not None and run["state"] == "active" else None
    return active, first["ended"] + second["ended"], first["was_out"] + second["was_out"]


async def end_run(tx: Transaction, run_id: UUID, state: RunState, reason: str | None) -> None:
    """End a run in its transaction; what it staged goes with a cancelled one."""
    row = await tx.row("end_run", run_id, state.value, reason)
    assert row is not None
    if state is RunState.CANCELLED:
        await tx.rows("let_go_staging", run_id)
    for older in await tx.rows("older_staging", row["brand"], run_id):
        await tx.rows("let_go_staging", older["id"])
    await tx.rows("add_event", run_id, state.value, {"reason": reason})
    await tx.rows("owe_webhooks", run_id, f"run.{state.value}")
