"""A brand through gather, acquire and commit, all in this process and a Postgres of its own.

The AI phase has no consumer here: peers have nothing like it. An order's run is done when it is
committed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.cli.server_processes import keep_what_is_here
from triptych.model import RunState
from triptych.settings.settings import Settings
from triptych.wiring.database import Services, connect, own_database
from triptych.wiring.worker_wiring import open_worker
from triptych.workers.worker import Phase


async def committed(parts: Services, order: dict[str, Any]) -> None:
    """Take an order's brand to its commit."""
    async with parts.stores.changes.changes() as changed:
        opened = await parts.registry.open(order["brand"], source=order["source"])
        run = opened.run
        while run.state is RunState.ACTIVE:
            if await anext(changed) == run.id:
                run = await parts.stores.runs.run(run.id)
    assert run.state is RunState.COMMITTED, run
    assert (run.done, run.failed) == (order["urls"], 0), run


@asynccontextmanager
async def ready(track: Track) -> AsyncIterator[Services]:
    """Have a worker and its database run, and say so; gathers and acquires until the end."""
    configure_logs(debug=False)
    folder = Path(track.arguments["folder"])
    settings = Settings.load(
        data=folder / "data", fetch_allow="127.0.0.0/8", **track.arguments["settings"]
    )
    stop = asyncio.Event()
    async with (
        own_database(settings) as dsn,
        connect(settings, dsn) as parts,
        open_worker(parts, [Phase.GATHER, Phase.ACQUIRE]) as worker,
    ):
        keep_what_is_here()  # As `triptych worker` does.
        working = asyncio.create_task(worker.run(stop))
        track.say()
        yield parts
        stop.set()
        await working


async def main() -> None:
    track = Track()
    async with ready(track) as parts:
        while (order := await track.next_order()) is not None:
            await committed(parts, order)
            track.say()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
