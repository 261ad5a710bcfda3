"""G10: a brand of twenty thousand URLs does not starve brands of ten."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from uuid import UUID

import pytest

from tests.support.workers import Workers, environment, serve_pictures, write_manifest
from tests.workers.test_killed_processes import PATIENCE_S, Scene, open_scene
from triptych.live.watch import watch
from triptych.model import Run, RunState

pytestmark = pytest.mark.integration

LARGE = 20_000
SMALL = 10
WINDOW = 500


async def until_ended(scene: Scene, run_id: UUID) -> Run:
    """Wait for the commit, not for the AI phase behind it."""
    async for run in watch(scene.stores.runs, scene.stores.changes, run_id):
        if run.state is not RunState.ACTIVE:
            break
    return run


async def test_g10_ten_small_brands_pass_a_large_one(migrated_dsn: str, tmp_path: Path) -> None:
    async with (
        serve_pictures() as base,
        open_scene(migrated_dsn) as scene,
        Workers(2, environment(migrated_dsn, tmp_path / "data"), random.Random(1)),
        asyncio.timeout(PATIENCE_S),
    ):
        large = await scene.registry.open(
            "large", source=write_manifest(tmp_path, base, "large", LARGE)
        )
        async for run in watch(scene.stores.runs, scene.stores.changes, large.run.id):
            if run.out == WINDOW:
                break
        small = [
            await scene.registry.open(
                f"small-{number}", source=write_manifest(tmp_path, base, f"small-{number}", SMALL)
            )
            for number in range(10)
        ]
        ended = await asyncio.gather(*(until_ended(scene, opened.run.id) for opened in small))
        behind = await scene.stores.runs.run(large.run.id)
        await scene.registry.cancel(large.run.id)
    assert {run.state for run in ended} == {RunState.COMMITTED}
    assert behind.expected > LARGE // 10
    assert behind.settled < LARGE // 10, behind.settled
