"""Real processes: workers killed at random moments, messages doubled, the database struck."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.workers import (
    Workers,
    duplicate_messages,
    environment,
    serve_pictures,
    write_manifest,
)
from triptych.database.session import Database
from triptych.live.watch import watch
from triptych.model import AiState, Run, RunState
from triptych.queues.pgmq import PgmqQueue
from triptych.runs.registry import ActiveBrandRegistry
from triptych.settings.settings import Settings
from triptych.wiring.stores import Stores, postgres_stores

pytestmark = pytest.mark.integration

URLS = 200
MISSING = URLS // 50
PATIENCE_S = 300.0
QUIET_S = 0.3
KILL_EVERY_S = (0.3, 2.0)
KILLS_MAX = 15
"""Then the rest may finish: a worker takes a second or two to start."""


@dataclass
class Scene:
    database: Database
    stores: Stores
    queue: PgmqQueue
    registry: ActiveBrandRegistry


@asynccontextmanager
async def open_scene(dsn: str) -> AsyncIterator[Scene]:
    database = Database(dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=1000)
    registry = ActiveBrandRegistry(
        stores.runs,
        stores.brands,
        stores.dead_letters,
        queue,
        window=500,
        policy=Settings.load().policy,
    )
    try:
        yield Scene(database, stores, queue, registry)
    finally:
        await queue.close()
        await stores.close()


async def wait_for(scene: Scene, run_id: UUID) -> Run:
    async for run in watch(scene.stores.runs, scene.stores.changes, run_id):
        last = run
    return last


async def empty(scene: Scene) -> None:
    """Wait until no queue holds anything: what killed workers held comes back and is acked."""
    while any(depth.waiting or depth.in_flight for depth in await scene.queue.depths()):
        await asyncio.sleep(QUIET_S)


async def check(scene: Scene, runs: list[Run]) -> None:
    for run in runs:
        assert run.state is RunState.COMMITTED, run
        assert (run.expected, run.done, run.failed) == (URLS, URLS - MISSING, MISSING)
        assert run.reasons == {"not_found": MISSING}
        assert run.ai_state is AiState.DONE
        events = await scene.stores.runs.timeline(run.id, after=0, limit=10_000)
        kinds = Counter(event.kind for event in events)
        assert (kinds["committed"], kinds["ai_done"]) == (1, 1)
        assert [event.seq for event in events] == list(range(1, len(events) + 1))
        assets = await scene.stores.snapshots.assets(run.id, after=None, limit=10_000)
        assert len({asset.url for asset in assets}) == len(assets) == URLS - MISSING
    assert not await scene.database.fetch("select 1 from staged limit 1")
    assert not await scene.database.fetch("select 1 from items where state = 'pending' limit 1")
    assert not await scene.database.fetch("select 1 from outbox limit 1")


async def storm(dsn: str, folder: Path, *, brands: int, workers: int, seed: int) -> int:
    """Run brands through workers that keep being killed; return how many were killed."""
    rng = random.Random(seed)
    async with serve_pictures() as base, open_scene(dsn) as scene:
        await duplicate_messages(scene.database, 0.15)
        runs: list[UUID] = []
        for number in range(brands):
            brand = f"brand-{number}"
            opened = await scene.registry.open(
                brand, source=write_manifest(folder, base, brand, URLS)
            )
            runs.append(opened.run.id)
        async with Workers(workers, environment(dsn, folder / "data"), rng) as killed:
            waiting = asyncio.gather(*(wait_for(scene, run_id) for run_id in runs))
            async with asyncio.timeout(PATIENCE_S):
                while not waiting.done() and killed.kills < KILLS_MAX:
                    await asyncio.wait([waiting], timeout=rng.uniform(*KILL_EVERY_S))
                    if not waiting.done():
                        await killed.kill_one()
                ended = await waiting
                await empty(scene)
            await check(scene, ended)
        return killed.kills


async def test_g2_g4_workers_killed_while_they_work(migrated_dsn: str, tmp_path: Path) -> None:
    assert await storm(migrated_dsn, tmp_path, brands=4, workers=2, seed=1) > 0


@pytest.mark.prove
@pytest.mark.parametrize("repetition", range(10))
async def test_g2_g4_g5_twenty_brands_through_a_storm(
    migrated_dsn: str, tmp_path: Path, repetition: int
) -> None:
    kills = await storm(migrated_dsn, tmp_path, brands=20, workers=3, seed=repetition)
    assert kills > 0
