"""The queues in memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from typing_extensions import override

from triptych.messages import (
    DEAD_LETTER_SUFFIX,
    HEADER_ORIGIN_ID,
    HEADER_REASON,
    QUEUES,
    Delivery,
    Message,
    dead_letter_queue,
)
from triptych.queues.queue import Queue, QueueDepth
from triptych.testing.memory_state import as_json

POLL_WAIT_S = 1.0


@dataclass(slots=True, eq=False)
class _Held:
    """A message in a queue."""

    body: Any
    headers: dict[str, str]
    sent_at: float
    visible_at: float
    """By the monotonic clock, as `sent_at`."""
    receives: int = 0
    put_off: bool = False
    """It waits for its time, and nobody works on it."""


@dataclass(slots=True, eq=False)
class _Line:
    """One queue."""

    held: dict[str, _Held] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)


class MemoryQueue(Queue):
    """`Queue` in memory, for one event loop. After ``max_receives`` deliveries, a dead letter."""

    poll_wait_s = POLL_WAIT_S

    def __init__(self, *, max_receives: int) -> None:
        self._max_receives = max_receives
        self._ids = count(1)
        names = [name for queue in QUEUES for name in (queue, dead_letter_queue(queue))]
        self._lines = {name: _Line() for name in names}

    @override
    async def check(self) -> None:
        """Every queue is there."""

    @override
    async def send(self, queue: str, messages: Sequence[Message], *, delay_s: float = 0) -> None:
        now = time.monotonic()
        line = self._lines[queue]
        for message in messages:
            held = _Held(as_json(message.body), as_json(message.headers), now, now + delay_s)
            line.held[str(next(self._ids))] = held
        line.news.set()

    @override
    async def receive(
        self, queue: str, *, limit: int, visibility_s: float, wait_s: float
    ) -> Sequence[Delivery]:
        line = self._lines[queue]
        until = time.monotonic() + wait_s
        while True:
            line.news.clear()
            found = await self._read(queue, limit, visibility_s)
            now = time.monotonic()
            if found or now >= until:
                return found
            next_visible = min((held.visible_at for held in line.held.values()), default=until)
            try:
                await asyncio.wait_for(line.news.wait(), max(min(until, next_visible) - now, 0))
            except TimeoutError:
                continue

    async def _read(self, queue: str, limit: int, visibility_s: float) -> list[Delivery]:
        now = time.monotonic()
        held = self._lines[queue].held
        visible = [number for number, one in held.items() if one.visible_at <= now][:limit]
        found: list[Delivery] = []
        for number in visible:
            one = held[number]
            one.receives += 1
            one.put_off = False
            one.visible_at = now + visibility_s
            body, headers = as_json(one.body), dict(one.headers)
            delivery = Delivery(queue, number, number, body, headers, one.receives)
            worn_out = one.receives > self._max_receives
            if worn_out and not queue.endswith(DEAD_LETTER_SUFFIX):
                reason = f"received {one.receives - 1} times and never settled"
                await self.dead_letter(delivery, reason)
            else:
                found.append(delivery)
        return found

    @override
    async def extend(self, deliveries: Sequence[Delivery], visibility_s: float) -> None:
        for delivery in deliveries:
            line = self._lines[delivery.queue]
            if held := line.held.get(delivery.receipt):
                held.visible_at = time.monotonic() + visibility_s
                line.news.set()

    @override
    async def put_off(self, delivery: Delivery, delay_s: float, *, counted: bool) -> None:
        line = self._lines[delivery.queue]
        if held := line.held.get(delivery.receipt):
            held.visible_at = time.monotonic() + delay_s
            held.put_off = True
            held.receives = held.receives if counted else 0
            line.news.set()

    @override
    async def delete(self, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            self._lines[delivery.queue].held.pop(delivery.receipt, None)

    @override
    async def dead_letter(self, delivery: Delivery, reason: str) -> None:
        if self._lines[delivery.queue].held.pop(delivery.receipt, None) is not None:
            ours = {HEADER_REASON: reason, HEADER_ORIGIN_ID: delivery.id}
            message = Message(delivery.body, {**delivery.headers, **ours})
            await self.send(dead_letter_queue(delivery.queue), [message])

    @override
    async def depths(self) -> Sequence[QueueDepth]:
        now = time.monotonic()
        depths = []
        for name, line in self._lines.items():
            held = list(line.held.values())
            waiting = sum(one.visible_at <= now for one in held)
            delayed = sum(
                one.visible_at > now and (one.put_off or one.receives == 0) for one in held
            )
            oldest = max((now - one.sent_at for one in held), default=None)
            in_flight = len(held) - waiting - delayed
            depths.append(QueueDepth(name, waiting, in_flight, oldest, delayed))
        return depths

    @override
    async def close(self) -> None:
        """Nothing is open."""
