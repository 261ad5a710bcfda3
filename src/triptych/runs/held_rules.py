"""When a run's commit waits for an operator: the removal guard, whatever the store."""

from __future__ import annotations

from triptych.errors import Conflict
from triptych.model import Run, RunState

REMOVED_SHOWN = 10
"""URLs of assets to be removed that the timeline names."""
HELD_MAX_S = 7 * 24 * 3600.0
"""Seconds after which a held run that nobody decides on is discarded."""


def held_reason(before: int, remaining: int, max_removed: float) -> str | None:
    """Return why a run is held; None if it may commit by itself.

    Args:
        before: assets of the brand's snapshot.
        remaining: those of them that the run has again, whatever their content.
        max_removed: the policy's.
    """
    removed = before - remaining
    if not removed or (remaining and removed / before <= max_removed):
        return None
    allowed = f"{max_removed:.0%} may be removed" if remaining else "nothing would remain"
    return (
        f"it would remove {removed} of {before} assets ({removed / before:.0%}); {allowed}. "
        "Publish or discard it"
    )


def check_held(run: Run) -> None:
    """Raise `Conflict` unless a run is held."""
    if run.state is not RunState.HELD:
        raise Conflict(
            f"Run {run.id} is {run.state.value}, not held.",
            remedy="Only a held run can be published or discarded.",
        )
