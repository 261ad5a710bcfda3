"""Limits of a phase while its consumer works: paused, shrunk and grown, without a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.waiting import until_true
from triptych.errors import PhasePaused
from triptych.fetch.host_limit import HOST_CONCURRENCY_MAX, PER_SECOND_MIN
from triptych.fetch.host_throttle import PACE_MAX_S
from triptych.limits.limit_store import PAUSED_RETRY_S, Limits, PhaseLimit
from triptych.messages import URL_QUEUE, Delivery, Message, Phase
from triptych.queues.queue import Queue
from triptych.runtime.retry import RETRY_AFTER_CAP_S, Action, plan_retry
from triptych.testing.memory_queue import MemoryQueue
from triptych.workers.consumer import Consumer
from triptych.workers.limited_handle import limited
from triptych.workers.worker import HostTurns, PhaseHandler

PATIENCE_S = 30.0
POLL_S = 0.02
"""A consumer that stops waits for the end of its poll."""


class Work:
    """A handler that counts what is in hand, and holds it until it is let go."""

    def __init__(self, *, holds: bool) -> None:
        self.begun = self.ended = self.most = 0
        self.news = asyncio.Event()
        self.go = asyncio.Semaphore(0)
        self.holds = holds

    @property
    def now(self) -> int:
        return self.begun - self.ended

    async def handle(self, _delivery: Delivery) -> None:
        self.begun += 1
        self.most = max(self.most, self.now)
        self.news.set()
        try:
            if self.holds:
                await self.go.acquire()
            else:
                await asyncio.sleep(0)
        finally:
            self.ended += 1
            self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


class SlowReceipt(MemoryQueue):
    """A queue whose answers can be kept on their way, as those of a long poll are."""

    def __init__(self) -> None:
        super().__init__(max_receives=3)
        self.asked = asyncio.Event()
        self.arrive = asyncio.Event()
        self.arrive.set()

    async def receive(  # type: ignore[no-untyped-def]
        self, *args, **options
    ):
        found = await super().receive(*args, **options)
        self.asked.set()
        await self.arrive.wait()
        return found


async def send(queue: Queue, count: int) -> None:
    await queue.send(URL_QUEUE, [Message({"n": number}) for number in range(count)])


@asynccontextmanager
async def consuming(
    queue: MemoryQueue, work: Work, *, prefetch: int, poll_s: float = POLL_S
) -> AsyncIterator[Consumer]:
    stop = asyncio.Event()
    queue.poll_wait_s = poll_s
    consumer = Consumer(
        queue, URL_QUEUE, work.handle, prefetch=prefetch, visibility_s=60, drain_s=PATIENCE_S
    )
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield consumer
    finally:
        stop.set()
        for _ in range(work.now if work.holds else 0):
            work.go.release()
        await asyncio.wait_for(running, PATIENCE_S)


async def turns() -> None:
    """Let everything happen that can happen without time."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_a_paused_phase_takes_no_more_and_finishes_what_it_holds() -> None:
    queue, work = MemoryQueue(max_receives=3), Work(holds=True)
    await send(queue, 6)
    async with consuming(queue, work, prefetch=2) as consumer:
        await work.until(lambda: work.now == 2)
        consumer.limit(paused=True, concurrency=None)
        work.go.release()
        work.go.release()
        await work.until(lambda: work.ended == 2)
        await until_true(lambda: consumer.finished == 2)
        await turns()
        assert work.begun == 2
        consumer.limit(paused=False, concurrency=None)
        await work.until(lambda: work.now == 2)
        assert work.begun == 4


async def test_it_grows_and_shrinks_at_once() -> None:
    queue, work = MemoryQueue(max_receives=3), Work(holds=True)
    await send(queue, 20)
    async with consuming(queue, work, prefetch=2) as consumer:
        await work.until(lambda: work.now == 2)
        consumer.limit(paused=False, concurrency=5)
        await work.until(lambda: work.now == 5)
        consumer.limit(paused=False, concurrency=1)
        for ended in range(1, 5):
            work.go.release()
            await work.until(lambda ended=ended: work.ended == ended)  # type: ignore[misc]
            await turns()
            assert work.begun == 5, "more than one is still in hand"
        work.go.release()
        await work.until(lambda: work.begun == 6)
        await turns()
        assert work.now == 1
        consumer.limit(paused=False, concurrency=None)
        await work.until(lambda: work.now == 2)


async def test_what_a_receive_brings_too_late_goes_back_uncounted() -> None:
    queue, work = SlowReceipt(), Work(holds=True)
    async with consuming(queue, work, prefetch=4, poll_s=1.0) as consumer:
        queue.arrive.clear()
        await send(queue, 4)
        await asyncio.wait_for(queue.asked.wait(), PATIENCE_S)
        consumer.limit(paused=False, concurrency=1)
        queue.arrive.set()
        await work.until(lambda: work.begun == 1)
        await turns()
        assert (work.begun, consumer.holding) == (1, 1)
        for number in range(2, 5):
            work.go.release()
            await work.until(lambda number=number: work.begun == number)  # type: ignore[misc]
        work.go.release()
        await work.until(lambda: work.ended == 4)
        assert work.most == 1
    depths = {depth.queue: depth for depth in await queue.depths()}
    assert depths[URL_QUEUE].waiting + depths[URL_QUEUE].delayed == 0, "each was answered once"


async def test_a_consumer_tells_what_it_holds_the_oldest_first() -> None:
    queue, work = MemoryQueue(max_receives=3), Work(holds=True)
    await send(queue, 3)
    async with consuming(queue, work, prefetch=10) as consumer:
        await work.until(lambda: work.now == 3)
        held = consumer.held(2)
        assert [each.delivery.body["n"] for each in held] == [0, 1]
        assert held[0].since <= held[1].since


@settings(max_examples=40, deadline=None)
@given(
    limits=st.lists(st.integers(0, 6), min_size=1, max_size=8),
    count=st.integers(1, 40),
    prefetch=st.integers(1, 8),
)
def test_never_more_than_the_limit_at_once(limits: list[int], count: int, prefetch: int) -> None:
    """Whatever the limit was before: beyond it, nothing new begins."""

    async def play() -> None:
        queue, work = MemoryQueue(max_receives=3), Work(holds=False)
        async with consuming(queue, work, prefetch=prefetch) as consumer:
            await send(queue, count)
            for limit in limits:
                before = work.now
                consumer.limit(paused=limit == 0, concurrency=limit or None)
                work.most = 0
                for _ in range(5):
                    await asyncio.sleep(0)
                assert work.most <= max(limit, before)
            consumer.limit(paused=False, concurrency=None)
            await work.until(lambda: work.ended == count)

    asyncio.run(play())


def delivery() -> Delivery:
    return Delivery(URL_QUEUE, "1", "1", {}, {}, 1)


async def test_a_batch_of_a_paused_phase_is_put_off_uncounted() -> None:
    work = Work(holds=False)
    given_limits: list[object] = []
    hosts = HostTurns(given_limits.append, lambda _most: [])
    handler = PhaseHandler(Phase.ACQUIRE, work.handle, 10, hosts)
    phases = {phase: PhaseLimit(phase) for phase in Phase}
    paused = Limits(phases | {Phase.ACQUIRE: PhaseLimit(Phase.ACQUIRE, paused=True)})
    with pytest.raises(PhasePaused) as postponed:
        await limited(handler, paused)(delivery())
    plan = plan_retry(postponed.value, 1)
    assert plan.action is Action.PUT_OFF
    assert PAUSED_RETRY_S <= plan.delay_s < PAUSED_RETRY_S + 1
    assert given_limits == [{}], "hosts are limited all the same"
    await limited(handler, Limits(phases))(delivery())
    assert work.ended == 1


async def test_a_batch_has_so_many_in_hand_at_a_time() -> None:
    work = Work(holds=False)
    handler = PhaseHandler(Phase.AI, work.handle, 10)
    phases = {phase: PhaseLimit(phase) for phase in Phase}
    few = Limits(phases | {Phase.AI: PhaseLimit(Phase.AI, concurrency=2)})
    handle = limited(handler, few)
    await asyncio.gather(*(handle(delivery()) for _ in range(7)))
    assert (work.ended, work.most) == (7, 2)


def test_constants_fit_each_other() -> None:
    assert 1 / PER_SECOND_MIN <= PACE_MAX_S, "no host is paced slower than robots.txt may ask for"
    assert PAUSED_RETRY_S <= RETRY_AFTER_CAP_S
    assert HOST_CONCURRENCY_MAX >= 1
