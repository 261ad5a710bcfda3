"""Which runs are stalled, in memory."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta
from uuid import UUID

from triptych.messages import Phase
from triptych.model import ItemState, RunState
from triptych.runs.run_store import RunCounts
from triptych.testing.memory_state import MemoryState, RunRow

Phases = Collection[Phase]


def mark_stalled(state: MemoryState, after_s: float, limit: int, held_up: Phases) -> list[UUID]:
    """Note which runs are stalled: see `RunStore.mark_stalled`."""
    changed: list[UUID] = []
    for row in _quiet_runs(state.runs.values(), state.now(), after_s)[:limit]:
        stalled = _is_stalled(row, state.now(), after_s) and not _held(row, held_up)
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


def _held(row: RunRow, held_up: Phases) -> bool:
    gathers = Phase.GATHER in held_up and not row.run.sealed
    return gathers or (Phase.ACQUIRE in held_up and row.run.out > 0)


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


def count_runs(state: MemoryState) -> RunCounts:
    """Count the runs that do not go on by themselves: see `RunStore.counts`."""
    runs = [row.run for row in state.runs.values()]
    held = sum(run.state is RunState.HELD for run in runs)
    return RunCounts(sum(run.stalled for run in runs), held)
