"""One process' live status: hints lead to one read for all clients, and that to frames.

A hub has no state that it cannot read again. Any number of hubs may run on one database: each
converges to the database's state.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import structlog

from triptych.dead_letters.dead_letter_store import DeadLetterStore
from triptych.errors import TaskNotFound, Unavailable
from triptych.limits.limit_store import LimitStore
from triptych.live.debounce import KeyedDebouncer
from triptych.live.limits import (
    CATCH_UP_S,
    GATHER_S,
    RETRY_MAX_S,
    RUN_EVERY_S,
    STALLED_EVERY_S,
    STALLED_LOOKS,
    STALLED_RUNS_MAX,
    TIMELINE_PAGE,
    Limits,
)
from triptych.live.limits_topic import LimitReader
from triptych.live.protocol import (
    BRAND_PREFIX,
    BRANDS,
    LIMITS,
    QUEUES,
    RUN_PREFIX,
    TASK_PREFIX,
    WORKERS,
    dump_state,
    id_of,
)
from triptych.live.queues_topic import QueueDepthReader
from triptych.live.topics import NEVER, BrandsTopic, Reader, RunTopic, Subscription, Topic
from triptych.live.workers_topic import WorkerListReader
from triptych.model import Brand, Run, TimelineEvent
from triptych.presence.presence_store import PresenceStore
from triptych.queues.queue import Queue
from triptych.runs.brand_store import BrandStore
from triptych.runs.change_feed import ChangeFeed, News
from triptych.runs.run_shown import BrandState
from triptych.runs.run_store import RunStore
from triptych.runtime.periodic import run_periodically
from triptych.runtime.retry import backoff
from triptych.tasks.task_store import TaskState, TaskStore


@dataclass(frozen=True, slots=True)
class TaskHint:
    """A hint that a task may have changed."""

    id: UUID


Hint = UUID | str | TaskHint
"""A run's id, a brand's name, ``ALL_BRANDS``, or a task."""
ALL_BRANDS = ""
"""A hint for all brands; no brand has this name."""
TASK_VERSIONS = {
    TaskState.ACCEPTED: 1,
    TaskState.RUNNING: 2,
    TaskState.DONE: 3,
    TaskState.FAILED: 3,
}
"""A task's state only moves forward; while it is running, its other fields may change."""
RETRY_BASE_S = 0.2
TIMELINE_READS = 4
"""Timeline pages read concurrently."""

log = structlog.get_logger()


@dataclass(slots=True)
class Counters:
    """Counts since the start of the process, for metrics."""

    clients: int = 0
    """Clients connected now."""
    refused: int = 0
    frames: int = 0
    errors: int = 0
    slow: int = 0
    """Clients that were disconnected because they did not read."""
    reads: int = 0
    """Reads of the database."""


class LiveStores(Protocol):
    """The stores that live status reads."""

    runs: RunStore
    brands: BrandStore
    changes: ChangeFeed
    tasks: TaskStore
    dead_letters: DeadLetterStore
    presence: PresenceStore
    limits: LimitStore


class Hub:
    """The topics, and the loop that brings them news."""

    def __init__(self, stores: LiveStores, queue: Queue, limits: Limits) -> None:
        self.limits = limits
        self.counters = Counters()
        self.listening = False
        """True while the hub listens to the database's notifications."""
        self._stores = stores
        self._topics: dict[str, Topic] = {}
        self._brand_topics = 0
        """Number of topics for a single brand."""
        self._brands = BrandsTopic()
        self._queues = Topic(QUEUES)
        self._workers = Topic(WORKERS)
        self._workers_for_readers = Topic(WORKERS)
        self._limited = Topic(LIMITS)
        self._limited_without_names = Topic(LIMITS)
        self._brakes = LimitReader(stores.limits, self._limited, self._limited_without_names)
        self._depths = QueueDepthReader(queue, stores.dead_letters, self._queues)
        self._crew = WorkerListReader(stores.presence, self._workers, self._workers_for_readers)
        self._hints: KeyedDebouncer[Hint] = KeyedDebouncer(RUN_EVERY_S)
        self._timelines = asyncio.Semaphore(TIMELINE_READS)

    @property
    def accepts_topics(self) -> bool:
        """True while there are fewer topics than the limit."""
        return len(self._topics) < self.limits.topics

    async def run(self) -> None:
        """Serve until cancelled.

        Raises:
            DatabaseUnavailable: it cannot be reached at the start; later, the hub waits for it.
        """
        async with (
            self._stores.changes.feed(catch_up_s=CATCH_UP_S) as feed,
            asyncio.TaskGroup() as group,
        ):
            self.listening = True
            try:
                group.create_task(self._depths.run())
                group.create_task(self._crew.run())
                group.create_task(self._brakes.run())
                group.create_task(self._watch_stalled())
                group.create_task(self._read_hinted())
                while True:
                    self._note(await feed.news())
            finally:
                self.listening = False

    async def look_for_stalled(self) -> None:
        """Note which runs are stalled.

        Nobody moves such a run, so no change would tell of it; and the usual cause is that there
        is no worker, so no worker can be left to find it. The note is a change like any other:
        every server's clients hear of it.
        """
        after_s = self.limits.stalled_s
        held_up = await self._stores.limits.held_up(within_s=after_s)
        await self._stores.runs.mark_stalled(
            after_s=after_s, limit=STALLED_RUNS_MAX, held_up=held_up
        )

    def subscribe(
        self,
        reader: Reader,
        name: str,
        after: int | None,
        brands: frozenset[str] | None = None,
        *,
        operator: bool,
    ) -> Subscription:
        """Subscribe a client to a topic; the topic's state, read after this call, follows.

        ``brands``: the only ones that the client may see. ``operator``: whether the client's is
        one; of workers, others are told less.
        """
        topic = self._topic(name)
        if topic is self._workers and not operator:
            topic = self._workers_for_readers
        if topic is self._limited and brands is not None:
            topic, brands = self._limited_without_names, None  # It has nothing of any brand.
        subscription = Subscription(reader, topic, after, brands)
        topic.subscriptions[subscription] = None
        if isinstance(topic, RunTopic):
            self._hints.add(topic.run_id, at_once=True)
        elif topic is self._brands:
            self._hints.add(ALL_BRANDS)
        elif topic is self._queues:
            self._depths.ask()
        elif name == WORKERS:
            self._crew.ask()
        elif name == LIMITS:
            self._brakes.ask()
        elif name.startswith(TASK_PREFIX):
            self._hints.add(TaskHint(id_of(name)), at_once=True)
        else:
            self._hints.add(name.removeprefix(BRAND_PREFIX), at_once=True)
        return subscription

    def unsubscribe(self, subscription: Subscription) -> None:
        """End a subscription. A topic without subscriptions is removed."""
        topic = subscription.topic
        topic.subscriptions.pop(subscription, None)
        if not topic.subscriptions and self._topics.get(topic.name) is topic:
            self._topics.pop(topic.name, None)
            if topic.name.startswith(BRAND_PREFIX):
                self._brand_topics -= 1
            if topic is self._brands:
                self._brands = BrandsTopic()

    def _topic(self, name: str) -> Topic:
        topic = self._topics.get(name)
        if topic is None:
            if name == BRANDS:
                topic = self._brands
            elif name == QUEUES:
                topic = self._queues
            elif name == WORKERS:
                topic = self._workers
            elif name == LIMITS:
                topic = self._limited
            elif name.startswith(RUN_PREFIX):
                topic = RunTopic(name, id_of(name), self._timeline)
            elif name.startswith(TASK_PREFIX):
                topic = Topic(name)
            else:
                topic = Topic(name)
                topic.brand = name.removeprefix(BRAND_PREFIX)
                self._brand_topics += 1
            self._topics[name] = topic
        return topic

    async def _timeline(self, run_id: UUID, after: int) -> Sequence[TimelineEvent]:
        async with self._timelines:
            self.counters.reads += 1
            return await self._stores.runs.timeline(run_id, after=after, limit=TIMELINE_PAGE)

    def _note(self, news: News) -> None:
        """Turn news into hints for what clients are subscribed to."""
        self._depths.note()
        if news.limits or news.everything:
            self._brakes.ask()
        if news.everything:
            self._note_everything()
        brands = self._brand_wanted
        for run_id, version in news.runs.items():
            watched = self._topics.get(f"{RUN_PREFIX}{run_id}")
            if brands or (watched is not None and (version is None or version > watched.version)):
                self._hints.add(run_id)
        for task_id in news.tasks:
            if f"{TASK_PREFIX}{task_id}" in self._topics:
                self._hints.add(TaskHint(task_id))
        for name in news.brands:
            if self._brands.subscriptions or f"{BRAND_PREFIX}{name}" in self._topics:
                self._hints.add(name)

    async def _watch_stalled(self) -> None:
        every_s = min(STALLED_EVERY_S, self.limits.stalled_s / STALLED_LOOKS)
        look, never = self.look_for_stalled, asyncio.Event()
        await run_periodically("stalled", look, never, every_s=every_s, pause_first=True)

    def _note_everything(self) -> None:
        for topic in list(self._topics.values()):
            if isinstance(topic, RunTopic):
                self._hints.add(topic.run_id)
            elif topic.name.startswith(BRAND_PREFIX):
                self._hints.add(topic.name.removeprefix(BRAND_PREFIX))
            elif topic.name.startswith(TASK_PREFIX):
                self._hints.add(TaskHint(id_of(topic.name)))
        if self._brands.subscriptions:
            self._hints.add(ALL_BRANDS)

    @property
    def _brand_wanted(self) -> bool:
        return bool(self._brands.subscriptions) or self._brand_topics > 0

    async def _read_hinted(self) -> None:
        """Read what hints name, those of one moment together, until cancelled."""
        failures = 0
        while True:
            await self._hints.wait()
            await asyncio.sleep(GATHER_S)
            hinted = self._hints.take()
            try:
                await self._read_all(hinted)
                failures = 0
            except Unavailable:
                failures += 1
                for hint in hinted:
                    self._hints.add(hint)
                await asyncio.sleep(backoff(failures, base_s=RETRY_BASE_S, cap_s=RETRY_MAX_S))

    async def _read_all(self, hinted: Sequence[Hint]) -> None:
        """Read what hints name; after a failure one by one, so that a bad row affects no other.

        Raises:
            DatabaseUnavailable: the hints must be read again.
        """
        try:
            await self._read(hinted)
        except Unavailable:
            raise
        except Exception:
            if len(hinted) == 1:
                log.exception("live status cannot read this", hint=str(hinted[0]))
                return
            for hint in hinted:
                await self._read_all([hint])

    async def _read(self, hinted: Sequence[Hint]) -> None:
        ids = [hint for hint in hinted if isinstance(hint, UUID)]
        names = [hint for hint in hinted if isinstance(hint, str)]
        found: dict[UUID, Run] = {}
        if self._brand_wanted and (ids or names):
            self.counters.reads += 1
            every = ALL_BRANDS in names
            brands = await (
                self._stores.brands.brands() if every else self._stores.brands.brands_of(names, ids)
            )
            found = {b.latest.id: b.latest for b in brands if b.latest is not None}
            self._offer_brands(brands, names, every=every)
        left = [run_id for run_id in ids if run_id not in found and self._run(run_id) is not None]
        if left:
            self.counters.reads += 1
            found |= {run.id: run for run in await self._stores.runs.runs_of(left)}
        for run_id in ids:
            topic = self._run(run_id)
            if topic is not None:
                run = found.get(run_id)
                if run is not None:
                    topic.offer_run(run)
                else:
                    topic.gone()
                self._publish(topic, run_id, final=topic.final)
        for hint in hinted:
            if isinstance(hint, TaskHint):
                await self._read_task(hint)

    async def _read_task(self, hint: TaskHint) -> None:
        topic = self._topics.get(f"{TASK_PREFIX}{hint.id}")
        if topic is None:
            return
        self.counters.reads += 1
        try:
            task = await self._stores.tasks.task(hint.id)
        except TaskNotFound:
            topic.offer(max(topic.version, 0), "null", final=True)
            self._publish(topic, hint, final=True)
            return
        version = TASK_VERSIONS[task.state]
        # A task that opened a run continues as that run, which is a topic of its own.
        final = task.ended_at is not None or task.run_id is not None
        topic.brand = task.brand
        topic.offer(version, dump_state(task), final=final)
        self._publish(topic, hint, final=final)

    def _run(self, run_id: UUID) -> RunTopic | None:
        topic = self._topics.get(f"{RUN_PREFIX}{run_id}")
        return topic if isinstance(topic, RunTopic) else None

    def _offer_brands(self, brands: Sequence[Brand], names: Sequence[str], *, every: bool) -> None:
        there = {brand.name: brand for brand in brands}
        if self._brands.subscriptions:
            if every:
                self._brands.offer_all(brands)
            else:
                for brand in brands:
                    self._brands.offer_brand(brand)
                for name in set(names) - there.keys():
                    self._brands.gone(name)
        for name in {*there, *names} - {ALL_BRANDS}:
            topic = self._topics.get(f"{BRAND_PREFIX}{name}")
            if topic is None:
                continue
            if name in there:
                topic.offer(there[name].version, dump_state(BrandState.of(there[name])))
            else:
                topic.offer(max(topic.version, 0), "null")
            self._publish(topic, name, final=False)

    def _publish(self, topic: Topic, hint: Hint, *, final: bool) -> None:
        """Publish; if it is too early for that, only to subscriptions without any state yet."""
        now = asyncio.get_running_loop().time()
        if final or now >= topic.published_at + RUN_EVERY_S:
            topic.published_at = now
            topic.publish()
            return
        late = False
        for subscription in topic.subscriptions:
            if subscription.edition == NEVER:
                subscription.reader.mark(subscription)
            elif subscription.edition != topic.edition:
                late = True
        if late:
            self._hints.add(hint)
