"""Ending runs in memory, including the commit, which makes a run its brand's snapshot."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from triptych.messages import AI_QUEUE, AiBody, Headers, Message
from triptych.model import ALSO_MAX, AiState, ItemState, Metadata, Reason, RunKind, RunState
from triptych.runs.held_rules import REMOVED_SHOWN, held_reason
from triptych.runs.run_log import log_ended
from triptych.runs.tolerated_failures import too_many_failures
from triptych.testing.memory_state import AssetRow, MemoryState, RunRow


@dataclass(slots=True)
class Changes:
    """The differences between a snapshot and the previous one."""

    added: int = 0
    kept: int = 0
    changed: int = 0
    removed: int = 0


def commit_run(state: MemoryState, row: RunRow) -> None:
    """End a sealed run with all items settled: publish it, or fail it if too many failed."""
    counts = Counter(item.state for item in row.items.values())
    if counts[ItemState.PENDING]:
        return
    reason = too_many_failures(
        expected=len(row.items),
        failed=counts[ItemState.FAILED],
        skipped=sum(item.reason == Reason.SKIPPED for item in row.items.values()),
        tolerated=row.run.policy.tolerated_failures,
    )
    if reason is not None:
        end_run(state, row, RunState.FAILED, reason)
        return
    before = state.snapshot_row(row.run.brand)
    if before is None or row.run.kind is not RunKind.FULL:
        publish_run(state, row)
        return
    remaining = sum(key in row.staged for key in before.assets)
    held = held_reason(len(before.assets), remaining, row.run.policy.max_removed)
    if held is None:
        publish_run(state, row)
        return
    urls = [asset.url for key, asset in before.assets.items() if key not in row.staged]
    state.change(row, removed=len(urls))
    details = {"removed": len(urls), "of": len(before.assets), "urls": urls[:REMOVED_SHOWN]}
    end_run(state, row, RunState.HELD, held, details)


def discard_run(state: MemoryState, row: RunRow, reason: str) -> None:
    """End a held run as cancelled."""
    now = state.now()
    state.change(
        row,
        state=RunState.CANCELLED,
        reason=reason,
        removed=None,
        ended_at=now,
        progressed_at=now,
    )
    row.staged = {}
    state.event(row, "cancelled", {"reason": reason})
    log_ended(row.run)


def publish_run(state: MemoryState, row: RunRow) -> None:
    """Make a run its brand's snapshot, and end it."""
    run = row.run
    restored = {} if run.restores is None else state.run_row(run.restores).assets
    changes = _publish_assets(row, restored, state.snapshot_row(run.brand), state.now())
    state.change_brand(state.brand_row(run.brand), current_run=run.id)
    row.staged = {}
    state.change(
        row,
        added=changes.added,
        kept=changes.kept,
        changed=changes.changed,
        removed=changes.removed,
        ai_state=AiState.QUEUED,
    )
    end_run(state, row, RunState.COMMITTED, None)
    headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
    message = Message(AiBody(brand=run.brand).model_dump(), headers, run.brand)
    state.owe(AI_QUEUE, message, run.id)


def _publish_assets(
    row: RunRow, restored: Mapping[bytes, AssetRow], previous: RunRow | None, now: datetime
) -> Changes:
    """Write the run's snapshot in key order; return its differences from the previous one.

    ``restored`` are the assets of the snapshot that it publishes again, if it does; ``now`` is when
    assets that are new to the brand's snapshot are first seen.
    """
    before = {} if previous is None else previous.assets
    assets = dict(restored)
    changes = Changes()
    for key, staged in row.staged.items():
        item = row.items[key]
        seen = before[key].first_seen if key in before else now
        also = row.merged_rows.get(key, [])[:ALSO_MAX]
        assets[key] = AssetRow(item.url, item.metadata, also, staged, seen)
    for key, asset in assets.items():
        if key not in before:
            changes.added += 1
        elif before[key].staged.sha256 == asset.staged.sha256:
            changes.kept += 1
        else:
            changes.changed += 1
    if row.run.kind in (RunKind.FULL, RunKind.RESTORE):
        changes.removed = len(before) - changes.kept - changes.changed
    else:
        # Runs that add, and those that embed again, keep the assets that they did not list.
        carried = {key: asset for key, asset in before.items() if key not in assets}
        changes.kept += len(carried)
        assets |= carried
    row.assets = dict(sorted(assets.items()))
    return changes


def end_run(
    state: MemoryState,
    row: RunRow,
    final: RunState,
    reason: str | None,
    details: Metadata | None = None,
) -> None:
    """End a run; a brand keeps staged assets of its newest failed run only, for a redrive."""
    failed = Counter(i.reason for i in row.items.values() if i.state is ItemState.FAILED)
    now = state.now()
    state.change(
        row,
        state=final,
        reason=reason,
        ended_at=now,
        progressed_at=now,
        out=0,
        paused=False,
        reasons={str(why): count for why, count in failed.items()},
    )
    row.outages = {}
    if final is RunState.CANCELLED:
        row.staged = {}
    for older in state.newest_first(row.run.brand):
        if older is not row and older.run.state is not RunState.ACTIVE:
            older.staged = {}
    state.event(row, final.value, {"reason": reason, **(details or {})})
    log_ended(row.run)
