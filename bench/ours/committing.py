"""A commit, and the bare driver's binary COPY of the same rows, in one Postgres of ours."""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import uvloop
from pgvector import HalfVector

from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.model import ItemResult, NewItem, Policy, RunKind, RunState, Staged
from triptych.settings.settings import Settings
from triptych.wiring.database import connect, own_database
from triptych.wiring.stores import Stores

PAGE = 1000
COPY_TIMEOUT_S = 600.0
POLICY = Policy(tolerated_failures=0.5, max_attempts=5, deadline_s=3600)
COLUMNS = (
    *("run_id", "key", "brand", "url", "sha256", "object_key", "media_type", "size_bytes"),
    *("width", "height", "phash", "model", "embedding", "metadata"),
)


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
            tail = (s.model, HalfVector(s.embedding), item.metadata)
            found.append((run_id, item.key, brand, item.url, *what, *tail))
        return found


async def empty(database: Database) -> None:
    """Begin with empty tables, and without another's dirty pages."""
    await database.fetch("truncate assets, staged, items")
    await database.fetch("checkpoint")


async def prepare(stores: Stores, database: Database, rows: Rows) -> UUID:
    """Bring a run to where only its commit is missing."""
    await empty(database)
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


async def main() -> None:
    track = Track()
    configure_logs(debug=False)
    arguments = track.arguments
    settings = Settings.load(data=Path(arguments["folder"]) / "data")
    rows = Rows(arguments["rows"], arguments["dimension"])
    async with own_database(settings) as dsn, connect(settings, dsn) as parts:
        database = Database(dsn)
        track.say()
        run_id, records = uuid4(), []
        while (order := await track.next_order()) is not None:
            if order["what"] == "prepare commit":
                run_id = await prepare(parts.stores, database, rows)
            elif order["what"] == "checkpoint":
                await database.fetch("checkpoint")
            elif order["what"] == "commit":
                run = await parts.stores.runs.commit(run_id)
                assert (run.state, run.added) == (RunState.COMMITTED, len(rows.items)), run
            elif order["what"] == "prepare copy":
                records = rows.records(uuid4(), "bench")
                await empty(database)
            else:
                async with database.connection() as connection:
                    await connection.copy_records_to_table(
                        "assets", records=records, columns=COLUMNS, timeout=COPY_TIMEOUT_S
                    )
                records = []
            track.say()
        await database.close()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
