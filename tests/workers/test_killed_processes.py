"""Real processes: workers killed at random moments, messages doubled, the database struck."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.proof_size import by_size
from tests.support.waiting import until
from tests.support.worker_processes import (
    URLS,
    Workers,
    assert_committed_once,
    duplicate_messages,
    environment,
    open_workers_harness,
)

PATIENCE_S = 300.0
KILL_EVERY_S = (0.3, 2.0)
KILLS_MAX = 15
"""Then the rest may finish: a worker takes a second or two to start."""


async def storm(
    dsn: str, folder: Path, *, brands: int, workers: int, seed: int, decode: bool = True
) -> int:
    """Run brands through workers that keep being killed; return how many were killed."""
    rng = random.Random(seed)
    env = environment(dsn, folder / "data", decode=decode)
    async with serve_pictures() as base, open_workers_harness(dsn) as harness:
        await duplicate_messages(harness.database, 0.15)
        runs: list[UUID] = []
        for number in range(brands):
            brand = f"brand-{number}"
            opened = await harness.registry.open(
                brand, source=write_manifest(folder, base, brand, URLS)
            )
            runs.append(opened.run.id)
        async with Workers(workers, env, rng) as killed:
            waiting = asyncio.gather(*(harness.ended(run_id) for run_id in runs))
            async with asyncio.timeout(PATIENCE_S):
                while not waiting.done() and killed.kills < KILLS_MAX:
                    await asyncio.wait([waiting], timeout=rng.uniform(*KILL_EVERY_S))
                    if not waiting.done():
                        await killed.kill_one()
                ended = await waiting
            # What killed workers held comes back and is acked.
            await until(
                harness.queue.depths,
                lambda depths: not any(depth.waiting or depth.in_flight for depth in depths),
                patience_s=PATIENCE_S,
            )
            await assert_committed_once(harness, ended)
        return killed.kills


async def test_g2_g4_workers_killed_while_they_work(migrated_dsn: str, tmp_path: Path) -> None:
    assert await storm(migrated_dsn, tmp_path, brands=2, workers=2, seed=1, decode=False) > 0


@pytest.mark.prove
@pytest.mark.parametrize("repetition", range(by_size(2, 10)))
async def test_g2_g4_g5_twenty_brands_through_a_storm(
    migrated_dsn: str, tmp_path: Path, repetition: int
) -> None:
    kills = await storm(migrated_dsn, tmp_path, brands=20, workers=3, seed=repetition)
    assert kills > 0
