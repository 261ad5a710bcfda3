"""A worker: consumers for its phases and for dead letters, and the maintenance loops."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import structlog

from triptych.messages import AI_QUEUE, GATHER_QUEUE, QUEUES, URL_QUEUE, dead_letter_queue
from triptych.queues.queue import Queue
from triptych.workers.collector import Collector
from triptych.workers.consumer import Consumer
from triptych.workers.heartbeat import Heartbeat
from triptych.workers.indexer import Indexer
from triptych.workers.message_processor import Handle
from triptych.workers.projector import Projector
from triptych.workers.sweeper import Sweeper
from triptych.workers.webhook_notifier import Notifier

DEAD_LETTER_PREFETCH = 20

log = structlog.get_logger(__name__)


class Phase(StrEnum):
    """A phase that a worker can serve."""

    GATHER = "gather"
    ACQUIRE = "acquire"
    AI = "ai"

    @property
    def queue(self) -> str:
        """The queue that this phase takes its messages from."""
        return {Phase.GATHER: GATHER_QUEUE, Phase.ACQUIRE: URL_QUEUE, Phase.AI: AI_QUEUE}[self]


@dataclass(frozen=True, slots=True)
class PhaseHandler:
    """A phase's handler, and how many messages it may hold at a time."""

    phase: Phase
    handle: Handle
    prefetch: int


class Worker:
    """Serves phases until it is stopped, then drains. Any number may run concurrently."""

    def __init__(
        self,
        queue: Queue,
        handlers: Sequence[PhaseHandler],
        dead_letters: Handle,
        sweeper: Sweeper,
        collector: Collector | None,
        notifier: Notifier,
        indexer: Indexer,
        projector: Projector | None,
        heartbeat: Heartbeat,
        *,
        visibility_s: float,
        drain_s: float,
    ) -> None:
        self._sweeper = sweeper
        self._collector = collector
        self._notifier = notifier
        self._indexer = indexer
        self._projector = projector
        self._heartbeat = heartbeat
        self._phases = [handler.phase.value for handler in handlers]
        self._consumers = [
            Consumer(
                queue, name, handle, prefetch=prefetch, visibility_s=visibility_s, drain_s=drain_s
            )
            for name, handle, prefetch in (
                *((s.phase.queue, s.handle, s.prefetch) for s in handlers),
                *((dead_letter_queue(q), dead_letters, DEAD_LETTER_PREFETCH) for q in QUEUES),
            )
        ]

    async def run(self, stop: asyncio.Event) -> None:
        """Work until ``stop`` is set; return when held messages are finished or returned."""
        log.info("worker_started", phases=self._phases)
        beating = asyncio.create_task(self._heartbeat.run(stop, self._doing))
        try:
            async with asyncio.TaskGroup() as group:
                for consumer in self._consumers:
                    group.create_task(consumer.run(stop))
                group.create_task(self._sweeper.run(stop))
                if self._collector is not None:
                    group.create_task(self._collector.run(stop))
                group.create_task(self._notifier.run(stop))
                group.create_task(self._indexer.run(stop))
                if self._projector is not None:
                    group.create_task(self._projector.run(stop))
        finally:
            beating.cancel()
            await asyncio.wait([beating])
        if not beating.cancelled() and (error := beating.exception()):
            log.error("heartbeat_defect", exc_info=error)
        await self._heartbeat.leave()
        log.info("worker_stopped", phases=self._phases)

    def _doing(self) -> dict[str, int]:
        return {consumer.name: consumer.holding for consumer in self._consumers}
