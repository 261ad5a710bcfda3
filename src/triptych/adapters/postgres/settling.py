"""Expecting, dispatching and settling items. One transaction each.

Inside it the lock order is: items by key, then the run; the run's row is updated last, so its
lock is held for a moment and orders the racers.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from uuid import UUID

import asyncpg
from pgvector import HalfVector

from triptych.adapters.postgres.opening import DETAIL_MAX_CHARS
from triptych.database.rows import from_colours, to_item, to_run
from triptych.database.session import Database, Transaction, no_nul
from triptych.errors import RunEnded, RunNotFound
from triptych.model import Item, ItemResult, NewItem, Run, RunKind, RunState
from triptych.ports import Settlement

CLOCK_MARGIN_S = 5.0
"""By so much an object's age may be measured too short."""


class Settling:
    """The part of `triptych.ports.Registry` that moves items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def expect(
        self, run_id: UUID, items: Sequence[NewItem], *, cursor: str | None, limit: int
    ) -> Sequence[Item]:
        """See `triptych.ports.Registry.expect`."""

        async def work(tx: Transaction) -> Sequence[Item]:
            run = await lock_active(tx, run_id)
            if run["sealed"]:
                return []
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
            row = await tx.row(
                "count_expected", run_id, counts["expected"], counts["failed"], len(items), cursor
            )
            assert row is not None
            await tx.rows(
                "add_event",
                run_id,
                "page",
                {"rows": len(items), "new": counts["expected"], "refused": counts["failed"]},
            )
            return await _fill_window(tx, row, limit)

        return await self._database.transact(work)

    async def claim_window(self, run_id: UUID, *, limit: int) -> Sequence[Item]:
        """See `triptych.ports.Registry.claim_window`."""

        async def work(tx: Transaction) -> Sequence[Item]:
            row = await tx.row("lock_run", run_id)
            return [] if row is None else await _fill_window(tx, row, limit)

        return await self._database.transact(work)

    async def gather_cursor(self, run_id: UUID) -> str | None:
        """See `triptych.ports.Registry.gather_cursor`."""
        rows = await self._database.rows("read_run", run_id)
        if not rows:
            raise RunNotFound(f"There is no run {run_id}.")
        cursor: str | None = rows[0]["gather_cursor"]
        return cursor

    async def settle(
        self, run_id: UUID, results: Sequence[ItemResult], *, limit: int
    ) -> Settlement:
        """See `triptych.ports.Registry.settle`."""
        # One row a key: two deliveries of one message may have finished in the same flush.
        single = list({result.key: result for result in results}.values())
        columns = _settle_columns(single)

        async def work(tx: Transaction) -> Settlement:
            # Ages are taken anew each time: a flush may have waited long for the database.
            rows = await tx.rows("settle_items", run_id, *columns, _ages(single), CLOCK_MARGIN_S)
            refused = frozenset(row["key"] for row in rows if row["refused"])
            settled = [row for row in rows if not row["refused"]]
            if not settled:
                run = await read_run(tx, run_id)
                if run.state is not RunState.ACTIVE:
                    raise RunEnded(f"Run {run_id} is {run.state.value}.")
                return Settlement(run, frozenset(), [], refused)
            failures = _reasons(settled)
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
            dispatch = await _fill_window(tx, row, limit)
            changed = frozenset(row["key"] for row in settled)
            return Settlement(await read_run(tx, run_id), changed, dispatch, refused)

        return await self._database.transact(work)

    async def count_attempt(self, run_id: UUID, key: bytes, *, delay_s: float) -> bool:
        """See `triptych.ports.Registry.count_attempt`."""
        rows = await self._database.rows("count_attempt", run_id, key, delay_s)
        return bool(rows and rows[0]["last"])

    async def put_off(self, run_id: UUID, key: bytes, *, delay_s: float) -> None:
        """See `triptych.ports.Registry.put_off`."""
        await self._database.rows("put_off", run_id, key, delay_s)

    async def claim_resend(self, run_id: UUID, *, interval_s: float, limit: int) -> Sequence[Item]:
        """See `triptych.ports.Registry.claim_resend`."""

        async def work(tx: Transaction) -> Sequence[Item]:
            overdue = await tx.rows("claim_resend", run_id, interval_s, limit)
            if not overdue:
                return []
            fresh = sum(item["fresh"] for item in overdue)
            run = await tx.row("count_resent", run_id, fresh)
            if run is None:
                raise RunEnded(f"Run {run_id} is paused or has ended.")
            await tx.rows("add_event", run_id, "resent", {"items": len(overdue)})
            return [_out(item, run) for item in overdue]

        return await self._database.transact(work)


async def lock_active(tx: Transaction, run_id: UUID) -> asyncpg.Record:
    """Lock a run's row.

    Raises:
        RunNotFound: no such run.
        RunEnded: it is not active.
    """
    row = await tx.row("lock_run", run_id)
    if row is None:
        raise RunNotFound(f"There is no run {run_id}.")
    if row["state"] != "active":
        raise RunEnded(f"Run {run_id} is {row['state']}.")
    return row


async def read_run(tx: Transaction, run_id: UUID) -> Run:
    """Read a run inside a transaction.

    Raises:
        RunNotFound: no such run.
    """
    row = await tx.row("read_run", run_id)
    if row is None:
        raise RunNotFound(f"There is no run {run_id}.")
    return to_run(row)


async def _fill_window(tx: Transaction, run: asyncpg.Record, limit: int) -> list[Item]:
    """Claim items until ``limit`` are out. The caller holds the run's lock."""
    claimed: list[Item] = []
    room = limit - run["out"]
    position = run["next_dispatch"]
    if run["state"] != "active" or run["paused"]:
        return claimed
    while room > 0 and position < run["next_position"]:
        rows = await tx.rows("claim_positions", run["id"], position, room)
        position = rows[-1]["at"] + 1 if rows else run["next_position"]
        found = [_out(row, run) for row in rows if row["key"] is not None]
        claimed += found
        room -= len(found)
    if position != run["next_dispatch"]:
        await tx.rows("count_dispatched", run["id"], position, len(claimed))
    return claimed


def _out(row: asyncpg.Record, run: asyncpg.Record) -> Item:
    """Read an item that is about to be sent."""
    return to_item(row, run["brand"], RunKind(run["kind"]), run["traceparent"])


def _settle_columns(results: Sequence[ItemResult]) -> list[Sequence[object]]:
    """Turn results into the columns that the statement ``settle_items`` unnests."""
    staged = [result.staged for result in results]
    details = no_nul([result.detail or None for result in results], DETAIL_MAX_CHARS)
    return [
        [result.key for result in results],
        [result.state.value for result in results],
        [result.reason.value if result.reason else None for result in results],
        details,
        *(
            [None if value is None else getattr(value, name) for value in staged]
            for name in (
                "sha256",
                "object_key",
                "media_type",
                "size_bytes",
                "width",
                "height",
                "phash",
                "model",
            )
        ),
        [None if value is None else from_colours(value.colours) for value in staged],
        # Wrapped, because asyncpg would take an array in a list for a second dimension.
        [
            None if value is None or value.embedding is None else HalfVector(value.embedding)
            for value in staged
        ],
        no_nul([value.etag if value else None for value in staged], DETAIL_MAX_CHARS),
        no_nul([value.last_modified if value else None for value in staged], DETAIL_MAX_CHARS),
    ]


def _ages(results: Sequence[ItemResult]) -> list[float | None]:
    """Return how long ago each result's object was put, in seconds; None if it was not."""
    now = time.monotonic()
    puts = [result.staged.put_at if result.staged else None for result in results]
    return [None if put is None else now - put for put in puts]


def _reasons(settled: Sequence[asyncpg.Record]) -> Counter[str]:
    return Counter(row["reason"] for row in settled if row["state"] == "failed")
