"""Reaching the database and the queues: of the running server, or of one's own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from triptych.adapters.postgres.catalogue import PostgresCatalogue
from triptych.database.migrate import migrate
from triptych.queues.pgmq import PgmqQueue
from triptych.database.roles import prepare_role, role_of
from triptych.embedded.server import EmbeddedPostgres, read_dsn
from triptych.database.session import Database
from triptych.queues.sqs.create import create_queues
from triptych.queues.sqs.sqs_queue import SqsQueue
from triptych.embedded.data_folder import DataFolder
from triptych.errors import DataFolderInUse
from triptych.runtime.cancellation import ending_with
from triptych.settings.addresses import read_sqs
from triptych.ports import Catalogue, Queue
from triptych.runs.registry import ActiveBrandRegistry
from triptych.settings.settings import Settings


@dataclass(frozen=True, slots=True)
class Parts:
    """What every process needs: the database, the queues, and the registry over both."""

    settings: Settings
    catalogue: Catalogue
    queue: Queue
    registry: ActiveBrandRegistry
    renew: Callable[[], Awaitable[None]]
    """Replaces connections that may have died while this process stood still."""


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


async def migrate_database(settings: Settings, *, admin: str | None = None) -> Sequence[str]:
    """Apply missing migrations and make missing queues; return the names of both.

    ``admin`` is an administrator's address: then the role of ``database_url`` is made first.
    """
    if admin is not None:
        database = Database(admin)
        try:
            await prepare_role(database, role_of(settings.database_url.get_secret_value()))
        finally:
            await database.close()
    return [*await _migrate(settings), *await _make_queues(settings)]


async def _make_queues(settings: Settings) -> Sequence[str]:
    """Make what is missing on SQS. Those of pgmq are made by a migration."""
    if not settings.queue_url.startswith("sqs:"):
        return []
    region, prefix = read_sqs(settings.queue_url)
    return await create_queues(
        region=region,
        prefix=prefix,
        max_receives=settings.max_receives,
        visibility_s=settings.visibility_s,
    )


async def _migrate(settings: Settings) -> Sequence[str]:
    """Apply missing migrations. Embedded ones are applied at every start."""
    if settings.embedded and DataFolder(settings.data).owner() is None:
        async with own_database(settings):
            return []
    async with reach_database(settings) as dsn:
        database = Database(dsn)
        try:
            return await migrate(database)
        finally:
            await database.close()


def _replica(settings: Settings) -> Database | None:
    if settings.database_read_url is None:
        return None
    address = settings.database_read_url.get_secret_value()
    return Database(address, pool_max=settings.database_connections)


def open_queue(settings: Settings, database: Database) -> Queue:
    """Return the queues that the settings name. Nothing is connected to yet."""
    if settings.queue_url.startswith("sqs:"):
        region, prefix = read_sqs(settings.queue_url)
        return SqsQueue(region=region, prefix=prefix)
    return PgmqQueue(database, max_receives=settings.max_receives)


@asynccontextmanager
async def connect(settings: Settings, dsn: str) -> AsyncIterator[Parts]:
    """Open the database and the queues and check both.

    Raises:
        DatabaseUnavailable, QueueUnavailable: naming what is missing and the remedy.
    """
    database = Database(dsn, pool_max=settings.database_connections)
    catalogue = PostgresCatalogue(
        database, run_cap_s=settings.run_cap_s, replica=_replica(settings)
    )
    queue = open_queue(settings, database)
    try:
        await catalogue.check()
        await queue.check()
        registry = ActiveBrandRegistry(
            catalogue, queue, window=settings.dispatch_window, policy=settings.policy
        )
        yield Parts(settings, catalogue, queue, registry, database.renew)
    finally:
        await queue.close()
        await catalogue.close()
