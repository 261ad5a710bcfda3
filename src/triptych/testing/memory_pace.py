"""The throughput of a run in memory."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta

import numpy as np

from triptych.model import ItemState, Reason, RunState
from triptych.runs.run_store import LastTry, Pace, PaceBucket, Waits
from triptych.testing.memory_state import ItemRow, RunRow

PACE_BUCKETS = 120
WAITS_MAX = 1_000
SETTLED = (ItemState.DONE, ItemState.FAILED)


def pace_of(row: RunRow, now: datetime) -> Pace:
    """Return the throughput of a run, from all of its items."""
    begun, ended = row.run.created_at, row.run.ended_at or now
    width_s = max((ended - begun).total_seconds() / PACE_BUCKETS, 1.0)
    buckets: dict[int, list[ItemRow]] = defaultdict(list)
    for item in row.items.values():
        if item.settled_at is not None and item.settled_at >= begun and item.state in SETTLED:
            number = int((item.settled_at - begun).total_seconds() / width_s)
            buckets[min(number, PACE_BUCKETS - 1)].append(item)
    found = [
        _bucket(begun + timedelta(seconds=width_s * number), items)
        for number, items in sorted(buckets.items())
    ]
    return Pace(width_s if found else 0.0, 1, found, _waits(row, now), _last_try(row))


def _last_try(row: RunRow) -> LastTry | None:
    tried = [
        (item.due_at, item)
        for item in row.items.values()
        if item.state is ItemState.PENDING and item.due_at is not None
    ]
    if not tried or row.run.state is not RunState.ACTIVE:
        return None
    due_at, item = max(tried, key=lambda entry: entry[0])
    waits_for, detail = item.waits_for or None, item.detail or None
    return LastTry(item.attempts, item.tried_at, due_at, waits_for, detail)


def _waits(row: RunRow, now: datetime) -> Waits | None:
    """Return what the last items wait for; None before the end of a run comes near."""
    left = row.run.expected - row.run.settled
    if row.run.state is not RunState.ACTIVE or not row.run.sealed or not 0 < left <= WAITS_MAX:
        return None
    due = [
        (item.sent_at, item.key, item)
        for item in row.items.values()
        if item.state is ItemState.PENDING and item.sent_at is not None and item.sent_at > now
    ]
    if not due:
        return Waits(left, 0, None, None, None, None)
    due_at, _, first = min(due, key=lambda entry: entry[:2])
    waits_for, detail = first.waits_for or None, first.detail or None
    return Waits(left, len(due), due_at, first.attempts, waits_for, detail)


def _bucket(at: datetime, items: Sequence[ItemRow]) -> PaceBucket:
    took = [seconds for item in items if (seconds := _latency_s(item)) is not None]
    p50, p95 = np.percentile(took, [50, 95]).tolist() if took else (None, None)
    failed = sum(item.state is ItemState.FAILED for item in items)
    return PaceBucket(at, len(items), failed, len(took), p50, p95)


def _latency_s(item: ItemRow) -> float | None:
    """Return the seconds from when an item was due until it settled; None if not measured."""
    if item.sent_at is None or item.settled_at is None or item.settled_at < item.sent_at:
        return None
    if item.reason == Reason.TIMED_OUT:
        return None
    return (item.settled_at - item.sent_at).total_seconds()
