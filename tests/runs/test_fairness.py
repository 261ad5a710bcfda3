"""G10: a brand of twenty thousand URLs does not starve brands of ten."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from uuid import UUID

from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.registry_harness import RegistryHarness
from tests.support.worker_processes import Workers, environment, open_workers_harness
from triptych.live.watch import watch
from triptych.model import Run, RunState

PATIENCE_S = 300.0
LARGE = 20_000
SMALL = 10
WINDOW = 500


async def until_ended(harness: RegistryHarness, run_id: UUID) -> Run:
    """Wait for the commit, not for the AI phase behind it."""
    async for run in watch(harness.stores.runs, harness.stores.changes, run_id):
        if run.state is not RunState.ACTIVE:
            break
    return run


async def test_g10_ten_small_brands_pass_a_large_one(migrated_dsn: str, tmp_path: Path) -> None:
    async with (
        serve_pictures() as base,
        open_workers_harness(migrated_dsn) as harness,
        Workers(2, environment(migrated_dsn, tmp_path / "data"), random.Random(1)),
        asyncio.timeout(PATIENCE_S),
    ):
        large = await harness.registry.open(
            "large", source=write_manifest(tmp_path, base, "large", LARGE)
        )
        async for run in watch(harness.stores.runs, harness.stores.changes, large.run.id):
            if run.out >= WINDOW:
                break
        small = [
            await harness.registry.open(
                f"small-{number}", source=write_manifest(tmp_path, base, f"small-{number}", SMALL)
            )
            for number in range(10)
        ]
        ended = await asyncio.gather(*(until_ended(harness, opened.run.id) for opened in small))
        behind = await harness.stores.runs.run(large.run.id)
        await harness.registry.cancel(large.run.id)
    assert {run.state for run in ended} == {RunState.COMMITTED}
    assert behind.expected > LARGE // 10
    assert behind.settled < LARGE // 10, behind.settled
