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
class AiHarness:
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
async def harness(migrated_dsn: str) -> AsyncIterator[AiHarness]:
    database = Database(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=1000)
    yield AiHarness(migrated_dsn, stores, queue)
    await queue.close()
    await stores.close()


@pytest.mark.prove
async def test_g5_killed_in_each_step_it_publishes_one_set_of_insights(
    harness: AiHarness,
) -> None:
    run = await committed(harness.stores)
    await harness.send(run)
    for step in STEPS:
        await harness.worker(dies=step)
        assert await harness.kinds(run) == []
        assert (await harness.stores.runs.run(run.id)).ai_state is AiState.RUNNING
    await harness.worker(dies="ack")
    first = await harness.stores.snapshots.insights(run.id)
    assert sorted(insight.kind for insight in first) == sorted(STEPS)
    assert all(insight.error is None for insight in first)
    # What the last one held comes back, and two more of it come in.
    await harness.send(run, times=2)
    await asyncio.gather(*(harness.worker() for _ in range(3)))
    assert await harness.stores.snapshots.insights(run.id) == first
    assert await harness.ends(run) == 1
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.DONE
    assert await harness.left() == 0


@pytest.mark.prove
async def test_g5_an_older_message_never_replaces_newer_insights(
    harness: AiHarness,
) -> None:
    older = await committed(harness.stores)
    await harness.send(older)
    await harness.worker(dies=STEPS[-1])
    newer = await committed(harness.stores, content="new")
    # Held by the dead worker until now, the older message is done first, then thrice again.
    await harness.worker()
    await harness.send(newer)
    await harness.worker()
    newest = await harness.stores.snapshots.insights(newer.id)
    assert sorted(insight.kind for insight in newest) == sorted(STEPS)
    await harness.send(older, times=3)
    for _ in range(3):
        await harness.worker()
    assert await harness.stores.snapshots.insights(newer.id) == newest
    assert await harness.stores.snapshots.insights(older.id) == []
    assert (await harness.stores.runs.run(older.id)).ai_state is AiState.SUPERSEDED
    assert (await harness.ends(newer), await harness.ends(older)) == (1, 0)
    assert await harness.left() == 0
