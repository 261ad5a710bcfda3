"""The items of a run on Postgres, as people look at them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from uuid import UUID

import asyncpg
from typing_extensions import override

from triptych.database.session import Database, Transaction
from triptych.database.statements import statements
from triptych.errors import RunEnded, RunNotFound
from triptych.model import Item, Reason, Slice
from triptych.runs.item_store import (
    HOST_PATTERN,
    HOSTS_SHOWN_MAX,
    HostItems,
    ItemCounts,
    ItemFilter,
    ItemStanding,
    ItemStore,
    RunItem,
    host_of,
)
from triptych.runs.postgres.settling import lock_active, outgoing_item

ITEMS_SCAN = 50_000
"""Rows that one page reads at most: then the page ends and the next one continues there."""
BEFORE_ALL = -1
"""The position before a run's first item."""
HOSTS_SAMPLE = 10_000
"""Items of a run by which its hosts are counted, at most."""


@cache
def _sql(name: str) -> str:
    """Return a statement with its parts, each of which is written once."""
    parts = statements()
    sql = parts[name]
    for part, written in (
        (":shown", "items_shown"),
        (":pass", "items_pass"),
        (":standing", "item_standing"),
        (":host", "item_host"),
        (":why", "item_why"),
    ):
        sql = sql.replace(part, parts[written])
    return sql


class PostgresItemStore(ItemStore):
    """`ItemStore` on Postgres."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @override
    async def page(
        self, run_id: UUID, wanted: ItemFilter, *, after: int | None, limit: int
    ) -> Slice[RunItem, int]:
        passes = _passes(wanted)
        if wanted.key is not None and after is None:
            but_url = _passes(replace(wanted, url=None))  # It may be written otherwise.
            rows = await self._database.fetch(_sql("items_named"), run_id, wanted.key, *but_url)
            if rows:
                return Slice([_shown(row) for row in rows], BEFORE_ALL)
        after = BEFORE_ALL if after is None else after
        if wanted.state is ItemStanding.DELAYED:
            sql, bounds = _sql("items_delayed"), (limit + 1, wanted.key)
            rows = await self._database.fetch(sql, run_id, after, *passes, *bounds)
            return _sliced(rows, limit, None)
        if wanted.state is ItemStanding.PENDING:
            # Everything before has been sent.
            unsent = await self._database.rows("items_unsent_from", run_id)
            after = max(after, unsent[0]["position"] - 1) if unsent else after
        scan = (ITEMS_SCAN, limit + 1, wanted.key)
        rows = await self._database.fetch(_sql("items_page"), run_id, after, *passes, *scan)
        if len(rows) > limit:
            return _sliced(rows, limit, None)
        end = await self._database.rows("items_scanned_to", run_id, after, ITEMS_SCAN - 1)
        return _sliced(rows, limit, end[0]["position"] if end else None)

    @override
    async def some(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[RunItem]:
        rows = await self._database.fetch(_sql("items_some"), run_id, list(keys))
        return [_shown(row) for row in rows]

    @override
    async def counts(self, run_id: UUID) -> ItemCounts:
        rows = await self._database.rows("items_counted", run_id)
        if not rows:
            raise RunNotFound(f"There is no run {run_id}.")
        run = rows[0]
        hosts = await self._database.rows(
            "items_by_host", run_id, HOSTS_SAMPLE, HOST_PATTERN, HOSTS_SHOWN_MAX
        )
        left = run["expected"] - run["done"] - run["failed"]
        active = run["state"] == "active"
        delayed = min(run["delayed"], run["out"]) if active else 0
        return ItemCounts(
            pending=max(0, left - run["out"]) if active else 0,
            sent=run["out"] - delayed if active else 0,
            delayed=delayed,
            done=run["done"],
            failed=run["failed"] - run["skipped"],
            skipped=run["skipped"],
            cancelled=0 if active else max(0, left),
            each=hosts[0]["step"] if hosts else 1,
            hosts=[
                HostItems(row["host"], row["items"], row["left_of"], row["failed"], row["delayed"])
                for row in hosts
            ],
            hosts_found=hosts[0]["hosts"] if hosts else 0,
        )

    @override
    async def try_now(self, run_id: UUID, keys: Sequence[bytes]) -> Sequence[Item]:
        async def work(tx: Transaction) -> Sequence[Item]:
            rows = await tx.rows("try_items_now", run_id, sorted(set(keys)))
            run = await lock_active(tx, run_id)
            if rows:
                await tx.rows("add_event", run_id, "tried_now", {"items": len(rows)})
            return [outgoing_item(row, run) for row in rows]

        try:
            return await self._database.transact(work)
        except RunEnded:
            return []


def _passes(wanted: ItemFilter) -> tuple[object, ...]:
    """Return the parameters of the part ``items_pass``."""
    return (
        wanted.state.value if wanted.state else None,
        wanted.host,
        HOST_PATTERN,
        wanted.reason.value if wanted.reason else None,
        wanted.url.lower() if wanted.url is not None else None,
    )


def _sliced(rows: Sequence[asyncpg.Record], limit: int, end: int | None) -> Slice[RunItem, int]:
    """Return a page; ``end`` is where the next one begins if all rows are on this one."""
    shown = [_shown(row) for row in rows[:limit]]
    return Slice(shown, rows[limit - 1]["position"] if len(rows) > limit else end)


def _shown(row: asyncpg.Record) -> RunItem:
    standing = ItemStanding(row["standing"])
    delayed = standing is ItemStanding.DELAYED
    down = (
        row["waits_for"] if row["why"] == Reason.HOST_DOWN and row["settled_at"] is None else None
    )
    return RunItem(
        key=row["key"].hex(),
        url=row["url"],
        host=host_of(row["url"]),
        state=standing,
        attempts=row["attempts"],
        max_attempts=row["max_attempts"],
        reason=Reason(row["why"]) if row["why"] else None,
        detail=f"{down} does not answer" if down else row["detail"] or None,
        last_tried_at=row["tried_at"],
        next_attempt_at=row["sent_at"] if delayed else None,
        settled_at=row["settled_at"],
    )
