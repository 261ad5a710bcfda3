"""One queue's consumer on the real queue: ack last, each message by itself, drain, outages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from triptych.database.session import Database
from triptych.errors import InvalidMessage, QueueUnavailable, TransientItemError
from triptych.messages import HEADER_REASON, URL_QUEUE, Delivery, Message, dead_letter_queue
from triptych.model import Reason
from triptych.queues.pgmq import PgmqQueue
from triptych.workers.consumer import Consumer

PATIENCE_S = 30.0
HIDDEN_S = 60.0


@pytest.fixture
async def queue(migrated_dsn: str) -> AsyncIterator[PgmqQueue]:
    database = Database(migrated_dsn)
    opened = PgmqQueue(database, max_receives=5)
    yield opened
    await opened.close()
    await database.close()


class Phase:
    """A handler whose every step a test can watch and hold."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self.held = 0
        self.news = asyncio.Event()
        self.released: asyncio.Event | None = None
        self.errors: dict[int, list[Exception]] = {}

    async def handle(self, delivery: Delivery) -> None:
        number = delivery.body["n"]
        self.seen.append(number)
        self.held += 1
        self.news.set()
        try:
            if self.released is not None:
                await self.released.wait()
            if waiting := self.errors.get(number):
                raise waiting.pop(0)
        finally:
            self.held -= 1
            self.news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_S):
            while not condition():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def consuming(
    queue: PgmqQueue,
    phase: Phase,
    *,
    prefetch: int = 10,
    drain_s: float = PATIENCE_S,
    visibility_s: float = HIDDEN_S,
) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    consumer = Consumer(
        queue,
        URL_QUEUE,
        phase.handle,
        prefetch=prefetch,
        visibility_s=visibility_s,
        drain_s=drain_s,
    )
    running = asyncio.create_task(consumer.run(stop))
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(running, PATIENCE_S)


async def send(queue: PgmqQueue, *numbers: int) -> None:
    await queue.send(URL_QUEUE, [Message({"n": number}) for number in numbers])


async def left(queue: PgmqQueue, name: str = URL_QUEUE) -> int:
    depths = {depth.queue: depth for depth in await queue.depths()}
    return depths[name].waiting + depths[name].in_flight


async def test_g4_handled_messages_are_deleted(queue: PgmqQueue) -> None:
    phase = Phase()
    await send(queue, *range(30))
    async with consuming(queue, phase):
        await phase.until(lambda: len(phase.seen) == 30)
    assert sorted(phase.seen) == list(range(30))
    assert await left(queue) == 0


async def test_g8_no_more_is_held_than_allowed(queue: PgmqQueue) -> None:
    phase = Phase()
    phase.released = asyncio.Event()
    await send(queue, *range(10))
    async with consuming(queue, phase, prefetch=3):
        await phase.until(lambda: phase.held == 3)
        depths = {depth.queue: depth for depth in await queue.depths()}
        assert depths[URL_QUEUE].in_flight == 3
        phase.released.set()
        await phase.until(lambda: len(phase.seen) == 10)


async def test_g4_one_failure_is_that_messages_alone(queue: PgmqQueue) -> None:
    phase = Phase()
    phase.errors = {
        1: [TransientItemError(Reason.THROTTLED, retry_after_s=0)],
        2: [InvalidMessage("Field required.", field="url")],
        3: [ZeroDivisionError("a defect")],
    }
    await send(queue, *range(6))
    async with consuming(queue, phase):
        await phase.until(lambda: phase.seen.count(1) == 2 and phase.seen.count(3) == 2)
    assert {number: phase.seen.count(number) for number in range(6)} == {
        0: 1,
        1: 2,
        2: 1,
        3: 2,
        4: 1,
        5: 1,
    }
    assert await left(queue) == 0
    (dead,) = await queue.receive(
        dead_letter_queue(URL_QUEUE), limit=5, visibility_s=HIDDEN_S, wait_s=0
    )
    assert dead.headers[HEADER_REASON] == "url: Field required."


async def test_g4_stopping_finishes_what_is_held(queue: PgmqQueue) -> None:
    phase = Phase()
    phase.released = asyncio.Event()
    await send(queue, *range(4))
    async with consuming(queue, phase) as stop:
        await phase.until(lambda: phase.held == 4)
        stop.set()
        phase.released.set()
    assert await left(queue) == 0


async def test_g4_stopping_returns_what_does_not_finish(queue: PgmqQueue) -> None:
    phase = Phase()
    phase.released = asyncio.Event()
    await send(queue, *range(4))
    async with consuming(queue, phase, drain_s=0.05) as stop:
        await phase.until(lambda: phase.held == 4)
        stop.set()
    back = await queue.receive(URL_QUEUE, limit=10, visibility_s=HIDDEN_S, wait_s=0)
    assert len(back) == 4


async def test_g4_heartbeats_keep_slow_work_hidden(queue: PgmqQueue) -> None:
    phase = Phase()
    phase.released = asyncio.Event()
    await send(queue, 7)
    async with consuming(queue, phase, visibility_s=3.0):
        await phase.until(lambda: phase.held == 1)
        # Longer than its visibility timeout, and nobody else gets it.
        assert not await queue.receive(URL_QUEUE, limit=1, visibility_s=HIDDEN_S, wait_s=5)
        phase.released.set()
    assert phase.seen == [7]


@pytest.mark.parametrize("failure", [QueueUnavailable, TypeError])
async def test_g3_an_outage_or_a_defect_of_receiving_is_waited_out(
    queue: PgmqQueue, monkeypatch: pytest.MonkeyPatch, failure: type[Exception]
) -> None:
    phase = Phase()
    away = 3
    receive = queue.receive

    async def flaky(*args: object, **options: object) -> object:
        nonlocal away
        if away:
            away -= 1
            raise failure
        return await receive(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(queue, "receive", flaky)
    await send(queue, 1)
    async with consuming(queue, phase):
        await phase.until(lambda: phase.seen == [1])
    assert await left(queue) == 0
