"""Pages of a listing in memory."""

from __future__ import annotations

from collections.abc import Sequence

from triptych.model import Age, Run, Slice


def newest_slice(runs: Sequence[Run], before: Age | None, limit: int) -> Slice[Run, Age]:
    """Return a page of runs, newest first."""
    left = [
        run for run in runs if before is None or (run.created_at, run.id) < (before.at, before.id)
    ]
    page = left[:limit]
    return Slice(page, Age(page[-1].created_at, page[-1].id) if len(left) > limit else None)
