"""Measure the spine on this machine and print a table; every figure with what it is beside.

Timings on a shared machine are noisy: ratios within one run hold, absolute figures do not.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import resource
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from pgvector import HalfVector
from rich.console import Console
from rich.table import Table

from bench.decoding import isolation
from bench.pictures import serve, write_manifest
from triptych.adapters.postgres.session import Database
from triptych.cli.frame import configure_logs
from triptych.local import open_local
from triptych.messages import URL_QUEUE, Message
from triptych.model import ItemResult, NewItem, Policy, RunKind, RunState, Staged
from triptych.ports import Catalogue
from triptych.settings import Settings
from triptych.urls import item_key
from triptych.wiring import connect, own_database

ROWS = int(os.environ.get("ROWS", "20000"))
URLS = int(os.environ.get("URLS", "2000"))
DIMENSION = 1280
FLUSH = 100
PAGE = 1000
POLICY = Policy(tolerated_failures=0.5, max_attempts=5, deadline_s=3600)


@dataclass(frozen=True)
class Figure:
    """One thing measured."""

    what: str
    value: float
    unit: str
    note: str = ""


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    """Return the seconds that ``work`` takes."""
    start = time.perf_counter()
    await work()
    return time.perf_counter() - start


def cpu_s() -> float:
    """Return the CPU-seconds of this process and of the children that it has waited for."""
    own = resource.getrusage(resource.RUSAGE_SELF)
    return own.ru_utime + own.ru_stime


def new_items() -> list[NewItem]:
    urls = [f"https://example.com/{number}" for number in range(ROWS)]
    return [NewItem(item_key(url), url, {"n": number}) for number, url in enumerate(urls)]


def result(key: bytes, embedding: np.ndarray) -> ItemResult:
    digest = hashlib.sha256(key).digest()
    object_key = f"sha256/{digest.hex()}"
    return ItemResult(
        key, Staged(digest, object_key, "image/jpeg", 50_000, 800, 600, 7, embedding, "m")
    )


async def barrier(catalogue: Catalogue, dsn: str) -> list[Figure]:
    """Expect, settle and commit ROWS items; beside a binary COPY of the same embeddings."""
    run_id = uuid4()
    await catalogue.open_run(
        f"bench-{run_id.hex[:8]}",
        run_id=run_id,
        kind=RunKind.FULL,
        source=None,
        policy=POLICY,
        owe_gather=False,
    )
    items = new_items()
    embeddings = np.random.default_rng(1).standard_normal((ROWS, DIMENSION)).astype(np.float32)
    results = [result(item.key, embeddings[n]) for n, item in enumerate(items)]

    async def expect() -> None:
        for start in range(0, ROWS, PAGE):
            await catalogue.expect(run_id, items[start : start + PAGE], cursor=None, limit=500)

    async def settle() -> None:
        for start in range(0, ROWS, FLUSH):
            await catalogue.settle(run_id, results[start : start + FLUSH], limit=500)

    async def commit() -> None:
        run = await catalogue.commit(run_id)
        assert run.state is RunState.COMMITTED

    expecting = await timed(expect)
    await catalogue.seal(run_id)
    settling = await timed(settle)
    committing = await timed(commit)
    copying = await copy(dsn, results)
    return [
        Figure("expect", ROWS / expecting, "items/s", f"pages of {PAGE}"),
        Figure("settle", ROWS / settling, "items/s", f"flushes of {FLUSH}, {DIMENSION}-d"),
        Figure("commit", ROWS / committing, "rows/s", f"{ROWS:,} rows, one transaction"),
        Figure("bare COPY", ROWS / copying, "rows/s", "the same columns, binary, for comparison"),
    ]


async def copy(dsn: str, results: Sequence[ItemResult]) -> float:
    """Copy the same rows with the bare driver; return the seconds."""
    database = Database(dsn)
    run_id = uuid4()
    columns = ("run_id", "key", "sha256", "object_key", "media_type", "size_bytes", "width")
    columns = (*columns, "height", "phash", "model", "embedding")

    def record(r: ItemResult) -> tuple[object, ...]:
        s = r.staged
        assert s is not None
        head = (run_id, r.key, s.sha256, s.object_key, s.media_type, s.size_bytes, s.width)
        return (*head, s.height, s.phash, s.model, HalfVector(s.embedding))

    records = [record(r) for r in results]
    try:
        async with database.connection() as connection:
            start = time.perf_counter()
            await connection.copy_records_to_table("staged", records=records, columns=columns)
            seconds = time.perf_counter() - start
            await connection.execute("delete from staged where run_id = $1", run_id)
            return seconds
    finally:
        await database.close()


async def pipeline(folder: Path, *, embedder: str) -> list[Figure]:
    """Take URLS real JPEGs over real HTTP through all phases, in this process."""
    async with serve() as base:
        source = write_manifest(folder, base, URLS)
        settings = Settings.load(data=folder / "data", embedder=embedder, fetch_allow="127.0.0.0/8")
        async with open_local(settings) as local:
            before, start = cpu_s(), time.perf_counter()
            opened = await local.submit(f"bench-{embedder}", source=source)
            run = await local.wait(UUID(str(opened.id)))
            seconds, spent = time.perf_counter() - start, cpu_s() - before
    assert (run.state, run.done) == (RunState.COMMITTED, URLS), run
    name = "with embedding" if embedder != "none" else "without embedding"
    return [
        Figure(f"URLs {name}", URLS / spent, "URLs/CPU-s", "worker process only"),
        Figure(f"URLs {name}", URLS / seconds, "URLs/s", "all phases, wall time"),
    ]


async def queue(settings: Settings, dsn: str) -> list[Figure]:
    """Send, receive and delete messages in batches of 100."""
    async with connect(settings, dsn) as parts:
        messages = [Message({"brand": "b", "url": f"https://x/{n}"}) for n in range(10_000)]

        async def drain() -> None:
            left = len(messages)
            while left:
                found = await parts.queue.receive(URL_QUEUE, limit=100, visibility_s=60, wait_s=1)
                await parts.queue.delete(found)
                left -= len(found)

        sending = await timed(lambda: parts.queue.send(URL_QUEUE, messages))
        draining = await timed(drain)
    return [
        Figure("queue send", len(messages) / sending, "messages/s", "one connection"),
        Figure("queue receive + delete", len(messages) / draining, "messages/s", "one connection"),
    ]


def decoding() -> list[Figure]:
    """Return what processes of their own cost decoding."""
    price = isolation()
    return [
        Figure("pictures decoded in threads", price.rate, "pictures/s", "640×480 JPEG"),
        Figure("kept by isolated decoders", 100 * price.kept_time, "% of that", "wall time"),
        Figure("kept by isolated decoders", 100 * price.kept_cpu, "% of that", "CPU-seconds"),
    ]


async def measure() -> list[Figure]:
    """Measure everything, each part on a data folder of its own."""
    figures = decoding()
    with tempfile.TemporaryDirectory(prefix="triptych-bench-") as name:
        folder = Path(name)
        settings = Settings.load(data=folder / "spine")
        async with own_database(settings) as dsn:
            async with connect(settings, dsn) as parts:
                figures += await barrier(parts.catalogue, dsn)
            figures += await queue(settings, dsn)
        for embedder in ("none", "bundled"):
            part = folder / embedder
            part.mkdir()
            figures += await pipeline(part, embedder=embedder)
    return figures


def main() -> None:
    """Print the table."""
    configure_logs(debug=False)
    table = Table(box=None, title=f"Triptych on {os.cpu_count()} cores", title_justify="left")
    for name in ("what", "value", "unit", "note"):
        table.add_column(name, justify="right" if name == "value" else "left")
    for figure in asyncio.run(measure()):
        table.add_row(figure.what, f"{figure.value:,.0f}", figure.unit, figure.note)
    Console().print(table)


if __name__ == "__main__":
    sys.exit(main())
