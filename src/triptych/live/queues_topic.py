"""The topic ``queues``: depths and waiting dead letters, read while there are subscriptions.

No queue announces changes of its depth. So the depths are read after any news, at most once a
second and process. While there are messages without news, the read is repeated after
two seconds, four, and so on up to half a minute, because acknowledgements and visibility timeouts
are not announced. Without subscriptions, or with empty queues and no news, nothing is read.
"""

from __future__ import annotations

import asyncio
import time

import structlog

from triptych.dead_letters.dead_letter_store import (
    LETTERS_COUNTED_MAX,
    DeadLetterStore,
    Letters,
)
from triptych.errors import Unavailable
from triptych.live.protocol import dump_state
from triptych.live.topics import Topic
from triptych.queues.queue import Queue, QueueDepth

READ_EVERY_S = 1.0
QUIET_MAX_S = 30.0

log = structlog.get_logger()


class QueuesState(Letters, frozen=True, kw_only=True):
    """Every queue's depth, and the number of waiting dead letters."""

    queues: list[QueueDepth]


class QueueDepthReader:
    """Reads the depths of all queues into a topic."""

    def __init__(self, queue: Queue, dead_letters: DeadLetterStore, topic: Topic) -> None:
        self._queue = queue
        self._dead_letters = dead_letters
        self._topic = topic
        self._happened = asyncio.Event()
        self._last: tuple[list[tuple[str, int, int, int]], Letters] | None = None

    def note(self) -> None:
        """Note that something happened, so the depths may have changed."""
        if self._topic.subscriptions:
            self._happened.set()

    def ask(self) -> None:
        """Read soon, because a client has subscribed."""
        self._last = None
        self._happened.set()

    async def run(self) -> None:
        """Read until cancelled."""
        quiet_s: float | None = None
        while True:
            try:
                async with asyncio.timeout(quiet_s):
                    await self._happened.wait()
                quiet_s = READ_EVERY_S
            except TimeoutError:
                quiet_s = min(QUIET_MAX_S, 2 * (quiet_s or READ_EVERY_S))
            self._happened.clear()
            if not self._topic.subscriptions:
                quiet_s = None
                continue
            if not await self._read():
                quiet_s = None
            await asyncio.sleep(READ_EVERY_S)

    async def _read(self) -> bool:
        """Read and publish; return whether any queue has messages."""
        try:
            depths = await self._queue.depths()
            # After the depths, so that messages that have just left a dead-letter queue count.
            letters = await self._dead_letters.count(limit=LETTERS_COUNTED_MAX)
        except Unavailable as error:
            log.warning("the queues' depths cannot be read", error=str(error))
            return True
        numbers = [(one.queue, one.waiting, one.in_flight, one.delayed) for one in depths]
        if (numbers, letters) != self._last or self._topic.edition == 0:
            self._last = (numbers, letters)
            state = QueuesState(letters.waiting, letters.newest, queues=list(depths))
            # Queues have no version, so the time of the read is used, as in every process.
            version = max(self._topic.version + 1, time.time_ns() // 1_000)
            self._topic.offer(version, dump_state(state))
        self._topic.publish()
        return any(any(counts) for _, *counts in numbers)
