"""G8: a worker's memory does not grow with the brand, nor does what a URL costs."""

from __future__ import annotations

import asyncio
import os
import random
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.brand_at_scale import peak_mb
from tests.support.picture_server import PICTURES, picture, write_manifest
from tests.support.proof_size import by_size
from tests.support.registry_harness import RegistryHarness
from tests.support.worker_processes import Workers, environment, open_workers_harness
from triptych.live.watch import watch
from triptych.model import RunState

FEW, MANY = by_size((2_000, 20_000), (10_000, 100_000))
GROWTH_MAX_MB = 60
DEARER_MAX = 1.3
"""How many times as much processor time a URL of the large brand may cost."""
PATIENCE_S = 3_000.0
HEAD_BYTES = 33
"""Of a PNG: signature and header chunk."""


@asynccontextmanager
async def serve_different_pictures() -> AsyncIterator[str]:
    """Serve ``/<brand>/<number>.png``, each of bytes that no other number has."""
    pictures = [picture(number) for number in range(PICTURES)]

    async def get(request: web.Request) -> web.Response:
        number = request.match_info["number"]
        body = pictures[int(number) % PICTURES]
        told = b"tEXtURL\0" + request.path.encode()
        chunk = (len(told) - 4).to_bytes(4) + told + zlib.crc32(told).to_bytes(4)
        return web.Response(
            body=body[:HEAD_BYTES] + chunk + body[HEAD_BYTES:], content_type="image/png"
        )

    app = web.Application()
    app.router.add_get("/{brand}/{number}.png", get)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@dataclass(frozen=True)
class Cost:
    """What a brand took of a worker and its decoders."""

    peak_mb: float
    decoders_mb: float
    """The largest decoder's peak."""
    cpu_ms: float
    """Of a URL, decoders included."""


def processes(worker: int) -> Iterator[int]:
    """Yield the worker's process and its children's."""
    yield worker
    for task in Path(f"/proc/{worker}/task").iterdir():
        yield from (int(pid) for pid in (task / "children").read_text().split())


def cpu_s(worker: int) -> float:
    """Return the processor time of a worker and its children so far."""
    ticks = 0
    for pid in processes(worker):
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


async def cost(dsn: str, folder: Path, base: str, urls: int) -> Cost:
    """Take a brand through a worker of its own."""
    quiet = {"visibility_s": 60, "quiet_s": 60, "resend_s": 60, "decoders": "auto"}
    env = environment(dsn, folder / "data", **quiet)
    phases = ("gather", "acquire")  # The AI phase holds a snapshot: see test_steps_at_scale.
    async with (
        open_workers_harness(dsn) as harness,
        Workers(1, env, random.Random(0), phases, interpreters=True) as workers,
    ):
        worker = workers.processes[0].pid
        async with asyncio.timeout(PATIENCE_S):
            # The first brand takes the worker through all that it loads but once.
            await ended(
                harness, write_manifest(folder, base, f"first-{urls}", 200), f"first-{urls}"
            )
            before = cpu_s(worker)
            source = write_manifest(folder, base, f"brand-{urls}", urls)
            await ended(harness, source, f"brand-{urls}")
        spent = cpu_s(worker) - before
        peaks = [peak_mb(pid) for pid in processes(worker)]
    return Cost(peaks[0], max(peaks[1:]), 1_000 * spent / urls)


async def ended(harness: RegistryHarness, source: str, brand: str) -> None:
    """Run a brand until its commit."""
    opened = await harness.registry.open(brand, source=source)
    async for run in watch(harness.stores.runs, harness.stores.changes, opened.run.id):
        if run.state is not RunState.ACTIVE:
            break
    assert (run.state, run.failed) == (RunState.COMMITTED, 0), run


@pytest.mark.prove
@pytest.mark.timeout(2 * PATIENCE_S)
async def test_g8_memory_and_cost_a_url_do_not_grow_with_the_brand(
    migrated_dsn: str, tmp_path: Path
) -> None:
    async with serve_different_pictures() as base:
        few = await cost(migrated_dsn, tmp_path, base, FEW)
        many = await cost(migrated_dsn, tmp_path, base, MANY)
    print(f"{FEW:,}: {few}\n{MANY:,}: {many}")
    assert many.peak_mb - few.peak_mb < GROWTH_MAX_MB
    assert many.decoders_mb - few.decoders_mb < GROWTH_MAX_MB
    assert many.cpu_ms < DEARER_MAX * few.cpu_ms
