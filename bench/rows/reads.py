"""Row 7: immediate reads of many assets under many clients, beside a bare route's."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

import numpy as np
import uvloop
from aws_local.child_server import free_port
from pgvector import HalfVector

from bench.lanes import Contender, Tell, interleaved, running
from bench.ours.assets import begin_brand, copy_assets, end_brand
from bench.ours.services import server, settings_in
from bench.program import Given, Ready
from bench.readers import read
from bench.results import Aim, Entry, each_compared
from triptych.database.session import Database
from triptych.snapshots.asset_ids import asset_id
from triptych.wiring.services import own_database

ROW = 7
TITLE = "immediate reads"
FULL = {"brands": 1000, "each": 1000, "clients": 32, "requests": 200, "rounds": 5}
REDUCED = {"brands": 10, "each": 200, "clients": 8, "requests": 20, "rounds": 1}
AIMS = {50: Aim("≤ 1.5", most=1.5), 99: Aim("≤ 2", most=2)}
KINDS = {"page": "a page of 50 assets", "asset": "one asset"}
DIMENSION = 512
VECTORS = 1000
"""Different ones; reading does not look at them."""
SHOWN = 50
"""Assets of each brand that single reads ask for."""


async def fill(database: Database, brands: int, each: int) -> dict[str, list[bytes]]:
    """Commit brands without going through runs; return the keys of some assets of each."""
    random = np.random.default_rng(1)
    drawn = random.standard_normal((VECTORS, DIMENSION), np.float32)
    vectors = [HalfVector(vector) for vector in drawn]
    found: dict[str, list[bytes]] = {}
    for number in range(brands):
        brand, run_id = f"brand-{number}", uuid4()
        keys = [random.bytes(16) for _ in range(each)]
        await begin_brand(database, brand, run_id, each)
        rows = [
            (
                *(run_id, key, brand, f"https://bench.example/{brand}/{n}.jpg", random.bytes(32)),
                *("sha256/x", "image/jpeg", 50_000, 800, 600, n, "m", vectors[n % VECTORS]),
                {"alt": f"picture {n}", "position": n},
            )
            for n, key in enumerate(keys)
        ]
        await copy_assets(database, rows)
        await end_brand(database, brand, run_id)
        found[brand] = keys[:SHOWN]
    await database.fetch("vacuum analyze")
    await database.fetch("checkpoint")
    return found


def paths(keys: dict[str, list[bytes]]) -> dict[str, dict[str, list[str]]]:
    """Return what to ask each server for, by kind."""
    every = [(brand, key) for brand, some in keys.items() for key in some]
    return {
        "triptych": {
            "page": [f"/api/v1/brands/{brand}/assets?limit=50" for brand in keys],
            "asset": [f"/api/v1/assets/{asset_id(brand, key)}" for brand, key in every],
        },
        "starlette": {
            "page": [f"/brands/{brand}/assets?limit=50" for brand in keys],
            "asset": [f"/brands/{brand}/assets/{key.hex()}" for brand, key in every],
        },
    }


async def nothing(_order: Given) -> None:
    """Servers are asked, not ordered."""


@asynccontextmanager
async def servers(arguments: Given) -> AsyncIterator[Ready]:
    """Fill a database and run both servers that read it."""
    async with own_database(settings_in(arguments)) as dsn:
        database = Database(dsn)
        keys = await fill(database, arguments["brands"], arguments["each"])
        await database.close()
        ours, bare = free_port(), free_port()
        settings = {
            "TRIPTYCH_DATABASE_URL": dsn,
            "TRIPTYCH_DATA": str(Path(arguments["folder"]) / "api"),
            "TRIPTYCH_API_RATE": "1000000",  # All of one client.
            "TRIPTYCH_API_BURST": "1000000",
        }
        async with (
            server("triptych", "api", "--port", str(ours), port=ours, **settings),
            server("bench.ours.bare_reads", dsn, str(bare), port=bare),
        ):
            ports = {"triptych": ours, "starlette": bare}
            yield Ready(nothing, {"ports": ports, "paths": paths(keys)})


def milliseconds(rounds: list[list[float]], percentile: int) -> list[float]:
    """Return a percentile of each round's seconds."""
    return [1e3 * statistics.quantiles(taken, n=100)[percentile - 1] for taken in rounds]


def measure(size: dict[str, int], tell: Tell) -> list[Entry]:
    arguments = {"brands": size["brands"], "each": size["each"]}
    with running(Contender("reads", "bench.rows.reads:servers", arguments)) as lane:
        ports, paths = lane.told["ports"], lane.told["paths"]

        def reads(name: str, kind: str) -> list[float]:
            wanted = paths[name][kind]
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                return runner.run(read(ports[name], wanted, size["clients"], size["requests"]))

        works = {f"{name} {kind}": partial(reads, name, kind) for kind in KINDS for name in ports}
        for work in works.values():
            work()  # What is not cached yet is not what is measured.
        found = interleaved(works, size["rounds"], tell)
    of = f"of {size['brands'] * size['each']:,} in {size['brands']:,} brands"
    return [
        entry
        for kind, text in KINDS.items()
        for percentile, aim in AIMS.items()
        for entry in each_compared(
            ROW,
            f"{text} {of}, {size['clients']} clients, p{percentile}",
            "ms",
            {name: milliseconds(found[f"{name} {kind}"], percentile) for name in ports},
            {"starlette": ("bare Starlette route, the same SQL", aim)},
        )
    ]
