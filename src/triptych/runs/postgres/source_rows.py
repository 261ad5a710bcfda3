"""The rows of a run's source, inside the transaction that adds its items."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import asyncpg

from triptych.database.session import Transaction, no_nul
from triptych.model import NewItem
from triptych.runs.run_store import (
    DETAIL_MAX_CHARS,
    LISTS_SHOWN_MAX,
    REFUSED_ROWS_MAX,
    RowsRead,
)


async def keep_refused(tx: Transaction, run: asyncpg.Record, read: RowsRead) -> None:
    """Keep the first refused rows of a run, and what its files are; the run is locked."""
    for found in read.lists[:LISTS_SHOWN_MAX]:
        await tx.rows("add_event", run["id"], "list", found)
    before = run["rows_refused"]
    if read.from_start and before:
        await tx.rows("forget_refused_rows", run["id"])
        before = 0
    if kept := read.refused[: max(0, REFUSED_ROWS_MAX - before)]:
        places = no_nul([row.place for row in kept], DETAIL_MAX_CHARS)
        problems = no_nul([row.problem for row in kept], DETAIL_MAX_CHARS)
        await tx.rows("keep_refused_rows", run["id"], before, places, problems)


def page_event(
    items: Sequence[NewItem], read: RowsRead, *, new: int, failed: int
) -> Mapping[str, int]:
    """Return what the timeline says of a page."""
    refused = len(read.refused)
    return {"rows": len(items) + refused, "new": new, "refused": failed + refused}


async def merge_rows(tx: Transaction, run: asyncpg.Record, items: Sequence[NewItem]) -> None:
    """Keep what rows say of items that earlier rows brought; the run is locked."""
    keys, urls = [item.key for item in items], [item.url for item in items]
    metadata = [item.metadata for item in items]
    await tx.rows("merge_rows", run["id"], run["next_position"], keys, urls, metadata)
