"""A process that projects until it is killed: ``python -m`` this module, ``DSN URL``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from triptych.database.session import Database
from triptych.reads.mongo.connection import MongoConnection
from triptych.reads.mongo.mongo_projection import MongoProjection
from triptych.reads.postgres.postgres_projections import PostgresProjectionStore
from triptych.snapshots.postgres.postgres_search import PostgresSearchStore
from triptych.workers.projector import Projector

BEGUN = "begun"
"""What it writes when it begins."""
LEASE_S = 0.2
START_S = 60.0


@asynccontextmanager
async def projector_process(dsn: str, url: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """Yield a process that projects, begun; kill it at the end."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.support.projector_process", dsn, url),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(START_S):
            line = b""
            while BEGUN.encode() not in line:
                line = await process.stdout.readline()
                assert line, "it ended before it began"
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def main(dsn: str, url: str) -> None:
    database = Database(dsn)
    store = PostgresProjectionStore(database, PostgresSearchStore(database))
    projection = MongoProjection(MongoConnection(url))
    projector = Projector(
        store, projection, idle_s=0.01, lease_s=LEASE_S, grace_s=0.0, assets_at_once=2
    )
    await projection.open(await store.lowers())
    print(BEGUN, flush=True)
    await projector.run(asyncio.Event())


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
