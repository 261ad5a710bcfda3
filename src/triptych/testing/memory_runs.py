"""Runs and their items in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

import msgspec
from typing_extensions import override

from triptych.database.session import no_nul
from triptych.errors import Conflict, RowLocked, RunEnded
from triptych.messages import AI_QUEUE, GATHER_QUEUE, AiBody, GatherBody, Headers, Message
from triptych.model import (
    Age,
    AiState,
    Item,
    ItemResult,
    ItemState,
    NewItem,
    Policy,
    Reason,
    Run,
    RunKind,
    RunState,
    Slice,
    TimelineEvent,
)
from triptych.runs.active_run import check_same_source
from triptych.runs.held_rules import check_held
from triptych.runs.redrive_rules import (
    active_run,
    check_redrivable,
    check_something_left,
    redrive_policy,
    redriven_kind,
)
from triptych.runs.run_filter import RunFilter
from triptych.runs.run_log import log_opened, log_sealed
from triptych.runs.run_store import (
    CLAIM_MAX,
    LISTS_SHOWN_MAX,
    RUN_REASON_MAX_CHARS,
    Attempt,
    Due,
    FailedItem,
    Opened,
    Outgoing,
    Pace,
    PutOff,
    RefusedRow,
    RowsRead,
    RunCounts,
    RunStore,
    Settlement,
)
from triptych.testing.memory_commit import commit_run, discard_run, end_run, publish_run
from triptych.testing.memory_items import (
    SENDS_MAX,
    deadline,
    detail_text,
    due,
    failed_by_reason,
    merge_row,
    new_row,
    outgoing,
    overdue,
    redriven_items,
    rows_counted,
)
from triptych.testing.memory_opening import check_restorable, new_run
from triptych.testing.memory_pace import pace_of
from triptych.testing.memory_paging import newest_slice
from triptych.testing.memory_stalled import Phases, count_runs, mark_stalled
from triptych.testing.memory_state import (
    ItemRow,
    MemoryState,
    RunRow,
    stored,
    to_item,
)


class MemoryRunStore(RunStore):
    """`RunStore` in memory. ``run_cap_s`` is how long a run may be active, whatever happens.

    It has no webhooks and no objects that are being deleted, so nothing is `refused`.
    """

    def __init__(self, state: MemoryState, *, run_cap_s: float) -> None:
        self._state = state
        self._run_cap_s = run_cap_s

    # --- open -------------------------------------------------------------------------------

    @override
    async def open_run(
        self,
        brand: str,
        *,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        enqueue_gather_message: bool,
        traceparent: str | None = None,
        restores: UUID | None = None,
    ) -> Opened:
        if known := self._state.runs.get(run_id):
            return Opened(known.run, created=False)
        if restores is not None:
            check_restorable(self._state, brand, restores)
        opened = self._insert_or_join(brand, run_id, kind, source, policy, traceparent, restores)
        if opened.created and enqueue_gather_message:
            self._owe_gather(opened.run)
        return opened

    def _insert_or_join(
        self,
        brand: str,
        run_id: UUID,
        kind: RunKind,
        source: str | None,
        policy: Policy,
        traceparent: str | None = None,
        restores: UUID | None = None,
    ) -> Opened:
        known = self._state.brands.get(brand)
        if known is not None and known.deleting:
            raise Conflict(
                f"Brand {brand!r} is being deleted.", remedy="Try again when it is gone."
            )
        if active := self._state.active_run(brand):
            check_same_source(active.run, source)
        row = self._state.upsert_brand(brand, source, run_id)
        if active:
            return Opened(active.run, created=False)
        gathers = source if source is not None else row.source
        gathers = None if restores is not None else gathers
        now = self._state.now()
        run = new_run(brand, run_id, kind, gathers, policy, now, self._run_cap_s)
        run = msgspec.structs.replace(run, traceparent=traceparent, restores=restores)
        for held in self._state.newest_first(brand):
            if held.run.state is RunState.HELD:
                discard_run(self._state, held, f"a newer run was started, {run_id}")
        opened = self._state.runs[run_id] = RunRow(run, changed_at=now, expected_at=now)
        of = {} if restores is None else {"restores": str(restores)}
        self._state.event(opened, "opened", {"kind": kind.value, **of})
        log_opened(opened.run)
        return Opened(opened.run, created=True)

    def _owe_gather(self, run: Run) -> None:
        body = GatherBody(brand=run.brand).model_dump()
        headers = Headers(run_id=run.id, traceparent=run.traceparent).encode()
        self._state.owe(GATHER_QUEUE, Message(body, headers, run.brand), run.id)

    @override
    async def redrive_run(
        self,
        run_id: UUID,
        *,
        new_id: UUID,
        policy: Policy,
        reasons: Sequence[Reason] | None = None,
    ) -> Opened:
        if known := self._state.runs.get(new_id):
            return Opened(known.run, created=False)
        old = self._state.run_row(run_id)
        check_redrivable(old.run, reasons, collected=False)
        if active := self._state.active_run(old.run.brand):
            raise active_run(active.run)
        moved = redriven_items(old, reasons)
        done = sum(item.state is ItemState.DONE for item in moved)
        check_something_left(old.run, expected=len(moved), done=done)
        kind = redriven_kind(old.run)
        run, policy = old.run, redrive_policy(old.run, policy)
        self._insert_or_join(run.brand, new_id, kind, run.source, policy, run.traceparent)
        row = self._state.runs[new_id]
        row.items = {item.key: item for item in moved}
        row.next_position = len(moved)
        row.gather_cursor = old.gather_cursor
        for item in moved:
            if item.key in old.merged_rows:
                row.merged_rows[item.key] = old.merged_rows.pop(item.key)
            if item.state is ItemState.DONE:
                row.staged[item.key] = old.staged.pop(item.key)
        moved_count = len(moved)
        self._state.change(
            row, expected=moved_count, rows_read=moved_count, done=done, sealed=run.sealed
        )
        self._state.event(row, "redriven", {"run": str(run_id)})
        if run.sealed:
            log_sealed(row.run)
        else:
            self._owe_gather(row.run)
        return Opened(row.run, created=True)

    @override
    async def accept_external(
        self, brand: str, item: NewItem, *, message_id: str, run_id: UUID, policy: Policy
    ) -> Item | None:
        for row in self._state.newest_first(brand):
            for known in row.items.values():
                if known.message_id == message_id:
                    return to_item(row, known) if row.run.state is RunState.ACTIVE else None
        opened = self._insert_or_join(brand, run_id, RunKind.ADD, None, policy)
        if opened.run.kind is RunKind.RESTORE:
            raise RowLocked
        row = self._state.runs[opened.run.id]
        if item.key not in row.items:
            now = self._state.now()
            adopted = new_row(item, row.next_position, now)
            adopted.sent_at, adopted.sends, adopted.message_id = now, 1, message_id
            row.items[item.key] = adopted
            row.next_position += 1
            row.rows_adopted += 1
            refused = 1 if item.refused else 0
            self._state.change(
                row,
                expected=row.run.expected + 1,
                rows_read=row.run.rows_read + 1,
                failed=row.run.failed + refused,
                out=row.run.out + 1 - refused,
                progressed_at=now,
                deadline_at=deadline(row, now),
            )
            row.expected_at = now
            row.dispatched_at = row.dispatched_at or now
        return to_item(row, row.items[item.key])

    # --- expect, dispatch, settle -------------------------------------------------------------

    @override
    async def expect(
        self,
        run_id: UUID,
        items: Sequence[NewItem],
        *,
        cursor: str | None,
        limit: int,
        rows: RowsRead | None = None,
    ) -> Sequence[Item]:
        read = rows or RowsRead(len(items))
        row = self._active(run_id)
        if row.run.sealed:
            return []
        now = self._state.now()
        new: list[ItemRow] = []
        for number, item in enumerate(items):
            if item.key not in row.items:
                added = new_row(item, row.next_position + number, now)
                row.items[item.key] = added
                new.append(added)
            else:
                merge_row(row, item)
        refused = sum(item.state is ItemState.FAILED for item in new)
        row.next_position += len(items)
        row.gather_cursor, row.expected_at = cursor, now
        self._state.change(
            row,
            expected=row.run.expected + len(new),
            failed=row.run.failed + refused,
            progressed_at=now,
            **rows_counted(row, read),
        )
        for found in read.lists[:LISTS_SHOWN_MAX]:
            self._state.event(row, "list", found)
        without_url = len(read.refused)
        read_rows, left_out = len(items) + without_url, refused + without_url
        counts = {"rows": read_rows, "new": len(new), "refused": left_out}
        self._state.event(row, "page", counts)
        return self._fill_window(row, limit)

    @override
    async def refused_rows(self, run_id: UUID) -> Sequence[RefusedRow]:
        return list(self._state.run_row(run_id).refused_rows)

    def _active(self, run_id: UUID) -> RunRow:
        row = self._state.run_row(run_id)
        if row.run.state is not RunState.ACTIVE:
            raise RunEnded(f"Run {run_id} is {row.run.state.value}.")
        return row

    def _fill_window(self, row: RunRow, limit: int) -> list[Item]:
        """Mark items as sent, in order, until ``limit`` are out; at most `CLAIM_MAX`."""
        if row.run.state is not RunState.ACTIVE or row.run.paused:
            return []
        claimed: list[ItemRow] = []
        room = min(limit - row.run.out, CLAIM_MAX)
        position, now = row.next_dispatch, self._state.now()
        by_position = {item.position: item for item in row.items.values()}
        while room > len(claimed) and position < row.next_position:
            item = by_position.get(position)
            if item is not None and item.state is ItemState.PENDING and item.sent_at is None:
                item.sent_at, item.sends = now, 1
                claimed.append(item)
            position += 1
        if position != row.next_dispatch:
            row.next_dispatch = position
            self._state.change(
                row,
                out=row.run.out + len(claimed),
                deadline_at=deadline(row, now) if claimed else row.run.deadline_at,
            )
            row.dispatched_at = row.dispatched_at or now
        return [outgoing(row, item) for item in claimed]

    @override
    async def claim_window(self, run_id: UUID, *, limit: int) -> Sequence[Item]:
        row = self._state.runs.get(run_id)
        return [] if row is None else self._fill_window(row, limit)

    @override
    async def gather_cursor(self, run_id: UUID) -> str | None:
        return self._state.run_row(run_id).gather_cursor

    @override
    async def seal(self, run_id: UUID) -> Run:
        row = self._state.run_row(run_id)
        if row.run.state is RunState.ACTIVE and not row.run.sealed:
            row.gather_cursor = None
            self._state.change(row, sealed=True, progressed_at=self._state.now())
            self._state.event(row, "sealed", {"expected": row.run.expected})
            log_sealed(row.run)
        return row.run

    @override
    async def settle(
        self, run_id: UUID, results: Sequence[ItemResult], *, limit: int
    ) -> Settlement:
        row = self._active(run_id)
        now = self._state.now()
        settled: list[tuple[ItemRow, bool]] = []
        for result in {result.key: result for result in results}.values():
            item = row.items.get(result.key)
            if item is None or item.state is not ItemState.PENDING:
                continue
            item.state, item.settled_at, item.detail = result.state, now, detail_text(result.detail)
            item.reason = result.reason.value if result.reason else None
            if result.staged is not None:
                row.staged[item.key] = stored(result.staged)
            settled.append((item, item.sent_at is not None))
        if not settled:
            return Settlement(row.run, frozenset(), [])
        failures = Counter(item.reason for item, _ in settled if item.state is ItemState.FAILED)
        self._state.change(
            row,
            done=row.run.done + len(settled) - failures.total(),
            failed=row.run.failed + failures.total(),
            out=row.run.out - sum(was_out for _, was_out in settled),
            progressed_at=now,
        )
        if failures:
            self._state.event(row, "failures", {str(why): n for why, n in failures.items()})
        dispatch = self._fill_window(row, limit)
        return Settlement(row.run, frozenset(item.key for item, _ in settled), dispatch)

    @override
    async def count_attempt(
        self, run_id: UUID, key: bytes, *, seen: int, delay_s: float, detail: str = ""
    ) -> Attempt:
        item = self._pending(run_id, key)
        if item is None or item.attempts != seen:
            return Attempt.STALE
        item.attempts += 1
        item.waits_for, item.detail = None, detail_text(detail)
        item.tried_at = self._state.now()
        item.sent_at = item.due_at = item.tried_at + timedelta(seconds=delay_s)
        most = self._state.runs[run_id].run.policy.max_attempts
        return Attempt.LAST if item.attempts >= most else Attempt.COUNTED

    @override
    async def put_off(self, run_id: UUID, items: Sequence[PutOff]) -> None:
        for one in items:
            item = self._pending(run_id, one.key)
            if item is not None:
                due_at = self._state.now() + timedelta(seconds=one.delay_s)
                item.sent_at = max(item.sent_at or due_at, due_at)
                item.due_at = max(item.due_at or due_at, due_at)
                item.waits_for = item.waits_for if one.waits_for is None else one.waits_for

    def _pending(self, run_id: UUID, key: bytes) -> ItemRow | None:
        row = self._state.runs.get(run_id)
        item = None if row is None else row.items.get(key)
        return item if item is not None and item.state is ItemState.PENDING else None

    # --- end ----------------------------------------------------------------------------------

    @override
    async def commit(self, run_id: UUID, *, wait: bool = True) -> Run:
        row = self._state.run_row(run_id)
        if row.run.state is RunState.ACTIVE and row.run.sealed:
            commit_run(self._state, row)
        return row.run

    @override
    async def expire(self, run_id: UUID) -> Run:
        row = self._state.run_row(run_id)
        if row.run.state is not RunState.ACTIVE:
            return row.run
        ended, out = self._end_pending(row, ItemState.FAILED, Reason.TIMED_OUT.value)
        if ended:
            self._state.change(
                row,
                failed=row.run.failed + ended,
                out=row.run.out - out,
                progressed_at=self._state.now(),
            )
        self._state.event(row, "expired", {"timed_out": ended})
        if not row.run.sealed:
            reason = "deadline: gathering had not listed every URL"
            end_run(self._state, row, RunState.FAILED, reason)
        return row.run

    @override
    async def fail(self, run_id: UUID, reason: str, *, gives_back: bool = False) -> Run:
        if gives_back:
            self._state.give_source_back(run_id)
        return self._stop(run_id, RunState.FAILED, reason)

    @override
    async def cancel(self, run_id: UUID) -> Run:
        return self._stop(run_id, RunState.CANCELLED, "cancelled")

    def _stop(self, run_id: UUID, state: RunState, reason: str) -> Run:
        row = self._state.run_row(run_id)
        if row.run.state is RunState.ACTIVE:
            self._end_pending(row, ItemState.CANCELLED, None)
            end_run(self._state, row, state, no_nul([reason], RUN_REASON_MAX_CHARS)[0])
        return row.run

    def _end_pending(self, row: RunRow, state: ItemState, reason: str | None) -> tuple[int, int]:
        """End a run's pending items; return how many there were, and how many were out."""
        pending = [item for item in row.items.values() if item.state is ItemState.PENDING]
        for item in pending:
            item.state, item.reason, item.settled_at = state, reason, self._state.now()
        return len(pending), sum(item.sent_at is not None for item in pending)

    @override
    async def publish(self, run_id: UUID) -> Run:
        row = self._state.run_row(run_id)
        check_held(row.run)
        publish_run(self._state, row)
        return row.run

    @override
    async def discard(self, run_id: UUID, reason: str) -> Run:
        row = self._state.run_row(run_id)
        check_held(row.run)
        discard_run(self._state, row, reason)
        return row.run

    @override
    async def overdue_held(self, *, older_s: float, limit: int) -> Sequence[UUID]:
        before = self._state.now() - timedelta(seconds=older_s)
        held = [row.run for row in self._state.runs.values() if row.run.state is RunState.HELD]
        held.sort(key=lambda run: run.ended_at or before)
        return [run.id for run in held if run.ended_at and run.ended_at < before][:limit]

    @override
    async def pause(self, run_id: UUID, *, paused: bool) -> Run:
        row = self._active(run_id)
        self._state.change(row, paused=paused, progressed_at=self._state.now())
        self._state.event(row, "paused" if paused else "resumed", {})
        return row.run

    # --- what sweeps do -----------------------------------------------------------------------

    @override
    async def due(self, *, idle_s: float, quiet_s: float, limit: int) -> Due:
        rows = self._state.runs.values()
        return due(rows, self._state.now(), idle_s=idle_s, quiet_s=quiet_s, limit=limit)

    @override
    async def mark_stalled(
        self, *, after_s: float, limit: int, held_up: Phases = ()
    ) -> Sequence[UUID]:
        return mark_stalled(self._state, after_s, limit, held_up)

    @override
    async def counts(self) -> RunCounts:
        return count_runs(self._state)

    @override
    async def claim_resend(self, run_id: UUID, *, interval_s: float, limit: int) -> Sequence[Item]:
        row = self._state.runs.get(run_id)
        now = self._state.now()
        if row is None:
            return []
        late = [item for item in row.items.values() if overdue(row, item, now, interval_s)]
        if not late:
            return []
        if row.run.state is not RunState.ACTIVE or row.run.paused:
            raise RunEnded(f"Run {run_id} is paused or has ended.")
        chosen = sorted(late, key=lambda item: item.key)[:limit]
        fresh = sum(item.sent_at is None for item in chosen)
        for item in chosen:
            item.sent_at, item.sends = now, min(item.sends + 1, SENDS_MAX)
        self._state.change(row, out=row.run.out + fresh)
        self._state.event(row, "resent", {"items": len(chosen)})
        return [outgoing(row, item) for item in chosen]

    @override
    async def outbox_pending(
        self, *, run_id: UUID | None, older_s: float, limit: int
    ) -> Sequence[Outgoing]:
        since = self._state.now() - timedelta(seconds=older_s)
        owed = [
            row.outgoing
            for row in self._state.outbox.values()
            if run_id in (None, row.run_id) and row.created_at <= since
        ]
        return owed[:limit]

    @override
    async def mark_sent(self, ids: Sequence[int]) -> None:
        for number in ids:
            self._state.outbox.pop(number, None)

    @override
    async def request_ai(self, brand: str) -> Run:
        self._state.brand_row(brand)
        row = self._state.snapshot_row(brand)
        if row is None:
            raise Conflict(f"Brand {brand!r} has no snapshot.", remedy="Wait for its first commit.")
        if row.run.ai_state is AiState.RUNNING:
            return row.run
        body = AiBody(brand=brand).model_dump()
        message = Message(body, Headers(run_id=row.run.id).encode(), brand)
        self._state.owe(AI_QUEUE, message, row.run.id)
        queued = self._state.change(row, ai_state=AiState.QUEUED, ai_reason=None)
        self._state.event(row, "ai_requested", {})
        return queued

    # --- reads --------------------------------------------------------------------------------

    @override
    async def run(self, run_id: UUID) -> Run:
        return self._state.run_row(run_id).run

    @override
    async def runs(self, brand: str | None, *, limit: int) -> Sequence[Run]:
        return [row.run for row in self._state.newest_first(brand)[:limit]]

    @override
    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        return [self._state.runs[one].run for one in run_ids if one in self._state.runs]

    @override
    async def items(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        row = self._state.runs.get(run_id)
        if row is None or row.run.state is not RunState.ACTIVE:
            return []
        found = [row.items[key] for key in keys if key in row.items]
        return [to_item(row, item, due_in_s=self._due_in_s(item)) for item in found]

    def _due_in_s(self, item: ItemRow) -> float:
        now = self._state.now()
        return max(((item.sent_at or now) - now).total_seconds(), 0.0)

    @override
    async def failure_counts(self, run_id: UUID) -> Sequence[tuple[str, int]]:
        groups = failed_by_reason(self._state.runs.get(run_id))
        return [(reason, len(items)) for reason, items in groups.items()]

    @override
    async def failed_items(
        self, run_id: UUID, reason: str, *, after: int, limit: int
    ) -> Slice[FailedItem, int]:
        groups = failed_by_reason(self._state.runs.get(run_id))
        found = [item for item in groups.get(reason, []) if item.position > after]
        page = [FailedItem(i.url, i.detail, i.attempts, i.settled_at) for i in found[:limit]]
        return Slice(page, found[limit - 1].position if len(found) > limit else None)

    @override
    async def timeline(self, run_id: UUID, *, after: int, limit: int) -> Sequence[TimelineEvent]:
        row = self._state.runs.get(run_id)
        events = [] if row is None else row.timeline
        return [event for event in events if event.seq > after][:limit]

    @override
    async def runs_slice(
        self, wanted: RunFilter, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        runs = [row.run for row in self._state.newest_first(wanted.brand)]
        return newest_slice([run for run in runs if wanted.takes(run)], before, limit)

    @override
    async def pace(self, run_id: UUID) -> Pace:
        row = self._state.runs.get(run_id)
        return Pace(0.0, 1, []) if row is None else pace_of(row, self._state.now())
