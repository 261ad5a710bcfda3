"""The database goes away in the middle of a run: restarted, and killed. Nothing is lost."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from tests.support.data_folder import provide
from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.worker_processes import (
    MISSING,
    URLS,
    Workers,
    assert_committed_once,
    environment,
    open_workers_harness,
)
from triptych.embedded.server import EmbeddedPostgres
from triptych.errors import DatabaseUnavailable
from triptych.live.watch import watch
from triptych.model import Run
from triptych.wiring.stores import Stores

pytestmark = pytest.mark.integration

PATIENCE_S = 300.0
T = TypeVar("T")
Strike = Callable[[EmbeddedPostgres], Awaitable[None]]


async def restart(server: EmbeddedPostgres) -> None:
    await server.stop()
    await server.start()


async def kill(server: EmbeddedPostgres) -> None:
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)


async def half_done(stores: Stores, run: Run) -> None:
    async for state in watch(stores.runs, stores.changes, run.id):
        if state.settled >= URLS // 4:
            return


@pytest.mark.parametrize("strike", [restart, kill])
async def test_g4_the_database_goes_away_in_the_middle_of_a_run(
    tmp_path: Path, strike: Strike
) -> None:
    data = tmp_path / "data"
    await asyncio.to_thread(provide, data)
    async with (
        EmbeddedPostgres(data) as server,
        serve_pictures() as base,
        asyncio.timeout(PATIENCE_S),
        open_workers_harness(server.dsn) as harness,
    ):
        source = write_manifest(tmp_path, base, "nike", URLS)
        # A small window and slow flushes, so that the strike falls into the work.
        env = environment(
            server.dsn, data, dispatch_window=20, flush_items=5, flush_s=0.2, decode=False
        )
        async with Workers(2, env, random.Random(1)):
            opened = await harness.registry.open("nike", source=source)
            await half_done(harness.stores, opened.run)
            await strike(server)
            run = await patient(lambda: harness.ended(opened.run.id))
            await patient(lambda: assert_committed_once(harness, [run]))
    assert run.failed == MISSING


async def patient(ask: Callable[[], Awaitable[T]]) -> T:
    """Ask again while the database is away."""
    while True:
        try:
            return await ask()
        except DatabaseUnavailable:
            await asyncio.sleep(0.2)
