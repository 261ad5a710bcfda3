"""Operators' work on single items, against workers that do theirs at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from tests.support.barrier_machine import result
from tests.support.registry_harness import RegistryHarness, open_registry_harness
from triptych.errors import Conflict, RunEnded
from triptych.gather.urls import item_key
from triptych.messages import AI_QUEUE, URL_QUEUE, Delivery
from triptych.model import ItemResult, NewItem, Reason, RunState
from triptych.runs.item_steering import ItemSteering, Steered

pytestmark = pytest.mark.integration

LATER_S = 600.0


@pytest.fixture
async def harness(migrated_dsn: str) -> AsyncIterator[RegistryHarness]:
    async with open_registry_harness(migrated_dsn) as opened:
        yield opened


@pytest.fixture
def steering(harness: RegistryHarness) -> ItemSteering:
    return ItemSteering(harness.stores.runs, harness.stores.items, harness.registry, harness.queue)


async def sent(harness: RegistryHarness, count: int) -> tuple[UUID, list[bytes]]:
    """Open a run that is listed in full, and send its items."""
    run_id = (await harness.registry.open("nike", source="manifest:x")).run.id
    urls = [f"https://nike.example/{n}" for n in range(count)]
    items = [NewItem(item_key(url), url, {}) for url in urls]
    await harness.registry.expect(run_id, items, cursor=None)
    await harness.registry.seal(run_id)
    return run_id, [item.key for item in items]


async def held(harness: RegistryHarness, run_id: UUID, keys: Sequence[bytes]) -> list[Delivery]:
    """Receive the messages of items that wait for another attempt; they stay hidden."""
    deliveries = await harness.take(URL_QUEUE)
    for key in keys:
        await harness.stores.runs.count_attempt(
            run_id, key, seen=0, delay_s=LATER_S, reason=Reason.SERVER_ERROR, detail="HTTP 500"
        )
    return list(deliveries)


async def test_what_waits_gets_a_message_and_is_tried_once(
    harness: RegistryHarness, steering: ItemSteering
) -> None:
    run_id, keys = await sent(harness, 3)
    await held(harness, run_id, keys[:2])
    assert not await harness.take(URL_QUEUE)
    tried = await steering.try_now(run_id, [*keys[1:], b"k" * 16])
    assert tried == Steered(1, {"sent": 1, "unknown": 1})
    (copy,) = await harness.take(URL_QUEUE)
    await harness.settle([copy])
    assert await steering.try_now(run_id, keys[1:2]) == Steered(0, {"done": 1})
    assert not await harness.take(URL_QUEUE)


async def test_g2_a_run_ends_without_what_is_skipped_and_a_worker_commits_it(
    harness: RegistryHarness, steering: ItemSteering
) -> None:
    run_id, keys = await sent(harness, 3)
    deliveries = await held(harness, run_id, keys[:2])
    await harness.settle([d for d in deliveries if d.headers["triptych-item"] == keys[2].hex()])
    assert await steering.skip(run_id, keys) == Steered(2, {"done": 1})
    run = await harness.stores.runs.run(run_id)
    assert (run.state, run.complete, run.failed) == (RunState.ACTIVE, True, 2)
    (copy,) = await harness.take(URL_QUEUE)
    assert copy.headers["triptych-run"] == str(run_id)
    await harness.registry.finish(run_id)  # What a worker does with the message of a settled item.
    run = await harness.stores.runs.run(run_id)
    assert (run.state, run.reasons) == (RunState.COMMITTED, {"skipped": 2})
    assert await harness.waiting(AI_QUEUE) == 1
    events = await harness.stores.runs.timeline(run_id, after=0, limit=100)
    assert [event.data for event in events if event.kind == "failures"] == [{"skipped": 2}]
    failed = await harness.stores.runs.failed_items(run_id, "skipped", after=-1, limit=9)
    assert [item.detail for item in failed.rows] == ["HTTP 500", "HTTP 500"]


async def test_g3_a_sweep_commits_when_the_last_message_is_lost(
    harness: RegistryHarness, steering: ItemSteering
) -> None:
    run_id, keys = await sent(harness, 2)
    deliveries = await held(harness, run_id, keys[:1])
    await harness.settle([d for d in deliveries if d.headers["triptych-item"] == keys[1].hex()])
    await steering.skip(run_id, keys)
    await harness.queue.delete(await harness.take(URL_QUEUE))
    assert (await harness.stores.runs.run(run_id)).complete
    await harness.sweep()
    assert (await harness.stores.runs.run(run_id)).state is RunState.COMMITTED


async def test_g2_of_a_worker_and_an_operator_one_settles_each_item(
    harness: RegistryHarness, steering: ItemSteering
) -> None:
    run_id, keys = await sent(harness, 60)
    deliveries = await harness.take(URL_QUEUE)
    batches = [deliveries[start : start + 5] for start in range(0, 60, 5)]

    async def work(batch: Sequence[Delivery]) -> None:
        try:
            await harness.registry.settle(run_id, [result(d, True) for d in batch])
        except RunEnded:
            return  # All its items were skipped, and another worker has committed.

    steered = await asyncio.gather(
        *(steering.skip(run_id, keys[start : start + 10]) for start in range(0, 60, 10)),
        *(work(batch) for batch in batches),
        return_exceptions=True,
    )
    skips = [one for one in steered if isinstance(one, Steered)]
    assert not [one for one in steered if isinstance(one, BaseException) and not _late(one)]
    await harness.registry.finish(run_id)
    run = await harness.stores.runs.run(run_id)
    skipped = sum(one.changed for one in skips)
    assert (run.state, run.done + run.failed) == (RunState.COMMITTED, 60)
    assert run.failed == skipped == run.reasons.get("skipped", 0)
    assert run.added == run.done == 60 - skipped
    assert (await harness.kinds(run_id))["committed"] == 1


def _late(error: BaseException) -> bool:
    """A skip that comes when workers have settled everything."""
    return isinstance(error, RunEnded)


async def test_an_ended_run_skips_nothing_and_redrives_what_failed(
    harness: RegistryHarness, steering: ItemSteering
) -> None:
    run_id, keys = await sent(harness, 3)
    for delivery in await harness.take(URL_QUEUE):
        key = bytes.fromhex(delivery.headers["triptych-item"])
        bad = ItemResult(key, None, Reason.TIMEOUT, "30 s") if key == keys[0] else None
        await harness.registry.settle(run_id, [bad or result(delivery, True)])
        await harness.queue.delete([delivery])
    with pytest.raises(RunEnded):
        await steering.skip(run_id, keys)
    with pytest.raises(Conflict, match="did not fail"):
        await steering.redrive(run_id, keys, new_id=uuid4())
    redriven = await steering.redrive(run_id, keys[:1], new_id=uuid4())
    assert redriven.expected == 1
    ended = await harness.finish(redriven.id)
    assert (ended.state, ended.added) == (RunState.COMMITTED, 1)


async def test_g7_a_failed_attempt_is_shown_at_most_once_a_second(harness: RegistryHarness) -> None:
    run_id, keys = await sent(harness, 3)

    async def version_after(key: bytes) -> int:
        await harness.stores.runs.count_attempt(run_id, key, seen=0, delay_s=1, detail="HTTP 500")
        return (await harness.stores.runs.run(run_id)).version

    before = (await harness.stores.runs.run(run_id)).version
    await harness.database.fetch("alter table runs disable trigger run_changed")
    await harness.database.fetch("update runs set changed_at = changed_at - interval '1 minute'")
    await harness.database.fetch("alter table runs enable trigger run_changed")
    assert await version_after(keys[0]) == before + 1
    assert await version_after(keys[1]) == before + 1
    holder = await harness.database.connect()
    try:
        async with holder.transaction():
            await holder.fetch("select from runs for no key update")
            assert await version_after(keys[2]) == before + 1, "and nothing waits for the run"
    finally:
        await holder.close()
