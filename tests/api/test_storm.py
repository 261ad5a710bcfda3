"""Delete, let go and embed anew while runs, readers and exports are under way, all over HTTP."""

from __future__ import annotations

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.api_server import Api, Reply, running_worker, serving
from tests.support.local_pipeline import LOOPBACK
from tests.support.picture_server import Site, write_manifest
from tests.support.proof_size import by_size
from tests.support.retention_rules import COLLECT_AT_ONCE
from triptych.objects import open_store
from triptych.workers.collector import Collector

PICTURES = 24
ROUNDS = by_size(4, 8)
READERS = 4
PATIENCE_S = 240.0
EXPECTED = {200, 202, 206, 404, 409, 410}
"""Found, taken, gone, or the wrong moment: whatever a client may be told. Never a 5xx."""


class Storm:
    """Asks, and keeps what was answered."""

    def __init__(self, api: Api) -> None:
        self.api = api
        self.answers: Counter[int] = Counter()
        self.over = asyncio.Event()

    async def ask(self, method: str, path: str, **options: Any) -> Reply:
        reply = await self.api(method, path, **options)
        assert reply.status in EXPECTED, (method, path, reply.status, reply.body)
        self.answers[reply.status] += 1
        return reply

    async def ended(self, task: Any) -> Any:
        """Wait for a task's end, or for nothing to be left of it."""
        while True:
            reply = await self.ask("GET", f"/tasks/{task['id']}")
            if reply.status == 404 or reply.json["ended_at"] is not None:
                return reply
            # A run that was deleted with its brand ends no task.
            run = task["run"]
            if run is not None and (await self.ask("GET", f"/runs/{run}")).status == 404:
                return reply
            await asyncio.sleep(0.02)

    async def run_again(self, brand: str, source: str, site: Site) -> None:
        for number in range(ROUNDS):
            site.seed = 100 * (number % 2)  # To and fro: what was let go of is wanted again.
            reply = await self.ask("POST", f"/brands/{brand}/runs", json={"source": source})
            if reply.status == 202:
                await self.ended(reply.json)

    async def submit(self, method: str, path: str, **options: Any) -> None:
        for _ in range(ROUNDS):
            reply = await self.ask(method, path, **options)
            if reply.status == 202:
                await self.ended(reply.json)
            await asyncio.sleep(0.1)

    async def read(self, brand: str) -> None:
        while not self.over.is_set():
            page = await self.ask("GET", f"/brands/{brand}/assets?limit=10")
            for asset in page.json["items"] if page.status == 200 else []:
                bytes_ = await self.ask("GET", f"/assets/{asset['id']}/content?run={asset['run']}")
                if bytes_.status == 200:
                    assert len(bytes_.body) == asset["size_bytes"]
            await self.ask("GET", "/brands")

    async def collect(self, collector: Collector) -> None:
        while not self.over.is_set():
            await collector.collect_rows()
            await collector.collect_objects()


@pytest.mark.prove
async def test_g6_deletion_retention_and_reembedding_under_load(
    site: Site, migrated_dsn: str, tmp_path: Path
) -> None:
    sources = {name: write_manifest(tmp_path, site.base, name, PICTURES) for name in ("a", "b")}
    options = {"fetch_allow": LOOPBACK, "sweep_s": 0.2, "flush_s": 0.05, "keep_snapshots": 2}
    async with serving(migrated_dsn, tmp_path, **options) as api, running_worker(api):
        storm = Storm(api)
        store = open_store("file:", tmp_path / "objects")
        collector = Collector(
            api.stores.retention,
            api.stores.tasks,
            api.stores.uploads,
            store,
            COLLECT_AT_ONCE,
        )
        changing: list[Callable[[], Awaitable[None]]] = [
            lambda: storm.run_again("a", sources["a"], site),
            lambda: storm.run_again("b", sources["b"], site),
            lambda: storm.submit("DELETE", "/brands/b"),
            lambda: storm.submit("POST", "/brands/a/reembed"),
            lambda: storm.submit("POST", "/brands/a/exports", json={"format": "webdataset"}),
        ]
        async with asyncio.timeout(PATIENCE_S), asyncio.TaskGroup() as group:
            for _, brand in zip(range(READERS), itertools.cycle(("a", "b")), strict=False):
                group.create_task(storm.read(brand))
            group.create_task(storm.collect(collector))
            async with asyncio.TaskGroup() as changes:
                for change in changing:
                    changes.create_task(_awaiting(change))
            storm.over.set()
        assert storm.answers[200] > 100
        assert storm.answers[202] >= ROUNDS // 2, "the others came at the wrong moment"
        assets = (await api.get("/brands/a/assets?limit=100")).json["items"]
        assert len(assets) == PICTURES
        for asset in assets:
            assert (await api.get(f"/assets/{asset['id']}/content")).status == 200


async def _awaiting(change: Callable[[], Awaitable[None]]) -> None:
    await change()
