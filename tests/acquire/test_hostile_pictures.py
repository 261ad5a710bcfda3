"""G9: a brand of hostile pictures ends, each with its reason, in a worker that lives on."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.support.hostile_corpus import Hostile, corpus
from tests.support.memory_watch import MIB, MemoryWatch
from tests.support.picture_server import picture
from tests.support.proof_size import by_size
from tests.support.worker_processes import Workers, environment, open_workers_harness
from triptych.model import Policy, Reason, RunState
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry

pytestmark = pytest.mark.integration

URLS = by_size(500, 2_000)
"""About 330 are made one by one, and all of them are in either size; the others are random."""
GOOD = 20
PATIENCE_S = 1_500.0
POLICY = Policy(tolerated_failures=1.0, max_attempts=5, deadline_s=PATIENCE_S)
WORKER_MAX_BYTES = 1280 * MIB
"""With all its models, and what the AI phase takes for a brand of this size."""
DECODER_MAX_BYTES = 2048 * MIB
"""What a picture of a hundred million pixels takes in the worst mode, once, and more."""


@asynccontextmanager
async def serve(hostile: Sequence[Hostile]) -> AsyncIterator[str]:
    """Serve the corpus, all of it as JPEG, and good pictures beside it."""

    async def bad(request: web.Request) -> web.Response:
        body = hostile[int(request.match_info["number"])].body
        return web.Response(body=body, content_type="image/jpeg")

    async def good(request: web.Request) -> web.Response:
        return web.Response(body=picture(int(request.match_info["number"])))

    app = web.Application()
    app.router.add_get("/hostile/{number}", bad)
    app.router.add_get("/good/{number}", good)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def manifest(folder: Path, base: str, brand: str, urls: int) -> str:
    path = folder / f"{brand}.csv"
    path.write_text("\n".join(["url", *(f"{base}/{brand}/{number}" for number in range(urls))]))
    return f"manifest:{path}"


async def prove(dsn: str, folder: Path, count: int) -> MemoryWatch:
    """Run the corpus through a worker, then a good brand through the same one."""
    hostile = list(corpus(count, seed=1))
    env = environment(dsn, folder / "data", visibility_s=60, quiet_s=300, resend_s=300)
    env |= {"TRIPTYCH_EMBEDDER": "bundled", "TRIPTYCH_DECODERS": "auto"}
    async with (
        serve(hostile) as base,
        open_workers_harness(dsn) as harness,
        asyncio.timeout(PATIENCE_S),
        Workers(1, env, random.Random(0), interpreters=True) as workers,
    ):
        registry = ActiveBrandRegistry(
            harness.stores.runs,
            harness.stores.brands,
            harness.stores.dead_letters,
            harness.queue,
            window=DispatchWindow(500),
            policy=POLICY,
        )
        process = workers.processes[0]
        watch = MemoryWatch(process.pid)
        watching = asyncio.create_task(watch.run())
        source = manifest(folder, base, "hostile", count)
        opened = await registry.open("hostile", source=source)
        run = await harness.ended(opened.run.id)
        rows = await harness.database.fetch(
            "select url, state, reason, detail from items where run_id = $1", run.id
        )
        source = manifest(folder, base, "good", GOOD)
        after = await harness.ended((await registry.open("good", source=source)).run.id)
        assert not watching.done()
        watching.cancel()
        assert process.returncode is None, "the worker lives"
    assert (run.state, run.expected, run.done + run.failed) == (RunState.COMMITTED, count, count)
    found = {int(row["url"].rpartition("/")[2]): row for row in rows}
    unexpected = [
        (one.name, row["state"], row["reason"], row["detail"])
        for number, one in enumerate(hostile)
        if (Reason(row["reason"]) if (row := found[number])["reason"] else None) not in one.outcomes
        or row["state"] != ("failed" if row["reason"] else "done")
    ]
    assert unexpected == []
    assert (after.state, after.done, after.failed) == (RunState.COMMITTED, GOOD, 0)
    return watch


@pytest.mark.prove
async def test_g9_a_brand_of_hostile_pictures_ends(migrated_dsn: str, tmp_path: Path) -> None:
    watch = await prove(migrated_dsn, tmp_path, URLS)
    peaks = [peak // MIB for peak in (watch.peaks[watch.worker.pid], *watch.decoders)]
    print(f"peak MiB: worker {peaks[0]}, decoders {sorted(peaks[1:])}")
    assert watch.peaks[watch.worker.pid] < WORKER_MAX_BYTES
    assert len(watch.decoders) > (os.cpu_count() or 1), "some were killed and replaced"
    assert max(watch.decoders) < DECODER_MAX_BYTES


@pytest.mark.prove
def test_the_corpus_is_the_same_for_the_same_seed() -> None:
    first = [(one.name, hash(one.body)) for one in corpus(330, seed=3)]
    assert first == [(one.name, hash(one.body)) for one in corpus(330, seed=3)]
    assert len({name for name, _ in first}) == len(first)
