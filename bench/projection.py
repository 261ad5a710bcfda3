"""Immediate reads of a brand from MongoDB beside Postgres, and how soon a commit is seen there.

``python -m bench.projection [ASSETS]`` fills a Postgres with brands of 1,000, 10,000 and so many
assets, 100,000 by default, projects them, and asks one API server by turns for MongoDB's answers
and for Postgres' (``fresh=true``). MongoDB is the tests' server, a process of Python, or the one at
`TRIPTYCH_TEST_MONGODB_URL`, an empty database.
"""

from __future__ import annotations

import asyncio
import os
import re
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, nullcontext
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
import psutil
import requests
from aws_local.child_server import free_port
from aws_local.mongodb import mongodb_server

from bench.ours.assets import begin_brand, copy_assets, end_brand
from bench.ours.services import own_parts, server, settings_in
from bench.program import HOST
from bench.readers import read
from bench.spending import cpu_s
from triptych.database.session import Database
from triptych.settings.settings import Settings
from triptych.wiring.immediate_reads import open_projection
from triptych.wiring.services import Services
from triptych.workers.projector import Projector

SIZES = (1_000, 10_000)
"""Assets of the smaller brands."""
LARGEST = 100_000
CLIENTS = (1, 32)
REQUESTS = 4
"""Of each client in a round."""
ROUNDS = 3
BATCH = 10_000
COLUMNS = 6
"""Different values of a metadata column."""


def assets(brand: str, run_id: UUID, keys: Sequence[bytes]) -> Iterator[tuple[object, ...]]:
    for number, key in enumerate(keys):
        url = f"https://bench.example/{brand}/{number}.jpg"
        metadata = {"alt": f"picture {number}", "price": number % 500, "line": number % COLUMNS}
        yield (
            *(run_id, key, brand, url, key + key, "sha256/x", "image/jpeg", 50_000 + number),
            *(300 + number % 3_000, 200 + number % 2_000, number, None, None, metadata),
        )


async def fill(database: Database, brand: str, count: int) -> None:
    random, run_id = np.random.default_rng(count), uuid4()
    keys = [random.bytes(16) for _ in range(count)]
    await begin_brand(database, brand, run_id, count)
    for start in range(0, count, BATCH):
        await copy_assets(database, assets(brand, run_id, keys[start : start + BATCH]))
    await end_brand(database, brand, run_id)


async def visible(services: Services, settings: Settings) -> float:
    """Project what is behind; return the seconds that it took."""
    async with open_projection(settings) as opened:
        assert opened is not None
        begun = time.perf_counter()
        await Projector(services.stores.projections, opened.projection).catch_up()
        return time.perf_counter() - begun


@asynccontextmanager
async def running(folder: Path, largest: int) -> AsyncIterator[tuple[int, str]]:
    """Fill both databases and serve them; yield the API's port and the largest brand."""
    given = os.environ.get("TRIPTYCH_TEST_MONGODB_URL")
    own = mongodb_server(folder / "mongodb") if given is None else nullcontext(given)
    async with own as url:
        settings = settings_in({"folder": folder}, reads_url=url)
        async with own_parts(settings) as (services, dsn):
            database = Database(dsn)
            for count in (*(size for size in SIZES if size < largest), largest):
                await fill(database, f"brand-{count}", count)
                seconds = await visible(services, settings)
                print(f"{count:>9,} assets: shown {seconds:.2f} s after their commit", flush=True)
            await database.fetch("vacuum analyze")
            await database.close()
            port = free_port()
            environment = {
                "TRIPTYCH_DATABASE_URL": dsn,
                "TRIPTYCH_DATA": str(folder / "api"),
                "TRIPTYCH_READS_URL": url,
                "TRIPTYCH_API_RATE": "1000000",  # All of one client.
                "TRIPTYCH_API_BURST": "1000000",
            }
            async with server("triptych", "api", "--port", str(port), port=port, **environment):
                yield port, f"brand-{largest}"


def postgres_cpu_s() -> float:
    """Return the CPU-seconds of the Postgres below this process."""
    children = psutil.Process(os.getpid()).children(recursive=True)
    found = [each for each in children if each.name() == "postgres"]
    postmasters = [each for each in found if each.ppid() not in {other.pid for other in found}]
    return sum(cpu_s(each.pid) for each in postmasters)


def answered_by_mongodb(port: int) -> float:
    """Return how many reads MongoDB has answered: what it is too slow for, Postgres answers."""
    text = requests.get(f"http://{HOST}:{port}/metrics", timeout=10).text
    found = re.findall(r'^triptych_reads_total\{.*source="mongodb".*\} (\S+)$', text, re.MULTILINE)
    return sum(map(float, found))


async def compare(port: int, brand: str) -> None:
    kinds = {
        "a page of 50": f"/api/v1/brands/{brand}/assets?limit=50",
        "a filtered page": f"/api/v1/brands/{brand}/assets?limit=50&shape=square",
        "nine facets": f"/api/v1/brands/{brand}/facets?limit=10",
    }
    for kind, path in kinds.items():
        for clients in CLIENTS:
            await compare_kind(port, kind, path, clients)


async def compare_kind(port: int, kind: str, path: str, clients: int) -> None:
    taken: dict[str, list[float]] = {"mongodb": [], "postgres": []}
    spent, before_all = dict.fromkeys(taken, 0.0), answered_by_mongodb(port)
    for _ in range(ROUNDS):
        for store, asked in (("mongodb", path), ("postgres", f"{path}&fresh=true")):
            before = postgres_cpu_s()
            taken[store] += await read(port, [asked], clients, REQUESTS)
            spent[store] += postgres_cpu_s() - before
    share = (answered_by_mongodb(port) - before_all) / len(taken["mongodb"])
    print(f"{kind}, {clients} clients: MongoDB answered {share:.0%} of what it was asked")
    for store, seconds in taken.items():
        cuts = statistics.quantiles(seconds, n=100)
        print(
            f"    {store}: p50 {1e3 * cuts[49]:,.0f} ms, p99 {1e3 * cuts[98]:,.0f} ms; "
            f"Postgres {1e3 * spent[store] / len(seconds):.1f} ms of CPU a request",
            flush=True,
        )


async def main(largest: int) -> None:
    """Print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        async with running(Path(folder), largest) as (port, brand):
            await compare(port, brand)


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else LARGEST))
