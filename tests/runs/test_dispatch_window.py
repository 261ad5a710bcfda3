"""The dispatch window follows the workers: one brand uses all of them, and several share them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import uuid4

import pytest

from tests.support.contracts.stores_contract import done, new_items, open_run
from tests.support.registry_harness import RegistryHarness, open_registry_harness
from triptych.errors import DatabaseUnavailable
from triptych.messages import URL_QUEUE
from triptych.presence.presence_store import SILENT_S, WorkerState
from triptych.runs.dispatch_window import READ_EVERY_S, DispatchWindow
from triptych.runs.fleet_store import Fleet, FleetStore
from triptych.runs.registry import ActiveBrandRegistry

WINDOW = 10
MOST = 35


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class Counted(FleetStore):
    """Answers with what a test has set, and counts how often it is asked."""

    def __init__(self, workers: int = 0, runs: int = 0) -> None:
        self.answer: Fleet | None = Fleet(workers, runs)
        self.asked = 0

    async def fleet(self) -> Fleet:
        self.asked += 1
        if self.answer is None:
            raise DatabaseUnavailable("away")
        return self.answer


@pytest.mark.parametrize(
    ("workers", "runs", "size"),
    [
        (0, 0, WINDOW),
        (0, 7, WINDOW),
        (1, 1, WINDOW),
        (3, 1, 3 * WINDOW),
        (3, 0, 3 * WINDOW),
        (3, 2, 15),
        (3, 100, WINDOW),
        (1000, 1, MOST),
    ],
)
async def test_it_is_a_share_of_what_the_workers_hold(workers: int, runs: int, size: int) -> None:
    assert await DispatchWindow(WINDOW, MOST, Counted(workers, runs)).size() == size


async def test_no_window_exceeds_the_most_even_without_workers() -> None:
    assert await DispatchWindow(WINDOW, 3, Counted()).size() == 3
    assert await DispatchWindow(WINDOW, 3).size() == 3


async def test_workers_are_counted_every_few_seconds_and_not_at_every_flush() -> None:
    clock, fleet = Clock(), Counted(1, 1)
    window = DispatchWindow(WINDOW, MOST, fleet, clock=clock)
    assert [await window.size() for _ in range(3)] == [WINDOW] * 3
    fleet.answer = Fleet(3, 1)
    clock.now += READ_EVERY_S - 0.1
    assert await window.size() == WINDOW
    clock.now += 0.1
    assert await window.size() == 3 * WINDOW
    assert fleet.asked == 2


async def test_a_count_that_fails_is_made_again_by_the_next_caller() -> None:
    fleet = Counted(3, 1)
    window = DispatchWindow(WINDOW, MOST, fleet)
    fleet.answer = None
    with pytest.raises(DatabaseUnavailable):
        await window.size()
    fleet.answer = Fleet(2, 1)
    assert await window.size() == 2 * WINDOW


class Workers:
    """Heartbeats of workers that a test makes."""

    def __init__(self, harness: RegistryHarness) -> None:
        self._harness = harness

    async def beat(self, *phases: str, stopping: bool = False) -> WorkerState:
        state = WorkerState(
            uuid4(), "h", 1, "0", phases, {}, stopping=stopping, started_at=datetime.now(UTC)
        )
        await self._harness.stores.presence.beat(state, forget_s=3600)
        return state

    async def silence(self) -> None:
        """Let all of them have died so long ago that they count as gone."""
        await self._harness.database.fetch(
            "update workers set seen_at = seen_at - make_interval(secs => $1)", SILENT_S
        )


@pytest.mark.integration
async def test_only_live_workers_that_acquire_are_counted(migrated_dsn: str) -> None:
    async with open_registry_harness(migrated_dsn) as harness:
        workers = Workers(harness)
        await workers.beat("gather")
        await workers.beat("acquire", stopping=True)
        await workers.beat("gather", "acquire", "ai")
        left = await workers.beat("acquire")
        assert (await harness.stores.fleet.fleet()).workers == 2
        await harness.stores.presence.leave(left.id)
        assert (await harness.stores.fleet.fleet()).workers == 1
        await workers.silence()
        assert (await harness.stores.fleet.fleet()).workers == 0


@pytest.mark.integration
async def test_a_brand_alone_gets_more_with_each_worker_and_loses_nothing_with_them(
    migrated_dsn: str,
) -> None:
    clock = Clock()
    async with open_registry_harness(migrated_dsn) as harness:
        stores, workers = harness.stores, Workers(harness)
        harness.registry = ActiveBrandRegistry(
            stores.runs,
            stores.brands,
            stores.dead_letters,
            harness.queue,
            window=DispatchWindow(WINDOW, 10 * WINDOW, stores.fleet, clock=clock),
            policy=(await open_run(stores, "policy")).run.policy,
        )
        run_id = (await open_run(stores)).run.id

        async def out_after_a_flush() -> int:
            clock.now += READ_EVERY_S
            await harness.settle(await harness.take(URL_QUEUE, limit=1))
            return (await stores.runs.run(run_id)).out

        await harness.registry.expect(run_id, new_items(100), cursor=None)
        await harness.registry.seal(run_id)
        assert (await stores.runs.run(run_id)).out == WINDOW, "what starts the first worker"
        await workers.beat("acquire")
        assert await out_after_a_flush() == WINDOW
        await workers.beat("acquire")
        assert await out_after_a_flush() == 2 * WINDOW
        await workers.silence()
        assert await out_after_a_flush() == 2 * WINDOW - 1, "nothing is taken back"
        run = await harness.finish(run_id)
        # Those taken above were settled; nothing else was lost on the way.
        assert (run.done, run.out, run.state.value) == (100, 0, "committed")


@pytest.mark.integration
async def test_brands_at_once_share_the_workers(migrated_dsn: str) -> None:
    async with open_registry_harness(migrated_dsn) as harness:
        stores, workers = harness.stores, Workers(harness)
        for _ in range(4):
            await workers.beat("acquire")
        runs = [(await open_run(stores, f"brand-{number}")).run.id for number in range(2)]
        clock = Clock()
        window = DispatchWindow(WINDOW, 10 * WINDOW, stores.fleet, clock=clock)
        out = []
        for run_id in runs:
            clock.now += READ_EVERY_S
            out.append(
                await stores.runs.expect(
                    run_id, new_items(100), cursor=None, limit=await window.size()
                )
            )
        assert [len(items) for items in out] == [4 * WINDOW, 4 * WINDOW], "each came when alone"
        clock.now += READ_EVERY_S
        share = await window.size()
        assert share == 2 * WINDOW
        settled = [done(item) for item in out[0][: 3 * WINDOW]]
        assert (await stores.runs.settle(runs[0], settled, limit=share)).run.out == share
