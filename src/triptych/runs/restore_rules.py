"""Which snapshots can be restored, and when: the same in every store."""

from __future__ import annotations

from uuid import UUID

from triptych.errors import Conflict, RunActive, RunNotFound, SnapshotCollected
from triptych.model import Run, RunKind, RunState


def check_snapshot(run: Run | None, brand: str, snapshot: UUID) -> Run:
    """Return a run that is a snapshot of a brand, kept or not; else raise `RunNotFound`."""
    if run is None or run.brand != brand or run.state is not RunState.COMMITTED:
        raise RunNotFound(
            f"Brand {brand!r} has no snapshot {snapshot}.", remedy="List the brand's snapshots."
        )
    return run


def snapshot_collected(snapshot: UUID) -> SnapshotCollected:
    """Return the error of a snapshot that retention has let go of."""
    return SnapshotCollected(
        f"The snapshot of run {snapshot} is no longer kept.",
        remedy="Read the brand's current one.",
    )


def check_not_current(snapshot: UUID, current: UUID | None) -> None:
    """Raise `Conflict` if a snapshot is its brand's current one."""
    if snapshot == current:
        raise Conflict(
            f"Snapshot {snapshot} is the brand's current one: there is nothing to restore.",
            remedy="Choose an older snapshot.",
        )


def check_none_held(held: Run | None) -> None:
    """Raise `RunActive` if a run of the brand is held: what becomes of it is decided first."""
    if held is not None:
        raise RunActive(
            f"Brand {held.brand!r} has a held run ({held.id}): {held.reason}.",
            remedy="Discard or publish it first: `triptych discard RUN`, `triptych publish RUN`.",
            run_id=held.id,
        )


def check_same_snapshot(run: Run, snapshot: UUID) -> None:
    """Raise `RunActive` if a brand's active restore is of another snapshot."""
    if run.kind is RunKind.RESTORE and run.restores != snapshot:
        raise RunActive(
            f"Brand {run.brand!r} is being restored to snapshot {run.restores} (run {run.id}).",
            remedy="Try again when that has ended, or cancel it.",
            run_id=run.id,
        )
