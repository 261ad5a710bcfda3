"""One queue's consumer: receive, process with the phase, answer each message alone, ack last."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice

import structlog

from triptych.errors import QueueUnavailable
from triptych.messages import Delivery
from triptych.queues.queue import Queue
from triptych.runtime.micro_batch import Batcher
from triptych.runtime.periodic import pause
from triptych.runtime.retry import backoff
from triptych.telemetry.metrics import MESSAGES_HELD
from triptych.workers.message_processor import Handle, MessageProcessor

RECEIVE_BATCH = 100
ACK_BATCH = 100
ACK_WAIT_S = 0.01
HEARTBEATS = 3
"""Heartbeats per visibility timeout: two may fail before the message becomes visible again."""
OUTAGE_BASE_S = 0.2
OUTAGE_CAP_S = 10.0

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A message that a consumer has taken and not answered yet."""

    delivery: Delivery
    since: float
    """When it was taken, on `time.monotonic`."""


class Consumer:
    """Holds up to ``prefetch`` messages of one queue, each with an asyncio task of its own.

    ``handle`` returns when the message's effect is durable; the message is then deleted. An error
    of ``handle`` affects only its message (`plan_retry`). While ``handle`` runs, heartbeats extend
    the message's visibility timeout.

    `limit` changes how many it may hold at any time, or pauses it. What it holds then is finished;
    what a receive that is under way brings beyond that goes back uncounted.
    """

    def __init__(
        self,
        queue: Queue,
        name: str,
        handle: Handle,
        *,
        prefetch: int,
        visibility_s: float,
        drain_s: float,
    ) -> None:
        self._queue = queue
        self._name = name
        self._prefetch = prefetch
        self._most = prefetch
        """Messages that it may hold now: 0 while it is paused."""
        self._visibility_s = visibility_s
        self._drain_s = drain_s
        self._open: dict[asyncio.Task[bool], Held] = {}
        self._returning: set[asyncio.Task[bool]] = set()
        self._ack: Batcher[Delivery, None] = Batcher(
            self._delete, size=ACK_BATCH, wait_s=ACK_WAIT_S
        )
        self._answers = MessageProcessor(queue, name, handle, self._ack)
        self._capacity = asyncio.Event()
        self._finished = 0
        self._held = MESSAGES_HELD.labels(name)
        self._log = log.bind(queue=name)

    @property
    def name(self) -> str:
        """The queue's name."""
        return self._name

    @property
    def holding(self) -> int:
        """Number of messages held and not answered yet."""
        return len(self._open)

    @property
    def finished(self) -> int:
        """Number of messages that it has answered since it began, however they ended."""
        return self._finished

    def held(self, most: int) -> Sequence[Held]:
        """Return the ``most`` messages that it has held longest."""
        return list(islice(self._open.values(), most))

    def limit(self, *, paused: bool, concurrency: int | None) -> None:
        """Hold at most ``concurrency`` messages from now on, or as many as at first for None.

        While ``paused``, none is received.
        """
        wanted = self._prefetch if concurrency is None else concurrency
        self._most = 0 if paused else wanted
        self._capacity.set()

    async def run(self, stop: asyncio.Event) -> None:
        """Consume until ``stop``, then drain: finish held messages or return them to the queue."""
        heart = asyncio.create_task(self._beat())
        try:
            await self._receive_until(stop)
            await self._drain()
        finally:
            heart.cancel()
            await asyncio.gather(heart, return_exceptions=True)

    async def _receive_until(self, stop: asyncio.Event) -> None:
        outage = 0
        while not stop.is_set():
            free = self._most - len(self._open)
            if free <= 0:
                self._capacity.clear()
                await _either(self._capacity, stop)
                continue
            try:
                deliveries = await self._queue.receive(
                    self._name,
                    limit=min(free, RECEIVE_BATCH),
                    visibility_s=self._visibility_s,
                    # Never cancelled: messages that it took would stay hidden until their timeout.
                    wait_s=self._queue.poll_wait_s,
                )
            except QueueUnavailable as error:
                outage += 1
                if outage == 1:
                    self._log.warning("queue_away", error=str(error))
                await pause(stop, backoff(outage, base_s=OUTAGE_BASE_S, cap_s=OUTAGE_CAP_S))
                continue
            except Exception:  # noqa: BLE001 - logged; this loop must outlive a defect
                # The other consumers of this worker, and their brands, must not end with it.
                outage += 1
                self._log.exception("receive_defect")
                await pause(stop, backoff(outage, base_s=OUTAGE_BASE_S, cap_s=OUTAGE_CAP_S))
                continue
            if outage:
                self._log.info("queue_back", failed_receives=outage)
                outage = 0
            self._start(deliveries)

    def _start(self, deliveries: Sequence[Delivery]) -> None:
        held = {each.delivery.id for each in self._open.values()}
        for delivery in deliveries:
            if delivery.id in held:
                continue  # Its timeout expired, so it came again; the first task answers it.
            if len(self._open) >= self._most:
                self._give_back(delivery)  # The limit has shrunk since it was asked for.
                continue
            task = asyncio.create_task(self._answers.serve(delivery))
            self._open[task] = Held(delivery, time.monotonic())
            self._held.inc()
            task.add_done_callback(self._done)

    def _give_back(self, delivery: Delivery) -> None:
        answer = self._queue.put_off(delivery, 0, counted=False)
        task = asyncio.create_task(self._answers.guarded(answer, "give_back"))
        self._returning.add(task)
        task.add_done_callback(self._given_back)

    def _given_back(self, task: asyncio.Task[bool]) -> None:
        self._returning.discard(task)
        if not task.cancelled() and (error := task.exception()):
            self._log.error("consumer_defect", exc_info=error)

    def _done(self, task: asyncio.Task[bool]) -> None:
        del self._open[task]
        self._finished += 1
        self._held.dec()
        self._capacity.set()
        if not task.cancelled() and (error := task.exception()):
            self._log.error("consumer_defect", exc_info=error)

    async def _delete(self, deliveries: Sequence[Delivery]) -> Sequence[None]:
        await self._queue.delete(deliveries)
        return [None] * len(deliveries)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._visibility_s / HEARTBEATS)
            if held := [each.delivery for each in self._open.values()]:
                await self._answers.guarded(
                    self._queue.extend(held, self._visibility_s), "heartbeat"
                )

    async def _drain(self) -> None:
        if self._returning:
            await asyncio.wait(list(self._returning), timeout=self._drain_s)
        if not self._open:
            return
        _, late = await asyncio.wait(list(self._open), timeout=self._drain_s)
        returned = [self._open[task].delivery for task in late if task in self._open]
        for task in late:
            task.cancel()
        if late:
            await asyncio.wait(late)
        if returned:
            self._log.info("messages_returned", count=len(returned))
            await self._answers.guarded(self._queue.extend(returned, 0), "return")


async def _either(first: asyncio.Event, second: asyncio.Event) -> None:
    waits = [asyncio.create_task(first.wait()), asyncio.create_task(second.wait())]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
