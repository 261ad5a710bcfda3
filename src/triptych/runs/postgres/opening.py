"""Opening runs inside a transaction: by request, by an external message, by redrive."""

from __future__ import annotations

from functools import partial
from uuid import UUID

from triptych.database.rows import brand_not_found, to_run
from triptych.database.session import Transaction
from triptych.errors import Conflict
from triptych.messages import GATHER_QUEUE, GatherBody, Headers
from triptych.model import Policy, Run, RunKind
from triptych.runs.postgres.ending import discard_held
from triptych.runs.restore_rules import (
    check_none_held,
    check_not_current,
    check_snapshot,
    snapshot_collected,
)
from triptych.runs.run_log import log_opened
from triptych.runs.run_store import Opened

OPEN_TRIES = 5
"""A run may end between two statements that look for it; five times in a row is a defect."""


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
    restores: UUID | None = None,
) -> Opened:
    """Open a run, or return the brand's active one, which is then locked.

    Raises:
        Conflict: the brand is being deleted, or it is at the snapshot that is to be restored.
        RunActive: a restore finds a held run.
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
            policy.max_removed,
            restores,
        )
        if row:
            if restores is not None:
                await _check_restores(tx, brand, restores)
            await discard_held(tx, brand, f"a newer run was started, {run_id}")
            of = {} if restores is None else {"restores": str(restores)}
            await tx.rows("add_event", run_id, "opened", {"kind": kind.value, **of})
            run = to_run(row)
            tx.after_commit(partial(log_opened, run))
            return Opened(run, created=True)
        if row := await tx.row("lock_active_run", brand):
            return Opened(to_run(row), created=False)
        known = await tx.row("brand_is_deleting", brand)
        if known is not None and known["deleting"]:
            raise Conflict(
                f"Brand {brand!r} is being deleted.", remedy="Try again when it has been deleted."
            )
    raise RuntimeError(f"brand {brand!r}: no run could be opened or joined")


async def check_restorable(tx: Transaction, brand: str, snapshot: UUID) -> None:
    """Check that a snapshot of a brand is there to be restored.

    Raises:
        BrandNotFound: there is no such brand.
        RunNotFound: it has no such snapshot.
        SnapshotCollected: it is no longer kept.
    """
    if not await tx.row("current_run_of", brand):
        raise brand_not_found(brand)
    row = await tx.row("read_run", snapshot)
    check_snapshot(None if row is None else to_run(row), brand, snapshot)
    if row is not None and row["collected_at"] is not None:
        raise snapshot_collected(snapshot)


async def _check_restores(tx: Transaction, brand: str, snapshot: UUID) -> None:
    """Check what only a run of the brand's own can change: the new one is its active run by now."""
    known = await tx.row("current_run_of", brand)
    check_not_current(snapshot, known["current_run"] if known else None)
    held = await tx.row("held_run", brand)
    check_none_held(None if held is None else to_run(held))


async def enqueue_gather(tx: Transaction, run: Run) -> None:
    """Put the gather message of a run into the outbox."""
    body = GatherBody(brand=run.brand).model_dump()
    headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
    await tx.rows("owe", GATHER_QUEUE, body, headers, run.brand, run.id)
