"""Fan-in of ours: as many URLs that do nothing, then one commit, whose AI message is the callback.

Postgres and as many worker processes as there are cores run below this one.
"""

from __future__ import annotations

import asyncio
import sys
import time
from asyncio.subprocess import Process
from pathlib import Path
from typing import Any

import asyncpg
import uvloop

from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.model import RunState
from triptych.settings.settings import Settings
from triptych.wiring.database import Services, connect, own_database

KILLED_AT = 0.4
"""Share of the work after which a worker is killed."""
REDELIVERY_S = 10


class Workers:
    """Worker processes."""

    def __init__(self, folder: Path, dsn: str, work_ms: int) -> None:
        self._arguments = (str(folder), dsn, str(work_ms))
        self._running: list[Process] = []

    async def start(self) -> None:
        """Start one more."""
        command = (sys.executable, "-m", "bench.ours.noop_worker", *self._arguments)
        self._running.append(await asyncio.create_subprocess_exec(*command))

    async def kill_one(self) -> None:
        """Kill one and start another."""
        killed = self._running.pop(0)
        killed.kill()
        await killed.wait()
        await self.start()

    async def stop(self) -> None:
        """End all."""
        for process in self._running:
            process.kill()
            await process.wait()


async def fan_in(parts: Services, folder: Path, order: dict[str, Any], workers: Workers) -> None:
    """Take an order's URLs to their commit; kill a worker on the way if they take time."""
    urls = folder / f"{order['run']}.csv"
    lines = [f"https://bench.example/{number}" for number in range(order["items"])]
    urls.write_text("\n".join(["url", *lines]))
    async with parts.stores.changes.changes() as changed:
        opened = await parts.registry.open(order["run"], source=f"manifest:{urls}")
        run, killed = opened.run, not order["work_ms"]
        while run.state is RunState.ACTIVE:
            if await anext(changed) == run.id:
                run = await parts.stores.runs.run(run.id)
            if not killed and run.settled >= KILLED_AT * order["items"]:
                killed = True
                await workers.kill_one()
    assert (run.state, run.done) == (RunState.COMMITTED, order["items"]), run


async def callbacks(dsn: str, run: str) -> int:
    """Return how many AI messages a brand's commit has sent."""
    connection = await asyncpg.connect(dsn)
    try:
        found: int = await connection.fetchval(
            "select count(*) from pgmq.\"q_brand-ai-phase-queue\" where message->>'brand' = $1", run
        )
        return found
    finally:
        await connection.close()


async def main() -> None:
    track = Track()
    configure_logs(debug=False)
    arguments = track.arguments
    folder = Path(arguments["folder"])
    settings = Settings.load(data=folder / "data", embedder="none")
    async with own_database(settings) as dsn, connect(settings, dsn) as parts:
        workers = Workers(folder / "data", dsn, arguments["work_ms"])
        for _ in range(arguments["cores"]):
            await workers.start()
        await fan_in(parts, folder, {"run": "first", "items": 10, "work_ms": 0}, workers)
        track.say()
        while (order := await track.next_order()) is not None:
            begun = time.monotonic()
            await fan_in(parts, folder, order, workers)
            seconds = time.monotonic() - begun
            if order["work_ms"]:
                await asyncio.sleep(2 * REDELIVERY_S)
            track.say(fired=await callbacks(dsn, order["run"]), seconds=seconds)
        await workers.stop()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
