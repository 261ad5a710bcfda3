"""A worker's heartbeat: it writes its current state regularly, so that others see it is alive."""

from __future__ import annotations

import asyncio
import os
import random
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

import structlog

from triptych.errors import Unavailable
from triptych.fetch.host_limit import HostTraffic
from triptych.presence.presence_store import BEAT_S, HeldMessage, PresenceStore, WorkerState
from triptych.runtime.memory import resident_memory
from triptych.runtime.periodic import pause

FORGET_S = 3600.0
"""Seconds for which a worker that stopped without notice is still listed."""
RATE_DIGITS = 2

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Load:
    """What a worker does at one moment."""

    doing: Mapping[str, int]
    """Messages it holds, by queue."""
    finished: Mapping[str, int]
    """Messages it has finished since it began, by queue."""
    held: Sequence[HeldMessage]
    hosts: Sequence[HostTraffic]


class Heartbeat:
    """Writes one small row every few seconds: a later beat replaces an earlier one."""

    def __init__(self, presence: PresenceStore, phases: Sequence[str]) -> None:
        self._presence = presence
        self._phases = tuple(phases)
        self._id = uuid4()
        self._started_at = datetime.now(UTC)
        self._finished: Mapping[str, int] = {}
        self._beaten_at = time.monotonic()

    async def run(self, stop: asyncio.Event, load: Callable[[], Load]) -> None:
        """Beat until cancelled; after ``stop``, report that the worker is stopping."""
        while True:
            await self._guarded(self._presence.beat(self._state(stop, load()), forget_s=FORGET_S))
            seconds = BEAT_S * random.uniform(0.8, 1.2)  # noqa: S311
            if stop.is_set():
                await asyncio.sleep(seconds)
            else:
                await pause(stop, seconds)

    async def leave(self) -> None:
        """Report that the worker has stopped."""
        await self._guarded(self._presence.leave(self._id))

    def _rates(self, finished: Mapping[str, int]) -> Mapping[str, float]:
        """Return the messages a second since the last beat, by queue; none before the second."""
        now = time.monotonic()
        seconds, before = now - self._beaten_at, self._finished
        self._beaten_at, self._finished = now, finished
        if seconds <= 0:
            return {}
        return {
            queue: round((count - before[queue]) / seconds, RATE_DIGITS)
            for queue, count in finished.items()
            if queue in before
        }

    def _state(self, stop: asyncio.Event, load: Load) -> WorkerState:
        return WorkerState(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("triptych"),
            phases=self._phases,
            doing=load.doing,
            stopping=stop.is_set(),
            started_at=self._started_at,
            memory_bytes=resident_memory(os.getpid()),
            per_second=self._rates(load.finished),
            held=load.held,
            hosts=load.hosts,
        )

    async def _guarded(self, write: Awaitable[None]) -> None:
        """Write, or skip it if the database is unavailable: the next beat has the whole state."""
        try:
            await write
        except Unavailable as error:
            log.info("beat_lost", error=str(error))
