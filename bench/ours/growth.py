"""A brand of any size through worker processes of ours: what a URL costs, as brands grow.

Postgres and the workers run below this one. Memory is that of the workers alone.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import sys
from asyncio.subprocess import PIPE, Process
from pathlib import Path

import asyncpg
import uvloop

from bench.ours.brand import committed
from bench.spending import memory_bytes
from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.settings.settings import Settings
from triptych.wiring.database import connect, own_database

SAMPLE_S = 0.5
START_S = 120.0
STORING = {"TRIPTYCH_EMBEDDER": "none", "TRIPTYCH_DECODE": "false"}
"""What has workers store pictures as they are."""


class Memory:
    """The most memory that the workers had together."""

    def __init__(self, pids: list[int]) -> None:
        self._pids = pids
        self.most = 0

    async def watch(self) -> None:
        """Look, some times a second, until cancelled."""
        while True:
            held = await asyncio.to_thread(lambda: sum(map(memory_bytes, self._pids)))
            self.most = max(self.most, held)
            await asyncio.sleep(SAMPLE_S)


async def start(dsn: str, data: Path, count: int, *, embedding: bool) -> list[Process]:
    """Start workers; return when all have said in the database that they are there.

    Those that embed have a core each: by themselves they would share all of them.
    """
    settings = {
        "TRIPTYCH_DATABASE_URL": dsn,
        "TRIPTYCH_DATA": str(data),
        "TRIPTYCH_FETCH_ALLOW": "127.0.0.0/8",
        "TRIPTYCH_HOST_CONCURRENCY": "64",
        **({} if embedding else STORING),
    }
    cores = os.sched_getaffinity(0)
    workers = []
    for _, core in zip(range(count), itertools.cycle(cores)):
        if embedding:
            os.sched_setaffinity(0, {core})  # What is started now inherits it.
        workers.append(
            await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "triptych", "worker", "gather", "acquire", "--with-parent"),
                env={**os.environ, **settings},
                stdin=PIPE,
            )
        )
    os.sched_setaffinity(0, cores)
    connection = await asyncpg.connect(dsn)
    try:
        async with asyncio.timeout(START_S):
            while await connection.fetchval("select count(*) from workers") < count:
                await asyncio.sleep(SAMPLE_S)
    finally:
        await connection.close()
    return workers


async def main() -> None:
    track = Track()
    configure_logs(debug=False)
    folder = Path(track.arguments["folder"])
    settings = Settings.load(data=folder / "data")
    async with own_database(settings) as dsn, connect(settings, dsn) as parts:
        count, embedding = track.arguments["workers"], track.arguments["embedding"]
        workers = await start(dsn, folder / "workers", count, embedding=embedding)
        track.say()
        while (order := await track.next_order()) is not None:
            memory = Memory([worker.pid for worker in workers])
            watching = asyncio.create_task(memory.watch())
            await committed(parts, order)
            watching.cancel()
            track.say(worker_bytes=memory.most)
        for worker in workers:
            worker.terminate()
            await worker.wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
