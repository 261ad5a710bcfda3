"""When a run has failed as a whole, because too many of its items have: whatever the store."""

from __future__ import annotations


def too_many_failures(*, expected: int, failed: int, skipped: int, tolerated: float) -> str | None:
    """Return why a complete run fails; None if it may commit.

    What an operator skipped is judged neither way: somebody has looked at these items and has let
    them go, so that the others decide.

    Args:
        expected: items of the run.
        failed: of them, those that failed or were skipped.
        skipped: of those, the skipped ones.
        tolerated: the share of failures, 0..1, with which a run commits.
    """
    judged, bad = expected - skipped, failed - skipped
    if not judged or bad / judged <= tolerated:
        return None
    but = f", without {skipped} that were skipped" if skipped else ""
    return f"too_many_failures: {bad} of {judged} items failed{but}, {tolerated:.0%} tolerated"
