"""A worker: consumers for its phases and for dead letters, and the maintenance loops."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from urllib.parse import urlsplit

import structlog

from triptych.fetch.host_limit import HOST_MAX_CHARS, HostLimit, HostTraffic
from triptych.limits.limit_store import Limits, LimitStore
from triptych.messages import BRAND_MAX_CHARS, QUEUES, Phase, dead_letter_queue
from triptych.presence.presence_store import HELD_SHOWN, TRAFFIC_SHOWN, HeldMessage
from triptych.queues.queue import Queue
from triptych.workers.collector import Collector
from triptych.workers.consumer import Consumer, Held
from triptych.workers.heartbeat import Heartbeat, Load
from triptych.workers.indexer import Indexer
from triptych.workers.message_processor import Handle
from triptych.workers.projector import Projector
from triptych.workers.sweeper import Sweeper
from triptych.workers.webhook_notifier import Notifier

DEAD_LETTER_PREFETCH = 20
UNLIMITED = (False, None)
"""Of a phase: not paused, and its concurrency that of the settings."""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class HostTurns:
    """How a phase's requests take turns at hosts."""

    set_limits: Callable[[Mapping[str, HostLimit]], None]
    """Replaces the limits of all hosts."""
    traffic: Callable[[int], Sequence[HostTraffic]]
    """Returns what goes on at so many hosts, the busiest."""


@dataclass(frozen=True, slots=True)
class PhaseHandler:
    """A phase's handler, and how many messages it may hold at a time."""

    phase: Phase
    handle: Handle
    prefetch: int
    hosts: HostTurns | None = None
    """Of the phase that sends requests to hosts."""


class Worker:
    """Serves phases until it is stopped, then drains. Any number may run concurrently.

    What operators pause or limit takes effect as soon as it hears of it: consumers begin when it
    has read the limits once.
    """

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
        limits: LimitStore,
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
        self._limits = limits
        self._handlers = handlers
        self._heeded: dict[Phase, tuple[bool, int | None]] = {}
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
        beating = asyncio.create_task(self._heartbeat.run(stop, self._load))
        known = asyncio.Event()
        heeding = asyncio.create_task(self._heed_limits(known))
        heeding.add_done_callback(_log_defect)
        try:
            await _either_of(known, stop, heeding)
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
            for task in (beating, heeding):
                task.cancel()
            await asyncio.wait([beating, heeding])
        if not beating.cancelled() and (error := beating.exception()):
            log.error("heartbeat_defect", exc_info=error)
        await self._heartbeat.leave()
        log.info("worker_stopped", phases=self._phases)

    async def _heed_limits(self, known: asyncio.Event) -> None:
        """Apply the limits, now and whenever they change, until cancelled."""
        async with aclosing(self._limits.changes()) as changes:
            async for limits in changes:
                self._apply(limits)
                known.set()

    def _apply(self, limits: Limits) -> None:
        consumers = {consumer.name: consumer for consumer in self._consumers}
        for handler in self._handlers:
            limit = limits.phases[handler.phase]
            wanted = limit.paused, limit.concurrency
            if self._heeded.get(handler.phase, UNLIMITED) != wanted:
                log.info(
                    "limits_heeded",
                    phase=handler.phase.value,
                    paused=limit.paused,
                    concurrency=limit.concurrency,
                )
            self._heeded[handler.phase] = wanted
            consumers[handler.phase.queue].limit(paused=limit.paused, concurrency=limit.concurrency)
            if handler.hosts is not None:
                handler.hosts.set_limits(limits.hosts)

    def _load(self) -> Load:
        now = time.monotonic()
        held = [
            (each.since, _shown(consumer.name, each, now))
            for consumer in self._consumers
            for each in consumer.held(HELD_SHOWN)
        ]
        held.sort(key=lambda each: each[0])
        return Load(
            {consumer.name: consumer.holding for consumer in self._consumers},
            {consumer.name: consumer.finished for consumer in self._consumers},
            [message for _, message in held[:HELD_SHOWN]],
            [
                traffic
                for handler in self._handlers
                if handler.hosts is not None
                for traffic in handler.hosts.traffic(TRAFFIC_SHOWN)
            ],
        )


def _shown(queue: str, held: Held, now: float) -> HeldMessage:
    body = held.delivery.body if isinstance(held.delivery.body, dict) else {}
    brand, url = body.get("brand"), body.get("url")
    return HeldMessage(
        queue,
        brand[:BRAND_MAX_CHARS] if isinstance(brand, str) else None,
        _host_of(url) if isinstance(url, str) else None,
        round(now - held.since, 1),
    )


def _host_of(url: str) -> str | None:
    """Return the host that a URL seems to name: it may not have been looked at yet."""
    try:
        name = urlsplit(url).hostname
    except ValueError:
        return None  # It will fail as no URL.
    return name[:HOST_MAX_CHARS] if name else None


def _log_defect(task: asyncio.Task[None]) -> None:
    """Say at once that limits are heeded no more: the worker goes on with those it has."""
    if not task.cancelled() and (error := task.exception()):
        log.error("limits_defect", exc_info=error)


async def _either_of(
    known: asyncio.Event, stop: asyncio.Event, heeding: asyncio.Task[None]
) -> None:
    """Wait until the limits are known, or will not be."""
    waits = [asyncio.create_task(known.wait()), asyncio.create_task(stop.wait())]
    try:
        await asyncio.wait([*waits, heeding], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
