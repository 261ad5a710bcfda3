"""What may be redriven: the rules of `RunStore.redrive_run`, whatever the store."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.errors import Conflict
from triptych.model import Reason, Run, RunKind, RunState

NEVER_REDRIVEN = (
    Reason.INVALID_URL.value,
    Reason.INVALID_ROW.value,
    Reason.INVALID_METADATA.value,
)
"""Items that failed for one of these would fail again."""


def check_redrivable(run: Run, reasons: Sequence[Reason] | None, *, collected: bool) -> None:
    """Raise `Conflict` unless a run has ended in a way that can be redriven."""
    if run.state is RunState.ACTIVE:
        raise Conflict(
            f"Run {run.id} is still active.", remedy="Redrive when it has ended, or cancel it."
        )
    if collected:
        raise Conflict(
            f"The rows of run {run.id} have been deleted.", remedy="Start a new run of the brand."
        )
    if run.state is RunState.HELD:
        raise Conflict(f"Run {run.id} is held.", remedy="Publish or discard it first.")
    if run.state is RunState.CANCELLED:
        raise Conflict(f"Run {run.id} was cancelled.", remedy="Start a new run of the brand.")
    if reasons is not None and run.state is not RunState.COMMITTED:
        raise Conflict(
            f"Run {run.id} did not commit: it is redriven as a whole.",
            remedy="Redrive it without naming reasons.",
        )


def redriven_kind(run: Run) -> RunKind:
    """Return the kind of the run that redrives ``run``.

    A committed run's other items are assets already: the failed ones are added to them.
    """
    added = run.kind is RunKind.FULL and run.state is RunState.COMMITTED
    return RunKind.ADD if added else run.kind


def check_something_left(run: Run, *, expected: int, done: int) -> None:
    """Raise `Conflict` if the items that move along make no run.

    ``done`` of the ``expected`` items that move are done and staged.
    """
    lost = run.state is not RunState.COMMITTED and done < run.done
    if lost or (expected == done and run.sealed):
        raise Conflict(
            f"Run {run.id} has nothing left to redrive.", remedy="Start a new run of the brand."
        )


def active_run(run: Run) -> Conflict:
    """Return the error of a brand whose active run stands in the way of a redrive."""
    return Conflict(
        f"Brand {run.brand!r} has an active run, {run.id}.",
        remedy="Redrive when it has ended, or cancel it.",
    )
