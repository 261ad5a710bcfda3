"""Building a worker for some phases out of its parts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from triptych.acquire.buffer import Buffer
from triptych.acquire.phase import Acquire, AcquireLimits
from triptych.ai.phase import AiPhase
from triptych.ai.pixels import StoredPixels
from triptych.ai.step import discover
from triptych.ai.vocabulary import read_vocabulary
from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.fetcher import Fetcher
from triptych.fetch.host_throttle import Hosts
from triptych.fetch.request_profiles import Profiles
from triptych.fetch.transport import Ways
from triptych.gather.phase import Gather
from triptych.gather.source import Source
from triptych.gather.sources import open_source
from triptych.media.decoders import Decoders
from triptych.runtime.cpu import available_cores
from triptych.settings.settings import Settings
from triptych.tasks.brand_tasks import BrandTasks
from triptych.wiring.components import (
    address_guard,
    embed_batch,
    embed_threads,
    guarded_session,
    open_embedder,
    open_objects,
    proxy,
)
from triptych.wiring.database import Parts, connect
from triptych.wiring.models import LoadedModels
from triptych.workers.collector import Collector, Keeping
from triptych.workers.dead_letter_consumer import DeadLetters
from triptych.workers.heartbeat import Heartbeat
from triptych.workers.indexer import Indexer
from triptych.workers.message_outcome import Handle
from triptych.workers.sweeper import Sweeper, SweepIntervals
from triptych.workers.webhook_notifier import Notifier
from triptych.workers.worker import Phase, Station, Worker

SOURCE_CONNECTIONS = 20
NOTIFIER_CONNECTIONS = 10


@dataclass(frozen=True, slots=True)
class Caretakers:
    """Those who see to what no message asks for. Each is stateless and may run anywhere."""

    sweeper: Sweeper
    collector: Collector
    notifier: Notifier
    indexer: Indexer


@asynccontextmanager
async def open_stations(parts: Parts, phases: Sequence[Phase]) -> AsyncIterator[list[Station]]:
    """Build the handlers of some phases; close what they opened when they are done.

    Raises:
        ModelError, StoreUnavailable, SettingsError: naming what cannot be used and the remedy.
    """
    settings = parts.settings
    models = LoadedModels(settings, threads=1)  # Calls run side by side instead.
    async with AsyncExitStack() as stack:
        stations: list[Station] = []
        for phase in phases:
            if phase is Phase.GATHER:
                gather = await _gather(parts, stack)
                stations.append(Station(phase, gather.handle, settings.gather_concurrency))
            elif phase is Phase.ACQUIRE:
                acquire = await _acquire(parts, stack, models)
                stations.append(Station(phase, acquire.handle, settings.acquire_prefetch))
            else:
                ai = await _ai(parts, stack, models)
                stores = parts.stores
                tasks = BrandTasks(
                    stores.tasks,
                    stores.runs,
                    stores.brands,
                    stores.snapshots,
                    stores.retention,
                    await open_objects(settings),
                    ai.handle,
                )
                stations.append(Station(phase, tasks.handle, settings.ai_concurrency))
        yield stations


@asynccontextmanager
async def open_caretakers(parts: Parts) -> AsyncIterator[Caretakers]:
    """Build the caretakers; close what they opened when they are done.

    Raises:
        StoreUnavailable, SettingsError: naming what cannot be used and the remedy.
    """
    settings, stores = parts.settings, parts.stores
    intervals = SweepIntervals(
        sweep_s=settings.sweep_s,
        idle_s=settings.add_idle_s,
        stalled_s=settings.stalled_s,
        resend_s=settings.resend_s,
        owed_s=settings.outbox_s,
    )
    objects = await open_objects(settings)
    async with AsyncExitStack() as stack:
        yield Caretakers(
            Sweeper(parts.registry, intervals),
            Collector(stores.retention, stores.tasks, objects, _keeping(settings)),
            await _notifier(parts, stack),
            Indexer(stores.search),
        )


def dead_letter_handler(parts: Parts) -> Handle:
    """Return what handles dead letters."""
    return DeadLetters(parts.stores.tasks, parts.stores.ai, parts.registry).handle


@asynccontextmanager
async def open_worker(parts: Parts, phases: Sequence[Phase]) -> AsyncIterator[Worker]:
    """Build a worker for some phases; close what it opened when it is done.

    Raises:
        ModelError, StoreUnavailable, SettingsError: naming what cannot be used and the remedy.
    """
    settings = parts.settings
    async with open_stations(parts, phases) as stations, open_caretakers(parts) as caretakers:
        yield Worker(
            parts.queue,
            stations,
            dead_letter_handler(parts),
            caretakers.sweeper,
            caretakers.collector,
            caretakers.notifier,
            caretakers.indexer,
            Heartbeat(parts.stores.presence, [phase.value for phase in phases]),
            visibility_s=settings.visibility_s,
            drain_s=settings.drain_s,
        )


async def _notifier(parts: Parts, stack: AsyncExitStack) -> Notifier:
    settings = parts.settings
    session = await stack.enter_async_context(guarded_session(settings, NOTIFIER_CONNECTIONS))
    return Notifier(
        parts.stores.webhooks, session, address_guard(settings), every_s=settings.sweep_s
    )


def _ways(settings: Settings, limit: int) -> Ways:
    hidden = settings.fetch_profiles
    return Ways(
        address_guard(settings),
        limit=limit,
        user_agent=settings.user_agent,
        proxy=proxy(settings),
        profiles=Profiles.parse(hidden.get_secret_value() if hidden else None),
    )


def _keeping(settings: Settings) -> Keeping:
    return Keeping(
        snapshots=settings.keep_snapshots,
        age_s=settings.keep_s,
        timeline_s=settings.keep_timeline_s,
        every_s=settings.collect_s,
        object_grace_s=settings.object_grace_s,
        # Nothing that put an object before it was deleted settles later than that.
        tombstones_s=2 * settings.run_cap_s,
    )


async def _gather(parts: Parts, stack: AsyncExitStack) -> Gather:
    settings = parts.settings
    ways = _ways(settings, SOURCE_CONNECTIONS)
    stack.push_async_callback(ways.close)
    token = settings.source_token.get_secret_value() if settings.source_token else None

    def open_one(spec: str) -> Source:
        return open_source(spec, ways=ways, token=token, page_rows=settings.page_rows)

    return Gather(
        parts.stores.runs,
        parts.stores.brands,
        parts.stores.snapshots,
        parts.registry,
        open_one,
        default_source=settings.source,
        page_rows=settings.page_rows,
    )


def _budget(settings: Settings) -> BodyBudget:
    """Return the memory that a worker has for bodies.

    Raises:
        SettingsError: it is too small for what may be downloaded at a time.
    """
    return BodyBudget(
        settings.fetch_memory_bytes,
        cap=settings.fetch_max_bytes,
        bodies=settings.acquire_concurrency,
    )


async def _acquire(parts: Parts, stack: AsyncExitStack, models: LoadedModels) -> Acquire:
    settings = parts.settings
    cores = available_cores()
    decoders = Decoders(cores)
    stack.callback(decoders.close)
    # Decoders are waited for in as many, and some are left for hashes of large bodies.
    at_once = cores + embed_threads(settings) + 1
    threads = stack.enter_context(ThreadPoolExecutor(at_once, thread_name_prefix="acquire"))
    ways = _ways(settings, settings.acquire_concurrency)
    stack.push_async_callback(ways.close)
    fetcher = Fetcher(
        ways,
        _budget(settings),
        Hosts(concurrency=settings.host_concurrency, rate_per_s=settings.host_rate),
        deadline_s=settings.fetch_deadline_s,
        max_redirects=settings.fetch_max_redirects,
        robots=settings.robots,
        opt_outs=settings.opt_outs,
    )
    store = await open_objects(settings)
    embedder = await asyncio.to_thread(models.embedder) if settings.decode else None
    buffer = Buffer(parts.registry, flush_items=settings.flush_items, flush_s=settings.flush_s)
    limits = AcquireLimits(
        concurrency=settings.acquire_concurrency,
        embed_batch=embed_batch(settings),
        embed_calls=embed_threads(settings),
        max_pixels=settings.decode_max_pixels,
        decode=settings.decode,
        other_media=settings.other_media,
    )
    return Acquire(
        parts.stores.runs,
        parts.stores.snapshots,
        parts.registry,
        fetcher,
        store,
        embedder,
        buffer,
        decoders,
        threads,
        limits,
    )


async def _ai(parts: Parts, stack: AsyncExitStack, models: LoadedModels) -> AiPhase:
    settings = parts.settings
    decoders = Decoders(1)
    stack.callback(decoders.close)
    store = await open_objects(settings)
    look = partial(
        StoredPixels, store=store, decoders=decoders, max_pixels=settings.decode_max_pixels
    )
    return AiPhase(
        parts.stores.ai,
        parts.stores.snapshots,
        discover(),
        pixels=look,
        text=models.text,
        # Read for each brand: what is edited holds from the next one on.
        vocabulary=partial(read_vocabulary, settings.tags),
    )


async def check_wiring(settings: Settings, dsn: str) -> None:
    """Raise the first thing that a worker would fail for, before any worker is started."""
    async with connect(settings, dsn):
        _budget(settings)
        await _ways(settings, 1).close()
        await open_objects(settings)
        await asyncio.to_thread(read_vocabulary, settings.tags)
        await asyncio.to_thread(open_embedder, settings, 1)
