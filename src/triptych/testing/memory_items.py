"""Items of runs in memory: creation, dispatch, retries and redrives."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from uuid import UUID

from triptych.database.session import no_nul
from triptych.model import Item, ItemState, NewItem, Reason, RunKind, RunState
from triptych.runs.redrive_rules import NEVER_REDRIVEN, NamedItem, check_named
from triptych.runs.run_store import (
    COMMIT_GRACE_S,
    DETAIL_MAX_CHARS,
    REFUSED_ROWS_MAX,
    TRIES_SHOWN_S,
    Due,
    PutOff,
    RowsRead,
)
from triptych.testing.memory_state import ItemRow, MemoryState, RunRow, as_json, to_item

SENDS_MAX = 16


def new_row(item: NewItem, position: int, now: datetime) -> ItemRow:
    """Return the row of a new item; a refused item has failed."""
    row = ItemRow(item.key, position, item.url, as_json(item.metadata))
    if item.refused is not None:
        row.state, row.settled_at = ItemState.FAILED, now
        row.reason, row.detail = item.refused.value, detail_text(item.detail)
    return row


def merge_row(row: RunRow, item: NewItem) -> None:
    """Keep the metadata of a row whose item exists, if it says something else."""
    first, metadata = row.items[item.key], as_json(item.metadata)
    if (metadata, item.url) == (first.metadata, first.url):
        return
    if item.url != first.url:
        metadata = {**metadata, "url": item.url}
    further = row.merged_rows.setdefault(item.key, [])
    if metadata not in further:
        further.append(metadata)


def rows_counted(row: RunRow, read: RowsRead) -> dict[str, int]:
    """Keep the first refused rows of a run; return its counts with those of a page."""
    before, refused = row.run.rows_read, row.run.rows_refused
    if read.from_start:
        before, refused = row.rows_adopted, 0
        row.refused_rows.clear()
    row.refused_rows.extend(read.refused[: max(0, REFUSED_ROWS_MAX - refused)])
    return {
        "rows_read": before + read.count,
        "rows_refused": refused + len(read.refused),
    }


def due(rows: Iterable[RunRow], now: datetime, *, idle_s: float, quiet_s: float, limit: int) -> Due:
    """Return what a sweep has to do, as `RunStore.due` says."""

    def still(at: datetime, seconds: float) -> bool:
        return at < now - timedelta(seconds=seconds)

    active = [row for row in rows if row.run.state is RunState.ACTIVE]
    active.sort(key=lambda row: row.run.progressed_at)

    def ids(wants: Callable[[RunRow], bool]) -> list[UUID]:
        return [row.run.id for row in active[:limit] if wants(row)]

    return Due(
        commit=ids(lambda r: r.run.complete and still(r.run.progressed_at, COMMIT_GRACE_S)),
        seal=ids(
            lambda r: (
                r.run.kind is RunKind.ADD and not r.run.sealed and still(r.expected_at, idle_s)
            )
        ),
        resend=ids(
            lambda r: (
                not r.run.paused
                and (r.run.out > 0 or r.next_dispatch < r.next_position)
                and still(r.run.progressed_at, quiet_s)
            )
        ),
        expire=ids(lambda r: r.run.deadline_at < now),
    )


def failed_by_reason(row: RunRow | None) -> dict[str, list[ItemRow]]:
    """Return a run's failed items by reason, the most frequent first."""
    groups: dict[str, list[ItemRow]] = defaultdict(list)
    for item in [] if row is None else row.in_order():
        if item.state is ItemState.FAILED:
            groups[item.reason or ""].append(item)
    return dict(sorted(groups.items(), key=lambda group: (-len(group[1]), group[0])))


def outgoing(row: RunRow, item: ItemRow) -> Item:
    """Return an item that is about to be sent."""
    return replace(to_item(row, item), run_kind=row.run.kind, traceparent=row.run.traceparent)


def detail_text(text: str) -> str:
    """Return the stored form of a failure's text."""
    return no_nul([text], DETAIL_MAX_CHARS)[0] or ""


def deadline(row: RunRow, now: datetime) -> datetime:
    """Return a run's deadline after dispatch: its policy's deadline counts from the first item."""
    if row.dispatched_at is not None:
        return row.run.deadline_at
    return min(row.run.deadline_at, now + timedelta(seconds=row.run.policy.deadline_s))


def overdue(row: RunRow, item: ItemRow, now: datetime, interval_s: float) -> bool:
    """Return whether an item of a quiet run is due to be sent again."""
    if item.state is not ItemState.PENDING:
        return False
    if item.sent_at is None:
        return item.position < row.next_dispatch
    waits_s = interval_s * math.pow(2, min(item.sends, SENDS_MAX) - 1)
    return item.sent_at + timedelta(seconds=waits_s) < now


def count_attempt(
    state: MemoryState,
    row: RunRow,
    item: ItemRow,
    delay_s: float,
    reason: Reason | None,
    detail: str,
) -> None:
    """Count a failed attempt of an item, as `RunStore.count_attempt` says."""
    now = state.now()
    item.attempts += 1
    item.waits_for, item.detail = None, detail_text(detail)
    item.reason = reason and reason.value
    item.tried_at = now
    item.sent_at = item.due_at = now + timedelta(seconds=delay_s)
    if row.changed_at < now - timedelta(seconds=TRIES_SHOWN_S):
        state.change(row)


def put_off(item: ItemRow, to: PutOff, now: datetime) -> None:
    """Put an item off, as `RunStore.put_off` says."""
    due_at = now + timedelta(seconds=to.delay_s)
    item.sent_at = max(item.sent_at or due_at, due_at)
    item.due_at = max(item.due_at or due_at, due_at)
    item.waits_for = item.waits_for if to.waits_for is None else to.waits_for


def redriven_items(
    old: RunRow, reasons: Sequence[Reason] | None, keys: Sequence[bytes] | None
) -> list[ItemRow]:
    """Return the items that a redrive moves: done items stay done, failed ones become pending."""
    if keys is not None:
        found = [old.items[key] for key in keys if key in old.items]
        named = [
            NamedItem(item.key, item.url, item.state is ItemState.FAILED, item.reason)
            for item in sorted(found, key=lambda item: item.position)
        ]
        check_named(old.run, keys, named)
    only = None if reasons is None else {reason.value for reason in reasons}
    moved: list[ItemRow] = []
    for item in old.in_order():
        kept = item.key in old.staged
        if not kept and item.state is ItemState.DONE:
            continue
        if item.reason in NEVER_REDRIVEN or (only is not None and item.reason not in only):
            continue
        if keys is not None and item.key not in keys:
            continue
        row = ItemRow(item.key, len(moved), item.url, item.metadata)
        if kept:
            row.state, row.settled_at = ItemState.DONE, item.settled_at
        moved.append(row)
    return moved
