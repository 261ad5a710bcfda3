"""A worker's heartbeat: it writes its current state regularly, so that others see it is alive."""

from __future__ import annotations

import asyncio
import os
import random
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from uuid import uuid4

import structlog

from triptych.errors import Unavailable
from triptych.presence.presence_store import BEAT_S, PresenceStore, WorkerState
from triptych.runtime.periodic import pause

FORGET_S = 3600.0
"""Seconds for which a worker that stopped without notice is still listed."""

log = structlog.get_logger(__name__)


class Heartbeat:
    """Writes one small row every few seconds: a later beat replaces an earlier one."""

    def __init__(self, presence: PresenceStore, phases: Sequence[str]) -> None:
        self._presence = presence
        self._phases = tuple(phases)
        self._id = uuid4()
        self._started_at = datetime.now(UTC)

    async def run(self, stop: asyncio.Event, doing: Callable[[], Mapping[str, int]]) -> None:
        """Beat until cancelled; after ``stop``, report that the worker is stopping."""
        while True:
            await self._guarded(self._presence.beat(self._state(stop, doing), forget_s=FORGET_S))
            seconds = BEAT_S * random.uniform(0.8, 1.2)  # noqa: S311
            if stop.is_set():
                await asyncio.sleep(seconds)
            else:
                await pause(stop, seconds)

    async def leave(self) -> None:
        """Report that the worker has stopped."""
        await self._guarded(self._presence.leave(self._id))

    def _state(self, stop: asyncio.Event, doing: Callable[[], Mapping[str, int]]) -> WorkerState:
        return WorkerState(
            id=self._id,
            host=socket.gethostname(),
            pid=os.getpid(),
            version=version("triptych"),
            phases=self._phases,
            doing=doing(),
            stopping=stop.is_set(),
            started_at=self._started_at,
        )

    async def _guarded(self, write: Awaitable[None]) -> None:
        """Write, or skip it if the database is unavailable: the next beat has the whole state."""
        try:
            await write
        except Unavailable as error:
            log.info("beat_lost", error=str(error))
