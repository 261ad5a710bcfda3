"""Redriving a run inside a transaction: a new run of an ended run's failed items."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

import asyncpg

from triptych.database.rows import to_run
from triptych.database.session import Transaction
from triptych.errors import Conflict, RunNotFound
from triptych.model import Policy, Reason, Run, RunKind, RunState
from triptych.runs.postgres.opening import enqueue_gather, insert_or_join
from triptych.runs.run_store import Opened

NEVER_REDRIVEN = (Reason.INVALID_URL.value, Reason.INVALID_METADATA.value)


@dataclass(frozen=True, slots=True)
class Redrive:
    """One redrive, as `RunStore.redrive_run` asks for it. Safe to repeat."""

    run_id: UUID
    new_id: UUID
    policy: Policy
    reasons: Sequence[Reason] | None
    run_cap_s: float

    async def apply(self, tx: Transaction) -> Opened:
        """Open the new run and move the failed items into it."""
        if row := await tx.row("read_run", self.new_id):
            return Opened(to_run(row), created=False)
        row = await tx.row("lock_run", self.run_id)
        if row is None:
            raise RunNotFound(f"There is no run {self.run_id}.")
        old = to_run(row)
        _check_redrivable(old, collected=row["collected_at"] is not None)
        if self.reasons is not None and old.state is not RunState.COMMITTED:
            raise Conflict(
                f"Run {self.run_id} did not commit: it is redriven as a whole.",
                remedy="Redrive it without naming reasons.",
            )
        await self._open(tx, old)
        return Opened(await _take_over(tx, row, self.new_id, self.reasons), created=True)

    async def _open(self, tx: Transaction, old: Run) -> None:
        # A committed run's other items are assets already: the failed ones are added to them.
        added = old.kind is RunKind.FULL and old.state is RunState.COMMITTED
        opened = await insert_or_join(
            tx,
            old.brand,
            self.new_id,
            RunKind.ADD if added else old.kind,
            old.source,
            self.policy,
            run_cap_s=self.run_cap_s,
            redrives=self.run_id,
            traceparent=old.traceparent,
        )
        if not opened.created:
            raise Conflict(
                f"Brand {old.brand!r} has an active run, {opened.run.id}.",
                remedy="Redrive when it has ended, or cancel it.",
            )


async def _take_over(
    tx: Transaction, old: asyncpg.Record, new_id: UUID, reasons: Sequence[Reason] | None
) -> Run:
    """Move an ended run's failed items, and what else it staged, into the run ``new_id``.

    Raises:
        Conflict: nothing is left to redrive.
    """
    only = None if reasons is None else [reason.value for reason in reasons]
    counts = await tx.row("redrive_items", old["id"], new_id, list(NEVER_REDRIVEN), only)
    assert counts is not None
    ended_unsealed = not old["sealed"]
    lost = old["state"] != "committed" and counts["done"] < old["done"]
    if lost or (counts["expected"] == counts["done"] and not ended_unsealed):
        raise Conflict(
            f"Run {old['id']} has nothing left to redrive.",
            remedy="Start a new run of the brand.",
        )
    await tx.rows("redrive_staging", old["id"], new_id)
    row = await tx.row(
        "count_redriven",
        new_id,
        counts["expected"],
        counts["done"],
        old["sealed"],
        old["gather_cursor"],
    )
    assert row is not None
    await tx.rows("add_event", new_id, "redriven", {"run": str(old["id"])})
    if ended_unsealed:
        await enqueue_gather(tx, to_run(row))
    return to_run(row)


def _check_redrivable(run: Run, *, collected: bool) -> None:
    """Raise `Conflict` unless a run has ended in a way that can be redriven."""
    if run.state is RunState.ACTIVE:
        raise Conflict(
            f"Run {run.id} is still active.", remedy="Redrive when it has ended, or cancel it."
        )
    if collected:
        raise Conflict(
            f"The rows of run {run.id} have been deleted.", remedy="Start a new run of the brand."
        )
    if run.state is RunState.CANCELLED:
        raise Conflict(f"Run {run.id} was cancelled.", remedy="Start a new run of the brand.")
