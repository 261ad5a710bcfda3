"""Which runs are stalled, in memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from triptych.model import ItemState, RunState
from triptych.testing.memory_state import MemoryState, RunRow


def mark_stalled(state: MemoryState, after_s: float, limit: int) -> Sequence[UUID]:
    """Note which runs are stalled: see `RunStore.mark_stalled`."""
    changed: list[UUID] = []
    for row in _quiet_runs(state.runs.values(), state.now(), after_s)[:limit]:
        stalled = _is_stalled(row, state.now(), after_s)
        if stalled is row.run.stalled:
            continue
        state.change(row, stalled=stalled)
        if stalled:
            state.event(row, "stalled", {"since": row.run.progressed_at.isoformat()})
        changed.append(row.run.id)
    return changed


def _quiet_runs(rows: Iterable[RunRow], now: datetime, after_s: float) -> list[RunRow]:
    """Return the active runs that may be stalled, or are noted as such; the quietest first."""
    since = now - timedelta(seconds=after_s)
    quiet = [
        row
        for row in rows
        if row.run.state is RunState.ACTIVE
        and not row.run.paused
        and (row.run.stalled or row.run.progressed_at < since)
    ]
    return sorted(quiet, key=lambda row: row.run.progressed_at)


def _is_stalled(row: RunRow, now: datetime, after_s: float) -> bool:
    """Return whether a quiet run is stalled, as `RunStore.mark_stalled` says."""
    since = now - timedelta(seconds=after_s)
    lately = [
        item
        for item in row.items.values()
        if item.state is ItemState.PENDING and item.due_at is not None and item.due_at > since
    ]
    tried = any(item.tried_at is not None and item.tried_at > since for item in lately)
    waits = 0 < row.run.out <= len(lately)
    return row.run.progressed_at < since and not tried and not waits
