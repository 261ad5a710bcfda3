"""A database full of brands, and two servers that read it: `triptych api`, and a bare Starlette."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import numpy as np
import uvloop
from aws_local.emulator import HOST, free_port
from pgvector import HalfVector

from bench.track import Track
from triptych.cli.log_output import configure_logs
from triptych.database.session import Database, Transaction
from triptych.settings.settings import Settings
from triptych.snapshots.asset_ids import asset_id
from triptych.wiring.database import own_database

DIMENSION = 512
VECTORS = 1000
"""Different ones; reading does not look at them."""
SHOWN = 50
"""Assets of each brand that single reads ask for."""
START_S = 60.0
COPY_TIMEOUT_S = 600.0
COLUMNS = (
    *("run_id", "key", "brand", "url", "sha256", "object_key", "media_type", "size_bytes"),
    *("width", "height", "phash", "model", "embedding", "metadata"),
)


async def fill(database: Database, brands: int, each: int) -> dict[str, list[str]]:
    """Commit brands without going through runs; return keys of some assets of each, in hex."""
    random = np.random.default_rng(1)
    vectors = [
        HalfVector(vector) for vector in random.standard_normal((VECTORS, DIMENSION), np.float32)
    ]
    found: dict[str, list[str]] = {}
    for number in range(brands):
        brand, run_id = f"brand-{number}", uuid4()
        keys = [random.bytes(16) for _ in range(each)]
        await database.fetch("insert into brands (name) values ($1)", brand)
        await database.fetch(
            "insert into runs (id, brand, kind, state, tolerated_failures, max_attempts,"
            " deadline_s, deadline_at, sealed, added, kept, changed, removed, ended_at, ai_state)"
            " values ($1, $2, 'full', 'committed', 0.5, 5, 60, now(), true, $3, 0, 0, 0, now(),"
            " 'done')",
            run_id,
            brand,
            each,
        )
        rows = [
            (
                *(run_id, key, brand, f"https://bench.example/{brand}/{n}.jpg", random.bytes(32)),
                *("sha256/x", "image/jpeg", 50_000, 800, 600, n, "m", vectors[n % VECTORS]),
                {"alt": f"picture {n}", "position": n},
            )
            for n, key in enumerate(keys)
        ]

        async def copy(tx: Transaction, rows: list[tuple[object, ...]] = rows) -> None:
            await tx.copy("assets", COLUMNS, rows, timeout_s=COPY_TIMEOUT_S)

        await database.transact(copy)
        await database.fetch("update brands set current_run = $2 where name = $1", brand, run_id)
        found[brand] = [key.hex() for key in keys[:SHOWN]]
    await database.fetch("vacuum analyze")
    await database.fetch("checkpoint")
    return found


@asynccontextmanager
async def server(module: tuple[str, ...], port: int, **environment: str) -> AsyncIterator[int]:
    """Run a server until the end; yield its pid when it listens."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module), env={**os.environ, **environment}
    )
    try:
        until = time.monotonic() + START_S
        while True:
            try:
                socket.create_connection((HOST, port), 1).close()
                break
            except OSError:
                if time.monotonic() > until or process.returncode is not None:
                    raise
                await asyncio.sleep(0.05)
        yield process.pid
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def main() -> None:
    track = Track()
    configure_logs(debug=False)
    arguments = track.arguments
    folder = Path(arguments["folder"])
    async with own_database(Settings.load(data=folder / "data")) as dsn:
        database = Database(dsn)
        keys = await fill(database, arguments["brands"], arguments["each"])
        await database.close()
        ours, bare = free_port(), free_port()
        settings = {
            "TRIPTYCH_DATABASE_URL": dsn,
            "TRIPTYCH_DATA": str(folder / "api"),
            "TRIPTYCH_API_RATE": "1000000",  # All of one client.
            "TRIPTYCH_API_BURST": "1000000",
        }
        async with (
            server(("triptych", "api", "--port", str(ours)), ours, **settings),
            server(("bench.ours.bare_reads", dsn, str(bare)), bare),
        ):
            ids = {
                brand: [asset_id(brand, bytes.fromhex(key)) for key in every]
                for brand, every in keys.items()
            }
            paths = {
                "triptych": {
                    "page": [f"/api/v1/brands/{brand}/assets?limit=50" for brand in keys],
                    "asset": [f"/api/v1/assets/{one}" for every in ids.values() for one in every],
                },
                "starlette": {
                    "page": [f"/brands/{brand}/assets?limit=50" for brand in keys],
                    "asset": [
                        f"/brands/{brand}/assets/{key}"
                        for brand, every in keys.items()
                        for key in every
                    ],
                },
            }
            track.say(ports={"triptych": ours, "starlette": bare}, paths=paths)
            await track.next_order()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
