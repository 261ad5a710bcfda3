"""The failure table of the barrier, row by row: what happens, and what must follow."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from tests.support.barrier_machine import Crash, result
from tests.support.registry_harness import Died, Listing, RegistryHarness, open_registry_harness
from triptych.errors import Conflict, QueueUnavailable, RunEnded, RunNotFound
from triptych.gather.phase import DEFECT_RECEIVES, Gather
from triptych.gather.source import Page, Source
from triptych.messages import (
    AI_QUEUE,
    GATHER_QUEUE,
    URL_QUEUE,
    Delivery,
    Headers,
    Message,
    dead_letter_queue,
)
from triptych.model import AiState, Insight, ItemResult, Reason, Run, RunState
from triptych.objects import open_store
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runs.run_store import Attempt
from triptych.runtime.retry import BACKOFF_BASE_S, BACKOFF_CAP_S, longest_delay
from triptych.workers.dead_letter_consumer import DeadLetterConsumer


@pytest.fixture
async def harness(migrated_dsn: str) -> AsyncIterator[RegistryHarness]:
    async with open_registry_harness(migrated_dsn) as opened:
        yield opened


def dead_letter_consumer(harness: RegistryHarness) -> DeadLetterConsumer:
    return DeadLetterConsumer(
        harness.stores.dead_letters,
        harness.stores.tasks,
        harness.stores.ai,
        harness.registry,
    )


def gather(harness: RegistryHarness, source: Source) -> Gather:
    return Gather(
        harness.stores.runs,
        harness.stores.brands,
        harness.stores.snapshots,
        harness.registry,
        open_store("memory:", Path()),
        lambda _spec, _trusted: source,
        default_source="manifest:x",
        page_rows=10,
    )


async def gathered(harness: RegistryHarness, urls: int = 20, brand: str = "nike") -> Run:
    """Open a run and gather it whole."""
    opened = await harness.registry.open(brand)
    for delivery in await harness.take(GATHER_QUEUE):
        await gather(harness, Listing(urls)).handle(delivery)
        await harness.queue.delete([delivery])
    return await harness.stores.runs.run(opened.run.id)


class Defective:
    """A source with a defect."""

    async def pages(self, brand: str, cursor: str | None) -> AsyncIterator[Page]:
        yield Page([], "1")
        raise ZeroDivisionError("a plug-in's defect")


async def test_a_gather_with_a_defect_fails_after_a_few_deliveries(
    harness: RegistryHarness,
) -> None:
    opened = await harness.registry.open("nike")
    (delivery,) = await harness.take(GATHER_QUEUE)
    for receives in range(1, DEFECT_RECEIVES):
        with pytest.raises(ZeroDivisionError):
            await gather(harness, Defective()).handle(replace(delivery, receives=receives))
        assert (await harness.stores.runs.run(opened.run.id)).state is RunState.ACTIVE
    await gather(harness, Defective()).handle(replace(delivery, receives=DEFECT_RECEIVES))
    run = await harness.stores.runs.run(opened.run.id)
    assert (run.state, run.reason) == (
        RunState.FAILED,
        "gather_defect: ZeroDivisionError: a plug-in's defect",
    )


def test_the_deliveries_of_a_defective_gather_fit_into_a_minute() -> None:
    pauses = [
        longest_delay(receives, base_s=BACKOFF_BASE_S, cap_s=BACKOFF_CAP_S)
        for receives in range(1, DEFECT_RECEIVES)
    ]
    assert sum(pauses) < 60


@pytest.mark.parametrize("dies_behind", [0, 10, 20])
async def test_g3_gather_dies_before_or_between_pages(
    harness: RegistryHarness, dies_behind: int
) -> None:
    opened = await harness.registry.open("nike")
    source = Listing(30, dies_behind=dies_behind)
    (delivery,) = await harness.take(GATHER_QUEUE)
    with pytest.raises(Died):
        await gather(harness, source).handle(delivery)
    unsealed = await harness.finish(opened.run.id)
    assert unsealed.state is RunState.ACTIVE
    assert unsealed.settled == unsealed.expected == dies_behind

    await harness.queue.extend([delivery], 0)
    (again,) = await harness.take(GATHER_QUEUE)
    await gather(harness, source).handle(again)
    run = await harness.finish(opened.run.id)
    assert (run.state, run.expected, run.done) == (RunState.COMMITTED, 30, 30)
    assert source.asked == [None, str(dies_behind) if dies_behind else None]


async def test_g3_strangers_gather_message_redelivered_opens_the_same_run(
    harness: RegistryHarness,
) -> None:
    await harness.queue.send(GATHER_QUEUE, [Message({"brand": "nike"})])
    (first,) = await harness.take(GATHER_QUEUE)
    with pytest.raises(Died):
        await gather(harness, Listing(30, dies_behind=10)).handle(first)
    await harness.queue.extend([first], 0)
    (second,) = await harness.take(GATHER_QUEUE)
    await gather(harness, Listing(30)).handle(second)
    (run,) = await harness.stores.runs.runs("nike", limit=10)
    assert (await harness.finish(run.id)).state is RunState.COMMITTED

    await gather(harness, Listing(30)).handle(second)
    assert len(await harness.stores.runs.runs("nike", limit=10)) == 1


class HalfDeaf:
    """A queue that takes half of what it is sent, then is away."""

    def __init__(self, harness: RegistryHarness) -> None:
        self._queue = harness.queue

    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        await self._queue.send(queue, messages[: len(messages) // 2], delay_s=delay_s)
        raise QueueUnavailable


async def test_g4_send_to_the_next_queue_fails_partly(
    harness: RegistryHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("triptych.runs.dispatch.SEND_RETRY_BASE_S", 0.001)
    healthy = harness.registry
    deaf = HalfDeaf(harness)
    opened = await healthy.open("nike")
    harness.registry = ActiveBrandRegistry(
        harness.stores.runs,
        harness.stores.brands,
        harness.stores.dead_letters,
        deaf,  # type: ignore[arg-type]
        window=DispatchWindow(500),
        policy=opened.run.policy,
    )
    (delivery,) = await harness.take(GATHER_QUEUE)
    await gather(harness, Listing(10)).handle(delivery)
    harness.registry = healthy
    assert 0 < len({d.body["url"] for d in await harness.take(URL_QUEUE)}) < 10, (
        "some never went out"
    )

    await harness.sweep()
    run = await harness.finish(opened.run.id)
    assert (run.state, run.done) == (RunState.COMMITTED, 10)


async def test_g4_worker_killed_before_the_flush(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    lost = await harness.take(URL_QUEUE)
    assert len(lost) == 20
    await harness.queue.extend(lost, 0)
    assert (await harness.finish(run.id)).state is RunState.COMMITTED


async def test_g4_killed_between_flush_and_delete(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries)
    before = await harness.stores.runs.run(run.id)
    await harness.queue.extend(deliveries, 0)
    with pytest.raises(RunEnded):
        await harness.settle(await harness.take(URL_QUEUE), good=False)
    after = await harness.stores.runs.run(run.id)
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
async def test_g2_killed_inside_commit_or_its_answer_lost(
    harness: RegistryHarness, statement: str
) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)

    armed = False

    def dies(name: str) -> None:
        nonlocal armed
        armed = armed or name == "recount"
        if name == statement and (armed or statement == "lock_run"):
            raise Crash(statement)

    harness.fuse.watch = dies
    with pytest.raises(Crash):
        await harness.settle(deliveries)
    harness.fuse.watch = None

    await harness.queue.extend(deliveries, 0)
    again = await harness.take(URL_QUEUE)
    try:
        await harness.settle(again)
    except RunEnded:
        assert statement == "committed", "only there the first commit had happened"
    ended = await harness.stores.runs.run(run.id)
    assert (ended.state, ended.added) == (RunState.COMMITTED, 20)
    assert (await harness.kinds(run.id))["committed"] == 1
    await harness.registry.relay(None)
    assert len(await harness.take(AI_QUEUE)) == 1


async def test_g5_killed_between_commit_and_ai_send(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    results = [result(delivery, good=True) for delivery in await harness.take(URL_QUEUE)]
    await harness.stores.runs.settle(run.id, results, limit=500)
    committed = await harness.stores.runs.commit(run.id)
    assert committed.state is RunState.COMMITTED
    # The process ends here: the registry would send what the commit owes.
    assert not await harness.take(AI_QUEUE)
    await harness.sweep()
    (told,) = await harness.take(AI_QUEUE)
    assert told.body == {"brand": "nike"}
    await harness.sweep()
    assert not await harness.take(AI_QUEUE), "what was sent is no longer owed"


async def test_g2_duplicate_late_unknown_and_cancelled_change_nothing(
    harness: RegistryHarness,
) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[:5])
    settled = await harness.stores.runs.run(run.id)
    await harness.settle(deliveries[:5], good=False)
    assert await harness.stores.runs.run(run.id) == settled, "a duplicate changes nothing"

    unknown = Delivery(
        URL_QUEUE,
        "x",
        "1",
        deliveries[0].body,
        {**deliveries[0].headers, "triptych-run": str(uuid4())},
        1,
    )
    with pytest.raises(RunNotFound):
        await harness.settle([unknown])

    cancelled = await harness.registry.cancel(run.id)
    with pytest.raises(RunEnded):
        await harness.settle(deliveries)
    assert await harness.stores.runs.run(run.id) == cancelled
    assert (await harness.stores.brands.brand("nike")).current_run is None


async def test_g1_gather_dead_lettered_leaves_the_old_snapshot(harness: RegistryHarness) -> None:
    first = await harness.finish((await gathered(harness)).id)
    second = await harness.registry.open("nike")
    (delivery,) = await harness.take(GATHER_QUEUE)
    await harness.queue.dead_letter(delivery, "received 20 times and never settled")
    (dead,) = await harness.take(dead_letter_queue(GATHER_QUEUE))
    await dead_letter_consumer(harness).handle(dead)

    run = await harness.stores.runs.run(second.run.id)
    assert run.state is RunState.FAILED
    assert run.reason == "gather_dead_lettered: received 20 times and never settled"
    assert (await harness.stores.brands.brand("nike")).current_run == first.id
    ((_, letter),) = await harness.stores.dead_letters.dead_letters(limit=10)
    assert (letter.queue, letter.run_id) == (GATHER_QUEUE, run.id)


async def test_g3_url_dead_lettered_settles_its_item(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[1:])
    await harness.queue.dead_letter(deliveries[0], "received 20 times and never settled")
    (dead,) = await harness.take(dead_letter_queue(URL_QUEUE))
    for _ in range(2):
        await dead_letter_consumer(harness).handle(dead)
    ended = await harness.stores.runs.run(run.id)
    assert (ended.state, ended.done, ended.failed) == (RunState.COMMITTED, 19, 1)
    assert ended.reasons == {Reason.DEAD_LETTERED.value: 1}
    assert len(await harness.stores.dead_letters.dead_letters(limit=10)) == 1


async def test_g5_ai_dead_lettered_is_visible_and_can_run_again(harness: RegistryHarness) -> None:
    run = await harness.finish((await gathered(harness)).id)
    (told,) = await harness.take(AI_QUEUE)
    assert await harness.stores.ai.begin_ai("nike", run.id)
    await harness.queue.dead_letter(told, "received 20 times and never settled")
    (dead,) = await harness.take(dead_letter_queue(AI_QUEUE))
    await dead_letter_consumer(harness).handle(dead)
    failed = await harness.stores.runs.run(run.id)
    assert (failed.ai_state, failed.state) == (AiState.FAILED, RunState.COMMITTED)
    assert failed.ai_reason == "received 20 times and never settled"

    assert await harness.stores.ai.begin_ai("nike", None)
    assert await harness.stores.ai.finish_ai(run.id, [Insight("x", {"n": 1})])
    assert (await harness.stores.runs.run(run.id)).ai_state is AiState.DONE


async def test_g3_paused_run_dispatches_nothing_and_settles_what_is_out(migrated_dsn: str) -> None:
    async with open_registry_harness(migrated_dsn, window=5) as harness:
        run = await gathered(harness)
        out = await harness.take(URL_QUEUE)
        assert len(out) == 5
        await harness.registry.pause(run.id)
        await harness.settle(out)
        await harness.queue.delete(out)
        await harness.sweep()
        assert not await harness.take(URL_QUEUE)
        paused = await harness.stores.runs.run(run.id)
        assert (paused.paused, paused.done, paused.out) == (True, 5, 0)

        await harness.registry.resume(run.id)
        assert (await harness.finish(run.id)).state is RunState.COMMITTED


async def test_g3_deadline_settles_the_rest_as_timed_out(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[:12])
    await harness.database.fetch("update runs set deadline_at = now() - interval '1 s'")
    await harness.registry.sweep(idle_s=60, quiet_s=60, resend_s=60, owed_s=60)
    ended = await harness.stores.runs.run(run.id)
    assert (ended.state, ended.done, ended.failed) == (RunState.COMMITTED, 12, 8)
    assert ended.reasons == {Reason.TIMED_OUT.value: 8}


async def test_g3_lost_messages_are_sent_again_with_growing_intervals(
    harness: RegistryHarness,
) -> None:
    run = await gathered(harness)
    lost = await harness.take(URL_QUEUE)
    await harness.queue.delete(lost)
    sent = []
    for minutes in (0.5, 0.6, 1.5, 0.6):  # due after 1 minute, then after 2, then after 4
        await harness.age(minutes=minutes)
        await harness.registry.sweep(idle_s=1, quiet_s=0, resend_s=60, owed_s=0)
        again = await harness.take(URL_QUEUE)
        await harness.queue.delete(again)
        sent.append(len(again))
    assert sent == [0, 20, 0, 20]
    assert (await harness.kinds(run.id))["resent"] == 2


async def test_g3_a_retry_that_is_not_due_is_not_sent_again(harness: RegistryHarness) -> None:
    run = await gathered(harness, 1)
    (delivery,) = await harness.take(URL_QUEUE)
    key = bytes.fromhex(delivery.headers["triptych-item"])
    counted = await harness.stores.runs.count_attempt(run.id, key, seen=0, delay_s=1800)
    assert counted is Attempt.COUNTED
    await harness.age(minutes=20)
    await harness.registry.sweep(idle_s=1, quiet_s=0, resend_s=60, owed_s=0)
    assert not await harness.take(URL_QUEUE), "its Retry-After lies in the future"
    await harness.age(minutes=20)
    await harness.registry.sweep(idle_s=1, quiet_s=0, resend_s=60, owed_s=0)
    assert len(await harness.take(URL_QUEUE)) == 1


async def test_g3_an_item_that_dispatch_passed_over_is_sent_by_the_sweeper(
    harness: RegistryHarness,
) -> None:
    run = await gathered(harness, 3)
    await harness.queue.delete(await harness.take(URL_QUEUE))
    await harness.database.fetch("update items set sent_at = null, sends = 0 where position = 1")
    await harness.database.fetch("update runs set out = out - 1")
    await harness.sweep()
    assert (await harness.stores.runs.run(run.id)).out == 3
    ended = await harness.finish(run.id)
    assert (ended.state, ended.done) == (RunState.COMMITTED, 3)


async def test_g1_too_many_failures_leave_the_old_snapshot(harness: RegistryHarness) -> None:
    first = await harness.finish((await gathered(harness)).id)
    second = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[:11], good=False)
    await harness.settle(deliveries[11:])
    await harness.queue.delete(deliveries)
    failed = await harness.stores.runs.run(second.id)
    assert failed.state is RunState.FAILED
    assert failed.reasons == {"not_found": 11}
    assert "11 of 20 items failed" in (failed.reason or "")
    assert (await harness.stores.brands.brand("nike")).current_run == first.id

    redriven = await harness.registry.redrive(second.id)
    assert (redriven.expected, redriven.done) == (20, 9), "what was done is not done again"
    run = await harness.finish(redriven.id)
    assert (run.state, run.done, run.kept) == (RunState.COMMITTED, 20, 20)


async def test_g1_redrive_of_a_committed_run_adds_to_its_snapshot(harness: RegistryHarness) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[:3], good=False)
    await harness.settle(deliveries[3:])
    await harness.queue.delete(deliveries)
    redriven = await harness.registry.redrive(run.id)
    ended = await harness.finish(redriven.id)
    assert (ended.state, ended.expected, ended.added, ended.kept) == (
        RunState.COMMITTED,
        3,
        3,
        17,
    )
    assert (await harness.stores.brands.brand("nike")).assets == 20


async def test_g1_a_redrive_that_helps_nothing_leaves_the_brand_as_it_was(
    harness: RegistryHarness,
) -> None:
    """The tolerance has judged the run; what fails again is no verdict on the brand."""
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[:3], good=False)
    await harness.settle(deliveries[3:])
    await harness.queue.delete(deliveries)
    redriven = await harness.registry.redrive(run.id)
    again = await harness.take(URL_QUEUE)
    await harness.settle(again, good=False)
    await harness.queue.delete(again)
    ended = await harness.stores.runs.run(redriven.id)
    assert (ended.state, ended.failed, ended.kept) == (RunState.COMMITTED, 3, 17)
    brand = await harness.stores.brands.brand("nike")
    assert (brand.current_run, brand.assets) == (ended.id, 17)


async def test_a_redrive_tries_what_it_may_help_and_says_what_it_leaves(
    harness: RegistryHarness,
) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[3:])
    hopeless, hopeful = deliveries[0], deliveries[1:3]
    key = Headers.decode(hopeless.headers).item_key
    assert key is not None
    await harness.registry.settle(run.id, [ItemResult(key, None, Reason.NO_AI, "noai")])
    await harness.settle(hopeful, good=False)
    await harness.queue.delete(deliveries)
    assert await harness.registry.left_by_redrive(run.id) == {"no_ai": 1}
    redriven = await harness.registry.redrive(run.id)
    assert redriven.expected == 2
    await harness.finish(redriven.id)
    assert await harness.registry.left_by_redrive(run.id, [Reason.NO_AI]) == {"not_found": 2}
    asked = await harness.registry.redrive(run.id, reasons=[Reason.NO_AI])
    assert asked.expected == 1


async def test_a_redrive_that_can_help_nothing_is_refused_with_the_reasons(
    harness: RegistryHarness,
) -> None:
    run = await gathered(harness)
    deliveries = await harness.take(URL_QUEUE)
    await harness.settle(deliveries[1:])
    key = Headers.decode(deliveries[0].headers).item_key
    assert key is not None
    await harness.registry.settle(run.id, [ItemResult(key, None, Reason.TDM_RESERVED, "reserved")])
    await harness.queue.delete(deliveries)
    with pytest.raises(Conflict, match=r"helps none of the failures of run .*: tdm_reserved"):
        await harness.registry.redrive(run.id)


async def _snapshot_urls(harness: RegistryHarness, run_id: UUID) -> set[str]:
    return {
        asset.url for asset in await harness.stores.snapshots.assets(run_id, after=None, limit=1000)
    }


async def test_g1_a_rerun_replaces_the_snapshot_and_counts_the_difference(
    harness: RegistryHarness,
) -> None:
    first = await harness.finish((await gathered(harness, 20)).id)
    second = await harness.finish((await gathered(harness, 15)).id)
    assert (second.added, second.kept, second.changed, second.removed) == (0, 15, 0, 5)
    assert len(await _snapshot_urls(harness, second.id)) == 15
    assert len(await _snapshot_urls(harness, first.id)) == 20, "a reader of the old page goes on"
