"""G1, G2, G3, G5: the barrier under every interleaving that Hypothesis can think of."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from uuid import UUID, uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.support.barrier_machine import POLICY, BarrierMachine, staged
from tests.support.proof_size import at_full_size, by_size
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.model import Item, ItemResult, NewItem, RunState
from triptych.queues.pgmq import PgmqQueue
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.wiring.stores import Stores, postgres_stores

WORKERS = 8
SEEDS, SEEDS_AT_LENGTH = range(6), range(6, 20)


def machine(dsn: str, *, examples: int, steps: int) -> None:
    BarrierMachine.dsn = dsn
    run_state_machine_as_test(
        BarrierMachine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            print_blob=True,
        ),
    )


def test_g1_g2_g3_g5_any_interleaving(migrated_dsn: str) -> None:
    machine(migrated_dsn, examples=15, steps=25)


@pytest.mark.prove
def test_g1_g2_g3_g5_any_interleaving_at_length(migrated_dsn: str) -> None:
    machine(migrated_dsn, examples=by_size(150, 1000), steps=50)


async def race(dsn: str, seed: int) -> None:
    """Eight connections flush single items at once while the run is sealed: one commit."""
    rng = random.Random(seed)
    database = Database(dsn, pool_max=WORKERS)
    stores = postgres_stores(database, run_cap_s=3600)
    queue = PgmqQueue(database, max_receives=10)
    registry = ActiveBrandRegistry(
        stores.runs,
        stores.brands,
        stores.dead_letters,
        queue,
        window=DispatchWindow(10_000),
        policy=POLICY,
    )
    try:
        opened = await registry.open(f"race-{uuid4().hex}")
        urls = [f"https://example.com/{number}" for number in range(25)]
        items = [NewItem(item_key(url), url, {}) for url in urls]
        run_id = opened.run.id
        claimed = await stores.runs.expect(run_id, items, cursor=None, limit=10_000)
        work: list[Item] = [*claimed, *rng.sample(list(claimed), 4)]
        rng.shuffle(work)

        async def worker(mine: Sequence[Item]) -> None:
            for item in mine:
                await registry.settle(run_id, [ItemResult(item.key, staged(item.url))])

        tasks = [worker(work[number::WORKERS]) for number in range(WORKERS)]
        outcomes = await asyncio.gather(*tasks, registry.seal(run_id), return_exceptions=True)
        await check_committed_once(stores, database, run_id, len(urls))
        assert {type(outcome).__name__ for outcome in outcomes} <= {"NoneType", "Run", "RunEnded"}
    finally:
        await queue.close()
        await stores.close()


async def check_committed_once(
    stores: Stores, database: Database, run_id: UUID, assets: int
) -> None:
    run = await stores.runs.run(run_id)
    assert run.state is RunState.COMMITTED
    kinds = Counter(event.kind for event in await stores.runs.timeline(run_id, after=0, limit=1000))
    assert kinds["committed"] == 1
    assert len(await stores.snapshots.assets(run_id, after=None, limit=1000)) == assets
    assert not await database.fetch("select 1 from staged where run_id = $1", run_id)


@pytest.mark.parametrize(
    "seed", [*SEEDS, *(pytest.param(seed, marks=at_full_size) for seed in SEEDS_AT_LENGTH)]
)
async def test_g2_racing_flushes_commit_once(migrated_dsn: str, seed: int) -> None:
    await race(migrated_dsn, seed)
