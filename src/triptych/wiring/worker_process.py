"""Building a worker for some phases from its components."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial

from triptych.acquire.buffer import Buffer
from triptych.acquire.item_fetcher import ItemFetcher
from triptych.acquire.object_reader import ObjectReader
from triptych.acquire.phase import Acquire, AcquireLimits
from triptych.ai.asset_step import AssetStep, discover_asset_steps
from triptych.ai.phase import AiPhase, AssetSteps
from triptych.ai.pictures import StoredPictures
from triptych.ai.pixels import StoredPixels
from triptych.ai.step import discover
from triptych.ai.vocabulary import read_vocabulary
from triptych.features.picture_people import PEOPLE
from triptych.features.picture_text import TEXT
from triptych.fetch.body_budget import BodyBudget
from triptych.fetch.down_hosts import DownHosts, contact_limits
from triptych.fetch.fetcher import Fetcher
from triptych.fetch.host_throttle import HostThrottle
from triptych.gather.object_reach import ObjectReach
from triptych.gather.phase import Gather
from triptych.media.decoders import Decoders
from triptych.media.shared_decoders import SharedDecoders
from triptych.messages import Phase
from triptych.runs.brand_store import BrandStore
from triptych.settings.settings import Settings
from triptych.snapshots.exports.export_registry import ExportRegistry
from triptych.tasks.brand_tasks import BrandTasks
from triptych.uploads.upload_files import UploadFiles
from triptych.wiring.immediate_reads import open_projection
from triptych.wiring.installed_sources import installed_sources, source_opener, source_reach
from triptych.wiring.models import LoadedModels, embed_batch, embed_threads, open_embedder
from triptych.wiring.object_store import open_objects
from triptych.wiring.outbound import address_guard, guarded_session, open_transports
from triptych.wiring.services import Services, connect
from triptych.wiring.worker_decoders import worker_decoders
from triptych.workers.ai_queue_router import route_ai_queue
from triptych.workers.collector import Collector, RetentionRules
from triptych.workers.dead_letter_consumer import DeadLetterConsumer
from triptych.workers.heartbeat import Heartbeat
from triptych.workers.indexer import Indexer
from triptych.workers.message_processor import Handle
from triptych.workers.projector import Projector
from triptych.workers.sweeper import Sweeper, SweepIntervals
from triptych.workers.webhook_notifier import Notifier
from triptych.workers.worker import HostTurns, PhaseHandler, Worker

NOTIFIER_CONNECTIONS = 10


@dataclass(frozen=True, slots=True)
class MaintenanceJobs:
    """The jobs that no message triggers. Each is stateless and may run in any process."""

    sweeper: Sweeper
    collector: Collector
    notifier: Notifier
    indexer: Indexer
    projector: Projector | None


@asynccontextmanager
async def open_phase_handlers(
    services: Services, phases: Sequence[Phase]
) -> AsyncIterator[list[PhaseHandler]]:
    """Build the handlers of some phases; close what they opened at the end.

    Raises:
        ModelError, StoreUnavailable, SettingsError: names what cannot be used and the remedy.
    """
    settings = services.settings
    models = LoadedModels(settings, threads=1)  # Calls run concurrently instead.
    async with AsyncExitStack() as stack:
        handlers: list[PhaseHandler] = []
        for phase in phases:
            if phase is Phase.GATHER:
                gather = await _gather(services, stack)
                handlers.append(PhaseHandler(phase, gather.handle, settings.gather_concurrency))
            elif phase is Phase.ACQUIRE:
                throttle = _host_throttle(settings)
                acquire = await _acquire(services, stack, models, throttle)
                hosts = HostTurns(throttle.set_limits, throttle.traffic)
                handlers.append(
                    PhaseHandler(phase, acquire.handle, settings.acquire_prefetch, hosts)
                )
            else:
                ai = await _ai(services, stack, models)
                stores = services.stores
                tasks = BrandTasks(
                    stores.tasks,
                    stores.runs,
                    stores.brands,
                    stores.snapshots,
                    stores.retention,
                    stores.features,
                    await open_objects(settings, stores.damage),
                    ExportRegistry.discover(),
                )
                handle = route_ai_queue(ai.handle, tasks.do)
                handlers.append(PhaseHandler(phase, handle, settings.ai_concurrency))
        yield handlers


@asynccontextmanager
async def open_maintenance(services: Services) -> AsyncIterator[MaintenanceJobs]:
    """Build the maintenance jobs; close what they opened at the end.

    Raises:
        StoreUnavailable, SettingsError: names what cannot be used and the remedy.
    """
    settings, stores = services.settings, services.stores
    intervals = SweepIntervals(
        sweep_s=settings.sweep_s,
        idle_s=settings.add_idle_s,
        quiet_s=settings.quiet_s,
        resend_s=settings.resend_s,
        owed_s=settings.outbox_s,
    )
    objects = await open_objects(settings)
    async with AsyncExitStack() as stack:
        projected = await stack.enter_async_context(open_projection(settings))
        yield MaintenanceJobs(
            Sweeper(services.registry, intervals),
            Collector(
                stores.retention,
                stores.tasks,
                stores.uploads,
                objects,
                _retention_rules(settings),
            ),
            await _notifier(services, stack),
            Indexer(stores.search),
            None if projected is None else Projector(stores.projections, projected.projection),
        )


def dead_letter_handler(services: Services) -> Handle:
    """Return the handler of dead letters."""
    return DeadLetterConsumer(
        services.stores.dead_letters,
        services.stores.tasks,
        services.stores.ai,
        services.registry,
    ).handle


@asynccontextmanager
async def open_worker(services: Services, phases: Sequence[Phase]) -> AsyncIterator[Worker]:
    """Build a worker for some phases; close what it opened at the end.

    Raises:
        ModelError, StoreUnavailable, SettingsError: names what cannot be used and the remedy.
    """
    settings = services.settings
    async with (
        open_phase_handlers(services, phases) as handlers,
        open_maintenance(services) as maintenance,
    ):
        yield Worker(
            services.queue,
            handlers,
            dead_letter_handler(services),
            maintenance.sweeper,
            # Deletions are of the third phase, as the tasks are that delete brands: so the others
            # need no right to delete.
            maintenance.collector if Phase.AI in phases else None,
            maintenance.notifier,
            maintenance.indexer,
            maintenance.projector,
            Heartbeat(services.stores.presence, [phase.value for phase in phases]),
            services.stores.limits,
            visibility_s=settings.visibility_s,
            drain_s=settings.drain_s,
        )


async def _notifier(services: Services, stack: AsyncExitStack) -> Notifier:
    settings = services.settings
    session = await stack.enter_async_context(guarded_session(settings, NOTIFIER_CONNECTIONS))
    return Notifier(
        services.stores.webhooks, session, address_guard(settings), every_s=settings.sweep_s
    )


def _retention_rules(settings: Settings) -> RetentionRules:
    return RetentionRules(
        snapshots=settings.keep_snapshots,
        age_s=settings.keep_s,
        timeline_s=settings.keep_timeline_s,
        every_s=settings.collect_s,
        object_grace_s=settings.object_grace_s,
        uploads_s=settings.keep_uploads_s,
        # An item that stored its object before the deletion cannot settle later than this.
        tombstones_s=2 * settings.run_cap_s,
    )


async def _gather(services: Services, stack: AsyncExitStack) -> Gather:
    settings = services.settings
    objects = await open_objects(settings, services.stores.damage)
    uploads = UploadFiles(services.stores.uploads, objects, max_bytes=settings.upload_max_bytes)
    return Gather(
        services.stores.runs,
        services.stores.brands,
        services.stores.snapshots,
        services.registry,
        objects,
        source_opener(settings, installed_sources(settings), stack, uploads),
        default_source=settings.source,
        page_rows=settings.page_rows,
    )


def _budget(settings: Settings) -> BodyBudget:
    """Return the memory budget of a worker for bodies.

    Raises:
        SettingsError: the budget is too small for the concurrent downloads.
    """
    return BodyBudget(
        settings.fetch_memory_bytes,
        cap=settings.fetch_max_bytes,
        bodies=settings.acquire_concurrency,
    )


def _host_throttle(settings: Settings) -> HostThrottle:
    return HostThrottle(concurrency=settings.host_concurrency, rate_per_s=settings.host_rate)


@asynccontextmanager
async def open_fetcher(
    settings: Settings, brands: BrandStore, throttle: HostThrottle | None = None
) -> AsyncIterator[ItemFetcher]:
    """Yield what brings the bytes of items, and close it.

    Web and objects share a budget of memory, and each host and bucket has its throttle.

    ``throttle`` gives the requests their turns at hosts; by default one of its own.

    Raises:
        SettingsError: the proxy or a request profile is not valid, or the memory too small.
    """
    contacts, probes = contact_limits(settings.acquire_concurrency)
    # robots.txt is fetched beside the downloads, and never waits for one of their connections.
    transports = open_transports(settings, settings.acquire_concurrency + contacts + probes)
    budget = _budget(settings)
    hosts = throttle or _host_throttle(settings)
    down_hosts = DownHosts(contacts=contacts, probes=probes)
    fetcher = Fetcher(
        transports,
        budget,
        hosts,
        down_hosts,
        deadline_s=settings.fetch_deadline_s,
        max_redirects=settings.fetch_max_redirects,
        robots=settings.robots,
        opt_outs=settings.opt_outs,
    )
    threads = ThreadPoolExecutor(settings.acquire_concurrency, thread_name_prefix="objects")
    objects = ObjectReader(
        ObjectReach(source_reach(settings), brands.is_trusted),
        *(budget, hosts, down_hosts, threads),
        deadline_s=settings.fetch_deadline_s,
    )
    try:
        yield ItemFetcher(fetcher, objects)
    finally:
        threads.shutdown(wait=False, cancel_futures=True)
        await fetcher.close()
        await transports.close()


async def _acquire(
    services: Services, stack: AsyncExitStack, models: LoadedModels, throttle: HostThrottle
) -> Acquire:
    settings = services.settings
    decoders = SharedDecoders(*worker_decoders(settings))
    stack.callback(decoders.close)
    # They compute embeddings, and hashes of large bodies; decoders have their own.
    at_once = embed_threads(settings) + 1
    threads = stack.enter_context(ThreadPoolExecutor(at_once, thread_name_prefix="acquire"))
    fetcher = await stack.enter_async_context(
        open_fetcher(settings, services.stores.brands, throttle)
    )
    store = await open_objects(settings, services.stores.damage)
    embedder = await asyncio.to_thread(models.embedder) if settings.decode else None
    buffer = Buffer(
        services.registry, store, flush_items=settings.flush_items, flush_s=settings.flush_s
    )
    limits = AcquireLimits(
        concurrency=settings.acquire_concurrency,
        embed_batch=embed_batch(settings),
        embed_calls=embed_threads(settings),
        max_pixels=settings.decode_max_pixels,
        min_side=settings.min_side,
        decode=settings.decode,
        other_media=settings.other_media,
        host_patience_s=settings.host_patience_s,
    )
    return Acquire(
        services.stores.runs,
        services.stores.outages,
        services.stores.snapshots,
        services.registry,
        fetcher,
        store,
        embedder,
        buffer,
        decoders,
        threads,
        limits,
    )


async def _ai(services: Services, stack: AsyncExitStack, models: LoadedModels) -> AiPhase:
    settings = services.settings
    decoders = Decoders(1, max_missing=settings.decode_max_missing)
    stack.callback(decoders.close)
    store = await open_objects(settings, services.stores.damage)
    open_pixels = partial(
        StoredPixels, store=store, decoders=decoders, max_pixels=settings.decode_max_pixels
    )
    return AiPhase(
        services.stores.ai,
        services.stores.snapshots,
        discover(),
        pixels=open_pixels,
        text=models.text,
        # Read for each brand, so that an edit takes effect from the next brand on.
        vocabulary=partial(read_vocabulary, settings.tags),
        assets=AssetSteps(
            _asset_steps(settings),
            services.stores.features,
            StoredPictures(store, decoders, max_pixels=settings.decode_max_pixels),
        ),
    )


def _asset_steps(settings: Settings) -> list[AssetStep]:
    """Return the asset steps that run here: all that are installed but for what is turned off."""
    on = {TEXT.name: settings.ocr, PEOPLE.name: settings.people}
    return [step for step in discover_asset_steps() if on.get(step.name, True)]


async def check_wiring(settings: Settings, dsn: str) -> None:
    """Raise the first error that a worker would fail with, before any worker is started."""
    async with connect(settings, dsn):
        _budget(settings)
        installed_sources(settings)
        await open_transports(settings, 1).close()
        await open_objects(settings)
        async with open_projection(settings):
            pass
        await asyncio.to_thread(read_vocabulary, settings.tags)
        await asyncio.to_thread(open_embedder, settings, 1)
