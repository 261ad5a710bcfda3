"""G8, G9: a brand that lies on hostile servers ends, each URL with its reason; the worker lives."""

from __future__ import annotations

import asyncio
import random
from collections import Counter, defaultdict
from pathlib import Path

import pytest

from tests.support.hostile_server import WAYS, serving, url_of
from tests.support.memory_watch import MIB, MemoryWatch
from tests.support.picture_server import serve_pictures, write_manifest
from tests.support.proof_size import by_size
from tests.support.worker_processes import Workers, environment, open_workers_harness
from triptych.model import Policy, Reason, RunState
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry

OF_EACH = by_size(4, 12)
GOOD = 20
PATIENCE_S = 600.0
DEADLINE_S = 3.0
BODY_MAX = 8 * MIB
MEMORY = 32 * MIB
"""Of all bodies: 64 downloads at a time would take 512 MiB without."""
GROWTH_MAX_BYTES = 4 * MEMORY
"""Over what a good brand takes: the bodies, the copy of one, what connections buffer."""
POLICY = Policy(tolerated_failures=1.0, max_attempts=2, deadline_s=PATIENCE_S)


@pytest.mark.prove
async def test_g9_a_brand_of_hostile_servers_ends(migrated_dsn: str, tmp_path: Path) -> None:
    env = environment(
        migrated_dsn,
        tmp_path / "data",
        visibility_s=60,
        quiet_s=300,
        resend_s=300,
        decoders="auto",
        fetch_deadline_s=DEADLINE_S,
        fetch_max_bytes=BODY_MAX,
        fetch_memory_bytes=MEMORY,
        # Where the redirects to a private address lead is not allowed; the servers are.
        fetch_allow="127.0.0.0/8",
    )
    async with (
        serving() as server,
        serve_pictures() as base,
        open_workers_harness(migrated_dsn) as harness,
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
        watch = MemoryWatch(workers.processes[0].pid)
        watching = asyncio.create_task(watch.run())
        good = write_manifest(tmp_path, base, "good", GOOD)
        before = await harness.ended((await registry.open("good", source=good)).run.id)
        calm = watch.peaks[watch.worker.pid]
        path = tmp_path / "hostile.csv"
        urls = [url_of(server, way, number) for number in range(OF_EACH) for way in WAYS]
        path.write_text("\n".join(["url", *urls]))
        opened = await registry.open("hostile", source=f"manifest:{path}")
        run = await harness.ended(opened.run.id)
        rows = await harness.database.fetch(
            "select url, reason from items where run_id = $1", run.id
        )
        after = await harness.ended((await registry.open("good")).run.id)
        assert not watching.done()
        watching.cancel()
        assert workers.processes[0].returncode is None, "the worker lives"
    assert (run.state, run.done + run.failed) == (RunState.COMMITTED, len(urls))
    found: dict[str, Counter[Reason | None]] = defaultdict(Counter)
    for row in rows:
        found[row["url"].split("/")[3]][Reason(row["reason"]) if row["reason"] else None] += 1
    assert {way: sum(counts.values()) for way, counts in found.items()} == dict.fromkeys(
        WAYS, OF_EACH
    )
    # On a busy machine anything may take too long; one by one they are held to their own reasons.
    wrong = {
        way: counts
        for way, counts in found.items()
        if not counts.keys() <= WAYS[way].reasons | {Reason.TIMEOUT}
    }
    assert wrong == {}
    assert (before.done, after.done, after.failed) == (GOOD, GOOD, 0)
    growth = watch.peaks[watch.worker.pid] - calm
    print(f"{len(urls)} URLs; worker {calm // MIB} MiB, {growth // MIB} MiB more at its peak")
    assert growth < GROWTH_MAX_BYTES
