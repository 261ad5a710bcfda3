"""The topic ``workers``: the known workers, read as often as they send heartbeats.

Heartbeats are not announced, and a missing one cannot be. So while the topic has subscribers, each
process reads the rows once in `BEAT_S` and sends them when anything but the seconds of silence has
changed. Without subscribers, nothing is read.
"""

from __future__ import annotations

import asyncio
import time

import msgspec
import structlog

from triptych.errors import Unavailable
from triptych.live.protocol import dump_state
from triptych.live.topics import Topic
from triptych.presence.presence_store import BEAT_S, WORKERS_MAX, PresenceStore, SeenWorker

log = structlog.get_logger()


class WorkerListReader:
    """Reads the workers into two topics: whole for operators, without hosts for readers."""

    def __init__(self, presence: PresenceStore, operators: Topic, readers: Topic) -> None:
        self._presence = presence
        self._operators = operators
        self._readers = readers
        self._asked = asyncio.Event()
        self._last: list[SeenWorker] | None = None

    def ask(self) -> None:
        """Read soon, because a client has subscribed."""
        self._last = None
        self._asked.set()

    async def run(self) -> None:
        """Read until cancelled."""
        while True:
            await self._asked.wait()
            self._asked.clear()
            while self._operators.subscriptions or self._readers.subscriptions:
                await self._read()
                try:
                    async with asyncio.timeout(BEAT_S):
                        await self._asked.wait()
                except TimeoutError:
                    continue
                self._asked.clear()

    async def _read(self) -> None:
        try:
            workers = await self._presence.workers(limit=WORKERS_MAX)
        except Unavailable as error:
            log.warning("the workers cannot be read", error=str(error))
            return
        steady = [msgspec.structs.replace(worker, silent_s=0.0) for worker in workers]
        if steady != self._last:
            self._last = steady
            # Workers have no common version, so the time of the read is used, as in every process.
            version = max(self._operators.version + 1, time.time_ns() // 1_000)
            told = [worker.for_readers() for worker in workers]
            self._operators.offer(version, dump_state({"workers": workers}))
            self._readers.offer(version, dump_state({"workers": told}))
        self._operators.publish()
        self._readers.publish()
