"""What every `OutageStore` must do.

A subclass gives the fixtures ``stores`` and ``age``, which lets seconds pass since hosts were seen.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from uuid import UUID, uuid4

import pytest

from tests.support.contracts.stores_contract import LIMIT, CommonStores, new_items, open_run
from triptych.runs.outage_store import HOSTS_WAITED_FOR_MAX, STALE_S
from triptych.runs.run_store import PutOff

Age = Callable[[float], Awaitable[None]]

HOST = "https://images.example.com"
OTHER = "https://other.example.com"
PATIENCE_S = 100.0
STEP_S = 20.0
"""Short enough to count as waited for."""


async def note(stores: CommonStores, run_id: UUID, *hosts: str) -> list[tuple[str, float, bool]]:
    """Note an outage; return hosts, whole seconds waited and whether that is enough."""
    found = await stores.outages.note(run_id, hosts, patience_s=PATIENCE_S)
    return [(host, round(found[host].waited_s), found[host].over) for host in sorted(found)]


async def kinds(stores: CommonStores, run_id: UUID) -> list[tuple[str, str]]:
    events = await stores.runs.timeline(run_id, after=0, limit=1000)
    return [(event.kind, event.data["host"]) for event in events if event.kind.startswith("host_")]


class OutagesContract:
    """Outages of hosts, by run."""

    @pytest.fixture
    async def run_id(self, stores: CommonStores) -> UUID:
        return (await open_run(stores)).run.id

    async def test_a_run_waits_until_its_patience_is_over(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        assert await note(stores, run_id, HOST, HOST) == [(HOST, 0, False)]
        waited = []
        for _ in range(6):
            await age(STEP_S)
            waited += await note(stores, run_id, HOST)
        assert waited == [
            *((HOST, 20, False), (HOST, 40, False), (HOST, 60, False), (HOST, 80, False)),
            *((HOST, 100, True), (HOST, 120, True)),
        ]

    async def test_each_run_and_host_has_its_own_patience(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        other = (await open_run(stores, "adidas")).run.id
        await note(stores, run_id, HOST)
        await age(STEP_S)
        assert await note(stores, run_id, HOST, OTHER) == [(HOST, 20, False), (OTHER, 0, False)]
        assert await note(stores, other, HOST) == [(HOST, 0, False)]

    async def test_of_a_long_time_without_a_look_a_quarter_of_the_patience_counts(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        await note(stores, run_id, HOST)
        seen = []
        for _ in range(4):
            await age(10 * STALE_S)
            seen += await note(stores, run_id, HOST)
        assert seen == [(HOST, 25, False), (HOST, 50, False), (HOST, 75, False), (HOST, 100, True)]

    async def test_an_outage_that_was_given_up_long_ago_starts_over(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        await note(stores, run_id, HOST)
        for _ in range(5):
            await age(STEP_S)
            await note(stores, run_id, HOST)
        await age(STALE_S - 1)
        ((_, _, over),) = await note(stores, run_id, HOST)
        assert over
        await age(STALE_S + 1)
        assert await note(stores, run_id, HOST) == [(HOST, 0, False)]

    async def test_an_answer_ends_an_outage(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        await note(stores, run_id, HOST)
        await age(STEP_S)
        await note(stores, run_id, HOST)
        for _ in range(2):
            await stores.outages.end(run_id, [HOST, OTHER])
        assert await note(stores, run_id, HOST) == [(HOST, 0, False)]

    async def test_a_run_waits_for_so_many_hosts_at_a_time(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        many = [f"https://{number:03}.example.com" for number in range(HOSTS_WAITED_FOR_MAX + 10)]
        assert len(await note(stores, run_id, *many)) == HOSTS_WAITED_FOR_MAX
        assert not await note(stores, run_id, many[-1]), "its items have their attempts"
        assert await note(stores, run_id, many[0]) == [(many[0], 0, False)]
        for _ in range(5):
            await age(STEP_S)
            await note(stores, run_id, *many[:50])
        assert await note(stores, run_id, many[-1]) == [(many[-1], 0, False)], (
            "given up ones make room"
        )

    async def test_a_run_that_has_ended_waits_for_nothing(
        self, stores: CommonStores, run_id: UUID
    ) -> None:
        await note(stores, run_id, HOST)
        await stores.runs.cancel(run_id)
        assert not await note(stores, run_id, HOST)
        assert not await note(stores, uuid4(), HOST)
        await stores.outages.end(run_id, [HOST])
        await stores.outages.end(uuid4(), [HOST])
        assert not await kinds(stores, run_id)

    async def test_only_an_outage_that_lasts_is_in_the_timeline_and_once(
        self, stores: CommonStores, run_id: UUID, age: Age
    ) -> None:
        await note(stores, run_id, HOST, OTHER)
        await stores.outages.end(run_id, [OTHER])
        for _ in range(3):
            await age(STEP_S)
            await note(stores, run_id, HOST)
        assert await kinds(stores, run_id) == [("host_down", HOST)]
        for _ in range(2):
            await stores.outages.end(run_id, [HOST, OTHER])
        assert await kinds(stores, run_id) == [("host_down", HOST), ("host_back", HOST)]
        run = await stores.runs.run(run_id)
        events = await stores.runs.timeline(run_id, after=0, limit=1000)
        assert [event.seq for event in events] == list(range(1, run.seq + 1))

    async def test_an_item_knows_the_host_that_it_waits_for(
        self, stores: CommonStores, run_id: UUID
    ) -> None:
        (item,) = await stores.runs.expect(run_id, new_items(1), cursor=None, limit=LIMIT)

        async def waits_for() -> str | None:
            (found,) = await stores.runs.items(run_id, [item.key])
            return found.waits_for

        assert await waits_for() is None
        await stores.runs.put_off(run_id, [PutOff(item.key, 1, HOST)])
        assert await waits_for() == HOST
        await stores.runs.put_off(run_id, [PutOff(item.key, 1)])
        assert await waits_for() == HOST, "it has not answered since"
        await stores.runs.count_attempt(run_id, item.key, seen=0, delay_s=1)
        assert await waits_for() is None
