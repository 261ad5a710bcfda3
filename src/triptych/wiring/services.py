"""Connecting to the database and the queues, of a running server or of this process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial

import structlog

from triptych.database.migrate import migrate
from triptych.database.roles import prepare_role, role_of
from triptych.database.session import Database
from triptych.embedded import errors as embedded
from triptych.embedded.binaries import check_installed
from triptych.embedded.data_folder import DataFolder
from triptych.embedded.ownership import Make, Prepare, own, use
from triptych.embedded.server import EmbeddedPostgres
from triptych.embedded.waits import Say, log_line
from triptych.errors import DataFolderInUse, PostgresServerError, SettingsError
from triptych.queues.pgmq import PgmqQueue
from triptych.queues.queue import Queue
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.runtime.cancellation import cancel_on_failure
from triptych.settings.addresses import read_sqs
from triptych.settings.settings import Settings
from triptych.wiring.sealing_keys import check_keys, open_keys, seal_all
from triptych.wiring.stores import Stores, postgres_stores

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """What every process needs: the stores, the queues, and the registry that uses both."""

    settings: Settings
    stores: Stores
    queue: Queue
    registry: ActiveBrandRegistry
    renew: Callable[[], Awaitable[None]]
    """Replaces connections that may have been closed while this process was frozen."""


@contextmanager
def embedded_errors() -> Iterator[None]:
    """Convert the embedded Postgres' errors, which do not name settings, to Triptych's errors."""
    try:
        yield
    except embedded.DataFolderInUse as error:
        raise DataFolderInUse(error.message, remedy=error.remedy) from error
    except embedded.DataFolderUnusable as error:
        raise SettingsError(error.message, field="TRIPTYCH_DATA", remedy=error.remedy) from error
    except embedded.EmbeddedError as error:
        raise PostgresServerError(error.message, remedy=error.remedy) from error


@asynccontextmanager
async def own_database(settings: Settings, *, say: Say = log_line) -> AsyncIterator[str]:
    """Yield the database's DSN; if it is embedded, own the data folder and run Postgres.

    ``say`` shows the user one line for what takes long.

    Raises:
        DataFolderInUse: another process owns the data folder, and not only for one command.
    """
    if not settings.embedded:
        yield settings.database_url.get_secret_value()
        return
    with embedded_errors():
        async with (
            own(*_embedded(settings, say), say=say) as server,
            _watched(server.watch()),
        ):
            yield server.dsn


@asynccontextmanager
async def reach_database(
    settings: Settings, *, may_own: bool = True, migrates: bool = True, say: Say = log_line
) -> AsyncIterator[str]:
    """Yield the DSN of the running database, or of one that runs until the block ends.

    A server of the data folder that starts is waited for. One that starts later takes the database
    over: connections break as if Postgres had been restarted, and the DSN stays the same.

    Args:
        settings: of the command.
        may_own: False for a child of a server: it ends rather than run the database itself.
        migrates: False leaves the schema as it is, if no server runs.
        say: shows the user one line for what takes long.
    """
    if not settings.embedded:
        yield settings.database_url.get_secret_value()
        return
    with embedded_errors():
        folder, make, prepare = _embedded(settings, say)
        async with (
            use(
                folder, make, prepare if migrates else _as_it_is, may_own=may_own, say=say
            ) as using,
            _watched(using.watch()),
        ):
            yield using.dsn


def _embedded(settings: Settings, say: Say) -> tuple[DataFolder, Make, Prepare]:
    """Return the data folder, what makes its server, and what prepares the database.

    Raises:
        triptych.embedded.errors.PostgresServerError: there is no embedded Postgres here.
    """
    check_installed(settings.postgres_bin)

    def make() -> EmbeddedPostgres:
        return EmbeddedPostgres(settings.data, binaries=settings.postgres_bin, say=say)

    return DataFolder(settings.data), make, partial(migrate_at, settings, say=say)


async def _as_it_is(_dsn: str) -> None:
    """Change nothing."""


async def migrate_at(
    settings: Settings, dsn: str, *, say: Say, skip_long: bool = False
) -> Sequence[str]:
    """Apply missing migrations to the database at a DSN, and seal the secrets in it."""
    keys = await open_keys(settings)
    database = Database(dsn)
    try:
        applied = await migrate(database, skip_long=skip_long, say=say)
        await seal_all(database, keys)
        return applied
    finally:
        await database.close()


@asynccontextmanager
async def _watched(watch: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Interrupt the block with the error of ``watch``, and end that with the block."""
    watching = asyncio.create_task(watch)
    try:
        async with cancel_on_failure(watching):
            yield
    finally:
        watching.cancel()
        await asyncio.wait([watching])


async def migrate_database(
    settings: Settings,
    *,
    admin: str | None = None,
    skip_long: bool = False,
    say: Say = log_line,
) -> Sequence[str]:
    """Apply missing migrations and create missing queues; return the names of both.

    Args:
        settings: of the command.
        admin: an administrator's DSN: with it, the role of ``database_url`` is created first.
        skip_long: leaves out long migrations, which the code can do without. An embedded
            database applies them at every start.
        say: shows the user one line for what takes long.
    """
    if admin is not None:
        database = Database(admin)
        try:
            await prepare_role(database, role_of(settings.database_url.get_secret_value()))
        finally:
            await database.close()
    applied = await _migrate(settings, say, skip_long=skip_long)
    return [*applied, *await _make_queues(settings)]


async def _make_queues(settings: Settings) -> Sequence[str]:
    """Create missing queues on SQS. A migration creates those of pgmq."""
    if not settings.queue_url.startswith("sqs:"):
        return []
    from triptych.queues.sqs.create import create_queues

    region, prefix = read_sqs(settings.queue_url)
    return await create_queues(
        region=region,
        prefix=prefix,
        max_receives=settings.max_receives,
        visibility_s=settings.visibility_s,
    )


async def _migrate(settings: Settings, say: Say, *, skip_long: bool) -> Sequence[str]:
    """Apply missing migrations. An embedded database applies them at every start."""
    async with reach_database(settings, say=say) as dsn:
        return await migrate_at(settings, dsn, say=say, skip_long=skip_long)


def _replica(settings: Settings) -> Database | None:
    if settings.database_read_url is None:
        return None
    address = settings.database_read_url.get_secret_value()
    return Database(address, pool_max=settings.database_connections)


def open_queue(settings: Settings, database: Database) -> Queue:
    """Return the queues that the settings name, without connecting yet."""
    if settings.queue_url.startswith("sqs:"):
        # Imported here because botocore takes as long to import as the rest of a command.
        from triptych.queues.sqs.sqs_queue import SqsQueue

        region, prefix = read_sqs(settings.queue_url)
        return SqsQueue(region=region, prefix=prefix)
    return PgmqQueue(database, max_receives=settings.max_receives)


@asynccontextmanager
async def connect(settings: Settings, dsn: str) -> AsyncIterator[Services]:
    """Open the database and the queues and check both.

    Raises:
        DatabaseUnavailable, QueueUnavailable: names what is missing and the remedy.
        SettingsError: the key that secrets in the database are sealed with is not given.
    """
    keys = await open_keys(settings)
    folder = settings.data if settings.embedded else None
    database = Database(dsn, pool_max=settings.database_connections, folder=folder)
    stores = postgres_stores(
        database, run_cap_s=settings.run_cap_s, replica=_replica(settings), keys=keys
    )
    queue = open_queue(settings, database)
    try:
        schema = await stores.schema()
        if schema.missing:
            log.warning("schema_behind", schema=schema.shown())
        await check_keys(database, keys)
        await queue.check()
        registry = ActiveBrandRegistry(
            stores.runs,
            stores.brands,
            stores.dead_letters,
            queue,
            window=DispatchWindow(
                settings.dispatch_window, settings.dispatch_window_max, stores.fleet
            ),
            policy=settings.policy,
        )
        yield Services(settings, stores, queue, registry, database.renew)
    finally:
        await queue.close()
        await stores.close()
