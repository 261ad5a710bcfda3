"""The failure table of the barrier, row by row: what happens, and what must follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from uuid import UUID, uuid4

import pytest

from tests.support.barrier_machine import Crash, result
from tests.support.registry import Died, Listing, Rig, open_rig
from triptych.errors import QueueUnavailable, RunEnded, RunNotFound
from triptych.gather.phase import Gather
from triptych.gather.source import Source
from triptych.messages import (
    AI_QUEUE,
    GATHER_QUEUE,
    URL_QUEUE,
    Delivery,
    Message,
    dead_letter_queue,
)
from triptych.model import AiState, Insight, Reason, Run, RunState
from triptych.runs.registry import ActiveBrandRegistry
from triptych.workers.dead_letter_consumer import DeadLetters

pytestmark = pytest.mark.integration


@pytest.fixture
async def rig(migrated_dsn: str) -> AsyncIterator[Rig]:
    async with open_rig(migrated_dsn) as opened:
        yield opened


def gather(rig: Rig, source: Source) -> Gather:
    return Gather(
        rig.stores.runs,
        rig.stores.brands,
        rig.stores.snapshots,
        rig.registry,
        lambda _spec: source,
        default_source="manifest:x",
        page_rows=10,
    )


async def gathered(rig: Rig, urls: int = 20, brand: str = "nike") -> Run:
    """Open a run and gather it whole."""
    opened = await rig.registry.open(brand)
    for delivery in await rig.take(GATHER_QUEUE):
        await gather(rig, Listing(urls)).handle(delivery)
        await rig.queue.delete([delivery])
    return await rig.stores.runs.run(opened.run.id)


@pytest.mark.parametrize("dies_behind", [0, 10, 20])
async def test_g3_gather_dies_before_or_between_pages(rig: Rig, dies_behind: int) -> None:
    opened = await rig.registry.open("nike")
    source = Listing(30, dies_behind=dies_behind)
    (delivery,) = await rig.take(GATHER_QUEUE)
    with pytest.raises(Died):
        await gather(rig, source).handle(delivery)
    unsealed = await rig.finish(opened.run.id)
    assert unsealed.state is RunState.ACTIVE
    assert unsealed.settled == unsealed.expected == dies_behind

    await rig.queue.extend([delivery], 0)
    (again,) = await rig.take(GATHER_QUEUE)
    await gather(rig, source).handle(again)
    run = await rig.finish(opened.run.id)
    assert (run.state, run.expected, run.done) == (RunState.COMMITTED, 30, 30)
    assert source.asked == [None, str(dies_behind) if dies_behind else None]


async def test_g3_strangers_gather_message_redelivered_opens_the_same_run(rig: Rig) -> None:
    await rig.queue.send(GATHER_QUEUE, [Message({"brand": "nike"})])
    (first,) = await rig.take(GATHER_QUEUE)
    with pytest.raises(Died):
        await gather(rig, Listing(30, dies_behind=10)).handle(first)
    await rig.queue.extend([first], 0)
    (second,) = await rig.take(GATHER_QUEUE)
    await gather(rig, Listing(30)).handle(second)
    (run,) = await rig.stores.runs.runs("nike", limit=10)
    assert (await rig.finish(run.id)).state is RunState.COMMITTED

    await gather(rig, Listing(30)).handle(second)
    assert len(await rig.stores.runs.runs("nike", limit=10)) == 1


class HalfDeaf:
    """A queue that takes half of what it is sent, then is away."""

    def __init__(self, rig: Rig) -> None:
        self._queue = rig.queue

    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        await self._queue.send(queue, messages[: len(messages) // 2], delay_s=delay_s)
        raise QueueUnavailable


async def test_g4_send_to_the_next_queue_fails_partly(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.runs.dispatch.SEND_RETRY_BASE_S", 0.001)
    healthy = rig.registry
    deaf = HalfDeaf(rig)
    opened = await healthy.open("nike")
    rig.registry = ActiveBrandRegistry(
        rig.stores.runs,
        rig.stores.brands,
        rig.stores.dead_letters,
        deaf,  # type: ignore[arg-type]
        window=500,
        policy=opened.run.policy,
    )
    (delivery,) = await rig.take(GATHER_QUEUE)
    await gather(rig, Listing(10)).handle(delivery)
    rig.registry = healthy
    assert 0 < len({d.body["url"] for d in await rig.take(URL_QUEUE)}) < 10, "some never went out"

    await rig.sweep()
    run = await rig.finish(opened.run.id)
    assert (run.state, run.done) == (RunState.COMMITTED, 10)


async def test_g4_worker_killed_before_the_flush(rig: Rig) -> None:
    run = await gathered(rig)
    lost = await rig.take(URL_QUEUE)
    assert len(lost) == 20
    await rig.queue.extend(lost, 0)
    assert (await rig.finish(run.id)).state is RunState.COMMITTED


async def test_g4_killed_between_flush_and_delete(rig: Rig) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries)
    before = await rig.stores.runs.run(run.id)
    await rig.queue.extend(deliveries, 0)
    with pytest.raises(RunEnded):
        await rig.settle(await rig.take(URL_QUEUE), good=False)
    after = await rig.stores.runs.run(run.id)
    assert after == before
    assert (after.state, after.failed) == (RunState.COMMITTED, 0)


COMMIT_STATEMENTS = (
    "lock_run",
    "recount",
    "current_run",
    "plan_large_joins",
    "publish_assets",
    "swap_snapshot",
    "drop_staging",
    "record_commit",
    "end_run",
    "owe",
    "commit",
    "committed",
)


@pytest.mark.parametrize("statement", COMMIT_STATEMENTS)
async def test_g2_killed_inside_commit_or_its_answer_lost(rig: Rig, statement: str) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)

    def dies(name: str) -> None:
        nonlocal armed
        armed = armed or name == "recount"
        if name == statement and (armed or statement == "lock_run"):
            raise Crash(statement)

    armed = False
    hook, rig.database._hook = rig.database._hook, dies
    with pytest.raises(Crash):
        await rig.settle(deliveries)
    rig.database._hook = hook

    await rig.queue.extend(deliveries, 0)
    again = await rig.take(URL_QUEUE)
    try:
        await rig.settle(again)
    except RunEnded:
        assert statement == "committed", "only there the first commit had happened"
    ended = await rig.stores.runs.run(run.id)
    assert (ended.state, ended.added) == (RunState.COMMITTED, 20)
    assert (await rig.kinds(run.id))["committed"] == 1
    await rig.registry.relay(None)
    assert len(await rig.take(AI_QUEUE)) == 1


async def test_g5_killed_between_commit_and_ai_send(rig: Rig) -> None:
    run = await gathered(rig)
    results = [result(delivery, good=True) for delivery in await rig.take(URL_QUEUE)]
    await rig.stores.runs.settle(run.id, results, limit=500)
    committed = await rig.stores.runs.commit(run.id)
    assert committed.state is RunState.COMMITTED
    # The process ends here: the registry would send what the commit owes.
    assert not await rig.take(AI_QUEUE)
    await rig.sweep()
    (told,) = await rig.take(AI_QUEUE)
    assert told.body == {"brand": "nike"}
    await rig.sweep()
    assert not await rig.take(AI_QUEUE), "what was sent is no longer owed"


async def test_g2_duplicate_late_unknown_and_cancelled_change_nothing(rig: Rig) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries[:5])
    settled = await rig.stores.runs.run(run.id)
    await rig.settle(deliveries[:5], good=False)
    assert await rig.stores.runs.run(run.id) == settled, "a duplicate changes nothing"

    unknown = Delivery(
        URL_QUEUE,
        "x",
        "1",
        deliveries[0].body,
        {**deliveries[0].headers, "triptych-run": str(uuid4())},
        1,
    )
    with pytest.raises(RunNotFound):
        await rig.settle([unknown])

    cancelled = await rig.registry.cancel(run.id)
    with pytest.raises(RunEnded):
        await rig.settle(deliveries)
    assert await rig.stores.runs.run(run.id) == cancelled
    assert (await rig.stores.brands.brand("nike")).current_run is None


async def test_g1_gather_dead_lettered_leaves_the_old_snapshot(rig: Rig) -> None:
    first = await rig.finish((await gathered(rig)).id)
    second = await rig.registry.open("nike")
    (delivery,) = await rig.take(GATHER_QUEUE)
    await rig.queue.dead_letter(delivery, "received 20 times and never settled")
    (dead,) = await rig.take(dead_letter_queue(GATHER_QUEUE))
    await DeadLetters(rig.stores.tasks, rig.stores.ai, rig.registry).handle(dead)

    run = await rig.stores.runs.run(second.run.id)
    assert run.state is RunState.FAILED
    assert run.reason == "gather_dead_lettered: received 20 times and never settled"
    assert (await rig.stores.brands.brand("nike")).current_run == first.id
    ((_, letter),) = await rig.stores.dead_letters.dead_letters(limit=10)
    assert (letter.queue, letter.run_id) == (GATHER_QUEUE, run.id)


async def test_g3_url_dead_lettered_settles_its_item(rig: Rig) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries[1:])
    await rig.queue.dead_letter(deliveries[0], "received 20 times and never settled")
    (dead,) = await rig.take(dead_letter_queue(URL_QUEUE))
    for _ in range(2):
        await DeadLetters(rig.stores.tasks, rig.stores.ai, rig.registry).handle(dead)
    ended = await rig.stores.runs.run(run.id)
    assert (ended.state, ended.done, ended.failed) == (RunState.COMMITTED, 19, 1)
    assert ended.reasons == {Reason.DEAD_LETTERED.value: 1}
    assert len(await rig.stores.dead_letters.dead_letters(limit=10)) == 1


async def test_g5_ai_dead_lettered_is_visible_and_can_run_again(rig: Rig) -> None:
    run = await rig.finish((await gathered(rig)).id)
    (told,) = await rig.take(AI_QUEUE)
    assert await rig.stores.ai.begin_ai("nike", run.id)
    await rig.queue.dead_letter(told, "received 20 times and never settled")
    (dead,) = await rig.take(dead_letter_queue(AI_QUEUE))
    await DeadLetters(rig.stores.tasks, rig.stores.ai, rig.registry).handle(dead)
    failed = await rig.stores.runs.run(run.id)
    assert (failed.ai_state, failed.state) == (AiState.FAILED, RunState.COMMITTED)
    assert failed.ai_reason == "received 20 times and never settled"

    assert await rig.stores.ai.begin_ai("nike", None)
    assert await rig.stores.ai.finish_ai(run.id, [Insight("x", {"n": 1})])
    assert (await rig.stores.runs.run(run.id)).ai_state is AiState.DONE


async def test_g3_paused_run_dispatches_nothing_and_settles_what_is_out(migrated_dsn: str) -> None:
    async with open_rig(migrated_dsn, window=5) as rig:
        run = await gathered(rig)
        out = await rig.take(URL_QUEUE)
        assert len(out) == 5
        await rig.registry.pause(run.id)
        await rig.settle(out)
        await rig.queue.delete(out)
        await rig.sweep()
        assert not await rig.take(URL_QUEUE)
        paused = await rig.stores.runs.run(run.id)
        assert (paused.paused, paused.done, paused.out) == (True, 5, 0)

        await rig.registry.resume(run.id)
        assert (await rig.finish(run.id)).state is RunState.COMMITTED


async def test_g3_deadline_settles_the_rest_as_timed_out(rig: Rig) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries[:12])
    await rig.database.fetch("update runs set deadline_at = now() - interval '1 s'")
    await rig.registry.sweep(idle_s=60, stalled_s=60, resend_s=60, owed_s=60)
    ended = await rig.stores.runs.run(run.id)
    assert (ended.state, ended.done, ended.failed) == (RunState.COMMITTED, 12, 8)
    assert ended.reasons == {Reason.TIMED_OUT.value: 8}


async def test_g3_lost_messages_are_sent_again_with_growing_intervals(rig: Rig) -> None:
    run = await gathered(rig)
    lost = await rig.take(URL_QUEUE)
    await rig.queue.delete(lost)
    sent = []
    for minutes in (0.5, 0.6, 1.5, 0.6):  # due after 1 minute, then after 2, then after 4
        await rig.age(minutes=minutes)
        await rig.registry.sweep(idle_s=1, stalled_s=0, resend_s=60, owed_s=0)
        again = await rig.take(URL_QUEUE)
        await rig.queue.delete(again)
        sent.append(len(again))
    assert sent == [0, 20, 0, 20]
    assert (await rig.kinds(run.id))["resent"] == 2


async def test_g3_a_retry_that_is_not_due_is_not_sent_again(rig: Rig) -> None:
    run = await gathered(rig, 1)
    (delivery,) = await rig.take(URL_QUEUE)
    key = bytes.fromhex(delivery.headers["triptych-item"])
    assert not await rig.stores.runs.count_attempt(run.id, key, delay_s=1800)
    await rig.age(minutes=20)
    await rig.registry.sweep(idle_s=1, stalled_s=0, resend_s=60, owed_s=0)
    assert not await rig.take(URL_QUEUE), "its Retry-After lies in the future"
    await rig.age(minutes=20)
    await rig.registry.sweep(idle_s=1, stalled_s=0, resend_s=60, owed_s=0)
    assert len(await rig.take(URL_QUEUE)) == 1


async def test_g3_an_item_that_dispatch_passed_over_is_sent_by_the_sweeper(rig: Rig) -> None:
    run = await gathered(rig, 3)
    await rig.queue.delete(await rig.take(URL_QUEUE))
    await rig.database.fetch("update items set sent_at = null, sends = 0 where position = 1")
    await rig.database.fetch("update runs set out = out - 1")
    await rig.sweep()
    assert (await rig.stores.runs.run(run.id)).out == 3
    ended = await rig.finish(run.id)
    assert (ended.state, ended.done) == (RunState.COMMITTED, 3)


async def test_g1_too_many_failures_leave_the_old_snapshot(rig: Rig) -> None:
    first = await rig.finish((await gathered(rig)).id)
    second = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries[:11], good=False)
    await rig.settle(deliveries[11:])
    await rig.queue.delete(deliveries)
    failed = await rig.stores.runs.run(second.id)
    assert failed.state is RunState.FAILED
    assert failed.reasons == {"not_found": 11}
    assert "11 of 20 items failed" in (failed.reason or "")
    assert (await rig.stores.brands.brand("nike")).current_run == first.id

    redriven = await rig.registry.redrive(second.id)
    assert (redriven.expected, redriven.done) == (20, 9), "what was done is not done again"
    run = await rig.finish(redriven.id)
    assert (run.state, run.done, run.kept) == (RunState.COMMITTED, 20, 20)


async def test_g1_redrive_of_a_committed_run_adds_to_its_snapshot(rig: Rig) -> None:
    run = await gathered(rig)
    deliveries = await rig.take(URL_QUEUE)
    await rig.settle(deliveries[:3], good=False)
    await rig.settle(deliveries[3:])
    await rig.queue.delete(deliveries)
    redriven = await rig.registry.redrive(run.id)
    ended = await rig.finish(redriven.id)
    assert (ended.state, ended.expected, ended.added, ended.kept) == (
        RunState.COMMITTED,
        3,
        3,
        17,
    )
    assert (await rig.stores.brands.brand("nike")).assets == 20


async def _snapshot_urls(rig: Rig, run_id: UUID) -> set[str]:
    return {
        asset.url for asset in await rig.stores.snapshots.assets(run_id, after=None, limit=1000)
    }


async def test_g1_a_rerun_replaces_the_snapshot_and_counts_the_difference(rig: Rig) -> None:
    first = await rig.finish((await gathered(rig, 20)).id)
    second = await rig.finish((await gathered(rig, 15)).id)
    assert (second.added, second.kept, second.changed, second.removed) == (0, 15, 0, 5)
    assert len(await _snapshot_urls(rig, second.id)) == 15
    assert len(await _snapshot_urls(rig, first.id)) == 20, "a reader of the old page goes on"
