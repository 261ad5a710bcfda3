"""The database, the queues and a worker in this process, for `triptych run` and for Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID

from triptych.embedded.waits import Say, log_line
from triptych.live.watch import watch
from triptych.messages import Phase, check_brand
from triptych.model import Run
from triptych.runtime.cancellation import cancel_on_failure
from triptych.settings.settings import Settings
from triptych.wiring.services import Services, connect, own_database
from triptych.wiring.worker_process import open_worker


class Local:
    """An open Triptych in this process."""

    def __init__(self, services: Services, phases: Sequence[Phase] = tuple(Phase)) -> None:
        self.services = services
        self.phases = phases
        """What its worker does."""
        self.stores = services.stores
        self.queue = services.queue
        self.registry = services.registry

    async def submit(self, brand: str, *, source: str | None = None, replace: bool = False) -> Run:
        """Start a run of a brand, or return its active one.

        ``replace``: cancel an active run of another source or kind first. The source may be
        anywhere if the database is embedded, and else what the settings list.

        Raises:
            InvalidBrand: the name is not valid.
            RunActive: a run of another source or kind is active.
        """
        name = check_brand(brand)
        if source is not None and self.services.settings.embedded:
            # Of another database, workers on other machines would read their files.
            await self.stores.brands.trust_source(name, source)
        opened = await self.registry.open(name, source=source, replace=replace)
        return opened.run

    def watch(self, run_id: UUID) -> AsyncIterator[Run]:
        """Yield a run's states, newer ones only, until it and its AI phase are over."""
        return watch(self.stores.runs, self.stores.changes, run_id)

    async def wait(self, run_id: UUID) -> Run:
        """Return a run's final state."""
        async for run in self.watch(run_id):
            last = run
        return last


@asynccontextmanager
async def open_local(
    settings: Settings, *, say: Say = log_line, phases: Sequence[Phase] = tuple(Phase)
) -> AsyncIterator[Local]:
    """Start everything in this process; at the end, drain or return the work and stop.

    Args:
        settings: those of the data folder, the database and the worker.
        say: shows the user one line for what takes long.
        phases: what the worker does; the messages of the others stay in their queues.

    Raises:
        DataFolderInUse: another process, such as `triptych up`, owns the data folder.
    """
    stop = asyncio.Event()
    async with (
        own_database(settings, say=say) as dsn,
        connect(settings, dsn) as services,
        open_worker(services, list(phases)) as worker,
    ):
        working = asyncio.create_task(worker.run(stop))
        try:
            async with cancel_on_failure(working):
                yield Local(services, phases)
        finally:
            stop.set()
            await asyncio.wait([working])
        working.result()


async def run(brand: str, *, source: str | None = None, **settings: Any) -> Run:
    """Take a brand through all three phases and return the run's final state.

    ``settings`` are those of `triptych.settings.settings.Settings`; they override ``TRIPTYCH_*``::

        run = await triptych.run("nike", source="urls.csv", data="./nike")
        assert run.state is RunState.COMMITTED

    Raises:
        BadInput: the brand's name, the source or a setting is wrong.
        DataFolderInUse: another process owns the data folder.
    """
    loaded = Settings.load(source=source, **settings)
    async with open_local(loaded) as local:
        opened = await local.submit(brand, source=loaded.source if source else None)
        return await local.wait(opened.id)
