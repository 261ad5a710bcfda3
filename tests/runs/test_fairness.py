"""G10: a brand of twenty thousand URLs, or of thousands, does not starve brands of ten."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path

import pytest

from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.worker_processes import (
    TO_COMMIT,
    Workers,
    environment,
    open_workers_harness,
)
from triptych.live.watch import watch
from triptych.model import RunState

PATIENCE_S = 300.0
SMALL = 10
WINDOW = 500


@pytest.mark.parametrize(
    ("urls", "part", "decode"),
    [(5_000, 2, False), pytest.param(20_000, 10, True, marks=pytest.mark.prove)],
)
async def test_g10_ten_small_brands_pass_a_large_one(
    migrated_dsn: str, tmp_path: Path, urls: int, part: int, decode: bool
) -> None:
    """They are committed before so small a part of the large one is done."""
    env = environment(migrated_dsn, tmp_path / "data", decode=decode)
    async with (
        serve_pictures() as base,
        open_workers_harness(migrated_dsn) as harness,
        Workers(2, env, random.Random(1), TO_COMMIT),
        asyncio.timeout(PATIENCE_S),
    ):
        large = await harness.registry.open(
            "large", source=write_manifest(tmp_path, base, "large", urls)
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
        ended = await asyncio.gather(*(harness.until_committed(opened.run.id) for opened in small))
        behind = await harness.stores.runs.run(large.run.id)
        await harness.registry.cancel(large.run.id)
    assert {run.state for run in ended} == {RunState.COMMITTED}
    assert behind.expected > urls // part
    assert behind.settled < urls // part, behind.settled
