"""Copies of one message are one try: duplicates, redeliveries and several workers cost nothing."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
from aiohttp import web

from tests.support.local_pipeline import acquiring_at, ended
from tests.support.registry_harness import RegistryHarness, open_registry_harness
from tests.support.restarting_site import RestartingSite, restarting_site, write_list
from tests.support.waiting import until_true
from tests.support.worker_processes import (
    TO_COMMIT,
    Workers,
    environment,
    open_workers_harness,
)
from triptych.acquire.buffer import Buffer
from triptych.acquire.phase import Acquire, AcquireLimits
from triptych.database.session import Database
from triptych.errors import NotDue, TransientItemError
from triptych.gather.urls import item_key
from triptych.messages import URL_QUEUE, Delivery, Message
from triptych.model import NewItem, Policy, Reason, RunKind, RunState
from triptych.objects import open_store
from triptych.runs.dispatch_window import DispatchWindow
from triptych.runs.registry import ActiveBrandRegistry
from triptych.workers.message_processor import MessageProcessor

pytestmark = pytest.mark.integration

URLS = 20
COPIES = 4
FAILS = 2
"""Answers of HTTP 500 that each URL gives before its picture."""
AWAY_S = 3.0
ATTEMPTS_MAX = 8
"""So many that a try after each full pause never uses them up while the site is away."""


async def multiply_messages(database: Database) -> None:
    """From now on every message to acquire a URL is in the queue several times."""
    await database.fetch(
        f"""
        create function "multiply"() returns trigger language plpgsql as $$
        begin
            insert into pgmq."q_{URL_QUEUE}" (vt, message, headers)
            select new.vt, new.message, new.headers from generate_series(1, {COPIES});
            return null;
        end
        $$"""
    )
    await database.fetch(
        f"""
        create trigger multiply after insert on pgmq."q_{URL_QUEUE}" for each row
        when (pg_trigger_depth() = 0 and new.vt <= clock_timestamp() + interval '10 ms')
        execute function "multiply"()"""
    )


def fails_at_first(site: RestartingSite) -> None:
    def answer(request: web.Request) -> web.StreamResponse | None:
        return web.Response(status=500) if site.requests[request.path] <= FAILS else None

    site.answer = answer


async def test_copies_in_one_worker_are_one_try(tmp_path: Path) -> None:
    """Every URL is requested as often as its attempts say, and once more for its picture."""
    async with (
        restarting_site() as site,
        acquiring_at(tmp_path, robots=False, decode=False) as local,
    ):
        fails_at_first(site)
        await multiply_messages(local.stores.databases[0])
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        run = await ended(local, (await local.submit("nike", source=source)).id)
        rows = await local.stores.databases[0].fetch(
            "select url, attempts from items where run_id = $1", run.id
        )
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert {row["attempts"] for row in rows} == {FAILS}
    assert set(site.requests.values()) == {FAILS + 1}


async def test_copies_in_several_workers_use_up_no_attempts(
    migrated_dsn: str, tmp_path: Path
) -> None:
    quiet = {"quiet_s": 300, "visibility_s": 60, "robots": False, "decode": False}
    env = environment(migrated_dsn, tmp_path / "data", **quiet)
    policy = Policy(tolerated_failures=0.5, max_attempts=ATTEMPTS_MAX, deadline_s=3600)
    back_at = 0.0

    def answer(_request: web.Request) -> web.StreamResponse | None:
        nonlocal back_at
        back_at = back_at or time.monotonic() + AWAY_S
        return web.Response(status=500) if time.monotonic() < back_at else None

    async with (
        restarting_site() as site,
        open_workers_harness(migrated_dsn) as harness,
        Workers(3, env, random.Random(0), TO_COMMIT),
    ):
        site.answer = answer
        registry = ActiveBrandRegistry(
            harness.stores.runs,
            harness.stores.brands,
            harness.stores.dead_letters,
            harness.queue,
            window=DispatchWindow(500),
            policy=policy,
        )
        await multiply_messages(harness.database)
        source = write_list(tmp_path, [site.url(number) for number in range(URLS)])
        run = await harness.until_committed((await registry.open("nike", source=source)).run.id)
        letters = await harness.stores.dead_letters.dead_letters(limit=10)
    assert (run.state, run.done, run.failed) == (RunState.COMMITTED, URLS, 0)
    assert not letters


MAX_RECEIVES = 5
LIMITS = AcquireLimits(
    concurrency=8,
    embed_batch=1,
    embed_calls=1,
    max_pixels=1,
    min_side=1,
    decode=False,
    other_media=False,
    host_patience_s=1.0,
)


class FailingFetcher:
    """Fails each URL, once it may."""

    def __init__(self) -> None:
        self.tries = 0
        self.may_fail = asyncio.Event()
        self.may_fail.set()
        self.retry_after_s = 600.0

    async def slot(self, url: str, **_: object) -> None:
        self.tries += 1
        await self.may_fail.wait()
        raise TransientItemError(Reason.SERVER_ERROR, "HTTP 500", retry_after_s=self.retry_after_s)


class Worker:
    """What a worker does with one message, without the rest of a worker."""

    def __init__(self, harness: RegistryHarness) -> None:
        self.fetcher = FailingFetcher()
        stores = harness.stores
        objects = open_store("memory:", Path())
        self.acquire = Acquire(
            *(stores.runs, stores.outages, stores.snapshots, harness.registry),
            self.fetcher,  # type: ignore[arg-type]
            objects,
            None,
            Buffer(harness.registry, objects, flush_items=1, flush_s=1.0),
            None,  # type: ignore[arg-type]
            None,  # type: ignore[arg-type]
            LIMITS,
        )

        async def delete(delivery: Delivery) -> None:
            await harness.queue.delete([delivery])

        self.processor = MessageProcessor(harness.queue, URL_QUEUE, self.acquire.handle, delete)

    async def serve(self, delivery: Delivery) -> None:
        await self.processor.serve(delivery)


@pytest.fixture
async def harness(migrated_dsn: str) -> AsyncIterator[RegistryHarness]:
    async with open_registry_harness(migrated_dsn, max_receives=MAX_RECEIVES) as opened:
        yield opened


async def dispatched(harness: RegistryHarness) -> tuple[UUID, Delivery]:
    """Open a run of one URL; return it and its message."""
    run = (await harness.registry.open("nike")).run
    url = "https://x/1"
    await harness.registry.expect(run.id, [NewItem(item_key(url), url, {})], cursor=None)
    (delivery,) = await harness.take(URL_QUEUE)
    return run.id, delivery


async def attempts(harness: RegistryHarness, run_id: UUID) -> int:
    rows = await harness.database.fetch("select attempts from items where run_id = $1", run_id)
    return int(rows[0]["attempts"])


async def show_now(harness: RegistryHarness) -> Delivery:
    """Deliver the queue's only message now, whenever it is due."""
    await harness.database.fetch(f'update pgmq."q_{URL_QUEUE}" set vt = clock_timestamp()')
    (delivery,) = await harness.take(URL_QUEUE)
    return delivery


async def test_a_message_that_arrives_early_is_put_off_and_never_a_dead_letter(
    harness: RegistryHarness,
) -> None:
    """As after 15 minutes in SQS, or when a worker was killed before it returned the message."""
    worker = Worker(harness)
    run_id, delivery = await dispatched(harness)
    await worker.serve(delivery)
    for _ in range(3 * MAX_RECEIVES):
        early = await show_now(harness)
        await worker.serve(early)
        assert await harness.waiting(URL_QUEUE) == 1, "one message, as before"
        assert not await harness.take(URL_QUEUE), "and not due"
    assert (worker.fetcher.tries, await attempts(harness, run_id)) == (1, 1)
    assert not await harness.stores.dead_letters.dead_letters(limit=1)
    (row,) = await harness.database.fetch(
        f'select extract(epoch from vt - clock_timestamp()) as due from pgmq."q_{URL_QUEUE}"'
    )
    assert 500 < row["due"] <= 601

    await harness.age(minutes=11)
    await worker.serve(await show_now(harness))
    assert (worker.fetcher.tries, await attempts(harness, run_id)) == (2, 2), "tried when due"


async def test_a_message_that_is_early_by_a_clocks_difference_is_tried(
    harness: RegistryHarness,
) -> None:
    worker = Worker(harness)
    worker.fetcher.retry_after_s = 0.3
    run_id, delivery = await dispatched(harness)
    await worker.serve(delivery)
    await worker.serve(await show_now(harness))
    assert (worker.fetcher.tries, await attempts(harness, run_id)) == (2, 2)


async def test_copies_that_two_workers_try_together_are_one_attempt(
    harness: RegistryHarness,
) -> None:
    workers = [Worker(harness), Worker(harness)]
    run_id, delivery = await dispatched(harness)
    for worker in workers:
        worker.fetcher.may_fail.clear()
    tries = [asyncio.create_task(worker.acquire.handle(delivery)) for worker in workers]
    await until_true(lambda: all(worker.fetcher.tries for worker in workers))
    for worker in workers:
        worker.fetcher.may_fail.set()
    errors = await asyncio.gather(*tries, return_exceptions=True)
    assert sorted(type(error).__name__ for error in errors) == ["NotDue", "TransientItemError"]
    (late,) = [error for error in errors if isinstance(error, NotDue)]
    assert 590 < late.retry_after_s <= 601, "it comes again when the other's retry is due"
    assert await attempts(harness, run_id) == 1


async def test_copies_in_one_worker_take_turns(harness: RegistryHarness) -> None:
    worker = Worker(harness)
    run_id, delivery = await dispatched(harness)
    worker.fetcher.may_fail.clear()
    tries = [asyncio.create_task(worker.acquire.handle(delivery)) for _ in range(5)]
    await until_true(lambda: worker.fetcher.tries)
    worker.fetcher.may_fail.set()
    kinds = [type(error) for error in await asyncio.gather(*tries, return_exceptions=True)]
    tries.clear()
    assert kinds == [TransientItemError, *[NotDue] * 4]
    assert (worker.fetcher.tries, await attempts(harness, run_id)) == (1, 1)
    assert not worker.acquire._in_hand, "nothing is kept of it"


async def test_a_strangers_message_that_arrives_early_is_put_off_too(
    harness: RegistryHarness,
) -> None:
    worker = Worker(harness)
    await harness.queue.send(URL_QUEUE, [Message({"brand": "nike", "url": "https://x/1"})])
    (delivery,) = await harness.take(URL_QUEUE)
    await worker.serve(delivery)
    await worker.serve(await show_now(harness))
    await worker.serve(await show_now(harness))
    (run,) = await harness.stores.runs.runs("nike", limit=10)
    assert (run.kind, run.expected) == (RunKind.ADD, 1)
    assert (worker.fetcher.tries, await attempts(harness, run.id)) == (1, 1)
    assert await harness.waiting(URL_QUEUE) == 1
