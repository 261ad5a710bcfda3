"""The AI phase on Postgres: at least once delivered, once in effect, only of the newest commit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.contracts.stores_contract import committed
from triptych.ai.phase import AiPhase
from triptych.ai.step import Snapshot, Step
from triptych.ai.steps.across.across import ACROSS
from triptych.ai.steps.clusters.clusters import CLUSTERS
from triptych.ai.steps.duplicates.duplicates import DUPLICATES
from triptych.ai.steps.look.look import LOOK as BRAND_LOOK
from triptych.database.session import Database
from triptych.errors import InvalidMessage
from triptych.messages import AI_QUEUE, Delivery, Headers
from triptych.model import AiState, Run
from triptych.wiring.stores import Stores, postgres_stores

PATIENCE_S = 30.0


@pytest.fixture
async def stores(migrated_dsn: str) -> AsyncIterator[Stores]:
    database = Database(migrated_dsn)
    yield postgres_stores(database, run_cap_s=3600)
    await database.close()


def message(run: Run) -> Delivery:
    headers = Headers(run_id=run.id).encode()
    return Delivery(AI_QUEUE, "1", "receipt", {"brand": run.brand}, headers, 1)


def look(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "keys": [snapshot.key(row) for row in range(len(snapshot))],
        "sides": [snapshot.widths.tolist(), snapshot.heights.tolist()],
        "phash": snapshot.phash.tolist(),
        "shape": list(snapshot.embeddings.shape),
        "lengths": (snapshot.embeddings.astype(float) ** 2).sum(axis=1).tolist(),
    }


def fail(_: Snapshot) -> dict[str, Any]:
    raise ValueError("no \x00 idea")


def others(snapshot: Snapshot) -> dict[str, Any]:
    found = snapshot.context.others.brands()
    return {"brands": [[other.brand, str(other.run_id)] for other in found]}


LOOK = Step("look", 7, look)
OTHERS = Step("others", 1, others)
FAIL = Step("fail", 1, fail)


async def events(stores: Stores, run: Run) -> list[str]:
    return [one.kind for one in await stores.runs.timeline(run.id, after=0, limit=100)]


async def test_a_step_sees_the_snapshot_and_its_result_is_published(
    stores: Stores,
) -> None:
    run = await committed(stores)
    await AiPhase(stores.ai, stores.snapshots, [CLUSTERS, DUPLICATES, LOOK]).handle(message(run))
    found = {insight.kind: insight for insight in await stores.snapshots.insights(run.id)}
    assert found.keys() == {"clusters", "duplicates", "look"}
    assets = await stores.snapshots.assets(run.id, after=None, limit=100)
    assert found["look"].result == {
        "version": 7,
        "assets": 5,
        "sampled": False,
        "keys": [asset.key.hex() for asset in assets],
        "sides": [[4] * 5, [3] * 5],
        "phash": [-7] * 5,
        "shape": [5, 16],
        "lengths": [1.0] * 5,
    }
    assert (await stores.runs.run(run.id)).ai_state is AiState.DONE


async def test_g5_a_message_delivered_again_and_again_is_one_set_of_insights(
    stores: Stores,
) -> None:
    run = await committed(stores)
    phase = AiPhase(stores.ai, stores.snapshots, [DUPLICATES, LOOK])
    await asyncio.gather(*(phase.handle(message(run)) for _ in range(3)))
    first = await stores.snapshots.insights(run.id)
    await phase.handle(message(run))
    assert await stores.snapshots.insights(run.id) == first
    assert sorted(insight.kind for insight in first) == ["duplicates", "look"]
    assert (await events(stores, run)).count("ai_done") == 1


async def test_a_failing_step_is_recorded_beside_the_others(stores: Stores) -> None:
    run = await committed(stores)
    await AiPhase(stores.ai, stores.snapshots, [FAIL, LOOK]).handle(message(run))
    found = {insight.kind: insight for insight in await stores.snapshots.insights(run.id)}
    assert (found["fail"].result, found["fail"].error) == (None, "ValueError: no \ufffd idea")
    assert found["look"].result is not None
    ended = await stores.runs.run(run.id)
    assert (ended.ai_state, ended.ai_reason) == (AiState.DONE, "failed steps: fail")


async def test_g5_an_older_message_after_a_newer_commit_changes_nothing(
    stores: Stores,
) -> None:
    older = await committed(stores)
    newer = await committed(stores, content="new")
    phase = AiPhase(stores.ai, stores.snapshots, [LOOK])
    await phase.handle(message(newer))
    before = await stores.runs.run(newer.id)
    await phase.handle(message(older))
    assert await stores.runs.run(newer.id) == before
    assert await stores.snapshots.insights(older.id) == []
    assert len(await stores.snapshots.insights(newer.id)) == 1
    assert (await stores.runs.run(older.id)).ai_state is AiState.SUPERSEDED


async def test_a_brand_is_described_for_the_steps_of_others(
    stores: Stores,
) -> None:
    first = await committed(stores, 30)
    phase = AiPhase(stores.ai, stores.snapshots, [ACROSS, BRAND_LOOK, OTHERS])
    await phase.handle(message(first))
    # The same URLs have the same bytes; five more are this brand's own.
    second = await committed(stores, 35, brand="sister")
    await phase.handle(message(second))
    found = {insight.kind: insight for insight in await stores.snapshots.insights(second.id)}
    assert found["look"].error is None
    assert found["others"].result is not None
    assert found["others"].result["brands"] == [["nike", str(first.id)]]


class Gate:
    """A step that holds the phase where it is until the test has done something."""

    def __init__(self) -> None:
        self._reached = threading.Event()
        self._open = threading.Event()
        self.step = Step("gate", 1, self._run)

    def _run(self, _: Snapshot) -> dict[str, Any]:
        self._reached.set()
        return {"opened": self._open.wait(PATIENCE_S)}

    async def reached(self) -> None:
        assert await asyncio.to_thread(self._reached.wait, PATIENCE_S)

    def open(self) -> None:
        self._open.set()


async def test_g5_a_commit_while_the_steps_run_supersedes_them(
    stores: Stores,
) -> None:
    gate = Gate()
    older = await committed(stores)
    task = asyncio.create_task(
        AiPhase(stores.ai, stores.snapshots, [gate.step]).handle(message(older))
    )
    await gate.reached()
    newer = await committed(stores, content="new")
    gate.open()
    await task
    assert await stores.snapshots.insights(older.id) == []
    assert (await stores.runs.run(older.id)).ai_state is AiState.SUPERSEDED
    assert (await stores.runs.run(newer.id)).ai_state is AiState.QUEUED


async def test_g4_a_phase_cut_off_publishes_nothing_until_its_redelivery(
    stores: Stores,
) -> None:
    gate = Gate()
    run = await committed(stores)
    task = asyncio.create_task(
        AiPhase(stores.ai, stores.snapshots, [LOOK, gate.step]).handle(message(run))
    )
    await gate.reached()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    gate.open()
    assert await stores.snapshots.insights(run.id) == []
    assert (await stores.runs.run(run.id)).ai_state is AiState.RUNNING
    await AiPhase(stores.ai, stores.snapshots, [LOOK]).handle(message(run))
    assert [insight.kind for insight in await stores.snapshots.insights(run.id)] == ["look"]
    assert (await stores.runs.run(run.id)).ai_state is AiState.DONE


async def test_a_strangers_message_for_an_unknown_brand_is_refused(stores: Stores) -> None:
    unknown = Delivery(AI_QUEUE, "2", "receipt", {"brand": "nkie"}, {}, 1)
    with pytest.raises(InvalidMessage, match="'nkie' does not exist, or has no snapshot"):
        await AiPhase(stores.ai, stores.snapshots, [LOOK]).handle(unknown)


async def test_g5_a_strangers_message_processes_the_current_snapshot_again(
    stores: Stores,
) -> None:
    run = await committed(stores)
    await AiPhase(stores.ai, stores.snapshots, [LOOK]).handle(message(run))
    stranger = Delivery(AI_QUEUE, "2", "receipt", {"brand": "nike"}, {}, 1)
    await AiPhase(stores.ai, stores.snapshots, [DUPLICATES]).handle(stranger)
    assert [insight.kind for insight in await stores.snapshots.insights(run.id)] == ["duplicates"]
