"""Building what answers immediate reads: Postgres alone, or MongoDB in front of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING
from uuid import UUID

from triptych.errors import ReadsUnavailable, SettingsError
from triptych.reads.behind import Behind
from triptych.reads.projection import Projection
from triptych.reads.projection_store import ProjectionStore
from triptych.reads.read_stores import ReadStores
from triptych.reads.reads import Projected, Reads
from triptych.settings.settings import Settings
from triptych.shown_url import shown_url
from triptych.wiring.services import Services
from triptych.wiring.stores import Stores

if TYPE_CHECKING:
    from triptych.reads.mongo.connection import MongoConnection

FIELD = "TRIPTYCH_READS_URL"
DRIVER = "pymongo"
TARGET_KEPT_S = 30.0
"""Seconds for which the id of the projection's database counts: it is another one when that was
emptied."""
TARGET_DEADLINE_S = 0.5
"""Seconds that it has to say so again; it is the same one while it does not answer."""


@dataclass(frozen=True, slots=True)
class OpenProjection:
    """The database of a projection, by its two sides, over one connection."""

    connection: MongoConnection
    projection: Projection
    reads: ReadStores

    async def version(self) -> str:
        """Return the server's version.

        Raises:
            ReadsUnavailable: it does not answer, or refuses the user.
        """
        await self.connection.check()
        async with self.connection.reading():
            return str((await self.connection.database.command("buildInfo"))["version"])


def postgres_reads(stores: Stores) -> ReadStores:
    """Return the stores of Postgres that immediate reads use."""
    return ReadStores(
        brands=stores.brands,
        runs=stores.runs,
        snapshots=stores.snapshots,
        facets=stores.facets,
        maps=stores.search,
    )


def is_projected(settings: Settings) -> bool:
    """Return whether the settings name a database that immediate reads are answered by."""
    return bool(settings.reads_url.get_secret_value())


def shown_reads_url(settings: Settings) -> str:
    """Return that database's address as it is shown: without what may be secret."""
    return shown_url(settings.reads_url.get_secret_value())


@asynccontextmanager
async def open_projection(settings: Settings) -> AsyncIterator[OpenProjection | None]:
    """Yield the projection's database, not connected to yet; None if the settings name none.

    Raises:
        SettingsError: its driver is not installed, or the URL cannot be read.
    """
    if not is_projected(settings):
        yield None
        return
    if find_spec(DRIVER) is None:
        raise SettingsError(
            f"The driver of MongoDB, {DRIVER}, is not installed.",
            field=FIELD,
            remedy="Run `pip install 'triptych[mongodb]'`, or unset it.",
        )
    # Imported here because the driver is optional, and slow to import.
    from triptych.reads.mongo.connection import MongoConnection
    from triptych.reads.mongo.mongo_projection import MongoProjection
    from triptych.reads.mongo.mongo_reads import mongo_read_stores

    connection = MongoConnection(
        settings.reads_url.get_secret_value(),
        user=settings.reads_user or None,
        password=settings.reads_password.get_secret_value() or None,
        ca=settings.reads_ca,
        certificate=settings.reads_certificate,
    )
    try:
        yield OpenProjection(connection, MongoProjection(connection), mongo_read_stores(connection))
    finally:
        await connection.close()


@asynccontextmanager
async def open_reads(services: Services, *, projected: bool = True) -> AsyncIterator[Reads]:
    """Yield what answers immediate reads. It needs no answer of MongoDB's to begin.

    ``projected``: whether MongoDB answers them, if the settings name one.

    Raises:
        SettingsError: see `open_projection`.
    """
    stores = services.stores
    if not projected:
        yield Reads(postgres_reads(stores))
        return
    async with open_projection(services.settings) as opened:
        found = None
        if opened is not None:
            target = Target(opened.projection, stores.projections)
            found = Projected(opened.reads, Behind(partial(behind, target, stores.projections)))
        reads = Reads(postgres_reads(stores), found)
        try:
            yield reads
        finally:
            await reads.close()


class Target:
    """The id of a projection's database, asked once in `TARGET_KEPT_S`."""

    def __init__(
        self,
        projection: Projection,
        store: ProjectionStore,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._projection = projection
        self._store = store
        self._clock = clock
        self._known: UUID | None = None
        self._until = 0.0

    async def __call__(self) -> UUID:
        """Return the id.

        Raises:
            ReadsUnavailable, DatabaseUnavailable: one of the databases does not answer.
        """
        if self._known is not None and self._clock() < self._until:
            return self._known
        lowers = await self._store.lowers()
        try:
            async with asyncio.timeout(None if self._known is None else TARGET_DEADLINE_S):
                self._known = await self._projection.open(lowers)
        except (ReadsUnavailable, TimeoutError):
            if self._known is None:
                raise
        self._until = self._clock() + TARGET_KEPT_S
        return self._known


async def behind(target: Target, store: ProjectionStore) -> Mapping[str, float | None]:
    """Return by brand how far a projection is behind, as `ProjectionStore.behind` does.

    Raises:
        ReadsUnavailable, DatabaseUnavailable: one of the databases does not answer.
    """
    return await store.behind(await target())
