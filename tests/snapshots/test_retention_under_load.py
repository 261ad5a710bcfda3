"""Letting go while runs, readers and deletions are under way: no row without its object."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.local_pipeline import ended, local_at, snapshot
from tests.support.picture_server import Site, write_manifest
from tests.support.retention_rules import COLLECT_AT_ONCE
from triptych.errors import BrandNotFound, SnapshotCollected
from triptych.media.thumbnails import WIDTHS, thumbnail_key
from triptych.model import RunState
from triptych.objects import ObjectStore, open_store
from triptych.wiring.local import Local
from triptych.workers.collector import Collector

PICTURES = 20
RERUNS = 6


async def collect_until(stop: asyncio.Event, collector: Collector) -> int:
    rounds = 0
    while not stop.is_set():
        await collector.collect_rows()
        await collector.collect_objects()
        rounds += 1
    return rounds


async def read_until(stop: asyncio.Event, local: Local, store: ObjectStore) -> int:
    """Read the snapshot as it is at that moment: whole or not at all."""
    whole = 0
    while not stop.is_set():
        current = (await local.stores.brands.brand("nike")).current_run
        if current is None:
            await asyncio.sleep(0.01)
            continue
        try:
            found = [
                asset
                async for page in local.stores.snapshots.stream_assets(current, batch=7)
                for asset in page
            ]
        except SnapshotCollected:
            continue
        assert len(found) == PICTURES
        whole += 1
        if (await local.stores.brands.brand("nike")).current_run == current:
            asset = random.choice(found)
            there = await store.exists(asset.object_key)
            still = (await local.stores.brands.brand("nike")).current_run == current
            assert there or not still, "an asset of the current snapshot has its object"
    return whole


async def delete_brand(local: Local, brand: str) -> None:
    await local.stores.brands.begin_deletion(brand)
    for run in await local.stores.runs.runs(brand, limit=100):
        if run.state is RunState.ACTIVE:
            await local.registry.cancel(run.id)
    while not await local.stores.retention.delete_brand(brand, limit=5):
        pass


@pytest.mark.prove
async def test_g6_letting_go_while_everything_goes_on(site: Site, tmp_path: Path) -> None:
    source = write_manifest(tmp_path, site.base, "nike", PICTURES)
    twin = write_manifest(tmp_path, site.base, "twin", PICTURES)
    store = open_store("file:", tmp_path / "data" / "objects")
    stop = asyncio.Event()
    async with local_at(tmp_path, flush_s=0.05, tolerated_failures=0.0) as local:
        await ended(local, (await local.submit("nike", source=source)).id)
        thumbnails = [thumbnail_key(a.sha256, WIDTHS[0]) for a in await snapshot(local, "nike")]
        for key in thumbnails:
            await store.put_as(key, b"of no matter", "image/webp")
        collector = Collector(
            local.stores.retention,
            local.stores.tasks,
            local.stores.uploads,
            store,
            COLLECT_AT_ONCE,
        )
        async with asyncio.TaskGroup() as group:
            collecting = group.create_task(collect_until(stop, collector))
            reading = group.create_task(read_until(stop, local, store))
            for rerun in range(RERUNS):
                # To and fro: what was just let go of is wanted again.
                site.seed = 100 * (rerun % 2)
                other = await local.submit("twin", source=twin)
                run = await ended(local, (await local.submit("nike")).id)
                assert run.state is RunState.COMMITTED, run.reasons
                if rerun % 3 == 2:
                    await delete_brand(local, "twin")
                else:
                    await ended(local, other.id)
            stop.set()
        assert collecting.result() > RERUNS
        assert reading.result() > RERUNS
        if await known(local, "twin"):
            await delete_brand(local, "twin")
        assets = await snapshot(local, "nike")
        assert len(assets) == PICTURES
        async with asyncio.timeout(60):
            while await local.stores.retention.condemned_objects(
                settled_s=0, limit=1
            ) or await local.stores.retention.condemn_objects(grace_s=0, limit=1):
                await collector.collect_rows()
                await collector.collect_objects()
    for asset in assets:
        assert await store.exists(asset.object_key)
    kept = {path.name for path in (tmp_path / "data" / "objects" / "sha256").rglob("*")}
    names = {name for name in kept if len(name) == 64}
    used = {asset.sha256.hex() for asset in assets}
    assert used <= names
    assert len(names - used) <= 1, "nothing but the probe is left"
    assert not any([await store.exists(key) for key in thumbnails]), "gone with their originals"


async def known(local: Local, brand: str) -> bool:
    try:
        await local.stores.brands.brand(brand)
    except BrandNotFound:
        return False
    return True
