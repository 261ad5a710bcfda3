"""Live status under cuts: sockets, a live process and a database connection are lost in a run."""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from contextlib import aclosing
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from bench.subscribers import Crowd, resident_bytes
from bench.subscribers import subscribe as subscribe_many
from msgspec import convert

from tests.support.contracts.stores_contract import done
from tests.support.cutting_proxy import CuttingProxy, open_proxy
from tests.support.live_process import live_process
from tests.support.waiting import until_true
from tests.support.worker_processes import environment
from triptych.client.subscription import Update, follow
from triptych.database.session import Database
from triptych.gather.urls import item_key
from triptych.model import Item, NewItem, Policy, RunKind
from triptych.runs.run_shown import RunShown
from triptych.wiring.stores import Stores, postgres_stores

URLS = 5_000
PAGE = 50
FLUSH = 50
CUTS = 50
PATIENCE_S = 240.0
POLICY = Policy(tolerated_failures=0, max_attempts=3, deadline_s=3600)


async def gather_and_settle(stores: Stores, run_id: UUID, proxy: CuttingProxy) -> None:
    """Take a run through its phases, step by step, while connections are cut."""
    rng = random.Random(5)
    items: list[NewItem] = []
    for start in range(0, URLS, PAGE):
        urls = [f"https://x/{number}" for number in range(start, start + PAGE)]
        items += (page := [NewItem(item_key(url), url, {}) for url in urls])
        await stores.runs.expect(run_id, page, cursor=str(start + PAGE), limit=500)
        if start // PAGE % 4 == 0:
            await proxy.cut()
    await stores.runs.seal(run_id)
    while proxy.cuts < CUTS or items:
        flush, items = items[:FLUSH], items[FLUSH:]
        results = [
            done(Item(run_id, new.key, "nike", new.url, {}, None, 0))  # type: ignore[arg-type]
            for new in flush
        ]
        await stores.runs.settle(run_id, results, limit=500)
        await asyncio.sleep(rng.uniform(0, 0.02))
        if proxy.cuts < CUTS:
            await proxy.cut()
    await stores.runs.commit(run_id)
    await stores.ai.begin_ai("nike", run_id)
    await stores.ai.finish_ai(run_id, [])


async def subscribe(url: str, run_id: UUID) -> list[Update]:
    """Hear of a run and its timeline until both are over."""
    topic, heard, seq, end = f"run:{run_id}", [], 0, None
    async with aclosing(follow(url, [topic], after={topic: 0})) as told_of:
        async for told in told_of:
            heard.append(told)
            if told.events:
                seq = told.version
            elif told.final and told.state is not None:
                end = told.state["seq"]
            if end is not None and seq >= end:
                return heard
    return heard


@pytest.mark.prove
async def test_g7_fifty_cuts_a_killed_process_and_a_lost_database_connection(
    migrated_dsn: str, tmp_path: Path
) -> None:
    env = environment(migrated_dsn, tmp_path)
    # One connection, so that every other one is the live processes'.
    database = Database(migrated_dsn, pool_max=1)
    stores = postgres_stores(database, run_cap_s=3600)
    run_id = uuid4()
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            live_process(env) as (first, one),
            live_process(env) as (_, other),
            open_proxy([one, other]) as proxy,
            asyncio.TaskGroup() as group,
        ):
            await stores.runs.open_run(
                "nike",
                run_id=run_id,
                kind=RunKind.FULL,
                source="manifest:x",
                policy=POLICY,
                enqueue_gather_message=False,
            )
            url = f"ws://127.0.0.1:{proxy.port}/ws"
            subscribers = [group.create_task(subscribe(url, run_id)) for _ in range(3)]
            working = group.create_task(gather_and_settle(stores, run_id, proxy))
            await until_true(lambda: proxy.cuts >= CUTS // 3, patience_s=PATIENCE_S)
            first.kill()
            await until_true(lambda: proxy.cuts >= 2 * CUTS // 3, patience_s=PATIENCE_S)
            cut = await database.fetch(
                "select pg_terminate_backend(pid) from pg_stat_activity"
                " where datname = current_database() and pid <> pg_backend_pid()"
            )
            assert len(cut) >= 2
            await working
            heard = [await subscriber for subscriber in subscribers]
        assert proxy.cuts >= CUTS
        run = await stores.runs.run(run_id)
        events = await stores.runs.timeline(run_id, after=0, limit=100_000)
        for told in heard:
            versions = [each.version for each in told if each.state is not None]
            assert versions == sorted(set(versions))
            states = [each.state for each in told if each.state is not None]
            assert convert(states[-1], RunShown) == RunShown.of(run)
            seqs = [event["seq"] for each in told for event in each.events]
            assert seqs == list(range(1, len(events) + 1))
            assert (run.settled, run.added) == (URLS, URLS)
    finally:
        await stores.close()


READERS = 1_000
SLOW = 100
ROUNDS = 12
STATE_BYTES = 50_000
"""Makes a state large, so that buffers are full after a few."""
KEPT_BYTES = 64 * 1024 + 2 * STATE_BYTES
"""What a server may hold for a client that does not read: its write buffer, and the frames at its
edges. The kernel's buffers are not the process' memory."""


async def rounds(stores: Stores, run_id: UUID, crowd: Crowd) -> list[float]:
    """Change a run; return how long each change took to come to each client."""
    latencies: list[float] = []
    for number in range(ROUNDS):
        began = time.monotonic()
        version = (await stores.runs.pause(run_id, paused=number % 2 == 0)).version
        await crowd.have(version)
        latencies += [each.came[version] - began for each in crowd.subscribers]
        await asyncio.sleep(0.25)
    return latencies


@pytest.mark.prove
async def test_g8_a_hundred_slow_readers_do_not_delay_a_thousand(
    migrated_dsn: str, tmp_path: Path
) -> None:
    database = Database(migrated_dsn)
    stores = postgres_stores(database, run_cap_s=3600)
    run_id = uuid4()
    try:
        async with (
            asyncio.timeout(PATIENCE_S),
            live_process(environment(migrated_dsn, tmp_path)) as (process, port),
        ):
            await stores.runs.open_run(
                "nike",
                run_id=run_id,
                kind=RunKind.FULL,
                source="manifest:x",
                policy=POLICY,
                enqueue_gather_message=False,
            )
            await database.fetch("update runs set reason = repeat('x', $1::integer)", STATE_BYTES)
            readers = await subscribe_many(port, f"run:{run_id}", READERS)
            alone = await rounds(stores, run_id, readers)
            before = resident_bytes(process.pid)
            slow = await subscribe_many(port, f"run:{run_id}", SLOW, paused=True)
            beside = await rounds(stores, run_id, readers)
            grown = resident_bytes(process.pid) - before
            last = await stores.runs.cancel(run_id)
            await readers.have(last.version)
            print(
                f"median latency alone {statistics.median(alone) * 1e3:.0f} ms,"
                f" beside slow readers {statistics.median(beside) * 1e3:.0f} ms;"
                f" memory for each slow reader {grown / SLOW / 1e3:.0f} kB"
            )
            readers.close()
            slow.close()
        assert all(each.final for each in readers.subscribers)
        assert all(list(each.came) == sorted(each.came) for each in readers.subscribers)
        assert statistics.median(beside) < 3 * statistics.median(alone)
        assert grown < SLOW * KEPT_BYTES + READERS * 10_000
    finally:
        await stores.close()
