"""A brand through gather, acquire and commit, all in this process and a Postgres of its own.

The AI phase has no consumer here: peers have nothing like it. An order's run is done when it is
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial

from bench.ours.services import own_parts, settings_in
from bench.program import Given, Ready
from triptych.cli.server_processes import configure_garbage_collection
from triptych.messages import Phase
from triptych.model import Run, RunState
from triptych.wiring.services import Services
from triptych.wiring.worker_process import open_worker


async def committed(
    parts: Services, order: Given, look: Callable[[Run], Awaitable[None]] | None = None
) -> None:
    """Take an order's brand to its commit; ``look`` is shown its run, whichever run changes."""
    async with parts.stores.changes.changes() as changed:
        run = (await parts.registry.open(order["brand"], source=order["source"])).run
        while run.state is RunState.ACTIVE:
            if await anext(changed) == run.id:
                run = await parts.stores.runs.run(run.id)
            if look:
                await look(run)
    assert run.state is RunState.COMMITTED, run
    assert (run.done, run.failed) == (order["urls"], 0), run


@asynccontextmanager
async def working(arguments: Given) -> AsyncIterator[Services]:
    """Have a worker that gathers and acquires, and its database, run until the end."""
    settings = settings_in(
        arguments, fetch_allow="127.0.0.0/8", source_folders="/", **arguments["settings"]
    )
    stop = asyncio.Event()
    async with (
        own_parts(settings) as (parts, _),
        open_worker(parts, [Phase.GATHER, Phase.ACQUIRE]) as worker,
    ):
        configure_garbage_collection()  # As `triptych worker` does.
        work = asyncio.create_task(worker.run(stop))
        yield parts
        stop.set()
        await work


@asynccontextmanager
async def brand(arguments: Given) -> AsyncIterator[Ready]:
    async with working(arguments) as parts:
        yield Ready(partial(committed, parts))
