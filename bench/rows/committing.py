"""Row 4: the commit of many assets with embeddings, beside the bare driver's COPY of the rows."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from pgvector import HalfVector

from bench.lanes import Contender, Lane, Spent, Tell, figures, interleaved, running
from bench.ours.assets import COLUMNS, COPY_TIMEOUT_S
from bench.ours.services import own_parts, settings_in
from bench.program import Given, Ready
from bench.results import Aim, Entry, each_compared
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.model import ItemResult, NewItem, Policy, RunKind, RunState, Staged
from triptych.wiring.stores import Stores

ROW = 4
TITLE = "commit"
FULL = {"rows": 100_000, "rounds": 3}
REDUCED = {"rows": 2_000, "rounds": 1}
DIMENSIONS = (512, 1280)
COPY = {"COPY": ("binary COPY of the same rows by the bare driver", Aim("≥ 0.8", least=0.8))}
ORDERS = {
    "commit": ("prepare_commit", "commit"),
    "later": ("prepare_commit", "checkpoint", "commit"),
    "COPY": ("prepare_copy", "copy"),
}
"""The last of them is what is measured."""
WHEN = {"commit": "their last item just settled", "later": "a checkpoint since"}
PAGE = 1000
POLICY = Policy(tolerated_failures=0.5, max_attempts=5, deadline_s=3600)


class Rows:
    """What is to be committed: the same rows for both."""

    def __init__(self, count: int, dimension: int) -> None:
        urls = [f"https://bench.example/{number}" for number in range(count)]
        self.items = [NewItem(item_key(url), url, {"n": n}) for n, url in enumerate(urls)]
        random = np.random.default_rng(1)
        self.vectors = random.standard_normal((count, dimension)).astype(np.float32)

    def staged(self, number: int) -> Staged:
        """Return what was made of an item."""
        digest = hashlib.sha256(self.items[number].key).digest()
        place = (digest, f"sha256/{digest.hex()}", "image/jpeg", 50_000, 800, 600, 7)
        return Staged(*place, self.vectors[number], "m")

    def records(self, run_id: UUID, brand: str) -> list[tuple[Any, ...]]:
        """Return the rows as COPY takes them."""
        found = []
        for number, item in enumerate(self.items):
            s = self.staged(number)
            what = (s.sha256, s.object_key, s.media_type, s.size_bytes, s.width, s.height, s.phash)
            tail = (s.model, HalfVector(self.vectors[number]), item.metadata)
            found.append((run_id, item.key, brand, item.url, *what, *tail))
        return found


async def prepare(stores: Stores, rows: Rows) -> UUID:
    """Bring a run to where only its commit is missing."""
    run_id = uuid4()
    await stores.runs.open_run(
        f"bench-{run_id}",
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        enqueue_gather_message=False,
    )
    for start in range(0, len(rows.items), PAGE):
        page = rows.items[start : start + PAGE]
        await stores.runs.expect(run_id, page, cursor=None, limit=500)
        results = [ItemResult(item.key, rows.staged(start + n)) for n, item in enumerate(page)]
        await stores.runs.settle(run_id, results, limit=500)
    await stores.runs.seal(run_id)
    return run_id


class Commits:
    """What an order may ask for."""

    def __init__(self, stores: Stores, database: Database, rows: Rows) -> None:
        self._stores = stores
        self._database = database
        self._rows = rows
        self._run_id = uuid4()
        self._records: list[tuple[Any, ...]] = []

    async def work(self, order: Given) -> None:
        """Do what is ordered: the name of a method."""
        await getattr(self, order["what"])()

    async def checkpoint(self) -> None:
        """Write all dirty pages."""
        await self._database.fetch("checkpoint")

    async def empty(self) -> None:
        """Begin with empty tables, and without another's dirty pages."""
        await self._database.fetch("truncate assets, staged, items")
        await self.checkpoint()

    async def prepare_commit(self) -> None:
        """Have a run that only its commit is missing of."""
        await self.empty()
        self._run_id = await prepare(self._stores, self._rows)

    async def commit(self) -> None:
        """Commit that run."""
        run = await self._stores.runs.commit(self._run_id)
        assert (run.state, run.added) == (RunState.COMMITTED, len(self._rows.items)), run

    async def prepare_copy(self) -> None:
        """Have the rows as the driver takes them."""
        self._records = self._rows.records(uuid4(), "bench")
        await self.empty()

    async def copy(self) -> None:
        """Let the driver write them."""
        async with self._database.connection() as connection:
            await connection.copy_records_to_table(
                "assets", records=self._records, columns=COLUMNS, timeout=COPY_TIMEOUT_S
            )
        self._records = []


@asynccontextmanager
async def commits(arguments: Given) -> AsyncIterator[Ready]:
    """Commit, or copy the same rows, in one Postgres of ours."""
    rows = Rows(arguments["rows"], arguments["dimension"])
    async with own_parts(settings_in(arguments)) as (parts, dsn):
        database = Database(dsn)
        yield Ready(Commits(parts.stores, database, rows).work)
        await database.close()


def in_order(lane: Lane, orders: tuple[str, ...]) -> Spent:
    """Give orders, and return what the last one took."""
    return [lane.run(what=order) for order in orders][-1]


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    count = size["rows"]
    entries = []
    for dimension in DIMENSIONS:
        arguments = {"rows": count, "dimension": dimension}
        with running(
            Contender(f"commit {dimension}-d", "bench.rows.committing:commits", arguments)
        ) as lane:
            works = {name: partial(in_order, lane, orders) for name, orders in ORDERS.items()}
            spent = interleaved(works, size["rounds"], tell)
        for name, when in WHEN.items():
            both = {each: spent[each] for each in (name, "COPY")}
            entries += each_compared(
                ROW,
                f"commit of {count:,} assets with {dimension}-d embeddings, {when}",
                "rows/s",
                figures(both, lambda s: count / s.wall_s),
                COPY,
                cpu_us_a_row=figures(both, lambda s: round(1e6 * s.cpu_s / count, 1)),
            )
    return entries
