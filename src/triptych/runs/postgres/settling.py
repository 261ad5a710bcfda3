"""Expecting, dispatching and settling items inside a transaction.

The lock order is: items by key, then the run; the run's row is updated last, so its
lock is held briefly and orders racing transactions.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from functools import partial
from uuid import UUID

import asyncpg
from pgvector import HalfVector

from triptych.database.rows import from_colours, to_item, to_run
from triptych.database.session import Transaction, no_nul
from triptych.errors import RunEnded, RunNotFound
from triptych.model import Item, ItemResult, Run, RunKind
from triptych.runs.run_log import log_sealed
from triptych.runs.run_store import DETAIL_MAX_CHARS

CLOCK_MARGIN_S = 5.0
"""An object's age may be measured too short by this much."""


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


async def seal_run(run_id: UUID, tx: Transaction) -> Run:
    """Declare a run's items complete: see `RunStore.seal`."""
    row = await tx.row("seal_run", run_id)
    if row is not None:
        await tx.rows("add_event", run_id, "sealed", {"expected": row["expected"]})
        tx.after_commit(partial(log_sealed, to_run(row)))
    return await read_run(tx, run_id)


async def fill_window(tx: Transaction, run: asyncpg.Record, limit: int) -> list[Item]:
    """Claim items until ``limit`` are outstanding. The caller holds the run's lock."""
    claimed: list[Item] = []
    room = limit - run["out"]
    position = run["next_dispatch"]
    if run["state"] != "active" or run["paused"]:
        return claimed
    while room > 0 and position < run["next_position"]:
        rows = await tx.rows("claim_positions", run["id"], position, room)
        position = rows[-1]["at"] + 1 if rows else run["next_position"]
        found = [outgoing_item(row, run) for row in rows if row["key"] is not None]
        claimed += found
        room -= len(found)
    if position != run["next_dispatch"]:
        await tx.rows("count_dispatched", run["id"], position, len(claimed))
    return claimed


def outgoing_item(row: asyncpg.Record, run: asyncpg.Record) -> Item:
    """Read an item that is about to be sent."""
    return to_item(row, run["brand"], RunKind(run["kind"]), run["traceparent"])


def settle_columns(results: Sequence[ItemResult]) -> list[Sequence[object]]:
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
        # Wrapped: asyncpg would read an array in a list as a second dimension.
        [
            None if value is None or value.embedding is None else HalfVector(value.embedding)
            for value in staged
        ],
        no_nul([value.etag if value else None for value in staged], DETAIL_MAX_CHARS),
        no_nul([value.last_modified if value else None for value in staged], DETAIL_MAX_CHARS),
    ]


def object_ages_s(results: Sequence[ItemResult]) -> list[float | None]:
    """Return how long ago each result's object was put, in seconds; None if it was not."""
    now = time.monotonic()
    puts = [result.staged.put_at if result.staged else None for result in results]
    return [None if put is None else now - put for put in puts]


def count_reasons(settled: Sequence[asyncpg.Record]) -> Counter[str]:
    """Count the settled items that failed, by reason."""
    return Counter(row["reason"] for row in settled if row["state"] == "failed")
