"""Runs and their items on Postgres: the transactions of the barrier, and reads."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from functools import partial
from uuid import UUID

import asyncpg
import structlog
from typing_extensions import override

from triptych.database.rows import brand_not_found, to_event, to_item, to_run, to_worked_on
from triptych.database.session import Database, Transaction, no_nul
from triptych.errors import Conflict, RowLocked, RunEnded, RunNotFound
from triptych.messages import AI_QUEUE, QUEUES, AiBody, Headers, Message, Phase
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
from triptych.queues.reading import readable_headers
from triptych.runs.active_run import check_same_source
from triptych.runs.held_rules import check_held
from triptych.runs.postgres.commit import commit_timeout_s, end_complete, publish, repair_counters
from triptych.runs.postgres.ending import discard_run, end_pending, end_run
from triptych.runs.postgres.opening import check_restorable, enqueue_gather, insert_or_join
from triptych.runs.postgres.pace import read_pace
from triptych.runs.postgres.redrive import Redrive
from triptych.runs.postgres.run_listing import list_runs
from triptych.runs.postgres.sealed_sources import SealedSources
from triptych.runs.postgres.settling import (
    CLOCK_MARGIN_S,
    count_reasons,
    fill_window,
    lock_active,
    object_ages_s,
    outgoing_item,
    read_run,
    seal_run,
    settle_columns,
)
from triptych.runs.postgres.source_rows import keep_refused, merge_rows, note_page
from triptych.runs.postgres.stalled import count_runs, mark_stalled
from triptych.runs.run_filter import RunFilter
from triptych.runs.run_log import count_failed
from triptych.runs.run_store import (
    COMMIT_GRACE_S,
    DETAIL_MAX_CHARS,
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

ITEMS_SCAN = 20_000
"""Rows that one page reads at most: then the page ends and the next one continues there."""

log = structlog.get_logger(__name__)


class PostgresRunStore(RunStore):
    """`RunStore` on Postgres.

    Args:
        database: for everything but commits.
        commits: the same database with connections that only commits use.
        sources: seals what is secret of a source.
        run_cap_s: how long a run may be active, whatever happens, in seconds.
    """

    def __init__(
        self, database: Database, commits: Database, sources: SealedSources, *, run_cap_s: float
    ) -> None:
        self._database = database
        self._commits = commits
        self._sources = sources
        self._run_cap_s = run_cap_s

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
        async def work(tx: Transaction) -> Opened:
            if row := await tx.row("read_run", run_id):
                return Opened(to_run(row), created=False)
            if restores is not None:
                await check_restorable(tx, brand, restores)
            written = await self._sources.seal(tx, brand, source)
            await tx.rows("upsert_brand", brand, written, run_id)
            opened = await insert_or_join(
                tx,
                brand,
                run_id,
                kind,
                written,
                policy,
                run_cap_s=self._run_cap_s,
                traceparent=traceparent,
                restores=restores,
            )
            if not opened.created:
                check_same_source(opened.run, written)  # Rolls back what the brand's source became.
            elif enqueue_gather_message:
                await enqueue_gather(tx, opened.run)
            await self._sources.drop_unused(tx, brand)
            return opened

        return await self._database.transact(work)

    @override
    async def redrive_run(
        self,
        run_id: UUID,
        *,
        new_id: UUID,
        policy: Policy,
        reasons: Sequence[Reason] | None = None,
    ) -> Opened:
        redrive = Redrive(run_id, new_id, policy, reasons, self._run_cap_s)
        return await self._database.transact(redrive.apply)

    @override
    async def accept_external(
        self, brand: str, item: NewItem, *, message_id: str, run_id: UUID, policy: Policy
    ) -> Item | None:

        async def work(tx: Transaction) -> Item | None:
            if row := await tx.row("item_by_message", message_id, brand):
                return to_item(row, brand) if row["run_state"] == "active" else None
            await tx.rows("upsert_brand", brand, None, None)
            opened = await insert_or_join(
                tx, brand, run_id, RunKind.ADD, None, policy, run_cap_s=self._run_cap_s
            )
            if opened.run.kind is RunKind.RESTORE:
                raise RowLocked
            run = await tx.row("lock_run", opened.run.id)
            assert run is not None
            refused = item.refused.value if item.refused else None
            row = await tx.row(
                "adopt_item",
                run["id"],
                item.key,
                run["next_position"],
                item.url,
                item.metadata,
                message_id,
                refused,
                no_nul([item.detail], DETAIL_MAX_CHARS)[0],
            )
            if row:
                await tx.rows("count_adopted", run["id"], 1 if refused else 0)
                tx.after_commit(partial(count_failed, {refused: 1} if refused else {}))
            else:
                row = await tx.row("read_item", run["id"], item.key)
                assert row is not None
            return to_item(row, brand)

        return await self._database.transact(work)

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

        async def work(tx: Transaction) -> Sequence[Item]:
            run = await lock_active(tx, run_id)
            if run["sealed"]:
                return []
            await keep_refused(tx, run, read)
            counts = await tx.row(
                "insert_items",
                run_id,
                run["next_position"],
                [item.key for item in items],
                [item.url for item in items],
                [item.metadata for item in items],
                [item.refused.value if item.refused else None for item in items],
                no_nul([item.detail or None for item in items], DETAIL_MAX_CHARS),
            )
            assert counts is not None
            if counts["expected"] < len(items):
                await merge_rows(tx, run, items)
            row = await tx.row(
                "count_expected",
                run_id,
                counts["expected"],
                counts["failed"],
                len(items),
                cursor,
                read.count,
                len(read.refused),
                read.from_start,
            )
            assert row is not None
            await note_page(tx, run_id, items, read, counts)
            return await fill_window(tx, row, limit)

        return await self._database.transact(work)

    @override
    async def refused_rows(self, run_id: UUID) -> Sequence[RefusedRow]:
        rows = await self._database.rows("refused_rows", run_id)
        return [RefusedRow(row["place"], row["problem"]) for row in rows]

    @override
    async def claim_window(self, run_id: UUID, *, limit: int) -> Sequence[Item]:

        async def work(tx: Transaction) -> Sequence[Item]:
            row = await tx.row("lock_run", run_id)
            return [] if row is None else await fill_window(tx, row, limit)

        return await self._database.transact(work)

    @override
    async def gather_cursor(self, run_id: UUID) -> str | None:
        rows = await self._database.rows("read_run", run_id)
        if not rows:
            raise RunNotFound(f"There is no run {run_id}.")
        cursor: str | None = rows[0]["gather_cursor"]
        return cursor

    @override
    async def settle(
        self, run_id: UUID, results: Sequence[ItemResult], *, limit: int
    ) -> Settlement:
        # One row per key: two deliveries of one message may have finished in the same flush.
        single = list({result.key: result for result in results}.values())
        columns = settle_columns(single)

        async def work(tx: Transaction) -> Settlement:
            # Ages are computed each time: a flush may have waited long for the database.
            rows = await tx.rows(
                "settle_items", run_id, *columns, object_ages_s(single), CLOCK_MARGIN_S
            )
            refused = frozenset(row["key"] for row in rows if row["refused"])
            settled = [row for row in rows if not row["refused"]]
            if not settled:
                run = await read_run(tx, run_id)
                if run.state is not RunState.ACTIVE:
                    raise RunEnded(f"Run {run_id} is {run.state.value}.")
                return Settlement(run, frozenset(), [], refused)
            failures = count_reasons(settled)
            row = await tx.row(
                "count_settled",
                run_id,
                len(settled) - failures.total(),
                failures.total(),
                sum(row["was_out"] for row in settled),
            )
            if row is None:
                raise RunEnded(f"Run {run_id} is not active.")
            if failures:
                await tx.rows("add_event", run_id, "failures", dict(failures))
            dispatch = await fill_window(tx, row, limit)
            changed = frozenset(row["key"] for row in settled)
            return Settlement(await read_run(tx, run_id), changed, dispatch, refused)

        return await self._database.transact(work)

    @override
    async def count_attempt(
        self, run_id: UUID, key: bytes, *, seen: int, delay_s: float, detail: str = ""
    ) -> Attempt:
        text = no_nul([detail or None], DETAIL_MAX_CHARS)[0]
        rows = await self._database.rows("count_attempt", run_id, key, seen, delay_s, text)
        if not rows:
            return Attempt.STALE
        return Attempt.LAST if rows[0]["last"] else Attempt.COUNTED

    @override
    async def put_off(self, run_id: UUID, items: Sequence[PutOff]) -> None:
        # One row per key, the latest time: two copies may be put off together.
        latest = {item.key: item for item in sorted(items, key=lambda item: item.delay_s)}

        async def work(tx: Transaction) -> None:
            delays = [item.delay_s for item in latest.values()]
            hosts = [item.waits_for for item in latest.values()]
            await tx.rows("put_off", run_id, list(latest), delays, hosts)

        await self._database.transact(work)

    @override
    async def claim_resend(self, run_id: UUID, *, interval_s: float, limit: int) -> Sequence[Item]:

        async def work(tx: Transaction) -> Sequence[Item]:
            overdue = await tx.rows("claim_resend", run_id, interval_s, limit)
            if not overdue:
                return []
            fresh = sum(item["fresh"] for item in overdue)
            run = await tx.row("count_resent", run_id, fresh)
            if run is None:
                raise RunEnded(f"Run {run_id} is paused or has ended.")
            await tx.rows("add_event", run_id, "resent", {"items": len(overdue)})
            return [outgoing_item(item, run) for item in overdue]

        return await self._database.transact(work)

    @override
    async def seal(self, run_id: UUID) -> Run:
        return await self._database.transact(partial(seal_run, run_id))

    @override
    async def pause(self, run_id: UUID, *, paused: bool) -> Run:

        async def work(tx: Transaction) -> Run:
            row = await tx.row("pause_run", run_id, paused)
            if row is None:
                run = await read_run(tx, run_id)
                raise RunEnded(f"Run {run_id} is {run.state.value}.")
            await tx.rows("add_event", run_id, "paused" if paused else "resumed", {})
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    @override
    async def expire(self, run_id: UUID) -> Run:

        async def work(tx: Transaction) -> Run:
            timed_out = Reason.TIMED_OUT.value
            run, ended, out = await end_pending(tx, run_id, ItemState.FAILED, timed_out)
            if run is None:
                return await read_run(tx, run_id)
            if ended:
                await tx.rows("count_settled", run_id, 0, ended, out)
            await tx.rows("add_event", run_id, "expired", {"timed_out": ended})
            tx.after_commit(partial(count_failed, {timed_out: ended}))
            if not run["sealed"]:
                reason = "deadline: gathering had not listed every URL"
                await end_run(tx, run_id, RunState.FAILED, reason)
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    @override
    async def fail(self, run_id: UUID, reason: str, *, gives_back: bool = False) -> Run:
        return await self._stop(run_id, RunState.FAILED, reason, back=gives_back)

    @override
    async def cancel(self, run_id: UUID) -> Run:
        return await self._stop(run_id, RunState.CANCELLED, "cancelled")

    async def _stop(self, run_id: UUID, state: RunState, reason: str, *, back: bool = False) -> Run:
        async def work(tx: Transaction) -> Run:
            if back:
                await tx.rows("give_source_back", run_id)
            run, _, _ = await end_pending(tx, run_id, ItemState.CANCELLED, None)
            if run is None:
                return await read_run(tx, run_id)
            # It may quote a source, which may contain anything.
            text = no_nul([reason], RUN_REASON_MAX_CHARS)[0]
            await end_run(tx, run_id, state, text)
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    @override
    async def due(self, *, idle_s: float, quiet_s: float, limit: int) -> Due:

        async def work(tx: Transaction) -> list[asyncpg.Record]:
            return await tx.rows("due_runs", idle_s, quiet_s, limit, COMMIT_GRACE_S)

        rows = await self._database.transact(work)
        wants = {
            want: [row["id"] for row in rows if row[want]]
            for want in ("commit", "seal", "resend", "expire")
        }
        return Due(**wants)

    @override
    async def mark_stalled(
        self, *, after_s: float, limit: int, held_up: Collection[Phase] = ()
    ) -> Sequence[UUID]:
        return await mark_stalled(self._database, after_s, limit, held_up)

    @override
    async def counts(self) -> RunCounts:
        return await count_runs(self._database)

    @override
    async def commit(self, run_id: UUID, *, wait: bool = True) -> Run:
        lock = "lock_run" if wait else "lock_free_run"

        async def work(tx: Transaction) -> Run:
            row = await tx.row(lock, run_id)
            if row is None:
                return await read_run(tx, run_id)
            if row["state"] != "active" or not row["sealed"]:
                return to_run(row)
            counts = await tx.row("recount", run_id, timeout_s=commit_timeout_s(row["expected"]))
            assert counts is not None
            await repair_counters(tx, row, counts)
            if counts["pending"] == 0:
                await end_complete(tx, to_run(row), counts)
            return await read_run(tx, run_id)

        return await self._commits.transact(work)

    @override
    async def publish(self, run_id: UUID) -> Run:
        async def work(tx: Transaction) -> Run:
            check_held(await self._locked(tx, run_id))
            row = await tx.row("reopen_held", run_id)
            assert row is not None
            await publish(tx, to_run(row))
            return await read_run(tx, run_id)

        return await self._commits.transact(work)

    @override
    async def discard(self, run_id: UUID, reason: str) -> Run:
        async def work(tx: Transaction) -> Run:
            check_held(await self._locked(tx, run_id))
            await discard_run(tx, run_id, reason)
            return await read_run(tx, run_id)

        return await self._database.transact(work)

    @staticmethod
    async def _locked(tx: Transaction, run_id: UUID) -> Run:
        row = await tx.row("lock_run", run_id)
        return await read_run(tx, run_id) if row is None else to_run(row)

    @override
    async def overdue_held(self, *, older_s: float, limit: int) -> Sequence[UUID]:
        return [row["id"] for row in await self._database.rows("overdue_held", older_s, limit)]

    @override
    async def outbox_pending(
        self, *, run_id: UUID | None, older_s: float, limit: int
    ) -> Sequence[Outgoing]:
        rows = await self._database.rows("owed", run_id, older_s, limit)
        outgoing: list[Outgoing] = []
        for row in rows:
            headers, problem = readable_headers(row["headers"])
            if problem or row["queue"] not in QUEUES or not isinstance(row["body"], dict):
                await self._bury(row, headers)
            else:
                message = Message(row["body"], headers, row["brand"])
                outgoing.append(Outgoing(row["id"], row["queue"], message))
        return outgoing

    async def _bury(self, row: asyncpg.Record, headers: dict[str, str]) -> None:
        """Make an entry of the outbox that can never be sent a dead letter: it holds up others."""
        reason = "in the outbox with a body, headers or a queue that no message can have"
        message_id = f"outbox-{row['id']}"

        async def work(tx: Transaction) -> None:
            letter = (row["queue"], message_id, row["body"], headers, reason, row["run_id"])
            await tx.rows("bury", *letter)
            await tx.rows("mark_sent", [row["id"]])

        await self._database.transact(work)
        log.error("outbox_entry_dead_lettered", queue=row["queue"], message=message_id)

    @override
    async def mark_sent(self, ids: Sequence[int]) -> None:
        await self._database.rows("mark_sent", list(ids))

    @override
    async def request_ai(self, brand: str) -> Run:

        async def work(tx: Transaction) -> Run:
            row = await tx.row("lock_current_run", brand)
            if row is None:
                if not await tx.row("current_run_of", brand):
                    raise brand_not_found(brand)
                raise Conflict(
                    f"Brand {brand!r} has no snapshot.", remedy="Wait for its first commit."
                )
            if row["ai_state"] == AiState.RUNNING.value:
                return to_run(row)
            # Sent again even if queued: its message may be the one that was lost.
            body = AiBody(brand=brand).model_dump()
            headers = Headers(run_id=row["id"]).encode()
            await tx.rows("owe", AI_QUEUE, body, headers, brand, row["id"])
            queued = await tx.row("queue_ai", row["id"])
            assert queued is not None
            await tx.rows("add_event", row["id"], "ai_requested", {})
            return to_run(queued)

        return await self._database.transact(work)

    @override
    async def run(self, run_id: UUID) -> Run:
        rows = await self._database.rows("read_run", run_id)
        if not rows:
            raise RunNotFound(f"There is no run {run_id}.")
        return to_run(rows[0])

    @override
    async def runs(self, brand: str | None, *, limit: int) -> Sequence[Run]:
        return [to_run(row) for row in await self._database.rows("newest_runs", brand, limit)]

    @override
    async def runs_of(self, run_ids: Sequence[UUID]) -> Sequence[Run]:
        return [to_run(row) for row in await self._database.rows("runs_by_id", list(run_ids))]

    @override
    async def items(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        rows = await self._database.rows("items_by_key", run_id, list(keys))
        if not rows:
            return []
        source = await self._sources.whole(self._database, rows[0]["brand"], rows[0]["source"])
        return [to_worked_on(row, source) for row in rows]

    @override
    async def timeline(self, run_id: UUID, *, after: int, limit: int) -> Sequence[TimelineEvent]:
        rows = await self._database.rows("timeline", run_id, after, limit)
        return [to_event(row) for row in rows]

    @override
    async def runs_slice(
        self, wanted: RunFilter, *, before: Age | None, limit: int
    ) -> Slice[Run, Age]:
        return await list_runs(self._database, wanted, before, limit)

    @override
    async def failure_counts(self, run_id: UUID) -> Sequence[tuple[str, int]]:
        rows = await self._database.rows("failure_counts", run_id)
        return [(row["reason"], row["n"]) for row in rows]

    @override
    async def failed_items(
        self, run_id: UUID, reason: str, *, after: int, limit: int
    ) -> Slice[FailedItem, int]:
        rows = await self._database.rows(
            "failed_items", run_id, after, ITEMS_SCAN, limit + 1, reason
        )
        page = [
            FailedItem(row["url"], row["detail"] or "", row["attempts"], row["settled_at"])
            for row in rows[:limit]
        ]
        if len(rows) > limit:
            return Slice(page, rows[limit - 1]["position"])
        end = await self._database.rows("items_scanned_to", run_id, after, ITEMS_SCAN - 1)
        return Slice(page, end[0]["position"] if end else None)

    @override
    async def pace(self, run_id: UUID) -> Pace:
        return await read_pace(self._database, run_id)
