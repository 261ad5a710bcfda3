"""The only file that knows which adapter stands behind which port."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from triptych.adapters.embedders.bundled import bundled_model
from triptych.adapters.embedders.onnx import OnnxEmbedder
from triptych.adapters.postgres.catalogue import PostgresCatalogue
from triptych.adapters.postgres.migrate import migrate
from triptych.adapters.postgres.pgmq import PgmqQueue
from triptych.adapters.postgres.server import EmbeddedPostgres, read_dsn
from triptych.adapters.postgres.session import Database
from triptych.adapters.sources import open_source
from triptych.data_folder import MODELS, OBJECTS, DataFolder
from triptych.errors import DataFolderInUse, SettingsError
from triptych.fetch.client import Fetcher
from triptych.fetch.guard import AddressGuard, guarded_connector
from triptych.fetch.hosts import Hosts
from triptych.insights.step import discover
from triptych.interruption import ending_with
from triptych.media.decoders import Decoders
from triptych.objects import ObjectStore, open_store
from triptych.phases.acquire import Acquire, AcquireLimits
from triptych.phases.ai import AiPhase
from triptych.phases.buffer import Buffer
from triptych.phases.gather import Gather
from triptych.ports import Catalogue, Embedder, Queue, Source
from triptych.registry import ActiveBrandRegistry
from triptych.settings import Settings
from triptych.workers.dead_letters import DeadLetters
from triptych.workers.sweeper import Sweeper, SweepIntervals
from triptych.workers.worker import Phase, Station, Worker

SOURCE_CONNECTIONS = 20


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process needs: the database, the queues, and the registry over both."""

    settings: Settings
    catalogue: Catalogue
    queue: Queue
    registry: ActiveBrandRegistry


@asynccontextmanager
async def own_database(settings: Settings) -> AsyncIterator[str]:
    """Yield the database's address; embedded, own the data folder and run Postgres meanwhile.

    Raises:
        DataFolderInUse: another process owns the data folder.
    """
    if not settings.embedded:
        yield settings.database_url.get_secret_value()
        return
    folder = DataFolder(settings.data)
    with folder.lock():
        async with EmbeddedPostgres(settings.data, binaries=settings.postgres_bin) as server:
            database = Database(server.dsn)
            try:
                await migrate(database)
            finally:
                await database.close()
            watching = asyncio.create_task(server.watch())
            try:
                async with ending_with(watching):
                    yield server.dsn
            finally:
                watching.cancel()


@asynccontextmanager
async def reach_database(settings: Settings) -> AsyncIterator[str]:
    """Yield the database's address: of the running server, or of one started meanwhile."""
    if settings.embedded and DataFolder(settings.data).owner() is not None:
        yield read_dsn(settings.data)
        return
    try:
        async with own_database(settings) as dsn:
            yield dsn
    except DataFolderInUse:
        # Somebody took the folder between the look and the lock; their server is as good.
        yield read_dsn(settings.data)


async def migrate_database(settings: Settings) -> Sequence[str]:
    """Apply missing migrations; return their names. Embedded ones are applied at every start."""
    if settings.embedded and DataFolder(settings.data).owner() is None:
        async with own_database(settings):
            return []
    async with reach_database(settings) as dsn:
        database = Database(dsn)
        try:
            return await migrate(database)
        finally:
            await database.close()


@asynccontextmanager
async def connect(settings: Settings, dsn: str) -> AsyncIterator[Parts]:
    """Open the database and the queues and check both.

    Raises:
        DatabaseUnavailable, QueueUnavailable: naming what is missing and the remedy.
    """
    database = Database(dsn)
    catalogue = PostgresCatalogue(database, run_cap_s=settings.run_cap_s)
    queue = PgmqQueue(database, max_receives=settings.max_receives)
    try:
        await catalogue.check()
        await queue.check()
        registry = ActiveBrandRegistry(
            catalogue, queue, window=settings.dispatch_window, policy=settings.policy
        )
        yield Parts(settings, catalogue, queue, registry)
    finally:
        await queue.close()
        await catalogue.close()


@asynccontextmanager
async def open_worker(parts: Parts, phases: Sequence[Phase]) -> AsyncIterator[Worker]:
    """Build a worker for some phases; close what it opened when it is done.

    Raises:
        ModelError, StoreUnavailable, SettingsError: naming what cannot be used and the remedy.
    """
    settings = parts.settings
    async with AsyncExitStack() as stack:
        stations: list[Station] = []
        for phase in phases:
            if phase is Phase.GATHER:
                gather = await _gather(parts, stack)
                stations.append(Station(phase, gather.handle, settings.gather_concurrency))
            elif phase is Phase.ACQUIRE:
                acquire = await _acquire(parts, stack)
                stations.append(Station(phase, acquire.handle, settings.acquire_prefetch))
            else:
                ai = AiPhase(parts.catalogue, discover())
                stations.append(Station(phase, ai.handle, settings.ai_concurrency))
        intervals = SweepIntervals(
            sweep_s=settings.sweep_s,
            idle_s=settings.add_idle_s,
            stalled_s=settings.stalled_s,
            resend_s=settings.resend_s,
            owed_s=settings.outbox_s,
        )
        yield Worker(
            parts.queue,
            stations,
            DeadLetters(parts.catalogue, parts.registry).handle,
            Sweeper(parts.registry, intervals),
            visibility_s=settings.visibility_s,
            drain_s=settings.drain_s,
        )


async def _gather(parts: Parts, stack: AsyncExitStack) -> Gather:
    settings = parts.settings
    connector = guarded_connector(AddressGuard(settings.fetch_allow), limit=SOURCE_CONNECTIONS)
    session = await stack.enter_async_context(
        aiohttp.ClientSession(connector=connector, headers={"User-Agent": settings.user_agent})
    )
    token = settings.source_token.get_secret_value() if settings.source_token else None

    def open_one(spec: str) -> Source:
        return open_source(spec, session=session, token=token, page_rows=settings.page_rows)

    return Gather(
        parts.catalogue,
        parts.registry,
        open_one,
        default_source=settings.source,
        page_rows=settings.page_rows,
    )


async def _acquire(parts: Parts, stack: AsyncExitStack) -> Acquire:
    settings = parts.settings
    cores = os.cpu_count() or 1
    decoders = Decoders(cores)
    stack.callback(decoders.close)
    threads = stack.enter_context(ThreadPoolExecutor(cores + 1, thread_name_prefix="acquire"))
    fetcher = Fetcher(
        AddressGuard(settings.fetch_allow),
        deadline_s=settings.fetch_deadline_s,
        max_bytes=settings.fetch_max_bytes,
        max_redirects=settings.fetch_max_redirects,
        user_agent=settings.user_agent,
        concurrency=settings.acquire_concurrency,
        robots=settings.robots,
        opt_outs=settings.opt_outs,
        hosts=Hosts(concurrency=settings.host_concurrency, rate_per_s=settings.host_rate),
    )
    stack.push_async_callback(fetcher.close)
    store = await open_objects(settings)
    embedder = await asyncio.to_thread(open_embedder, settings, cores)
    buffer = Buffer(parts.registry, flush_items=settings.flush_items, flush_s=settings.flush_s)
    limits = AcquireLimits(
        concurrency=settings.acquire_concurrency,
        embed_batch=settings.embed_batch,
        max_pixels=settings.decode_max_pixels,
        other_media=settings.other_media,
    )
    return Acquire(
        parts.catalogue, parts.registry, fetcher, store, embedder, buffer, decoders, threads, limits
    )


async def check_wiring(settings: Settings, dsn: str) -> None:
    """Raise the first thing that a worker would fail for, before any worker is started."""
    async with connect(settings, dsn):
        await open_objects(settings)
        await asyncio.to_thread(open_embedder, settings, 1)


async def open_objects(settings: Settings) -> ObjectStore:
    """Open the object store and check that it can be used.

    Raises:
        StoreUnavailable: it cannot.
    """
    store = open_store(settings.store_url, settings.data / OBJECTS)
    await store.check()
    return store


def open_embedder(settings: Settings, threads: int) -> Embedder | None:
    """Load the embedder that the settings name; None for ``none``. Takes about a second.

    Raises:
        SettingsError: there is no such file.
        ModelError: it cannot be used.
    """
    if settings.embedder == "none":
        return None
    if settings.embedder == "bundled":
        path = bundled_model(settings.data / MODELS)
    else:
        path = Path(settings.embedder)
        if not path.is_file():
            raise SettingsError(
                f"There is no file {path}.",
                field="TRIPTYCH_EMBEDDER",
                remedy="Name an ONNX file, `bundled` or `none`.",
            )
    return OnnxEmbedder(path, threads=threads)
