"""The rows of a run's source, inside the transaction that adds its items."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import partial
from uuid import UUID

import asyncpg

from triptych.database.session import Transaction, no_nul
from triptych.model import NewItem
from triptych.runs.run_log import SEVERAL, count_failed
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


async def note_page(
    tx: Transaction,
    run_id: UUID,
    items: Sequence[NewItem],
    read: RowsRead,
    counts: asyncpg.Record,
) -> None:
    """Put a page into the timeline, and count the items that it brought refused."""
    failed, refused = counts["failed"], len(read.refused)
    rows = len(items) + refused
    about = {"rows": rows, "new": counts["expected"], "refused": failed + refused}
    await tx.rows("add_event", run_id, "page", about)
    tx.after_commit(partial(count_failed, _by_reason(items, failed)))


def _by_reason(items: Sequence[NewItem], failed: int) -> Mapping[str, int]:
    """Return how many items of a page are refused for each reason; ``failed`` are new.

    A page that is read again brings some that were there before: then which of them are new is not
    known, and all are of the reason `SEVERAL`.
    """
    reasons = Counter({item.key: item.refused.value for item in items if item.refused}.values())
    return reasons if reasons.total() == failed else {SEVERAL: failed}


async def merge_rows(tx: Transaction, run: asyncpg.Record, items: Sequence[NewItem]) -> None:
    """Keep what rows say of items that earlier rows brought; the run is locked."""
    keys, urls = [item.key for item in items], [item.url for item in items]
    metadata = [item.metadata for item in items]
    await tx.rows("merge_rows", run["id"], run["next_position"], keys, urls, metadata)
