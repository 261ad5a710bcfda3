"""Row 3: fan-in of many URLs that do nothing to one commit, and what a killed worker does to it."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from bench.lanes import Contender, Lane, Spent, Tell, figures, measured
from bench.origin import write_list
from bench.ours.brand import committed
from bench.ours.services import own_parts, settings_in
from bench.paths import PEERS
from bench.program import Given, Ready
from bench.results import Aim, Entry, each_compared
from triptych.model import Run
from triptych.wiring.services import Services

ROW = 3
TITLE = "fan-in to one commit"
FULL = {"items": 10_000, "rounds": 3, "killings": 3, "killed_items": 1000, "work_ms": 10}
REDUCED = {"items": 300, "rounds": 1, "killings": 0, "killed_items": 0, "work_ms": 0}
QUEUES = {
    "celery": ("Celery chord, acknowledged late", Aim("≥ 10", least=10)),
    "dramatiq": ("Dramatiq group with a callback", Aim("≥ 2", least=2)),
    "taskiq": ("taskiq, its sender waiting for all", Aim("≥ 2", least=2)),
}
KILLED_AT = 0.4
"""Share of the work after which a worker is killed."""
REDELIVERY_S = 10
CALLBACKS = "select count(*) from pgmq.\"q_brand-ai-phase-queue\" where message->>'brand' = $1"


class Workers:
    """Worker processes."""

    def __init__(self, *arguments: str) -> None:
        self._command = (sys.executable, "-m", "bench.ours.noop_worker", *arguments)
        self._running: list[Process] = []

    async def start(self, count: int) -> None:
        """Start so many more."""
        for _ in range(count):
            self._running.append(await asyncio.create_subprocess_exec(*self._command))

    async def kill(self, count: int) -> None:
        """Kill the oldest ones."""
        killed, self._running = self._running[:count], self._running[count:]
        for process in killed:
            process.kill()
            await process.wait()

    async def stop(self) -> None:
        """End all."""
        await self.kill(len(self._running))


async def fan_in(parts: Services, order: Given, workers: Workers) -> None:
    """Take an order's URLs to their commit; kill a worker on the way if they take time."""
    name, count = order["run"], order["items"]
    urls = write_list(f"fan-in-{name}.csv", (f"https://bench.example/{n}" for n in range(count)))
    killed = not order["work_ms"]

    async def look(run: Run) -> None:
        nonlocal killed
        if not killed and run.settled >= KILLED_AT * count:
            killed = True
            await workers.kill(1)
            await workers.start(1)

    whole = {"brand": name, "source": f"manifest:{urls}", "urls": count}
    await committed(parts, whole, look)


async def callbacks(dsn: str, run: str) -> int:
    """Return how many AI messages a brand's commit has sent."""
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval(CALLBACKS, run))
    finally:
        await connection.close()


@asynccontextmanager
async def triptych(arguments: Given) -> AsyncIterator[Ready]:
    """Run Postgres and workers below this process; a commit's AI message is the callback."""
    settings = settings_in(arguments, embedder="none")
    async with own_parts(settings) as (parts, dsn):
        workers = Workers(str(settings.data), dsn, str(arguments["work_ms"]))
        await workers.start(arguments["cores"])
        await fan_in(parts, {"run": "first", "items": 10, "work_ms": 0}, workers)

        async def work(order: Given) -> dict[str, float]:
            begun = time.monotonic()
            await fan_in(parts, order, workers)
            seconds = time.monotonic() - begun
            if order["work_ms"]:
                await asyncio.sleep(2 * REDELIVERY_S)
            return {"fired": await callbacks(dsn, order["run"]), "seconds": seconds}

        yield Ready(work)
        await workers.stop()


def contenders(*, work_ms: int) -> list[Contender]:
    """Return Triptych and the task queues; they kill a worker if tasks take time."""
    cores, kill = os.cpu_count() or 1, work_ms > 0
    ours = {"cores": 2 if kill else cores, "work_ms": work_ms}
    return [
        Contender("triptych", "bench.rows.fan_in:triptych", ours),
        *(
            Contender(
                name,
                "bench.peers.fan_in:queue",
                {"queue": f"{name}_queue", "cores": cores, "kill": kill},
                PEERS,
            )
            for name in QUEUES
        ),
    ]


def kill(size: dict[str, int], tell: Tell) -> dict[str, list[float]]:
    """Kill a worker in the middle, some times; return how often each callback came."""
    work_ms, items = size["work_ms"], size["killed_items"]

    def fired(lane: Lane) -> int:
        return int(lane.run(run="killed", items=items, work_ms=work_ms).told["fired"])

    found = measured(contenders(work_ms=work_ms), fired, size["killings"], tell)
    tell(f"when a worker was killed, the callbacks came so often: {found}")
    return figures(found, int) if size["killings"] else {}


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    items = size["items"]

    def work(lane: Lane) -> Spent:
        return lane.run(run="measured", items=items, work_ms=0)

    spent = measured(contenders(work_ms=0), work, size["rounds"], tell)
    return each_compared(
        ROW,
        f"fan-in of {items:,} URLs that do nothing to one commit",
        "items/s",
        figures(spent, lambda s: items / s.wall_s),
        QUEUES,
        cpu_us_an_item=figures(spent, lambda s: round(1e6 * s.cpu_s / items)),
        callbacks_when_a_worker_is_killed=kill(size, tell),
    )
