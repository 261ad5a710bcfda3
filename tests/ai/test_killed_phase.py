"""The AI phase in real processes: killed in every step, delivered again, overtaken by a commit."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest

from tests.support.contracts.stores_contract import committed
from triptych.ai.step import discover
from triptych.database.session import Database
from triptych.messages import AI_QUEUE, Headers, Message
from triptych.model import AiState, Run
from triptych.queues.pgmq import PgmqQueue
from triptych.wiring.stores import Stores, postgres_stores

PATIENCE_S = 120.0
STEPS = [step.name for step in discover()]


@dataclass
class Scene:
    dsn: str
    stores: Stores
    queue: PgmqQueue

    async def send(self, run: Run, times: int = 1) -> None:
        message = Message({"brand": run.brand}, Headers(run_id=run.id).encode())
        await self.queue.send(AI_QUEUE, [message] * times)

    async def worker(self, dies: str = "nowhere") -> None:
        """Run a worker for one message, and see it end as it was told to."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.support.ai_process", self.dsn, dies)
        )
        try:
            ended = await asyncio.wait_for(process.wait(), PATIENCE_S)
        finally:
            if process.returncode is None:
                process.kill()
        assert ended == (0 if dies == "nowhere" else -signal.SIGKILL)

    async def kinds(self, run: Run) -> list[str]:
        return sorted(insight.kind for insight in await self.stores.snapshots.insights(run.id))

    async def ends(self, run: Run) -> int:
        timeline = await self.stores.runs.timeline(run.id, after=0, limit=1_000)
        return sum(event.kind == "ai_done" for event in timeline)

    async def left(self) -> int:
        depths = {depth.queue: depth for depth in await self.queue.depths()}
        return depths[AI_QUEUE].waiting + depths[AI_QUEUE].in_flight


@pytest.fixture
async def scene(migrated_dsn: str) -> AsyncIterator[Scene]:
    database = Database(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=1000)
    yield Scene(migrated_dsn, stores, queue)
    await queue.close()
    await stores.close()


@pytest.mark.prove
async def test_g5_killed_in_each_step_and_delivered_three_times_it_is_one_set_of_insights(
    scene: Scene,
) -> None:
    run = await committed(scene.stores)
    await scene.send(run)
    for step in STEPS:
        await scene.worker(dies=step)
        assert await scene.kinds(run) == []
        assert (await scene.stores.runs.run(run.id)).ai_state is AiState.RUNNING
    await scene.worker(dies="ack")
    first = await scene.stores.snapshots.insights(run.id)
    assert sorted(insight.kind for insight in first) == sorted(STEPS)
    assert all(insight.error is None for insight in first)
    # What the last one held comes back, and two more of it come in.
    await scene.send(run, times=2)
    await asyncio.gather(*(scene.worker() for _ in range(3)))
    assert await scene.stores.snapshots.insights(run.id) == first
    assert await scene.ends(run) == 1
    assert (await scene.stores.runs.run(run.id)).ai_state is AiState.DONE
    assert await scene.left() == 0


@pytest.mark.prove
async def test_g5_an_older_message_in_each_place_of_a_newer_commit_leaves_the_newest(
    scene: Scene,
) -> None:
    older = await committed(scene.stores)
    await scene.send(older)
    await scene.worker(dies=STEPS[-1])
    newer = await committed(scene.stores, content="new")
    # Held by the dead worker until now, the older message is done first, then thrice again.
    await scene.worker()
    await scene.send(newer)
    await scene.worker()
    newest = await scene.stores.snapshots.insights(newer.id)
    assert sorted(insight.kind for insight in newest) == sorted(STEPS)
    await scene.send(older, times=3)
    for _ in range(3):
        await scene.worker()
    assert await scene.stores.snapshots.insights(newer.id) == newest
    assert await scene.stores.snapshots.insights(older.id) == []
    assert (await scene.stores.runs.run(older.id)).ai_state is AiState.SUPERSEDED
    assert (await scene.ends(newer), await scene.ends(older)) == (1, 0)
    assert await scene.left() == 0
