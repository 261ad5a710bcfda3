"""Opening runs in memory: what a new run is, and which snapshot can be restored, and when."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from triptych.model import AiState, Policy, Run, RunKind, RunState
from triptych.runs.restore_rules import check_none_held, check_not_current, check_snapshot
from triptych.testing.memory_state import MemoryState


def new_run(
    brand: str,
    run_id: UUID,
    kind: RunKind,
    source: str | None,
    policy: Policy,
    now: datetime,
    cap_s: float,
) -> Run:
    """Return a run that was just opened; it may be active for ``cap_s`` seconds."""
    return Run(
        id=run_id,
        brand=brand,
        kind=kind,
        state=RunState.ACTIVE,
        source=source,
        policy=policy,
        sealed=False,
        paused=False,
        expected=0,
        done=0,
        failed=0,
        out=0,
        version=1,
        seq=0,
        created_at=now,
        progressed_at=now,
        deadline_at=now + timedelta(seconds=cap_s),
        ended_at=None,
        reason=None,
        reasons={},
        added=None,
        kept=None,
        changed=None,
        removed=None,
        ai_state=AiState.NONE,
        ai_reason=None,
    )


def check_restorable(state: MemoryState, brand: str, snapshot: UUID) -> None:
    """Raise what `RunStore.open_run` raises of a snapshot that cannot be restored now."""
    current = state.brand_row(brand).current_run
    row = state.runs.get(snapshot)
    check_snapshot(None if row is None else row.run, brand, snapshot)
    if state.active_run(brand) is not None:
        return  # That run is returned instead of a new one.
    check_not_current(snapshot, current)
    held = (each.run for each in state.newest_first(brand) if each.run.state is RunState.HELD)
    check_none_held(next(held, None))
