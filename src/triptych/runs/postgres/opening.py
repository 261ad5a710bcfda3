"""Opening runs inside a transaction: by request, by an external message, by redrive."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import asyncpg

from triptych.database.rows import to_run
from triptych.database.session import Transaction
from triptych.errors import Conflict
from triptych.messages import GATHER_QUEUE, GatherBody, Headers
from triptych.model import Policy, Reason, Run, RunKind, RunState
from triptych.runs.run_store import Opened

DETAIL_MAX_CHARS = 500
"""Longer details of a failure are cut."""


OPEN_TRIES = 5
"""A run may end between two statements that look for it; five times in a row is a defect."""


NEVER_REDRIVEN = (Reason.INVALID_URL.value, Reason.INVALID_METADATA.value)


async def insert_or_join(
    tx: Transaction,
    brand: str,
    run_id: UUID,
    kind: RunKind,
    source: str | None,
    policy: Policy,
    *,
    run_cap_s: float,
    redrives: UUID | None = None,
    traceparent: str | None = None,
) -> Opened:
    """Open a run, or return the brand's active one, which is then locked.

    Raises:
        Conflict: the brand is being deleted.
    """
    for _ in range(OPEN_TRIES):
        row = await tx.row(
            "insert_run",
            run_id,
            brand,
            kind.value,
            source,
            policy.tolerated_failures,
            policy.max_attempts,
            policy.deadline_s,
            run_cap_s,
            redrives,
            traceparent,
        )
        if row:
            await tx.rows("add_event", run_id, "opened", {"kind": kind.value})
            return Opened(to_run(row), created=True)
        if row := await tx.row("lock_active_run", brand):
            return Opened(to_run(row), created=False)
        known = await tx.row("brand_is_deleting", brand)
        if known is not None and known["deleting"]:
            raise Conflict(
                f"Brand {brand!r} is being deleted.", remedy="Try again when it is gone."
            )
    raise RuntimeError(f"brand {brand!r}: no run could be opened or joined")


async def enqueue_gather(tx: Transaction, run: Run) -> None:
    """Owe the gather message of a run to its queue."""
    body = GatherBody(brand=run.brand).model_dump()
    headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
    await tx.rows("owe", GATHER_QUEUE, body, headers, run.brand, run.id)


async def take_over(
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


def check_redrivable(run: Run, *, collected: bool) -> None:
    """Raise `Conflict` unless a run has ended in a way that can be redriven."""
    if run.state is RunState.ACTIVE:
        raise Conflict(
            f"Run {run.id} is still active.", remedy="Redrive when it has ended, or cancel it."
        )
    if collected:
        raise Conflict(
            f"The rows of run {run.id} have been let go of.", remedy="Start a new run of the brand."
        )
    if run.state is RunState.CANCELLED:
        raise Conflict(f"Run {run.id} was cancelled.", remedy="Start a new run of the brand.")
